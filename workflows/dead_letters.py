"""The calls on the dead letters of a connector, for people and their programs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.workflows import names
from pumphouse.workflows.errors import DeadLetterNotFound, DeadLetterRefused, DeadLetterTimeout
from pumphouse.workflows.parked import DeadLetterRecord, Decision, QueuedEvent

DEFAULT_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True)
class DeadLetters:
    """The events of one connector that are parked: dead, retried by Temporal, or waiting in order.

    Every method raises `temporalio.service.RPCError` when Temporal is out of reach; where it says that a
    worker has to be up, also `DeadLetterTimeout`.
    """

    client: Client
    definition: str
    connector: str
    by: str = ""
    """Who decides about them; the client's identity if empty."""
    timeout: timedelta = DEFAULT_TIMEOUT
    """How long a worker may take to answer, or to take a decision; its carrying out is then waited for."""

    async def event_ids(self) -> AsyncIterator[str]:
        """The IDs of the events that are parked, as far as Temporal's visibility store knows them by now."""
        prefix = names.dead_letter_prefix(self.definition, self.connector)
        query = (
            f"WorkflowType = '{names.DEAD_LETTER_WORKFLOW}' AND ExecutionStatus = 'Running' "
            f"AND WorkflowId STARTS_WITH '{prefix}'"
        )
        async for execution in self.client.list_workflows(query):
            yield execution.id.removeprefix(prefix)

    async def get(self, event_id: str) -> DeadLetterRecord:
        """An event that is, or was, parked: with its errors, its times, and who did what about it.

        A worker has to be up, unless the event is redriven or discarded.

        Raises:
            DeadLetterNotFound: there is none of that ID, as far as Temporal's retention reaches.
        """
        letter = self._handle(event_id)
        async with self._errors(event_id):
            if (await letter.describe()).status == WorkflowExecutionStatus.COMPLETED:
                return await letter.result()
            async with asyncio.timeout(self.timeout.total_seconds()):
                record: DeadLetterRecord = await letter.query(
                    names.RECORD_QUERY, result_type=DeadLetterRecord
                )
            return record

    async def redrive(self, event_id: str, reason: str = "") -> DeadLetterRecord:
        """Hand a dead letter to the connector's handler once, with the request IDs it had; waits for the end.

        In strict order the later events of its foreign ID follow once it has been taken. A worker has to
        be up.

        Args:
            event_id: the event.
            reason: why.

        Returns:
            The event as it stands after that: redriven, or dead again with its new error.

        Raises:
            DeadLetterNotFound: there is none of that ID, or it is closed.
            DeadLetterRefused: it is not dead, or Temporal does not hold the event.
        """
        return await self._decide(names.REDRIVE_UPDATE, event_id, reason)

    async def discard(self, event_id: str, reason: str) -> DeadLetterRecord:
        """Give a parked event up for good; in order, the later events of its foreign ID follow.

        A worker has to be up.

        Args:
            event_id: the event.
            reason: why; it stays in the dead letter's history.

        Raises:
            DeadLetterNotFound: there is none of that ID, or it is closed.
            DeadLetterRefused: it is on its way out already.
        """
        return await self._decide(names.DISCARD_UPDATE, event_id, reason)

    async def _decide(self, update: str, event_id: str, reason: str) -> DeadLetterRecord:
        decision = Decision(self.by or self.client.identity, reason)
        async with self._errors(event_id):
            async with asyncio.timeout(self.timeout.total_seconds()):
                accepted = await self._handle(event_id).start_update(
                    update,
                    decision,
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    result_type=DeadLetterRecord,
                )
            record: DeadLetterRecord = await accepted.result()
            return record

    async def release(self, foreign_id: str, event_id: str) -> None:
        """Take an event out of the parking lot whose dead letter was terminated, so that others can follow.

        Args:
            foreign_id: whose queue.
            event_id: the event.

        Raises:
            DeadLetterNotFound: nothing is parked in order.
        """
        lot = self.client.get_workflow_handle(names.parking_lot_workflow_id(self.definition, self.connector))
        async with self._errors(event_id):
            await lot.signal(names.LEFT_SIGNAL, QueuedEvent(foreign_id, event_id))

    @property
    def _name(self) -> str:
        return f"{self.definition}/{self.connector}"

    def _handle(self, event_id: str) -> WorkflowHandle[object, DeadLetterRecord]:
        workflow_id = names.dead_letter_workflow_id(self.definition, self.connector, event_id)
        return self.client.get_workflow_handle(workflow_id, result_type=DeadLetterRecord)

    @asynccontextmanager
    async def _errors(self, event_id: str) -> AsyncGenerator[None]:
        """Say in the library's terms what Temporal answered."""
        try:
            yield
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            # The SDK answers so to a cancellation too.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError from error
            raise DeadLetterTimeout(self._name, event_id, self.timeout) from error
        except TimeoutError as error:
            raise DeadLetterTimeout(self._name, event_id, self.timeout) from error
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            refusal = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise DeadLetterRefused(self._name, event_id, refusal) from error
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            raise DeadLetterNotFound(self._name, event_id) from error
