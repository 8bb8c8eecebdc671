"""Events from a list in this process: for tests, and for trying things out."""

import asyncio
from collections.abc import Iterable, Sequence

from pumphouse.connectors.contract import Ack
from pumphouse.connectors.event import ConnectorEvent


class _Log:
    """The events, and how far each consumer name has acked them."""

    def __init__(self, events: Iterable[ConnectorEvent]) -> None:
        self.events = list(events)
        self.acked: dict[str, int] = {}
        self.published = asyncio.Condition()

    async def event_at(self, position: int) -> ConnectorEvent:
        async with self.published:
            await self.published.wait_for(lambda: position < len(self.events))
        return self.events[position]


class MemoryConnector:
    """Delivers the events of a list, in its order, to every consumer name.

    The position of each consumer name lives as long as this object does: a new consumer goes on after the
    last event that an earlier one of that name had acked.
    """

    def __init__(self, events: Iterable[ConnectorEvent] = ()) -> None:
        """Start with the events given.

        Args:
            events: what to deliver; `publish` adds more later.
        """
        self._log = _Log(events)

    async def publish(self, *events: ConnectorEvent) -> None:
        """Add events at the end, and wake the consumers that wait for one."""
        async with self._log.published:
            self._log.events.extend(events)
            self._log.published.notify_all()

    def acked(self, consumer_name: str) -> int:
        """How far a consumer name has acked: the number of events up to the last one."""
        return self._log.acked.get(consumer_name, 0)

    async def make(self, consumer_name: str) -> "MemoryConsumer":
        """Open a consumer that starts after the last event acked under its name."""
        # A name has a position from its first consumer on, so that `reshard` does not start beyond it.
        self._log.acked.setdefault(consumer_name, 0)
        return MemoryConsumer(self._log, consumer_name)

    async def reshard(self, group: str, names: Sequence[str]) -> None:
        """Make the names the only ones of their group, at its earliest position."""
        acked = self._log.acked
        known = {name: acked.pop(name) for name in list(acked) if name.startswith(group)}
        if not known.keys() <= set(names):
            known = dict.fromkeys(names, min(known.values()))
        acked.update(dict.fromkeys(names, 0) | known)


class MemoryConsumer:
    """Reads a `MemoryConnector` under one consumer name."""

    def __init__(self, log: _Log, consumer_name: str) -> None:
        """Start after what the name has acked."""
        self._log = log
        self._name = consumer_name
        self._position = log.acked[consumer_name]

    async def recv(self) -> tuple[ConnectorEvent, Ack]:
        """Wait for the next event of the list."""
        event = await self._log.event_at(self._position)
        self._position += 1
        position = self._position

        async def ack() -> None:
            self._log.acked[self._name] = max(self._log.acked.get(self._name, 0), position)

        return event, ack

    async def close(self) -> None:
        """Nothing is held: acks are stored at once."""
