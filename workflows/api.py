"""The calls on the runs of a definition, from a handler or from any Python process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Generic

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.workflows import names
from pumphouse.workflows.errors import (
    InvalidTransition,
    RunFinished,
    RunNotFound,
    StatusNotReached,
)
from pumphouse.workflows.messages import MachineInput, StatusUpdate
from pumphouse.workflows.records import read_answers, read_record
from pumphouse.workflows.requests import SIGNAL, carrying, request_id
from pumphouse.workflows.run import ObjectT, Run, StatusT
from pumphouse.workflows.schema import RunSchema
from pumphouse.workflows.triggers import Triggers
from pumphouse.workflows.watch import status_changes

_UNANSWERED = "AcceptedUpdateCompletedWorkflow"
"""What Temporal says when an execution was ended from outside with an update under way."""


class API(Generic[ObjectT, StatusT]):
    """The runs of one definition, over one Temporal client.

    Every method raises `InvalidForeignID` for a foreign ID that cannot be a workflow ID, and
    `temporalio.service.RPCError` when Temporal is out of reach.
    """

    def __init__(self, schema: RunSchema[ObjectT, StatusT], start: StatusT, client: Client) -> None:
        """Bind a definition's runs to a client; `Workflow.bind` does it."""
        self._schema = schema
        self._start = start
        self._client = client

    @property
    def name(self) -> str:
        """The definition's name."""
        return self._schema.name

    @property
    def client(self) -> Client:
        """The Temporal client of these calls, for others.

        In a handler, what it sends carries request IDs that follow from the event, as the API's own calls do;
        in a dry run it is recorded instead.
        """
        return self._client

    async def trigger(self, foreign_id: str, value: ObjectT, *, start_at: StatusT | None = None) -> str:
        """Start a run.

        In a handler, a trigger that Temporal had already accepted for the same event answers with the run
        that it started then.

        Args:
            foreign_id: what the run is about; there is one run in progress for it at the most.
            value: the object that the run begins with.
            start_at: the status that it begins at; the definition's start if not given.

        Returns:
            The run ID.

        Raises:
            RunInProgress: the last run of that foreign ID has not finished.
            UnknownStatus: `start_at` is none of the definition's statuses.
            TypeError: the object is of another type than the definition's.
        """
        status = self._schema.status_name(self._start if start_at is None else start_at)
        triggers = Triggers(self._client, self._schema.name, self._schema.task_queue)
        return await triggers.start(
            self._schema.workflow_id(foreign_id),
            MachineInput(
                foreign_id=foreign_id,
                object=self._schema.dump(value),
                status=status,
                remembered_requests=self._schema.remembered_requests,
            ),
            request_id("trigger", foreign_id),
        )

    async def update_status(self, foreign_id: str, status: StatusT, *, wait: bool = False) -> None:
        """Change the status of the run in progress, along a transition of `Workflow.allow`.

        Without `wait` it returns as soon as Temporal has durably accepted the request, also when no worker
        is up; a transition that the graph does not allow is then recorded by the run as refused. With
        `wait` it returns when the run has changed its status.

        In a handler, an update that the run, or an earlier one of the foreign ID, had already answered for
        the same event is not made again: it returns, or with `wait` is refused again, whatever became of the
        run since.

        Args:
            foreign_id: whose run.
            status: the new status.
            wait: whether to wait for the change, or for its refusal.

        Raises:
            UnknownStatus: it is none of the definition's statuses.
            RunNotFound: there is no run of that foreign ID.
            RunFinished: the last run of that foreign ID has finished.
            InvalidTransition: with `wait`: the graph does not allow the change.
        """
        update = StatusUpdate(self._schema.status_name(status), request_id("update_status", foreign_id))
        async with self._errors(foreign_id):
            try:
                await self._send(foreign_id, update, wait=wait)
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                # An execution that has continued as new, or a newer run, no longer knows it by itself.
                if not await self._is_answered(foreign_id, update, wait=wait):
                    raise

    async def exists(self, foreign_id: str) -> bool:
        """Whether there is a run of that foreign ID, in progress or finished, that Temporal still keeps."""
        try:
            await self._describe(foreign_id)
        except RunNotFound:
            return False
        return True

    async def latest(self, foreign_id: str) -> Run[ObjectT, StatusT]:
        """The newest run of a foreign ID, in progress or finished.

        A worker has to be up, unless the run is completed.

        Raises:
            RunNotFound: there is none.
            UnknownStatus: the run is at a status that the Enum no longer has.
            pydantic.ValidationError: its object no longer fits the definition's type.
        """
        return self._schema.run(await read_record(self._client, await self._describe(foreign_id)))

    async def wait_for(
        self,
        foreign_id: str,
        status: StatusT,
        *,
        timeout: timedelta | None = None,  # noqa: ASYNC109 - it spares every caller a block of its own
    ) -> Run[ObjectT, StatusT]:
        """Wait until the newest run of a foreign ID has reached a status.

        Args:
            foreign_id: whose run.
            status: what to wait for; it counts as well if the run has already left it again.
            timeout: how long to wait at the most; without end if not given.

        Returns:
            The run as it stands then, which may be further on.

        Raises:
            RunNotFound: there is no run of that foreign ID.
            StatusNotReached: the run has finished without being at the status.
            TimeoutError: the time is over.
        """
        wanted = self._schema.status_name(status)
        async with asyncio.timeout(timeout.total_seconds() if timeout else None):
            while True:
                description = await self._describe(foreign_id)
                record = await read_record(self._client, description)
                if wanted in record.visited:
                    return self._schema.run(record)
                if description.status != WorkflowExecutionStatus.RUNNING:
                    reason = f"the run is {record.run_state} at {record.status}, and never was at {wanted}"
                    raise StatusNotReached(self.name, foreign_id, reason)
                await status_changes(self._client, description)

    async def cancel(self, foreign_id: str, reason: str = "") -> None:
        """End the run in progress; Temporal shows it as Canceled.

        It returns when Temporal has durably accepted the request. The status stays what it was. A run that
        was asked to end before is left as it is, also when it has done so: a handler may be run again.

        Args:
            foreign_id: whose run.
            reason: kept in the run's history.

        Raises:
            RunNotFound: there is no run of that foreign ID.
            RunFinished: the last run of that foreign ID has finished, and not by a cancellation.
        """
        last = await self._describe(foreign_id)
        if last.raw_description.workflow_extended_info.cancel_requested:
            return
        # Temporal takes a cancellation of a finished execution too, and does nothing.
        if last.status != WorkflowExecutionStatus.RUNNING:
            raise self._finished(foreign_id)
        async with self._errors(foreign_id):
            await self._handle(foreign_id).cancel(reason=reason)

    def _handle(self, foreign_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(self._schema.workflow_id(foreign_id))

    async def _send(self, foreign_id: str, update: StatusUpdate, *, wait: bool) -> None:
        handle = self._handle(foreign_id)
        if wait:
            await handle.execute_update(names.UPDATE_STATUS, update, id=update.request_id)
            return
        with carrying(SIGNAL, handle.id, update.request_id):
            await handle.signal(names.UPDATE_STATUS, update)

    async def _is_answered(self, foreign_id: str, update: StatusUpdate, *, wait: bool) -> bool:
        """Whether the last run, which has finished, knows this very request.

        Raises:
            InvalidTransition: with `wait`: it was refused.
        """
        last = await self._describe(foreign_id)
        if last.status == WorkflowExecutionStatus.RUNNING:
            return False
        answers = await read_answers(self._client, last)
        if wait and (refusal := answers.find_refusal(update.request_id)):
            raise InvalidTransition(self.name, foreign_id, refusal.reason)
        return update.request_id in answers.applied

    async def _describe(self, foreign_id: str) -> WorkflowExecutionDescription:
        try:
            return await self._handle(foreign_id).describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                raise RunNotFound(self.name, foreign_id) from error
            raise

    @asynccontextmanager
    async def _errors(self, foreign_id: str) -> AsyncGenerator[None]:
        """Say in the library's terms what Temporal answered to a request to the run in progress."""
        try:
            yield
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError) and cause.type == InvalidTransition.__name__:
                raise InvalidTransition(self.name, foreign_id, cause.message) from error
            if isinstance(cause, ApplicationError) and cause.type == _UNANSWERED:
                raise RunFinished(self.name, foreign_id, "the run was ended before it answered") from error
            raise
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            await self._describe(foreign_id)
            raise self._finished(foreign_id) from error

    def _finished(self, foreign_id: str) -> RunFinished:
        return RunFinished(self.name, foreign_id, "the last run has finished")
