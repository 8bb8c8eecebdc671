"""A pump with what is around it: a watched source, a handler, and the heartbeats it gave."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias, Unpack

from pumphouse.activities.delivery import Delivery
from pumphouse.activities.metrics import PumpMetrics
from pumphouse.activities.pump import Pump
from pumphouse.activities.shards import Shard
from pumphouse.activities.stats import PumpStats
from pumphouse.connectors import ConnectorEvent
from pumphouse.workflows.options import ConnectorKeywords, ConnectorOptions
from tests.unit.activities.records import GUARD, Record
from tests.unit.activities.sources import WatchedSource

Handle: TypeAlias = Callable[[ConnectorEvent], Awaitable[None]]

SOON = timedelta(milliseconds=5)
NEVER = timedelta(hours=1)
"""Longer than any test waits."""
HEARTBEAT_TIMEOUT = timedelta(milliseconds=50)
ONLY_SHARD = Shard(0, 1)


async def take(_event: ConnectorEvent) -> None:
    """Handle an event without any trouble."""


async def hang(_event: ConnectorEvent) -> None:
    """Never come to an end with an event."""
    await asyncio.Event().wait()


class Gates:
    """A handler that takes each event once its gate is open."""

    def __init__(self, *open_ones: str) -> None:
        self._gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.open(*open_ones)

    async def __call__(self, event: ConnectorEvent) -> None:
        await self._gates[event.id].wait()

    def open(self, *event_ids: str) -> None:
        for event_id in event_ids:
            self._gates[event_id].set()


def make_options(**keywords: Unpack[ConnectorKeywords]) -> ConnectorOptions:
    chosen: ConnectorKeywords = {"error_backoff": SOON, "heartbeat_timeout": HEARTBEAT_TIMEOUT}
    chosen.update(keywords)
    return ConnectorOptions(**chosen)


def make_delivery(
    handle: Handle = take, *, stats: PumpStats | None = None, **keywords: Unpack[ConnectorKeywords]
) -> Delivery:
    return Delivery(
        definition="orders",
        connector="payments",
        options=make_options(**keywords),
        handle=handle,
        stopping=asyncio.Event(),
        stats=stats or PumpStats(),
        metrics=PumpMetrics("orders", "payments", "1-of-1"),
    )


@dataclass
class Rig:
    """A pump that runs."""

    pump: Pump
    running: asyncio.Task[None]
    source: WatchedSource
    heartbeats: Record[PumpStats] = field(default_factory=Record[PumpStats])

    @property
    def moves(self) -> Record[str]:
        """What the source did, and for each attempt of the handler `begin 1`, and `end 1` if it went well."""
        return self.source.moves

    @property
    def acks(self) -> list[str]:
        return [move for move in self.moves.entries if move.startswith("ack ")]

    async def stop(self) -> None:
        """Tell the pump to stop, and wait until it has."""
        self.pump.stopping.set()
        await self.ended()

    async def ended(self) -> None:
        async with asyncio.timeout(GUARD):
            await self.running


@asynccontextmanager
async def pumping(
    source: WatchedSource,
    handle: Handle = take,
    *,
    shard: Shard = ONLY_SHARD,
    drain_timeout: timedelta = NEVER,
    stats: PumpStats | None = None,
    **keywords: Unpack[ConnectorKeywords],
) -> AsyncGenerator[Rig]:
    """Run a pump for as long as the block lasts; one that has failed fails the block."""

    async def watched(event: ConnectorEvent) -> None:
        source.moves.add(f"begin {event.id}")
        await handle(event)
        source.moves.add(f"end {event.id}")

    heartbeats = Record[PumpStats]()
    delivery = make_delivery(watched, stats=stats, **keywords)
    pump = Pump(
        constructor=source,
        consumer_name=f"orders/payments/{shard}",
        shard=shard,
        options=delivery.options,
        delivery=delivery,
        stats=delivery.stats,
        metrics=delivery.metrics,
        heartbeat=heartbeats.add,
        stopping=delivery.stopping,
        drain_timeout=drain_timeout,
    )
    running = asyncio.create_task(pump.run())
    try:
        yield Rig(pump, running, source, heartbeats)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(GUARD):
                await running
