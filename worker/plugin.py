"""Adds definitions to a Temporal worker."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker, WorkerConfig

from pumphouse.activities.connector import ConnectorActivities
from pumphouse.activities.functions import Activity, plan_activity, step_activity
from pumphouse.activities.pump import BEATS_PER_TIMEOUT, CLOSE_TIMEOUT
from pumphouse.activities.redrive import parked_activities
from pumphouse.worker.search_attributes import register_search_attributes
from pumphouse.workflows import names
from pumphouse.workflows.controls import read_connector
from pumphouse.workflows.dead_letter import DeadLetter
from pumphouse.workflows.definition import Connector, Workflow
from pumphouse.workflows.errors import InvalidDefinition
from pumphouse.workflows.machine import Machine
from pumphouse.workflows.messages import ConnectorRecord, ConnectorSettings, SupervisorInput
from pumphouse.workflows.parking_lot import ParkingLot
from pumphouse.workflows.supervisor import Supervisor

logger = logging.getLogger(__name__)

DRAIN_TIMEOUT = timedelta(seconds=10)

T = TypeVar("T")


class PumphousePlugin(SimplePlugin):
    """Lets a Temporal worker execute the runs of definitions, and pump their connectors.

    The runs and their steps take the worker's own task queue. The pumps take another one beside it, in a
    second worker that this plugin runs as long as the first, so that they never occupy a step's slot.
    """

    def __init__(self, *definitions: Workflow[Any, Any], drain_timeout: timedelta = DRAIN_TIMEOUT) -> None:
        """Register definitions.

        Args:
            definitions: whose runs the worker executes; all are of the worker's task queue.
            drain_timeout: how long the handlers under way may take to end when the worker stops.

        Raises:
            InvalidDefinition: a graph is not whole, or two definitions have one name.
        """
        self._definitions: dict[str, Workflow[Any, Any]] = {}
        for definition in definitions:
            definition.validate()
            if definition.name in self._definitions:
                raise InvalidDefinition(definition.name, "another definition has the same name")
            self._definitions[definition.name] = definition
        self._drain_timeout = drain_timeout
        self._has_search_attributes = False
        self._pump_worker: Worker | None = None
        workflows = [Machine, Supervisor, DeadLetter, ParkingLot]
        super().__init__("pumphouse", workflows=workflows, activities=self._run_activities())

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Add the machine and the definitions' functions.

        Raises:
            InvalidDefinition: a definition is of another task queue than the worker.
        """
        task_queue = config.get("task_queue")
        for definition in self._definitions.values():
            if definition.task_queue != task_queue:
                raise InvalidDefinition(
                    definition.name,
                    f"its task queue is {definition.task_queue!r}, and the worker's is {task_queue!r}: "
                    f"declare it with Workflow(..., task_queue={task_queue!r})",
                )
        return super().configure_worker(config)

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:  # noqa: A002 - the SDK's name
        """Run the worker, with the pumps beside it."""
        self._has_search_attributes = await register_search_attributes(worker.client)
        if not self._connectors():
            await next(worker)
            return
        # Only what the plugins made of the client: they would add their own to a second worker, this one too.
        config = worker.client.config(active_config=True)
        config["plugins"] = []
        client = Client(**config)
        async with self._make_pump_worker(client, worker.task_queue) as self._pump_worker:
            await self._start_supervisors(client, worker.task_queue)
            await next(worker)

    async def drain(self) -> None:
        """Hand the shards of this worker over, and return when their pumps have ended.

        To be called before the worker shuts down, for the pumps to end first; without it they end after
        the worker.
        """
        if self._pump_worker:
            await self._pump_worker.shutdown()

    def _run_activities(self) -> list[Activity]:
        steps = [
            step_activity(definition, step)
            for definition in self._definitions.values()
            for step in definition.steps
        ]
        parked = [
            parked_activity
            for definition, connector in self._connectors()
            for parked_activity in parked_activities(definition, connector)
        ]
        return [plan_activity(self._definitions, lambda: self._has_search_attributes), *steps, *parked]

    def _connectors(self) -> list[tuple[Workflow[Any, Any], Connector[Any, Any]]]:
        return [
            (definition, connector)
            for definition in self._definitions.values()
            for connector in definition.connectors
        ]

    def _make_pump_worker(self, client: Client, task_queue: str) -> Worker:
        connectors = self._connectors()
        activities = [
            pump_or_reshard
            for definition, connector in connectors
            for pump_or_reshard in ConnectorActivities(
                definition, connector, client, self._drain_timeout, lambda: self._has_search_attributes
            ).activities
        ]
        # One process must be able to hold every shard, and to prepare a connector's shards beside that.
        slots = sum(connector.options.parallel_count for _, connector in connectors) + len(connectors)
        return Worker(
            client,
            task_queue=names.pump_task_queue(task_queue),
            activities=activities,
            max_concurrent_activities=slots,
            max_heartbeat_throttle_interval=_throttle(connectors),
            graceful_shutdown_timeout=self._drain_timeout + CLOSE_TIMEOUT,
        )

    async def _start_supervisors(self, client: Client, task_queue: str) -> None:
        """Start each connector's supervisor, or tell the one that runs of the present settings."""
        for definition, connector in self._connectors():
            options = connector.options
            settings = ConnectorSettings(options.parallel_count, options.heartbeat_timeout.total_seconds())
            supervisor_id = names.supervisor_workflow_id(definition.name, connector.name)
            record = await _take_over(client, supervisor_id, task_queue)
            await client.start_workflow(
                names.SUPERVISOR_WORKFLOW,
                SupervisorInput(definition.name, connector.name, names.pump_task_queue(task_queue)),
                id=supervisor_id,
                task_queue=task_queue,
                memo={names.CONNECTOR_MEMO: record},
                start_signal=names.CONFIGURE_SIGNAL,
                start_signal_args=[settings],
            )


def _throttle(connectors: Sequence[tuple[Workflow[Any, Any], Connector[Any, Any]]]) -> timedelta:
    """How old a heartbeat may be when Temporal gets it; a pump's lease counts on a fifth of its time-out."""
    shortest = min(connector.options.heartbeat_timeout for _, connector in connectors)
    return shortest / BEATS_PER_TIMEOUT


async def _take_over(client: Client, supervisor_id: str, task_queue: str) -> ConnectorRecord:
    """End a supervisor of another task queue, since no worker may be left there to go on with it.

    A definition whose task queue was changed leaves it behind. Its pumps, if there are any, notice with their
    next heartbeat.

    Returns:
        How the connector was to be pumped, so that the next supervisor does not run what somebody has paused.
    """
    while description := await _newest(client, supervisor_id):
        is_elsewhere = description.task_queue != task_queue
        if not (is_elsewhere and description.status == WorkflowExecutionStatus.RUNNING):
            # Its memo changes no more, unless it runs here: then it goes on with what it knows.
            return await read_connector(description)
        reason = f"its definition moved from task queue {description.task_queue} to {task_queue}"
        logger.warning("supervisor %s ends, and starts anew: %s", supervisor_id, reason)
        # Exactly that one: another worker may have put one of this task queue in its place.
        that = client.get_workflow_handle(supervisor_id, run_id=description.run_id)
        await _unless_gone(that.terminate(reason=reason))
    return ConnectorRecord()


async def _newest(client: Client, workflow_id: str) -> WorkflowExecutionDescription | None:
    return await _unless_gone(client.get_workflow_handle(workflow_id).describe())


async def _unless_gone(call: Awaitable[T]) -> T | None:
    """The answer of a call; None when Temporal knows no such execution, or it has ended."""
    try:
        return await call
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
