"""The one Temporal workflow that executes every definition.

It knows no user code: what there is to do at a status it asks by a local activity, so that the answer lies
in the history and a replay never meets a changed graph.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from pumphouse.workflows import names
from pumphouse.workflows.errors import InvalidTransition
from pumphouse.workflows.messages import (
    DEFAULT_REMEMBERED_REQUESTS,
    MAX_REFUSALS,
    Continuation,
    MachineInput,
    Plan,
    PlanRequest,
    Record,
    Refusal,
    StatusUpdate,
    StepInput,
    StepPlan,
    StepResult,
)
from pumphouse.workflows.run import RunState

PLAN_TIMEOUT = timedelta(seconds=10)
MAX_SIGNALS = 5000  # Temporal takes 10,000 an execution, and does not suggest to continue as new before
MAX_UPDATES = 1000  # Temporal takes 2,000 an execution


class NotPlanned(Exception):
    """This worker cannot tell what there is to do; no failure of the run, but of the workflow task."""


@dataclass(eq=False)
class _Request:
    """A change that somebody outside asked for, and what became of it."""

    update: StatusUpdate
    is_awaited: bool = False
    is_answered: bool = False
    refusal: str = ""


@workflow.defn(dynamic=True, sandboxed=False)
class Machine:
    """Executes one run of a definition; the workflow type is the definition's name."""

    def __init__(self) -> None:
        """Begin empty: signals may arrive before `run` has begun."""
        self._inbox: deque[_Request] = deque()
        self._taken: list[_Request] = []
        self._is_long = False
        self._applied: dict[str, None] = {}
        self._remembered_requests = DEFAULT_REMEMBERED_REQUESTS
        self._signals = 0
        self._updates = 0
        self._has_search_attributes = False
        self._record: Record

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> Record:
        """Go from status to status until one leads nowhere."""
        self._load(workflow.payload_converter().from_payload(args[0].payload, MachineInput))
        try:
            while not (plan := await self._enter()).terminal:
                await self._leave(plan)
        except BaseException as error:
            if is_cancelled_exception(error):
                await self._end(RunState.CANCELLED)
            raise
        await self._end(RunState.COMPLETED)
        return self.record()

    @workflow.signal(name=names.UPDATE_STATUS)
    def signal_status(self, update: StatusUpdate) -> None:
        """Take a change of status; a refused one is recorded."""
        self._signals += 1
        self._note_length()
        self._inbox.append(_Request(update))

    @workflow.update(name=names.UPDATE_STATUS)
    async def update_status(self, update: StatusUpdate) -> None:
        """Take a change of status and answer when it was made, or refused."""
        self._updates += 1
        self._note_length()
        request = _Request(update, is_awaited=True)
        self._inbox.append(request)
        await workflow.wait_condition(lambda: request.is_answered)
        if request.refusal:
            raise ApplicationError(request.refusal, type=InvalidTransition.__name__, non_retryable=True)

    @workflow.query(name=names.RECORD_QUERY)
    def record(self) -> Record:
        """The run as it stands, and what it has answered."""
        return replace(self._record, applied=list(self._applied))

    def _load(self, start: MachineInput) -> None:
        info = workflow.info()
        self._record = start.record(info.first_execution_run_id, info.start_time)
        self._remembered_requests = start.remembered_requests
        applied = start.applied
        if start.continuation:
            self._inbox.extendleft(_Request(update) for update in reversed(start.continuation.inbox))
            applied = start.continuation.applied
        self._applied = dict.fromkeys(applied)

    async def _enter(self) -> Plan:
        """Ask what there is to do at the status, and show the status to the outside."""
        plan = await self._ask()
        self._has_search_attributes = plan.search_attributes
        if not plan.terminal:
            self._show()
        self._answer()
        return plan

    async def _ask(self) -> Plan:
        """What there is to do at the status.

        A worker that cannot tell fails the workflow task, so that Temporal asks another one in time; one that
        repeated it by itself could not even stop meanwhile.
        """
        try:
            plan: Plan = await workflow.execute_local_activity(
                names.PLAN_ACTIVITY,
                PlanRequest(workflow.info().workflow_type, self._record.status),
                result_type=Plan,
                start_to_close_timeout=PLAN_TIMEOUT,
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except FailureError as error:  # a local activity's own error, not wrapped in an ActivityError
            if is_cancelled_exception(error):
                raise
            raise NotPlanned(str(error)) from error
        return plan

    async def _leave(self, plan: Plan) -> None:
        """Wait for the change that ends the status, from its step or from outside, and make it."""
        step = self._start_step(plan.step) if plan.step else None
        try:
            while True:
                if (status := self._take_accepted(plan)) is not None:
                    return self._change(status, self._record.object)
                self._answer()
                if step and step.done():
                    result = await step
                    self._note_length()
                    return self._change(result.status, result.object)
                if step is None and self._is_worn():
                    await self._continue_as_new()
                await workflow.wait_condition(
                    lambda: bool(self._inbox) or (step.done() if step else self._is_worn())
                )
        finally:
            if step:
                step.cancel()

    def _start_step(self, step: StepPlan) -> workflow.ActivityHandle[StepResult]:
        return workflow.start_activity(
            step.activity,
            StepInput(self._record),
            result_type=StepResult,
            start_to_close_timeout=timedelta(seconds=step.timeout_seconds),
            heartbeat_timeout=timedelta(seconds=step.heartbeat_seconds) if step.heartbeat_seconds else None,
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=step.backoff_seconds),
                maximum_interval=timedelta(seconds=step.max_backoff_seconds),
            ),
        )

    def _take_accepted(self, plan: Plan) -> str | None:
        """Take requests in their order, up to the first that changes the status; its status, if any."""
        while self._inbox:
            request = self._inbox.popleft()
            self._taken.append(request)
            if self._is_repeat(request):
                continue
            self._remember(request.update.request_id)
            if request.update.status in plan.external:
                return request.update.status
            self._refuse(request, f"from {plan.status} no update leads to {request.update.status}")
        return None

    def _answer(self) -> None:
        """Answer the requests that were taken.

        It comes behind the plan of the new status: an answer would end the workflow task with the local
        activity under way, and a replay would then see its result a task earlier than the first execution.
        """
        for request in self._taken:
            request.is_answered = True
        self._taken.clear()

    def _is_repeat(self, request: _Request) -> bool:
        """Whether the request was answered before; a refusal is then the same again."""
        request_id = request.update.request_id
        if request_id not in self._applied:
            return False
        refused = [*self._record.refused_before, *self._record.refused]
        if earlier := next((r for r in refused if r.request_id == request_id), None):
            request.refusal = earlier.reason
        return True

    def _remember(self, request_id: str) -> None:
        self._applied[request_id] = None
        if len(self._applied) > self._remembered_requests:
            del self._applied[next(iter(self._applied))]

    def _refuse(self, request: _Request, reason: str) -> None:
        update = request.update
        request.refusal = reason
        refusal = Refusal(update.status, self._record.status, update.request_id, workflow.now())
        self._record.refused = [*self._record.refused, refusal][-MAX_REFUSALS:]
        workflow.logger.warning("status update refused: %s (request %s)", reason, update.request_id)

    def _change(self, status: str, value: Any) -> None:
        """Make a change of status that the graph allows."""
        visited = self._record.visited
        self._record = replace(
            self._record,
            status=status,
            object=value,
            version=self._record.version + 1,
            updated_at=workflow.now(),
            visited=visited if status in visited else [*visited, status],
        )

    def _show(self) -> None:
        if not self._has_search_attributes:
            return
        values = {
            names.FOREIGN_ID: self._record.foreign_id,
            names.STATUS: self._record.status,
            names.RUN_STATE: self._record.run_state,
        }
        known = workflow.info().typed_search_attributes
        changed = [key.value_set(value) for key, value in values.items() if known.get(key) != value]
        if changed:
            workflow.upsert_search_attributes(changed)

    async def _end(self, state: RunState) -> None:
        """Refuse what still waits, so that nobody waits in vain, and show the final state."""
        self._record = replace(self._record, run_state=state.value)
        while self._inbox:
            request = self._inbox.popleft()
            self._taken.append(request)
            if not self._is_repeat(request):
                self._remember(request.update.request_id)
                self._refuse(request, f"the run is {state.value} at {self._record.status}")
        self._show()
        self._answer()
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _note_length(self) -> None:
        """Note whether Temporal suggests to continue as new.

        Asked only where the server's events come in, never behind a local activity: in a replay its result
        can come in an earlier workflow task, which has not got the suggestion yet.
        """
        self._is_long = self._is_long or workflow.info().is_continue_as_new_suggested()

    def _is_worn(self) -> bool:
        """Whether the history is long enough to go on in a new execution, and nobody waits in this one."""
        worn = self._is_long or self._signals >= MAX_SIGNALS or self._updates >= MAX_UPDATES
        return worn and not any(request.is_awaited for request in self._inbox)

    async def _continue_as_new(self) -> NoReturn:
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            MachineInput(
                foreign_id=self._record.foreign_id,
                object=None,
                status=self._record.status,
                continuation=Continuation(
                    record=self._record,
                    inbox=[request.update for request in self._inbox],
                    applied=list(self._applied),
                ),
                remembered_requests=self._remembered_requests,
            )
        )
