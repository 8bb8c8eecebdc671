"""A source whose every move a test sees, and may hold up or let fail."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from pumphouse.connectors import Ack, ConnectorConsumer, ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from tests.unit.activities.records import Record

Before: TypeAlias = Callable[[str], Awaitable[None]]
"""Is awaited before each move of a source: `make`, `recv`, `ack 1`, `close`; its error is the move's."""


async def let_be(_move: str) -> None:
    pass


def fail_first(failing: str, *errors: BaseException) -> Before:
    """Let the first tries of a move fail, one with each error."""
    left = list(errors)

    async def before(move: str) -> None:
        if move == failing and left:
            raise left.pop(0)

    return before


class Outage:
    """Lets a move fail, or wait, for as long as it lasts."""

    def __init__(self, move: str, error: Exception | None = None) -> None:
        self._move = move
        self._error = error
        self._over = asyncio.Event()

    def end(self) -> None:
        self._over.set()

    async def __call__(self, move: str) -> None:
        if move == self._move and not self._over.is_set():
            if self._error:
                raise self._error
            await self._over.wait()


class WatchedSource:
    """A `MemoryConnector` that records its moves as it makes them: `make`, `recv 1`, `ack 1`, `close`."""

    def __init__(self, *events: ConnectorEvent, before: Before = let_be) -> None:
        self.moves = Record[str]()
        self.tries = Record[str]()
        """Also the moves that were held up or failed."""
        self.memory = MemoryConnector(events)
        self._before = before

    async def make(self, consumer_name: str) -> ConnectorConsumer:
        await self.attempt("make")
        self.moves.add("make")
        return WatchedConsumer(self, await self.memory.make(consumer_name))

    async def attempt(self, move: str) -> None:
        self.tries.add(move)
        await self._before(move)


class WatchedConsumer:
    def __init__(self, source: WatchedSource, consumer: ConnectorConsumer) -> None:
        self._source = source
        self._consumer = consumer

    async def recv(self) -> tuple[ConnectorEvent, Ack]:
        await self._source.attempt("recv")
        event, memory_ack = await self._consumer.recv()
        self._source.moves.add(f"recv {event.id}")

        async def ack() -> None:
            await self._source.attempt(f"ack {event.id}")
            await memory_ack()
            self._source.moves.add(f"ack {event.id}")

        return event, ack

    async def close(self) -> None:
        await self._source.attempt("close")
        await self._consumer.close()
        self._source.moves.add("close")
