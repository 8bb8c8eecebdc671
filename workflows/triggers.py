"""Starts runs such that a trigger which is delivered again never makes a second one.

Temporal knows the request ID of a start only as long as the started execution is the newest of its workflow
ID and has not continued as new. Beyond that, each run carries in its memo the newest triggers of its
workflow ID, with the runs that they started. The memo of the oldest among those runs reaches further back,
and so on: a chain as long as Temporal's retention.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeAlias

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.workflows import names
from pumphouse.workflows.errors import RunInProgress
from pumphouse.workflows.messages import MAX_REFUSALS, MachineInput
from pumphouse.workflows.options import WORKFLOW_TASK_TIMEOUT
from pumphouse.workflows.records import read_answers
from pumphouse.workflows.requests import START, carrying

MAX_REMEMBERED = 16  # the SDK warns of a memo above 2 KiB, and one entry takes about 75 bytes

Remembered: TypeAlias = list[list[str]]
"""Pairs of a trigger's request ID and its run ID, newest last; the memo's own run ID is left empty."""


@dataclass(frozen=True)
class Triggers:
    """Starts the runs of one definition."""

    client: Client
    definition: str
    task_queue: str

    async def start(self, workflow_id: str, start: MachineInput, trigger_id: str) -> str:
        """Start a run, unless this very trigger has started one before.

        A run that follows another one inherits what that one has answered, so that it knows a status update
        that is delivered again.

        Args:
            workflow_id: the run's.
            start: what the machine begins with.
            trigger_id: the request ID of the trigger, the same again when it is delivered again.

        Returns:
            The ID of the run that the trigger has started, now or then.

        Raises:
            RunInProgress: another trigger's run has not finished.
        """
        try:
            reuse = WorkflowIDReusePolicy.REJECT_DUPLICATE
            return await self._start(workflow_id, start, [[trigger_id, ""]], reuse)
        except WorkflowAlreadyStartedError:
            newest = await self.client.get_workflow_handle(workflow_id).describe()
        if started := await self._find(trigger_id, newest):
            return started
        if newest.status == WorkflowExecutionStatus.RUNNING:
            raise RunInProgress(self.definition, start.foreign_id, _run_id(newest))
        answers = await read_answers(self.client, newest)
        start = replace(
            start,
            applied=answers.applied[-start.remembered_requests :],
            refused=answers.refused[-MAX_REFUSALS:],
        )
        memo = [*await _remembered(newest), [trigger_id, ""]][-MAX_REMEMBERED:]
        try:
            return await self._start(workflow_id, start, memo, WorkflowIDReusePolicy.ALLOW_DUPLICATE)
        except WorkflowAlreadyStartedError as error:
            raise RunInProgress(self.definition, start.foreign_id, error.run_id or "") from error

    async def _find(self, trigger_id: str, newest: WorkflowExecutionDescription) -> str | None:
        """The run that a trigger has started."""
        async with aclosing(_walk_back(self.client, newest)) as past:
            async for past_trigger_id, run_id in past:
                if past_trigger_id == trigger_id:
                    return run_id
        return None

    async def _start(
        self, workflow_id: str, start: MachineInput, memo: Remembered, reuse: WorkflowIDReusePolicy
    ) -> str:
        trigger_id = memo[-1][0]
        with carrying(START, workflow_id, trigger_id):
            handle = await self.client.start_workflow(
                self.definition,
                start,
                id=workflow_id,
                task_queue=self.task_queue,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                id_reuse_policy=reuse,
                memo={names.TRIGGERS_MEMO: memo},
                request_eager_start=True,
            )
        return handle.first_execution_run_id or handle.result_run_id or ""


async def past_triggers(client: Client, workflow_id: str) -> AsyncGenerator[tuple[str, str]]:
    """The triggers that have started runs of a workflow ID, as far as Temporal's retention reaches.

    It costs a request for the newest run, and one for every 15 older ones.

    Args:
        client: the connection.
        workflow_id: the runs'.

    Yields:
        The request ID of a trigger and the ID of the run that it started, newest first.
    """
    if newest := await _describe(client, workflow_id):
        async for pair in _walk_back(client, newest):
            yield pair


async def _walk_back(client: Client, newest: WorkflowExecutionDescription) -> AsyncGenerator[tuple[str, str]]:
    memo = unseen = await _remembered(newest)
    while True:
        for trigger_id, run_id in reversed(unseen):
            yield trigger_id, run_id
        if len(memo) < MAX_REMEMBERED:
            return
        oldest = await _describe(client, newest.id, memo[0][1])
        if oldest is None:
            return
        memo = await _remembered(oldest)
        unseen = memo[:-1]  # the last one is its own, which led here


async def _describe(
    client: Client, workflow_id: str, run_id: str | None = None
) -> WorkflowExecutionDescription | None:
    """An execution; None if there is none, or retention has removed it, and all before it."""
    try:
        return await client.get_workflow_handle(workflow_id, run_id=run_id).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None


async def _remembered(execution: WorkflowExecutionDescription) -> Remembered:
    nothing: Remembered = []
    pairs: Remembered = await execution.memo_value(names.TRIGGERS_MEMO, nothing, type_hint=Remembered)
    return [[trigger_id, run_id or _run_id(execution)] for trigger_id, run_id in pairs]


def _run_id(description: WorkflowExecutionDescription) -> str:
    """The ID of the run: that of its chain's first execution."""
    return description.raw_description.workflow_execution_info.first_run_id or description.run_id
