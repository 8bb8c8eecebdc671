"""Waits for a run to move, without asking again and again."""

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionDescription

# A run records a marker with each plan, so with each status it enters; the others end its execution.
_MOVES = frozenset(
    {
        EventType.EVENT_TYPE_MARKER_RECORDED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    }
)


async def status_changes(client: Client, seen: WorkflowExecutionDescription) -> None:
    """Return when an execution has entered a status, or ended, after it was described.

    The server holds the request until there is news, so that a wait costs neither polling nor an entry in
    the history, however many wait.
    """
    known_events = seen.raw_description.workflow_execution_info.history_length
    handle = client.get_workflow_handle(seen.id, run_id=seen.run_id)
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.event_id > known_events and event.event_type in _MOVES:
            return
