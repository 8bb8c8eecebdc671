"""Signs of life of an activity while it waits for the user's code."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

T = TypeVar("T")


async def beating(call: Awaitable[T], interval: timedelta, *details: object) -> T:
    """Await a call, with heartbeats: Temporal notices when the worker is gone or stuck, and can cancel it.

    The first one is sent after the first interval, so that a short call costs none.

    Args:
        call: what is awaited; it is cancelled, and seen to its end, when the activity is.
        interval: the time between two heartbeats.
        details: what each of them carries.

    Raises:
        ApplicationError: the call wanted to end the process, by `SystemExit` or `KeyboardInterrupt`.
    """
    task = asyncio.create_task(_contained(call))
    try:
        while not (await asyncio.wait({task}, timeout=interval.total_seconds()))[0]:
            activity.heartbeat(*details)
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _contained(call: Awaitable[T]) -> T:
    """Await a call; out of a task of its own these errors would end the loop, and with it the worker."""
    try:
        return await call
    except (SystemExit, KeyboardInterrupt) as error:
        raise ApplicationError(f"it raised {error!r}", type=type(error).__name__) from error
