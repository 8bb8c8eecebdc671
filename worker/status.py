"""How the pumps of a namespace stand, read from Temporal alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.activities.stats import PumpStats, read_stats
from pumphouse.workflows import names


@dataclass(frozen=True)
class PumpStatus:
    """A pump, as its supervisor and its last heartbeat tell of it."""

    connector: str
    """The activity's name: `orders.connector[payments]`."""
    attempt: int
    worker: str
    """Who runs it, or ran it last: the identity of a Temporal client."""
    stats: PumpStats


async def pump_statuses(client: Client, supervisor_id: str) -> list[PumpStatus]:
    """The pumps of one connector; none before a worker has started its supervisor.

    Args:
        client: the connection.
        supervisor_id: the workflow ID of the connector's supervisor.

    Raises:
        temporalio.service.RPCError: Temporal is out of reach.
    """
    try:
        description = await client.get_workflow_handle(supervisor_id).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return []
    return [
        PumpStatus(
            connector=pending.activity_type.name,
            attempt=pending.attempt,
            worker=pending.last_worker_identity,
            stats=await _stats(client, pending),
        )
        for pending in description.raw_description.pending_activities
    ]


async def supervisors(client: Client) -> AsyncIterator[str]:
    """The workflow IDs of all supervisors that run in the namespace."""
    query = f"WorkflowType = '{names.SUPERVISOR_WORKFLOW}' AND ExecutionStatus = 'Running'"
    async for execution in client.list_workflows(query):
        yield execution.id


async def _stats(client: Client, pending: PendingActivityInfo) -> PumpStats:
    if not pending.heartbeat_details.payloads:
        return PumpStats()
    details = await client.data_converter.decode(pending.heartbeat_details.payloads)
    return read_stats(details[0])
