"""Pause, resume, stop, seek and dry run of a connector, from any Python process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.workflows import names
from pumphouse.workflows.errors import ConnectorNotFound, ControlError, ControlRefused, ControlTimeout
from pumphouse.workflows.messages import (
    ConnectorRecord,
    ControlAnswer,
    ControlRequest,
    DryRunRequest,
    SeekRequest,
)

DEFAULT_TIMEOUT = timedelta(seconds=10)


class ConnectorControls:
    """The controls of one connector, over one Temporal client.

    What they change is Temporal's: it outlives every worker, stays when another deployment comes, and is
    kept with who did it, when and why. A worker has to be up for each of them but `state`.

    Every method raises `ConnectorNotFound` when no supervisor of that connector runs, and
    `temporalio.service.RPCError` when Temporal is out of reach. Each method but `state` raises also
    `ControlRefused`, when it makes no sense or cannot be done, and `ControlTimeout`.
    """

    def __init__(
        self,
        client: Client,
        definition: str,
        connector: str,
        *,
        by: str | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
    ) -> None:
        """Choose a connector.

        Args:
            client: the connection.
            definition: the definition's name.
            connector: the connector's name.
            by: who controls it, at most 200 characters; the client's identity if not given.
            timeout: how long a request may wait for a worker to take it. What was taken is then waited for
                as long as it takes; an `asyncio.timeout` around the call ends that wait, not the work.
        """
        self._client = client
        self._definition = definition
        self._connector = connector
        self._by = by or client.identity
        self._timeout = timeout
        self._supervisor = client.get_workflow_handle(names.supervisor_workflow_id(definition, connector))

    async def state(self) -> ConnectorRecord:
        """How the connector is to be pumped, and the newest changes; read without a worker."""
        async with self._errors():
            description = await self._supervisor.describe()
        if description.status != WorkflowExecutionStatus.RUNNING:
            raise self._not_found()
        return await read_connector(description)

    async def pause(self, reason: str = "") -> ControlAnswer:
        """Let the pumps end, until `resume`.

        It returns at once. The pumps notice with their next heartbeat; then what is in the handler ends and
        is acked, as when a worker stops.

        Args:
            reason: kept with the change, at most 200 characters.
        """
        return await self._ask(names.PAUSE_UPDATE, ControlRequest(self._by, reason))

    async def resume(self, reason: str = "") -> ControlAnswer:
        """Let the pumps run again after `pause` or `stop`.

        Args:
            reason: kept with the change.
        """
        return await self._ask(names.RESUME_UPDATE, ControlRequest(self._by, reason))

    async def stop(self, reason: str = "") -> ControlAnswer:
        """Let the pumps end, until `resume`, and return when they have.

        Somebody who resumes the connector meanwhile ends the wait as well: the answer tells.

        Args:
            reason: kept with the change.
        """
        return await self._ask(names.STOP_UPDATE, ControlRequest(self._by, reason))

    async def seek(self, position: str, reason: str = "") -> ControlAnswer:
        """Let every shard go on at a position, and return when the positions are set.

        The pumps end for it, and run again if the connector is running. Events between the new position and
        the old one are delivered again; Temporal and the runs know those whose requests they still remember.
        On an error the pumps go on where they were.

        Args:
            position: `earliest`, `latest`, or one of the source's own.
            reason: kept with the change.
        """
        return await self._ask(names.SEEK_UPDATE, SeekRequest(self._by, reason, position))

    async def dry_run(self, *, on: bool, reason: str = "") -> ControlAnswer:
        """Begin or end the dry run, and return when no pump runs in the other way any more.

        In a dry run, handlers run and their calls are recorded instead of sent; no event is acked, so that
        all of them are delivered once it has ended.

        Args:
            on: whether it begins.
            reason: kept with the change.
        """
        return await self._ask(names.DRY_RUN_UPDATE, DryRunRequest(self._by, reason, on))

    async def _ask(self, update: str, request: ControlRequest) -> ControlAnswer:
        async with self._errors():
            async with asyncio.timeout(self._timeout.total_seconds()):
                accepted = await self._supervisor.start_update(
                    update, request, wait_for_stage=WorkflowUpdateStage.ACCEPTED, result_type=ControlAnswer
                )
            answer: ControlAnswer = await accepted.result()
            return answer

    @asynccontextmanager
    async def _errors(self) -> AsyncGenerator[None]:
        """Say in the library's terms what Temporal answered."""
        try:
            yield
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            # The SDK answers so to a cancellation too.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError from error
            raise self._timed_out() from error
        except TimeoutError as error:
            raise self._timed_out() from error
        except WorkflowUpdateFailedError as error:
            raise self._refused(error.cause) from error
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            raise self._not_found() from error

    def _timed_out(self) -> ControlTimeout:
        reason = (
            f"no worker has taken the request within {self._timeout}; is one up that executes "
            f"{self._definition}? The request may still be carried out once one is: look at the state then"
        )
        return ControlTimeout(self._definition, self._connector, reason)

    def _refused(self, cause: BaseException) -> ControlError:
        if isinstance(cause, ApplicationError) and cause.type == ControlRefused.__name__:
            return ControlRefused(self._definition, self._connector, cause.message)
        return ControlError(self._definition, self._connector, f"the supervisor did not answer: {cause}")

    def _not_found(self) -> ConnectorNotFound:
        reason = "no such connector is being supervised; start a worker with its definition, or mend the name"
        return ConnectorNotFound(self._definition, self._connector, reason)


async def read_connector(supervisor: WorkflowExecutionDescription) -> ConnectorRecord:
    """What the memo of a supervisor, running or ended, says of its connector."""
    return await supervisor.memo_value(names.CONNECTOR_MEMO, ConnectorRecord(), type_hint=ConnectorRecord)
