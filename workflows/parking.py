"""The calls by which a pump parks events: a place in the parking lot, and a dead letter's workflow."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowExecutionStatus
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.workflows import names
from pumphouse.workflows.options import WORKFLOW_TASK_TIMEOUT
from pumphouse.workflows.parked import DeadLetterInput, ParkingLotInput, PlaceRequest

PATIENCE = timedelta(seconds=10)
"""How long the parking lot may take to answer; without a worker for its workflow it never does."""
MAX_SUMMARY_BYTES = 400
"""Temporal's limit for a static summary."""


@dataclass(frozen=True)
class Parking:
    """Parks the events of one connector in Temporal.

    Every method raises `temporalio.service.RPCError` when Temporal is out of reach; each may be called again.
    """

    client: Client
    definition: str
    connector: str
    task_queue: str
    """Where workers execute the definition's runs."""
    limit: int
    """How many events may be parked in order."""

    async def foreign_ids(self) -> set[str]:
        """The foreign IDs of which events are parked in order."""
        lot = self.client.get_workflow_handle(self._lot_id)
        try:
            if (await lot.describe()).status != WorkflowExecutionStatus.RUNNING:
                return set()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return set()
        # A pump asks this when it begins, as after the death of the worker that had the lot in its cache:
        # Temporal would offer that one the query first, for as long as a sticky task may wait.
        await self.client.workflow_service.reset_sticky_task_queue(
            ResetStickyTaskQueueRequest(
                namespace=self.client.namespace, execution=WorkflowExecution(workflow_id=self._lot_id)
            )
        )
        parked: list[str] = await lot.query(names.PARKED_QUERY, result_type=list[str], rpc_timeout=PATIENCE)
        return set(parked)

    async def holds(self, foreign_id: str) -> bool:
        """Whether events of a foreign ID are parked in order."""
        lot = self.client.get_workflow_handle(self._lot_id)
        try:
            holds: bool = await lot.query(
                names.HOLDS_QUERY, foreign_id, result_type=bool, rpc_timeout=PATIENCE
            )
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return False
        return holds

    async def place(self, foreign_id: str, event_id: str) -> None:
        """Queue an event behind the others of its foreign ID; its dead letter has to be there.

        Raises:
            temporalio.client.WorkflowUpdateFailedError: the lot is full.
        """
        start: WithStartWorkflowOperation[object, None] = WithStartWorkflowOperation(
            names.PARKING_LOT_WORKFLOW,
            ParkingLotInput(self.definition, self.connector),
            id=self._lot_id,
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
        )
        await self.client.execute_update_with_start_workflow(
            names.PLACE_UPDATE,
            PlaceRequest(foreign_id, event_id, self.limit),
            start_workflow_operation=start,
            id=uuid.uuid4().hex,
            rpc_timeout=PATIENCE,
        )

    async def put(self, letter: DeadLetterInput) -> None:
        """Make an event's dead letter, unless it has one that is open."""
        parked = letter.parked
        pairs = [SearchAttributePair(names.FOREIGN_ID, parked.foreign_id)]
        await self.client.start_workflow(
            names.DEAD_LETTER_WORKFLOW,
            letter,
            id=names.dead_letter_workflow_id(self.definition, self.connector, parked.event_id),
            task_queue=self.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes(pairs if letter.search_attributes else []),
            static_summary=_summary(letter),
        )

    @property
    def _lot_id(self) -> str:
        return names.parking_lot_workflow_id(self.definition, self.connector)


def _summary(letter: DeadLetterInput) -> str:
    """What Temporal's UI shows beside the workflow."""
    parked = letter.parked
    why = parked.errors[0] if parked.errors else "waits behind an earlier event of its foreign ID"
    text = f"{parked.foreign_id}: {why}"
    return text.encode(errors="replace")[:MAX_SUMMARY_BYTES].decode(errors="ignore")
