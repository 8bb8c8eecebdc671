"""What every run was asked for and has done, by Temporal's own histories: no counter of the library's.

A history tells which requests a run was sent (signals and updates, with their request IDs) and which statuses
it entered (the plans it asked for); `effects.py` puts the two together.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecution

from pumphouse.workflows.names import PLAN_ACTIVITY
from tests.faults.graph import CLOSED

READERS = 8
"""Histories that are read at once."""
LOCAL_ACTIVITY_MARKER = "core_local_activity"

Json: TypeAlias = Any
"""What a payload holds."""


@dataclass(frozen=True)
class Request:
    """A change of status that a run was asked for."""

    status: str
    request_id: str


@dataclass(frozen=True)
class RunLedger:
    """What happened to one run."""

    foreign_id: str
    run_id: str
    opened_by: str
    """The event that triggered it."""
    requests: tuple[Request, ...]
    """What it was asked for, in the order of arrival; a repeat is in it again."""
    entered: tuple[str, ...]
    """The statuses it went through."""

    @property
    def is_closed(self) -> bool:
        """Whether it has reached its end."""
        return CLOSED in self.entered


async def read_ledger(client: Client, definition: str) -> list[RunLedger]:
    """Read every run of a definition, each foreign ID's in the order of their starts."""
    executions = [each async for each in client.list_workflows(f"WorkflowType = '{definition}'")]
    executions.sort(key=lambda execution: execution.start_time)
    readers = asyncio.Semaphore(READERS)

    async def read(execution: WorkflowExecution) -> RunLedger:
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        async with readers:
            history = await handle.fetch_history()
        foreign_id = execution.id.removeprefix(f"{definition}/")
        return read_run(foreign_id, execution.run_id, history.events)

    return list(await asyncio.gather(*map(read, executions)))


class RunCount(NamedTuple):
    """How many runs there are."""

    total: int
    closed: int


async def count_runs(client: Client, definition: str) -> RunCount:
    """Count the runs of a definition."""
    query = f"WorkflowType = '{definition}'"
    total = await client.count_workflows(query)
    closed = await client.count_workflows(f"{query} AND ExecutionStatus = 'Completed'")
    return RunCount(total.count, closed.count)


def read_run(foreign_id: str, run_id: str, events: Sequence[HistoryEvent]) -> RunLedger:
    """Read what happened to a run from its history."""
    started = events[0].workflow_execution_started_event_attributes
    if started.continued_execution_run_id:
        raise ValueError(f"run {run_id} has continued as new, and the ledger reads single executions")
    return RunLedger(
        foreign_id=foreign_id,
        run_id=run_id,
        opened_by=_json(started.input.payloads[0])["object"]["opened_by"],
        requests=tuple(request for event in events for request in _requests(event)),
        entered=tuple(status for event in events for status in _entered(event)),
    )


def _requests(event: HistoryEvent) -> Iterable[Request]:
    payloads: Sequence[Payload] = ()
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        payloads = event.workflow_execution_signaled_event_attributes.input.payloads
    elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
        accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request
        payloads = accepted.input.args.payloads
    for payload in payloads:
        update = _json(payload)
        yield Request(update["status"], update["request_id"])


def _entered(event: HistoryEvent) -> Iterable[str]:
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != LOCAL_ACTIVITY_MARKER:
        return
    about = _json(marker.details["data"].payloads[0])
    # A failed attempt leaves no result.
    if about["activity_type"] == PLAN_ACTIVITY and "result" in marker.details:
        yield _json(marker.details["result"].payloads[0])["status"]


def _json(payload: Payload) -> Json:
    return json.loads(payload.data)
