"""How the connectors of a namespace and their pumps stand, read from Temporal alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.activities.stats import PumpStats, read_stats
from pumphouse.workflows import names
from pumphouse.workflows.controls import read_connector
from pumphouse.workflows.messages import DRY_RUN_ON, ConnectorRecord, ConnectorState


@dataclass(frozen=True)
class PumpStatus:
    """A pump, as its supervisor and its last heartbeat tell of it."""

    connector: str
    """The activity's name: `orders.connector[payments]`."""
    attempt: int
    worker: str
    """Who runs it, or ran it last: the identity of a Temporal client."""
    stats: PumpStats


@dataclass(frozen=True)
class ConnectorStatus:
    """A connector, as its supervisor tells of it."""

    connector: str
    """Its definition's name and its own: `orders/payments`."""
    record: ConnectorRecord
    """How it is to be pumped, and who said so."""
    pumps: list[PumpStatus]

    def __str__(self) -> str:
        """How it is to be pumped, in one line."""
        return f"{self.connector}: {show(self.record)}"


def show(record: ConnectorRecord) -> str:
    """How a connector is to be pumped, with who said so, when and why, as far as the changes reach back."""
    told = [] if record.state is ConnectorState.RUNNING else [_with_author(record, record.state.value)]
    if record.dry_run:
        told.append(_with_author(record, DRY_RUN_ON))
    return "; ".join(told) or ConnectorState.RUNNING.value


def _with_author(record: ConnectorRecord, what: str) -> str:
    change = next((change for change in reversed(record.changes) if change.what == what), None)
    if change is None:
        return what
    reason = f" ({change.reason})" if change.reason else ""
    return f"{what} by {change.by} at {change.time:%Y-%m-%d %H:%M:%S %Z}{reason}"


async def pump_statuses(client: Client, supervisor_id: str) -> list[PumpStatus]:
    """The pumps of one connector; none before a worker has started its supervisor.

    Args:
        client: the connection.
        supervisor_id: the workflow ID of the connector's supervisor.

    Raises:
        temporalio.service.RPCError: Temporal is out of reach.
    """
    status = await connector_status(client, supervisor_id)
    return status.pumps if status else []


async def connector_status(client: Client, supervisor_id: str) -> ConnectorStatus | None:
    """One connector with its pumps; None before a worker has started its supervisor.

    Args:
        client: the connection.
        supervisor_id: the workflow ID of the connector's supervisor.

    Raises:
        temporalio.service.RPCError: Temporal is out of reach.
    """
    try:
        supervisor = await client.get_workflow_handle(supervisor_id).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    return ConnectorStatus(
        connector=supervisor_id.removeprefix(names.SUPERVISOR_PREFIX),
        record=await read_connector(supervisor),
        pumps=await _pumps(client, supervisor),
    )


async def supervisors(client: Client) -> AsyncIterator[str]:
    """The workflow IDs of all supervisors that run in the namespace."""
    query = f"WorkflowType = '{names.SUPERVISOR_WORKFLOW}' AND ExecutionStatus = 'Running'"
    async for execution in client.list_workflows(query):
        yield execution.id


async def _pumps(client: Client, supervisor: WorkflowExecutionDescription) -> list[PumpStatus]:
    # What prepares the shards between two pumpings is shown too, under its own name.
    return [
        PumpStatus(
            connector=pending.activity_type.name,
            attempt=pending.attempt,
            worker=pending.last_worker_identity,
            stats=await _stats(client, pending),
        )
        for pending in supervisor.raw_description.pending_activities
    ]


async def _stats(client: Client, pending: PendingActivityInfo) -> PumpStats:
    if not pending.heartbeat_details.payloads:
        return PumpStats()
    details = await client.data_converter.decode(pending.heartbeat_details.payloads)
    return read_stats(details[0])
