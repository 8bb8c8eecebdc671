"""Starts runs such that a trigger which is delivered again never makes a second one.

Temporal knows the request ID of a start only as long as the started execution is the newest of its workflow
ID and has not continued as new. Beyond that, each run carries in its memo the newest triggers of its
workflow ID, with the runs that they started.
"""

from dataclasses import dataclass
from typing import TypeAlias

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from pumphouse.workflows import names
from pumphouse.workflows.errors import RunInProgress
from pumphouse.workflows.messages import MachineInput

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
        remembered = await _remembered(newest)
        if trigger_id in (started := dict(remembered)):
            return started[trigger_id]
        if newest.status == WorkflowExecutionStatus.RUNNING:
            raise RunInProgress(self.definition, start.foreign_id, _run_id(newest))
        reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE
        memo = [*remembered, [trigger_id, ""]][-MAX_REMEMBERED:]
        try:
            return await self._start(workflow_id, start, memo, reuse)
        except WorkflowAlreadyStartedError as error:
            raise RunInProgress(self.definition, start.foreign_id, error.run_id or "") from error

    async def _start(
        self, workflow_id: str, start: MachineInput, memo: Remembered, reuse: WorkflowIDReusePolicy
    ) -> str:
        handle = await self.client.start_workflow(
            self.definition,
            start,
            id=workflow_id,
            task_queue=self.task_queue,
            id_reuse_policy=reuse,
            memo={names.TRIGGERS_MEMO: memo},
            request_eager_start=True,
        )
        return handle.first_execution_run_id or handle.result_run_id or ""


async def _remembered(newest: WorkflowExecutionDescription) -> Remembered:
    nothing: Remembered = []
    pairs: Remembered = await newest.memo_value(names.TRIGGERS_MEMO, nothing, type_hint=Remembered)
    return [[trigger_id, run_id or _run_id(newest)] for trigger_id, run_id in pairs]


def _run_id(description: WorkflowExecutionDescription) -> str:
    """The ID of the run: that of its chain's first execution."""
    return description.raw_description.workflow_execution_info.first_run_id or description.run_id
