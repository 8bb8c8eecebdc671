"""Reads what the machine knows of a run."""

from dataclasses import dataclass, replace

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.workflows import names
from pumphouse.workflows.messages import MachineInput, Record, Refusal
from pumphouse.workflows.run import RunState


@dataclass(frozen=True)
class Answers:
    """What a finished run, and the runs of its foreign ID before it, have answered."""

    applied: list[str]
    """The request IDs, newest last."""
    refused: list[Refusal]
    """The newest refusals among them."""

    def find_refusal(self, request_id: str) -> Refusal | None:
        """The refusal of a request, if it was refused."""
        return next((refusal for refusal in self.refused if refusal.request_id == request_id), None)


async def read_record(client: Client, description: WorkflowExecutionDescription) -> Record:
    """The record of an execution, as its result or by a query.

    Args:
        client: the connection.
        description: which execution.

    Raises:
        temporalio.service.RPCError: no worker answers the query, or Temporal is out of reach.
    """
    handle = client.get_workflow_handle(description.id, run_id=description.run_id, result_type=Record)
    if description.status == WorkflowExecutionStatus.COMPLETED:
        result: Record = await handle.result()
        return result
    try:
        record: Record = await handle.query(names.RECORD_QUERY, result_type=Record)
    except RPCError as error:
        if error.status != RPCStatusCode.FAILED_PRECONDITION:
            raise
        if (unbegun := await _unbegun(client, description)) is None:
            raise
        record = unbegun
    if description.status == WorkflowExecutionStatus.RUNNING:
        return record
    # Terminated or timed out by an operator: the machine had no say.
    return replace(record, run_state=RunState.CANCELLED.value)


async def read_answers(client: Client, finished: WorkflowExecutionDescription) -> Answers:
    """What a finished run has answered; no worker has to be up.

    Of a run that did not complete (cancelled, terminated) the history tells it: every signal that Temporal
    had accepted counts, as nobody will ever apply it again, and every update that was answered. What its
    last execution refused is not told apart.

    Args:
        client: the connection.
        finished: the last execution of the run.

    Raises:
        temporalio.service.RPCError: Temporal is out of reach.
    """
    if finished.status == WorkflowExecutionStatus.COMPLETED:
        record = await read_record(client, finished)
    else:
        record = await _answered_in_history(client, finished)
    return Answers(record.applied, [*record.refused_before, *record.refused])


async def _answered_in_history(client: Client, finished: WorkflowExecutionDescription) -> Record:
    """The record that an execution began with, and the requests that came while it ran."""
    handle = client.get_workflow_handle(finished.id, run_id=finished.run_id)
    events = handle.fetch_history_events()
    payloads = (await anext(events)).workflow_execution_started_event_attributes.input.payloads
    start: MachineInput = (await client.data_converter.decode(payloads, [MachineInput]))[0]
    applied = start.applied
    if start.continuation:
        inbox = [update.request_id for update in start.continuation.inbox]
        applied = [*start.continuation.applied, *inbox]
    came = [request_id async for event in events if (request_id := await _request_id(client, event))]
    record = start.record(finished.run_id, finished.start_time)
    return replace(record, applied=list(dict.fromkeys([*applied, *came])))


async def _request_id(client: Client, event: HistoryEvent) -> str:
    """The request ID of the status update that an event tells of; empty for any other event."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
        return event.workflow_execution_update_completed_event_attributes.meta.update_id
    signal = event.workflow_execution_signaled_event_attributes
    if signal.signal_name != names.UPDATE_STATUS:
        return ""
    # As plain JSON: whoever signals by hand may send anything; the machine drops what is no status update.
    match await client.data_converter.decode(signal.input.payloads):
        case [{"request_id": str(request_id)}]:
            return request_id
        case _:
            return ""


async def _unbegun(client: Client, description: WorkflowExecutionDescription) -> Record | None:
    """The record of an execution that ended before any worker saw it: no worker can be asked then."""
    handle = client.get_workflow_handle(description.id, run_id=description.run_id)
    events = (await handle.fetch_history()).events
    if description.close_time is None or any(
        event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED for event in events
    ):
        return None
    payloads = events[0].workflow_execution_started_event_attributes.input.payloads
    start: MachineInput = (await client.data_converter.decode(payloads, [MachineInput]))[0]
    return start.record(description.run_id, description.start_time)
