"""Events from a list in this process: for tests, and for trying things out."""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pumphouse.connectors.contract import Ack
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.connectors.positions import IntegerPositions, Start

_POSITIONS = IntegerPositions("memory", "the index of an event, counted from 0", 0, sys.maxsize)


@dataclass(eq=False)
class _Cursor:
    """How far a consumer name has acked: the number of events up to the last one.

    A seek and a reshard replace it, so that the acks of consumers from before move nothing any more.
    """

    acked: int

    def advance(self, acked: int) -> None:
        self.acked = max(self.acked, acked)


class _Log:
    """The events, and how far each consumer name has acked them."""

    def __init__(self, events: Iterable[ConnectorEvent], start: Start) -> None:
        self.events = list(events)
        self.cursors: dict[str, _Cursor] = {}
        self.published = asyncio.Condition()
        self._start: Start = start

    async def event_at(self, position: int) -> ConnectorEvent:
        async with self.published:
            await self.published.wait_for(lambda: position < len(self.events))
        return self.events[position]

    def resolve(self, start: Start) -> int:
        if isinstance(start, int):
            return start
        return len(self.events) if start == "latest" else 0

    def enter(self, names: Iterable[str], *, at_most: int | None = None) -> None:
        """Give those names a position that have none."""
        position = self.resolve(self._start)
        for name in names:
            if name not in self.cursors:
                self.cursors[name] = _Cursor(position if at_most is None else min(position, at_most))


class MemoryConnector:
    """Delivers the events of a list, in its order, to every consumer name.

    The position of each consumer name lives as long as this object does: a new consumer goes on after the
    last event that an earlier one of that name had acked.
    """

    def __init__(self, events: Iterable[ConnectorEvent] = (), *, start: Start = "earliest") -> None:
        """Start with the events given.

        Args:
            events: what to deliver; `publish` adds more later.
            start: where a consumer name begins that has no position yet: at the first event, or behind the
                last one that there is when the name is first used, or at the event of that index.

        Raises:
            PumphouseError: `start` makes no sense.
        """
        _POSITIONS.check(start)
        self._log = _Log(events, start)

    async def publish(self, *events: ConnectorEvent) -> None:
        """Add events at the end, and wake the consumers that wait for one."""
        async with self._log.published:
            self._log.events.extend(events)
            self._log.published.notify_all()

    def acked(self, consumer_name: str) -> int:
        """How far a consumer name has acked: the number of events up to the last one.

        It is 0 for a name that was never used, and the start for one that has acked nothing.
        """
        cursor = self._log.cursors.get(consumer_name)
        return cursor.acked if cursor else 0

    async def make(self, consumer_name: str) -> "MemoryConsumer":
        """Open a consumer that starts after the last event acked under its name."""
        # A name has a position from its first consumer on, so that `reshard` does not start beyond it.
        self._log.enter([consumer_name])
        return MemoryConsumer(self._log, consumer_name)

    async def reshard(self, group: str, names: Sequence[str]) -> None:
        """Make the names the only ones of their group, at its earliest position."""
        cursors = self._log.cursors
        known = [name for name in cursors if name.startswith(group)]
        earliest = min((cursors[name].acked for name in known), default=None)
        if earliest is not None and not set(known) <= set(names):
            for name in known:
                del cursors[name]
            cursors.update((name, _Cursor(earliest)) for name in names)
        self._log.enter(names, at_most=earliest)

    async def seek(self, names: Sequence[str], position: str) -> None:
        """Let names go on at "earliest", at "latest", or at an event's index, counted from 0.

        Raises:
            InvalidPosition: it is none of these.
        """
        acked = self._log.resolve(_POSITIONS.read(position))
        self._log.cursors.update((name, _Cursor(acked)) for name in names)

    async def find(self, event_id: str) -> ConnectorEvent | None:
        """Look an event up; the first one when the list has several of that ID."""
        return next((event for event in self._log.events if event.id == event_id), None)


class MemoryConsumer:
    """Reads a `MemoryConnector` under one consumer name."""

    def __init__(self, log: _Log, consumer_name: str) -> None:
        """Start after what the name has acked."""
        self._log = log
        self._cursor = log.cursors[consumer_name]
        self._next = self._cursor.acked
        self._received: int | None = None

    @property
    def position(self) -> str:
        """The index of the event received last, counted from 0."""
        return "" if self._received is None else str(self._received)

    async def recv(self) -> tuple[ConnectorEvent, Ack]:
        """Wait for the next event of the list."""
        event = await self._log.event_at(self._next)
        self._received = self._next
        self._next += 1
        acked = self._next

        async def ack() -> None:
            self._cursor.advance(acked)

        return event, ack

    async def close(self) -> None:
        """Nothing is held: acks are stored at once."""
