"""A pump with what is around it: a watched source, a handler, a parking lot, and the heartbeats it gave."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias, Unpack

from pumphouse.activities.context import PumpContext
from pumphouse.activities.delivery import Delivery
from pumphouse.activities.parking import Parker
from pumphouse.activities.pump import Pump
from pumphouse.activities.shards import Shard
from pumphouse.activities.stats import PumpStats
from pumphouse.connectors import ConnectorEvent
from pumphouse.workflows.options import ConnectorKeywords, ConnectorOptions
from tests.unit.activities.places import Lot
from tests.unit.activities.records import GUARD, Record
from tests.unit.activities.sources import WatchedSource

Handle: TypeAlias = Callable[[ConnectorEvent], Awaitable[object]]

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
    """Options under which a test waits for nothing: every back-off is as short as the first one."""
    chosen: ConnectorKeywords = {
        "error_backoff": SOON,
        "max_backoff": SOON,
        "jitter": 0,
        "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    }
    chosen.update(keywords)
    return ConnectorOptions(**chosen)


def make_context(
    *,
    shard: Shard = ONLY_SHARD,
    stats: PumpStats | None = None,
    lease: timedelta = NEVER,
    **keywords: Unpack[ConnectorKeywords],
) -> PumpContext:
    return PumpContext(
        "orders",
        "payments",
        shard,
        make_options(**keywords),
        stats=stats or PumpStats(),
        lease_duration=lease,
    )


def make_delivery(handle: Handle = take, **keywords: Unpack[ConnectorKeywords]) -> Delivery:
    return Delivery(make_context(**keywords), handle)


def make_parker(lot: Lot, **keywords: Unpack[ConnectorKeywords]) -> Parker:
    return Parker(make_context(**keywords), lot, lambda: True)


@dataclass
class Rig:
    """A pump that runs."""

    pump: Pump
    running: asyncio.Task[None]
    source: WatchedSource
    lot: Lot
    heartbeats: Record[PumpStats] = field(default_factory=Record[PumpStats])

    @property
    def moves(self) -> Record[str]:
        """What the source and the lot did, and each attempt: `begin 1`, and `end 1` if it went well."""
        return self.source.moves

    @property
    def acks(self) -> list[str]:
        return [move for move in self.moves.entries if move.startswith("ack ")]

    async def stop(self) -> None:
        """Tell the pump to stop, and wait until it has."""
        self.tell_to_stop()
        await self.ended()

    def tell_to_stop(self) -> None:
        self.pump.context.stopping.set()

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
    lease: timedelta = NEVER,
    lot: Lot | None = None,
    is_dry_run: bool = False,
    **keywords: Unpack[ConnectorKeywords],
) -> AsyncGenerator[Rig]:
    """Run a pump for as long as the block lasts; one that has failed fails the block."""

    async def watched(event: ConnectorEvent) -> object:
        source.moves.add(f"begin {event.id}")
        answer = await handle(event)
        source.moves.add(f"end {event.id}")
        return answer

    heartbeats = Record[PumpStats]()
    context = make_context(shard=shard, stats=stats, lease=lease, **keywords)
    lot = lot or Lot(source.moves)
    pump = Pump(
        context=context,
        constructor=source,
        delivery=Delivery(context, watched),
        parker=Parker(context, lot, lambda: True),
        heartbeat=heartbeats.add,
        drain_timeout=drain_timeout,
        is_dry_run=is_dry_run,
    )
    running = asyncio.create_task(pump.run())
    try:
        yield Rig(pump, running, source, lot, heartbeats)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(GUARD):
                await running
