"""Waiting for what another process, or the server, makes true in its own time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE_SECONDS = 30

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]], *, seconds: float = PATIENCE_SECONDS) -> T:
    """Look again and again until what is seen is true; a time-out is the test's failure."""
    async with asyncio.timeout(seconds):
        while not (seen := await look()):  # noqa: ASYNC110 - no event of ours comes with it
            await asyncio.sleep(0.05)
    return seen
