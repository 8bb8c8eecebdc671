"""How far the day has come: read from the database and from Temporal, not from the worker."""

from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from examples.flights.flights import FlightStatus, flights
from examples.flights.table import EVENTS
from pumphouse.activities.stats import PumpStats
from pumphouse.worker.status import pump_statuses
from pumphouse.workflows.names import supervisor_workflow_id

_CURSORS = sa.table("pumphouse_cursors", sa.column("position"))


@dataclass(frozen=True)
class Progress:
    """Where the day stands."""

    written: int
    """Events in the table."""
    acked: int
    """Events up to the position that the connector has stored."""
    runs: dict[FlightStatus, int]
    """How many runs are at each status."""
    closed: int
    """How many runs have ended."""
    pump: PumpStats = field(default_factory=PumpStats)
    """What the pump's last heartbeat told."""

    @property
    def differences(self) -> list[str]:
        """What is not as the day really went."""
        found = {
            "events written": (self.written, EVENTS_OF_THE_DAY),
            "events acked": (self.acked, EVENTS_OF_THE_DAY),
            "runs ended": (self.closed, FLIGHTS_OF_THE_DAY),
            **{f"runs {status.name}": (self.runs[status], ENDS.get(status, 0)) for status in FlightStatus},
        }
        return [
            f"{what}: {is_now}, not {right}" for what, (is_now, right) in found.items() if is_now != right
        ]


EVENTS_OF_THE_DAY = 2318
FLIGHTS_OF_THE_DAY = 930
ENDS = {FlightStatus.SETTLED: 455, FlightStatus.REBOOKED: 472, FlightStatus.DIVERTED: 3}


async def read_progress(client: Client, engine: AsyncEngine) -> Progress:
    """Count what is there by now.

    Args:
        client: the Temporal server.
        engine: the database; the events' table exists.
    """
    written, acked = await _count_events(engine)
    mine = f"WorkflowType = '{flights.name}'"
    return Progress(
        written=written,
        acked=acked,
        runs={
            status: (await client.count_workflows(f"{mine} AND PumphouseStatus = '{status.name}'")).count
            for status in FlightStatus
        },
        closed=(await client.count_workflows(f"{mine} AND ExecutionStatus != 'Running'")).count,
        pump=await _pump(client),
    )


async def _count_events(engine: AsyncEngine) -> tuple[int, int]:
    async with engine.connect() as connection:
        count = sa.select(sa.func.count()).select_from(EVENTS)
        written: int = (await connection.execute(count)).scalar_one()
        if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(_CURSORS.name)):
            return written, 0
        position = sa.select(sa.func.min(_CURSORS.c.position)).scalar_subquery()
        acked: int = (await connection.execute(count.where(EVENTS.c.id <= position))).scalar_one()
    return written, acked


async def _pump(client: Client) -> PumpStats:
    (connector,) = flights.connectors
    pumps = await pump_statuses(client, supervisor_workflow_id(flights.name, connector.name))
    return pumps[0].stats if pumps else PumpStats()
