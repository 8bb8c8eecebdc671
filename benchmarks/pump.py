"""How many events a second the pump delivers as signals, beside the bare client doing the same.

    make bench

No worker executes the runs: what is measured is the way from the source to Temporal's acceptance, and the
ack. The rounds take turns, since the machine's speed changes while one looks.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import Enum

from pydantic import BaseModel
from temporalio.client import Client

from pumphouse.activities.context import PumpContext
from pumphouse.activities.delivery import Delivery
from pumphouse.activities.parking import Parker
from pumphouse.activities.pump import Pump
from pumphouse.activities.shards import Shard
from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.worker.dev_server import dev_server
from pumphouse.workflows import ConnectorOptions, Workflow
from pumphouse.workflows.messages import StatusUpdate
from pumphouse.workflows.names import UPDATE_STATUS
from pumphouse.workflows.parking import Parking
from pumphouse.workflows.requests import deduplicated

IN_FLIGHT = 64
ROUNDS = 3


class Status(Enum):
    """Two statuses are enough for a signal."""

    OPEN = 1
    CLOSED = 2


class Nothing(BaseModel):
    """A run without content."""


runs = Workflow("bench", Nothing, Status)
runs.allow(Status.OPEN, Status.CLOSED)


async def start_runs(client: Client, prefix: str, count: int) -> None:
    """Start the runs that take the signals."""
    api = runs.bind(client)
    for first in range(0, count, IN_FLIGHT):
        batch = range(first, min(first + IN_FLIGHT, count))
        await asyncio.gather(*(api.trigger(f"{prefix}-{number}", Nothing()) for number in batch))


async def bare(client: Client, prefix: str, count: int) -> None:
    """Signal each run with the bare client, so many at once as the pump has in flight."""
    numbers = iter(range(count))

    async def signal() -> None:
        for number in numbers:
            handle = client.get_workflow_handle(f"bench/{prefix}-{number}")
            await handle.signal(UPDATE_STATUS, StatusUpdate("CLOSED", f"{prefix}-{number}"))

    await asyncio.gather(*(signal() for _ in range(IN_FLIGHT)))


async def one_by_one(client: Client, prefix: str, count: int) -> None:
    """Signal each run after the other: the loop that people write by hand."""
    for number in range(count):
        handle = client.get_workflow_handle(f"bench/{prefix}-{number}")
        await handle.signal(UPDATE_STATUS, StatusUpdate("CLOSED", f"{prefix}-{number}"))


async def pumped(client: Client, prefix: str, count: int) -> None:
    """Deliver an event to each run with the pump."""
    now = datetime.now(UTC)
    source = MemoryConnector(
        ConnectorEvent(id=str(number), foreign_id=f"{prefix}-{number}", created_at=now)
        for number in range(count)
    )
    api = runs.bind(deduplicated(client))
    options = ConnectorOptions(max_in_flight=IN_FLIGHT)
    context = PumpContext("bench", prefix, Shard(0, 1), options)

    async def handle(event: ConnectorEvent) -> None:
        await api.update_status(event.foreign_id, Status.CLOSED)
        if context.stats.delivered == count - 1:
            context.stopping.set()

    parking = Parking(client, "bench", prefix, runs.task_queue, limit=options.max_parked)
    await Pump(
        context=context,
        constructor=source,
        delivery=Delivery(context, handle),
        parker=Parker(context, parking, lambda: False),
        heartbeat=lambda _: None,
        drain_timeout=timedelta(seconds=10),
    ).run()
    if context.stats.acked != count:
        raise RuntimeError(f"{context.stats.acked} of {count} events acked")


async def rate(
    way: Callable[[Client, str, int], Awaitable[None]], client: Client, count: int, n: int
) -> float:
    """Signals a second of one way, in one round."""
    prefix = f"{way.__name__}-{n}"
    await start_runs(client, prefix, count)
    begun = time.perf_counter()
    await way(client, prefix, count)
    return count / (time.perf_counter() - begun)


async def main(count: int) -> None:
    """Print a line a round, and the best of each."""
    ways = (one_by_one, bare, pumped)
    best = dict.fromkeys(ways, 0.0)
    async with dev_server(log_level="never") as server:
        for number in range(ROUNDS):
            for way in ways:
                found = await rate(way, server.client, count, number)
                best[way] = max(best[way], found)
                print(f"round {number + 1}  {way.__name__:12} {found:7.0f} signals a second")
    for way in ways:
        print(f"best     {way.__name__:12} {best[way]:7.0f}")
    print(f"the pump is at {best[pumped] / best[bare]:.2f} of the bare client with {IN_FLIGHT} in flight")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="signals a round")
    asyncio.run(main(parser.parse_args().count))
    sys.stdout.flush()
    os._exit(0)  # the Temporal SDK may crash when the interpreter is torn down (sdk-python issue 300)
