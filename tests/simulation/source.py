"""A source of events, in the way that all real ones are: slow, repetitive, and not always there."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pumphouse.activities.shards import Shard
from pumphouse.connectors.contract import Ack
from pumphouse.connectors.errors import InvalidEvent
from pumphouse.connectors.event import ConnectorEvent
from tests.simulation.ledger import Ledger, Promise
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Link
from tests.simulation.plan import Plan, PlannedEvent

REPEATS = 24  # one event in so many is delivered a second time
CLOSE_HANGS = 40


@dataclass(eq=False)
class Cursor:
    """What a consumer name has acked. A reshard replaces it, so that older acks move nothing any more."""

    acked: set[int] = field(default_factory=set[int])


@dataclass
class Source:
    """The events, and how far each consumer name has acked them."""

    plan: Plan
    link: Link
    ledger: Ledger
    cursors: dict[str, Cursor] = field(default_factory=dict[str, Cursor])
    misreads: dict[str, int] = field(default_factory=dict[str, int])
    is_acked: bool = False
    """Whether every name has acked everything."""

    def reshard(self, names: Sequence[str]) -> None:
        """Give all names the earliest position of any."""
        known = list(self.cursors.values())
        acked = set[int].intersection(*(cursor.acked for cursor in known)) if known else set[int]()
        kept = self.cursors if set(self.cursors) <= set(names) else dict[str, Cursor]()
        self.cursors = {name: kept.get(name) or Cursor(set(acked)) for name in names}
        self._find_whether_acked()

    def _find_whether_acked(self) -> None:
        count = len(self.plan.events)
        self.is_acked = all(len(cursor.acked) == count for cursor in self.cursors.values())

    def commit(self, cursor: Cursor, shard: Shard, index: int) -> None:
        """Take an ack of the event at that index."""
        events = self.plan.events
        done = {index} if self.plan.is_queue else set(range(index + 1))
        for number in sorted(done - cursor.acked):
            if shard.takes(events[number].lane):
                self.ledger.note_commit(events[number])
        cursor.acked |= done
        self._find_whether_acked()

    def is_misread(self, planned: PlannedEvent) -> bool:
        """Whether an event cannot be read this time."""
        count = self.misreads[planned.event.id] = self.misreads.get(planned.event.id, 0) + 1
        return count <= planned.misreads


@dataclass
class SourceIn:
    """The source, as one pump's process sees it."""

    source: Source
    process: SimulatedLoop
    shard: Shard

    async def make(self, consumer_name: str) -> "Consumer":
        link = self.source.link
        cursor = await link.request(self.process, "make", lambda: self.source.cursors[consumer_name])
        return Consumer(self.source, self.process, self.shard, cursor, self._order(cursor))

    def _order(self, cursor: Cursor) -> list[int]:
        """What is delivered; a queue may shuffle events, never those of one foreign ID."""
        events = self.source.plan.events
        indexes = [index for index in range(len(events)) if index not in cursor.acked]
        if not self.source.plan.is_queue or not self.process.world.choices.draw(2):
            return indexes
        lanes: dict[str, list[int]] = {}
        for index in indexes:
            lanes.setdefault(events[index].event.foreign_id, []).append(index)
        return [index for lane in lanes.values() for index in lane]


@dataclass
class Consumer:
    """Delivers to one pump."""

    source: Source
    process: SimulatedLoop
    shard: Shard
    cursor: Cursor
    _left: list[int]
    _received: list[int] = field(default_factory=list[int])
    _gathered: list[int] = field(default_factory=list[int])
    _in_flight: int = 0
    _is_closed: bool = False

    async def recv(self) -> tuple[ConnectorEvent, Ack]:
        self._require_open("recv")
        await self.source.link.request(self.process, "recv", _nothing)
        if not self._left:
            await self.process.create_future()
        planned = self.source.plan.events[self._left[0]]
        if (wait := planned.published_at - self.process.world.now) > 0:
            await asyncio.sleep(wait)
        return self._take(planned)

    def _take(self, planned: PlannedEvent) -> tuple[ConnectorEvent, Ack]:
        if self.source.is_misread(planned):
            raise InvalidEvent("log", planned.event.id, "not mended")
        index = self._left[0]
        if self._received and self.process.world.choices.happens(REPEATS):
            index = self._received[self.process.world.choices.draw(len(self._received))]
            planned = self.source.plan.events[index]
        else:
            self._left.pop(0)
            self._received.append(index)
        self.process.world.note(f"{self.process.name}: received event {planned.event.id}")
        self._note_receipt()
        ack = self._ack_of(index)
        if planned.is_unreadable:
            raise InvalidEvent("log", planned.event.id, "unreadable", ack=ack)
        return planned.event, ack

    def _note_receipt(self) -> None:
        self._in_flight += 1
        limit = self.source.plan.options.max_in_flight
        if self._in_flight > limit:
            self.source.ledger.blame(Promise.MEMORY, f"{self._in_flight} events, and {limit} are allowed")

    def _ack_of(self, index: int) -> Ack:
        async def ack() -> None:
            self._require_open("ack")
            self._gathered.append(index)
            if not self.source.plan.gathers_acks or len(self._gathered) > 1 or not self._left:
                await self._commit()
            self._in_flight -= 1

        return ack

    async def _commit(self) -> None:
        """Store the acks that are still to be stored."""
        indexes = list(self._gathered)

        def commit() -> None:
            for index in indexes:
                self.source.commit(self.cursor, self.shard, index)

        numbers = "+".join(self.source.plan.events[index].event.id for index in indexes)
        await self.source.link.request(self.process, f"ack {numbers}", commit)
        self._gathered = []

    async def close(self) -> None:
        self._require_open("close")
        self._is_closed = True
        if self.process.world.choices.happens(CLOSE_HANGS):
            await self.process.create_future()
        if self._gathered:
            await self._commit()

    def _require_open(self, what: str) -> None:
        if self._is_closed:
            self.source.ledger.blame(Promise.ERRORS, f"{what} after close, in {self.process.name}")


def _nothing() -> None:
    pass
