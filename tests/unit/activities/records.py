"""What a test sees happen, and how it waits for that without sleeping."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

GUARD = 5.0
"""Seconds after which a wait has failed; none of them comes near it."""


async def turns(count: int) -> None:
    """Let every other task go on, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


class Record(Generic[T]):
    """Entries in the order in which they were added."""

    def __init__(self) -> None:
        self.entries: list[T] = []
        self._added = asyncio.Event()

    def add(self, entry: T) -> None:
        self.entries.append(entry)
        self._added.set()

    def count(self, entry: T) -> int:
        return self.entries.count(entry)

    async def until(self, *wanted: T) -> None:
        """Wait until all of these are there."""
        await self._until(lambda: all(entry in self.entries for entry in wanted))

    async def more(self, count: int) -> list[T]:
        """The next entries: those that are not there yet."""
        begin = len(self.entries)
        await self._until(lambda: len(self.entries) >= begin + count)
        return self.entries[begin : begin + count]

    async def next(self, matches: Callable[[T], bool]) -> T:
        """The first entry from now on that matches."""
        async with asyncio.timeout(GUARD):
            while True:
                (entry,) = await self.more(1)
                if matches(entry):
                    return entry

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(GUARD):
            while not holds():
                self._added.clear()
                await self._added.wait()
