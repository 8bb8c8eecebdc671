"""A source that misbehaves as far as its contract lets it: it delivers events twice, and late."""

import asyncio
import os
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pumphouse.connectors import Ack, ConnectorConsumer, ConnectorEvent
from pumphouse.connectors.sql import SqlConnector
from tests.faults.journal import Journal, Note
from tests.faults.points import KillPoints, Point
from tests.faults.settings import AppSettings

SHARD_HEADER = "harness-shard"
"""Tells the handler which shard's pump has received the event."""

MAX_DISTANCE = 30
"""So many other events come at the most between an event and its second delivery, or before a late one."""
MAX_DELAY = 1.0
"""Seconds for which an event is kept back when no other one comes."""


class FaultySource:
    """Wraps a connector; each of its consumers misbehaves on its own."""

    def __init__(
        self, inner: SqlConnector, settings: AppSettings, journal: Journal, points: KillPoints
    ) -> None:
        """Hold the settings; nothing is opened."""
        self._inner = inner
        self._settings = settings
        self._journal = journal
        self._points = points

    async def make(self, consumer_name: str) -> "FaultyConsumer":
        """Open a consumer of the inner connector."""
        shard = consumer_name.rpartition("/")[2]
        chance = random.Random(f"{self._settings.seed} {shard} {os.getpid()}")  # noqa: S311 - no secret
        inner = await self._inner.make(consumer_name)
        return FaultyConsumer(inner, shard, self._settings, self._journal, points=self._points, chance=chance)

    async def reshard(self, group: str, names: Sequence[str]) -> None:
        """As the inner connector."""
        await self._inner.reshard(group, names)


@dataclass(eq=False)
class _Delivery:
    """An event on its way from the inner source, until that may know of its ack."""

    event: ConnectorEvent
    ack: Ack
    is_acked: bool = False


@dataclass
class _Delayed:
    """Events that wait, and until when."""

    deliveries: deque[_Delivery] = field(default_factory=deque[_Delivery])
    countdown: int = 0
    """So many other events are delivered before them."""
    deadline: float = 0.0
    """The time of the loop at which they come anyhow."""

    def is_due(self) -> bool:
        return bool(self.deliveries) and (
            self.countdown <= 0 or asyncio.get_running_loop().time() >= self.deadline
        )

    def put(self, delivery: _Delivery, countdown: int) -> None:
        if not self.deliveries:
            self.countdown = countdown
            self.deadline = asyncio.get_running_loop().time() + MAX_DELAY
        self.deliveries.append(delivery)


class FaultyConsumer:
    """Delivers what the inner consumer delivers, some of it twice, some of it late.

    The events of one foreign ID stay in their order, apart from a second delivery: whatever comes for the
    foreign ID of a late event waits behind it. Acks go to the inner consumer in its own order, so that it
    never stores a position behind a late event.
    """

    def __init__(
        self,
        inner: ConnectorConsumer,
        shard: str,
        settings: AppSettings,
        journal: Journal,
        *,
        points: KillPoints,
        chance: random.Random,
    ) -> None:
        """Wrap a consumer."""
        self._inner = inner
        self._shard = shard
        self._settings = settings
        self._journal = journal
        self._points = points
        self._chance = chance
        self._unacked: deque[_Delivery] = deque()
        self._late = _Delayed()
        self._again = _Delayed()

    async def recv(self) -> tuple[ConnectorEvent, Ack]:
        """Wait for an event, be it a new one, a late one, or one of before."""
        while True:
            for delayed in (self._late, self._again):
                if delayed.is_due():
                    return self._deliver(delayed.deliveries.popleft())
            delivery = await self._receive()
            if delivery and not self._keep_back(delivery):
                self._late.countdown -= 1
                self._again.countdown -= 1
                self._repeat(delivery)
                return self._deliver(delivery)

    async def close(self) -> None:
        """Close the inner consumer."""
        await self._inner.close()

    async def _receive(self) -> _Delivery | None:
        """Take an event of the inner consumer, waiting no longer than what is kept back may."""
        waiting = [delayed.deadline for delayed in (self._late, self._again) if delayed.deliveries]
        try:
            async with asyncio.timeout_at(min(waiting, default=None)):
                event, ack = await self._inner.recv()
        except TimeoutError:
            return None
        headers = {**event.headers, SHARD_HEADER: self._shard}
        delivery = _Delivery(event.model_copy(update={"headers": headers}), ack)
        self._unacked.append(delivery)
        return delivery

    def _keep_back(self, delivery: _Delivery) -> bool:
        """Whether the event is to come late."""
        late = self._late.deliveries
        if late:
            is_late = delivery.event.foreign_id == late[0].event.foreign_id
        else:
            is_late = self._chance.random() < self._settings.late_rate
        if is_late:
            self._journal.add(Note.LATE, self._shard, delivery.event.id)
            self._late.put(delivery, self._chance.randint(1, MAX_DISTANCE))
        return is_late

    def _repeat(self, delivery: _Delivery) -> None:
        if self._chance.random() < self._settings.twice_rate:
            self._journal.add(Note.TWICE, self._shard, delivery.event.id)
            self._again.put(_Delivery(delivery.event, _nothing), self._chance.randint(0, MAX_DISTANCE))

    def _deliver(self, delivery: _Delivery) -> tuple[ConnectorEvent, Ack]:
        async def ack() -> None:
            self._points.reach(Point.BEFORE_ACK, self._shard, delivery.event.id)
            delivery.is_acked = True
            await self._pass_acks_on()
            self._journal.add(Note.ACKED, self._shard, delivery.event.id)

        return delivery.event, ack

    async def _pass_acks_on(self) -> None:
        while self._unacked and self._unacked[0].is_acked:
            await self._unacked[0].ack()
            self._unacked.popleft()


async def _nothing() -> None:
    """The ack of a second delivery: it is the first one's that counts."""
