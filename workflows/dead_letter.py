"""The Temporal workflow of one parked event: it waits for its turn, or for somebody's decision.

Closed, it stays visible as long as Temporal's retention reaches; open, without end.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from pumphouse.workflows import names
from pumphouse.workflows.messages import Change
from pumphouse.workflows.parked import (
    OPEN,
    DeadLetterInput,
    DeadLetterRecord,
    Decision,
    QueuedEvent,
    RedriveFailure,
    RedriveInput,
    RedrivePolicy,
    Standing,
)

SINK_TIMEOUT = timedelta(minutes=1)
REDRIVE_HEARTBEAT_TIMEOUT = timedelta(seconds=10)
NOT_OPEN = "NotOpen"
MACHINERY = "pumphouse"
"""Who makes the changes that nobody asked for."""


@workflow.defn(name=names.DEAD_LETTER_WORKFLOW, sandboxed=False)
class DeadLetter:
    """Brings one parked event to its end."""

    @workflow.init
    def __init__(self, start: DeadLetterInput) -> None:
        """Stand as the pump left the event."""
        self._start = start
        self._record = DeadLetterRecord(start.parked, start.standing)
        self._is_in_lot = start.in_order
        self._decision: Standing | None = None
        self._is_released = False
        self._sink: workflow.ActivityHandle[None] | None = None

    @workflow.run
    async def run(self, start: DeadLetterInput) -> DeadLetterRecord:  # noqa: ARG002 - `__init__` has it
        """Wait, redrive, or rest as a dead letter, until the event is redriven or discarded."""
        try:
            while (standing := Standing(self._record.standing)) in OPEN:
                await self._stand(standing)
        except BaseException as error:
            if is_cancelled_exception(error):
                # Whoever cancelled it in Temporal's UI has discarded the event.
                self._change(Standing.DISCARDED, MACHINERY, "cancelled in Temporal")
                await self._end()
            raise
        if self._sink and self._record.standing == Standing.DISCARDED:
            # Who is to be told of it is told, before the last trace of the event goes.
            await asyncio.wait([self._sink])
        await self._end()
        return self._record

    @workflow.query(name=names.RECORD_QUERY)
    def record(self) -> DeadLetterRecord:
        """The event as it stands."""
        return self._record

    @workflow.signal(name=names.RELEASE_SIGNAL)
    def release(self) -> None:
        """Its turn has come: in the lot, nothing of its foreign ID is before it."""
        self._is_released = self._is_in_lot = True

    @workflow.update(name=names.REDRIVE_UPDATE)
    async def redrive(self, decision: Decision) -> DeadLetterRecord:
        """Hand the event to the handler once more; answers with how it stands after that."""
        self._decide(Standing.RETRYING, decision)
        await workflow.wait_condition(
            lambda: self._decision is None and self._record.standing != Standing.RETRYING
        )
        return self._record

    @redrive.validator
    def _may_redrive(self, decision: Decision) -> None:  # noqa: ARG002 - the SDK has it so
        if self._record.standing != Standing.DEAD or self._decision:
            raise ApplicationError(
                f"the event is {self._record.standing}, and only one that is dead can be redriven",
                type=NOT_OPEN,
            )

    @workflow.update(name=names.DISCARD_UPDATE)
    async def discard(self, decision: Decision) -> DeadLetterRecord:
        """Give the event up for good."""
        self._decide(Standing.DISCARDED, decision)
        await workflow.wait_condition(lambda: self._decision is None)
        return self._record

    @discard.validator
    def _may_discard(self, decision: Decision) -> None:  # noqa: ARG002 - the SDK has it so
        if Standing(self._record.standing) not in OPEN or self._decision:
            raise ApplicationError(f"the event is {self._record.standing} already", type=NOT_OPEN)

    def _decide(self, decision: Standing, by: Decision) -> None:
        self._decision = decision
        self._record.changes.append(Change(decision.value, by.by, workflow.now(), by.reason))

    def _take_decision(self) -> None:
        """Stand as somebody has decided."""
        assert self._decision  # noqa: S101 - the callers have waited for it
        self._record.standing = self._decision.value
        self._decision = None

    def _change(self, standing: Standing, by: str, reason: str = "") -> None:
        self._record.standing = standing.value
        self._record.changes.append(Change(standing.value, by, workflow.now(), reason))

    async def _stand(self, standing: Standing) -> None:
        self._show()
        match standing:
            case Standing.WAITING:
                await self._wait()
            case Standing.RETRYING:
                await self._redrive()
            case _:
                await self._rest()

    async def _wait(self) -> None:
        """Wait behind the earlier events of the foreign ID."""
        # The lot may have sent the release before this workflow was there to take it.
        await self._tell_lot(names.WAITS_SIGNAL)
        await workflow.wait_condition(lambda: self._is_released or self._decision is not None)
        if self._decision:
            self._take_decision()
        else:
            self._change(Standing.RETRYING, MACHINERY, "its turn has come")

    async def _redrive(self) -> None:
        """Hand the event to the handler, as often as the policy says."""
        redriving = self._start_redrive()
        await workflow.wait_condition(lambda: redriving.done() or self._decision is not None)
        if not redriving.done():
            # Its end is waited for: the next event of the foreign ID must not meet this one's handler.
            redriving.cancel()
        try:
            await redriving
        except ActivityError as error:
            if self._decision:
                self._take_decision()
            elif is_cancelled_exception(error):
                raise
            else:
                self._fail(error)
        else:
            self._decision = None
            self._change(Standing.REDRIVEN, MACHINERY)

    def _start_redrive(self) -> workflow.ActivityHandle[None]:
        policy = self._start.policy
        parked = self._record.parked
        # Somebody asked for one attempt; otherwise the connector's policy goes on.
        attempts = 1 if self._was_dead else policy.max_attempts
        return workflow.start_activity(
            names.redrive_activity(parked.definition, parked.connector),
            RedriveInput(parked, attempts, is_asked=self._was_dead),
            start_to_close_timeout=timedelta(seconds=policy.timeout_seconds),
            heartbeat_timeout=REDRIVE_HEARTBEAT_TIMEOUT,
            retry_policy=_retry_policy(policy),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"event {parked.event_id}",
        )

    @property
    def _was_dead(self) -> bool:
        return self._start.standing == Standing.DEAD or any(
            change.what == Standing.DEAD for change in self._record.changes
        )

    def _fail(self, error: ActivityError) -> None:
        """The handler has not taken it: it is dead, until somebody decides."""
        parked = self._record.parked
        failure = _redrive_failure(error)
        self._record.parked = replace(
            parked, errors=failure.errors, attempts=parked.attempts + failure.attempts
        )
        self._change(Standing.DEAD, MACHINERY)

    async def _rest(self) -> None:
        """Wait for a decision; relaxed, the later events go on meanwhile."""
        self._tell_sink()
        while self._decision is None:
            if self._holds_others:
                await self._leave_lot()
            await workflow.wait_condition(lambda: self._decision is not None or self._holds_others)
        self._take_decision()

    @property
    def _holds_others(self) -> bool:
        """Whether later events wait for it which need not; a redelivery may have queued it once more."""
        return self._is_in_lot and not self._start.strict

    def _tell_sink(self) -> None:
        if not self._start.has_sink:
            return
        parked = self._record.parked
        self._sink = workflow.start_activity(
            names.sink_activity(parked.definition, parked.connector),
            parked,
            start_to_close_timeout=SINK_TIMEOUT,
            summary=f"event {parked.event_id}",
        )

    async def _end(self) -> None:
        self._show()
        # Not only if it is known to be in the lot: a pump may have asked for a place, and may be at it.
        self._is_in_lot = True
        while self._is_in_lot:
            await self._leave_lot()
            await workflow.wait_condition(workflow.all_handlers_finished)

    async def _leave_lot(self) -> None:
        self._is_in_lot = False
        await self._tell_lot(names.LEFT_SIGNAL)

    async def _tell_lot(self, signal: str) -> None:
        parked = self._record.parked
        lot = workflow.get_external_workflow_handle(
            names.parking_lot_workflow_id(parked.definition, parked.connector)
        )
        try:
            await lot.signal(signal, QueuedEvent(parked.foreign_id, parked.event_id))
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            # A lot that is gone holds nothing: nobody waits behind this event, nor it behind others.
            self._is_released = True

    def _show(self) -> None:
        standing = self._record.standing.upper()
        if (
            self._start.search_attributes
            and workflow.info().typed_search_attributes.get(names.STATUS) != standing
        ):
            workflow.upsert_search_attributes([names.STATUS.value_set(standing)])


def _retry_policy(policy: RedrivePolicy) -> RetryPolicy:
    # Without a bound: the activity counts the attempts, since one in vain, for a pause, is none.
    return RetryPolicy(
        initial_interval=timedelta(seconds=policy.backoff_seconds),
        backoff_coefficient=policy.backoff_factor,
        maximum_interval=timedelta(seconds=policy.max_backoff_seconds),
    )


def _redrive_failure(error: ActivityError) -> RedriveFailure:
    """What the attempts ended with, as the activity tells it, or Temporal if the worker died on it."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        return workflow.payload_converter().from_payload(
            workflow.payload_converter().to_payload(cause.details[0]), RedriveFailure
        )
    return RedriveFailure([str(cause or error)], attempts=1)
