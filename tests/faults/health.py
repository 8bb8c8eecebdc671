"""How the library stands at the end of a trial: its positions, and its pumps."""

from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.service import RPCError

from pumphouse.workflows import names
from tests.faults.checker import Kind, Violation
from tests.faults.settings import CONNECTOR, HEARTBEAT_SECONDS, AppSettings

DEAD, REDRIVEN = "DEAD", "REDRIVEN"
"""The standings at which nothing more happens to a parked event by itself."""


async def positions(engine: AsyncEngine, settings: AppSettings) -> dict[str, int | None]:
    """How far every consumer name has committed."""
    cursors = sa.table(settings.cursors_table, sa.column("consumer_name"), sa.column("position"))
    async with engine.connect() as connection:
        rows = await connection.execute(sa.select(cursors.c.consumer_name, cursors.c.position))
        return {row.consumer_name: row.position for row in rows}


async def check_source(engine: AsyncEngine, settings: AppSettings, last_id: int) -> list[Violation]:
    """Look whether every shard, and no other consumer name, has committed the last event."""
    stored = await positions(engine, settings)
    shards = [f"{index + 1}-of-{settings.shard_count}" for index in range(settings.shard_count)]
    wanted = {f"{settings.name}/{CONNECTOR}/{shard}": last_id for shard in shards}
    return [
        Violation(Kind.SOURCE, f"{name} stands at {stored.get(name)}, and ought to at {wanted.get(name)}")
        for name in sorted(wanted.keys() | stored.keys())
        if stored.get(name) != wanted.get(name)
    ]


async def read_parked(client: Client, definition: str) -> dict[str, str]:
    """How each event stands that a pump has parked; closed ones too, by event ID."""
    prefix = names.dead_letter_prefix(definition, CONNECTOR)
    query = f"WorkflowType = '{names.DEAD_LETTER_WORKFLOW}' AND WorkflowId STARTS_WITH '{prefix}'"
    letters = [letter async for letter in client.list_workflows(query)]
    letters.sort(key=lambda letter: letter.start_time)
    return {
        letter.id.removeprefix(prefix): letter.typed_search_attributes.get(names.STATUS) or "?"
        for letter in letters
    }


def check_parked(parked: Mapping[str, str]) -> list[Violation]:
    """Find the events that Temporal still goes on with; each must be redriven or dead in the end."""
    return [
        Violation(Kind.PARKED, f"event {event_id} is {standing}", event_id)
        for event_id, standing in parked.items()
        if standing not in (REDRIVEN, DEAD)
    ]


async def check_pumps(client: Client, settings: AppSettings) -> list[Violation]:
    """Look whether every shard has a pump that beats."""
    supervisor = client.get_workflow_handle(names.supervisor_workflow_id(settings.name, CONNECTOR))
    try:
        description = await supervisor.describe()
    except RPCError as error:
        return [Violation(Kind.PUMPS, f"the supervisor cannot be asked: {error.message}")]
    pumps = [
        pending
        for pending in description.raw_description.pending_activities
        if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    ]
    silent = [
        f"the pump {pump.activity_id} has not beaten for {age:.1f} s"
        for pump in pumps
        if (age := _age(pump.last_heartbeat_time.ToDatetime(UTC))) > 2 * HEARTBEAT_SECONDS
    ]
    if len(pumps) != settings.shard_count:
        silent.append(f"{len(pumps)} pumps run for {settings.shard_count} shards")
    return [Violation(Kind.PUMPS, each) for each in silent]


def _age(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()
