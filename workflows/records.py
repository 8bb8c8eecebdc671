"""Reads what the machine knows of a run."""

from dataclasses import replace

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.workflows import names
from pumphouse.workflows.messages import MachineInput, Record
from pumphouse.workflows.run import RunState


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
