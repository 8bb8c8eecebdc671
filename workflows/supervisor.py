"""The Temporal workflow that keeps the pumps of one connector running, as long as they are to run."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from pumphouse.workflows import names
from pumphouse.workflows.errors import ControlRefused
from pumphouse.workflows.messages import (
    DRY_RUN_OFF,
    DRY_RUN_ON,
    Change,
    ConnectorRecord,
    ConnectorSettings,
    ConnectorState,
    ControlAnswer,
    ControlRequest,
    DryRunRequest,
    PumpInput,
    ReshardInput,
    SeekInput,
    SeekRequest,
    SupervisorInput,
)

PUMP_LIFETIME = timedelta(days=3650)  # Temporal wants a bound; heartbeats are the real one
# Constant: an attempt is a worker that died or went, and in the years of a pump there are many of them.
PUMP_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=1)
RESHARD_TIMEOUT = timedelta(minutes=1)
SEEK_TIMEOUT = timedelta(minutes=1)
# The pumps stand still meanwhile, so it is not tried without end.
SEEK_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=5)
MAX_CHANGES = 50
MAX_TEXT = 200  # characters of a name, a reason or a position: the memo has room for 50 changes


@dataclass(eq=False)
class _Seek:
    """A seek that was asked for, and what became of it."""

    request: SeekRequest
    is_done: bool = False
    failure: ApplicationError | None = None


@workflow.defn(name=names.SUPERVISOR_WORKFLOW, sandboxed=False)
class Supervisor:
    """Runs one pump a shard, and new ones when the settings change.

    What somebody did to the connector stands in the memo, which outlives the execution, and is read without
    a worker.
    """

    def __init__(self) -> None:
        """Begin without settings: the worker's signal brings them."""
        self._wanted: ConnectorSettings | None = None
        self._record = workflow.memo_value(names.CONNECTOR_MEMO, ConnectorRecord(), type_hint=ConnectorRecord)
        self._seek: _Seek | None = None
        self._pumping: bool | None = None
        """Whether the pumps that run, or drain, do so as a dry run; None when there are none."""

    @workflow.signal(name=names.CONFIGURE_SIGNAL)
    def configure(self, settings: ConnectorSettings) -> None:
        """Take the settings of the worker that started last."""
        self._wanted = settings

    @workflow.update(name=names.PAUSE_UPDATE)
    def pause(self, request: ControlRequest) -> ControlAnswer:
        """Let the pumps end; answered at once."""
        return self._set(ConnectorState.PAUSED, "paused", request)

    @pause.validator
    def _validate_pause(self, request: ControlRequest) -> None:
        _require_sound(request)
        if self._record.state is ConnectorState.STOPPED:
            raise _refusal("it is stopped, so there is nothing to pause; resume it first")

    @workflow.update(name=names.RESUME_UPDATE)
    def resume(self, request: ControlRequest) -> ControlAnswer:
        """Let the pumps run again; answered at once."""
        return self._set(ConnectorState.RUNNING, "resumed", request)

    @resume.validator
    def _validate_resume(self, request: ControlRequest) -> None:
        _require_sound(request)

    @workflow.update(name=names.STOP_UPDATE)
    async def stop(self, request: ControlRequest) -> ControlAnswer:
        """Let the pumps end, and answer when they have; or when somebody has resumed the connector."""
        answer = self._set(ConnectorState.STOPPED, "stopped", request)
        await workflow.wait_condition(
            lambda: self._pumping is None or self._record.state is not ConnectorState.STOPPED
        )
        return replace(answer, record=self._record)

    @stop.validator
    def _validate_stop(self, request: ControlRequest) -> None:
        _require_sound(request)

    @workflow.update(name=names.SEEK_UPDATE)
    async def seek(self, request: SeekRequest) -> ControlAnswer:
        """Set the positions between two pumpings, and answer when that is done or has failed."""
        self._seek = seek = _Seek(request)
        await workflow.wait_condition(lambda: seek.is_done)
        if seek.failure:
            raise seek.failure
        return ControlAnswer(self._record, changed=True)

    @seek.validator
    def _validate_seek(self, request: SeekRequest) -> None:
        _require_sound(request)
        if not 0 < len(request.position) <= MAX_TEXT:
            raise _refusal(f"a position has 1 to {MAX_TEXT} characters, not {len(request.position)}")
        if self._seek:
            earlier = self._seek.request
            raise _refusal(f"a seek to {earlier.position} by {earlier.by} is under way; wait for its end")

    @workflow.update(name=names.DRY_RUN_UPDATE)
    async def dry_run(self, request: DryRunRequest) -> ControlAnswer:
        """Begin or end the dry run, and answer when no pump of the other kind runs any more."""
        changed = self._record.dry_run is not request.on
        if changed:
            what = DRY_RUN_ON if request.on else DRY_RUN_OFF
            self._change(replace(self._record, dry_run=request.on), what, request)
        await workflow.wait_condition(
            lambda: self._pumping in {None, request.on} or self._record.dry_run is not request.on
        )
        return ControlAnswer(self._record, changed)

    @dry_run.validator
    def _validate_dry_run(self, request: DryRunRequest) -> None:
        _require_sound(request)

    @workflow.run
    async def run(self, start: SupervisorInput) -> None:
        """Pump until cancelled, whenever the connector is to run."""
        self._wanted = self._wanted or start.wanted or start.settings
        await workflow.wait_condition(lambda: self._wanted is not None)
        settings = start.settings
        while not self._is_worn():
            if self._seek or self._may_pump():
                settings = await self._turn(start, settings)
            else:
                await workflow.wait_condition(lambda: bool(self._seek) or self._may_pump() or self._is_worn())
        # The server would hand on the memo that the execution began with.
        workflow.continue_as_new(
            replace(start, settings=settings, wanted=self._wanted), memo={names.CONNECTOR_MEMO: self._record}
        )

    async def _turn(self, start: SupervisorInput, previous: ConnectorSettings | None) -> ConnectorSettings:
        """Bring the shards to where they are wanted, and pump until that is to be otherwise."""
        settings = await self._reshard(start, previous)
        if self._seek:
            await self._move(start, settings, self._seek)
        if self._may_pump():
            await self._pump(start, settings)
        return settings

    def _may_pump(self) -> bool:
        return (
            self._record.state is ConnectorState.RUNNING
            and self._seek is None
            and not workflow.info().is_continue_as_new_suggested()
        )

    def _is_worn(self) -> bool:
        """Whether the history is long enough to go on in a new execution, and nobody waits in this one."""
        return workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()

    def _set(self, state: ConnectorState, what: str, request: ControlRequest) -> ControlAnswer:
        if self._record.state is state:
            return ControlAnswer(self._record, changed=False)
        return self._change(replace(self._record, state=state), what, request)

    def _change(self, record: ConnectorRecord, what: str, request: ControlRequest) -> ControlAnswer:
        """Make a change, with the note of who did it."""
        change = Change(what, request.by, workflow.now(), request.reason)
        self._record = replace(record, changes=[*record.changes, change][-MAX_CHANGES:])
        workflow.upsert_memo({names.CONNECTOR_MEMO: self._record})
        workflow.logger.info("connector %s by %s: %s", what, request.by, request.reason or "no reason given")
        return ControlAnswer(self._record, changed=True)

    async def _reshard(self, start: SupervisorInput, previous: ConnectorSettings | None) -> ConnectorSettings:
        """Give each shard its position; without that the shards stay as they were."""
        wanted = self._wanted
        assert wanted is not None  # noqa: S101 - `run` has waited for it
        request = ReshardInput(
            start.definition,
            start.connector,
            wanted.shard_count,
            previous.shard_count if previous else None,
        )
        try:
            await workflow.execute_activity(
                names.reshard_activity(start.definition, start.connector),
                request,
                task_queue=start.pump_task_queue,
                start_to_close_timeout=RESHARD_TIMEOUT,
                retry_policy=PUMP_RETRY,
            )
        except ActivityError as error:
            if previous is None or is_cancelled_exception(error):
                raise
            workflow.logger.error("the number of shards stays %d: %s", previous.shard_count, error.cause)
            kept = replace(wanted, shard_count=previous.shard_count)
            # What a worker has asked for meanwhile has its own turn.
            self._wanted = kept if self._wanted == wanted else self._wanted
            return kept
        return wanted

    async def _move(self, start: SupervisorInput, settings: ConnectorSettings, seek: _Seek) -> None:
        """Set the positions of all shards, or say why that cannot be; no pump runs meanwhile."""
        position = seek.request.position
        try:
            await workflow.execute_activity(
                names.seek_activity(start.definition, start.connector),
                SeekInput(start.definition, start.connector, settings.shard_count, position),
                task_queue=start.pump_task_queue,
                start_to_close_timeout=SEEK_TIMEOUT,
                retry_policy=SEEK_RETRY,
                summary=f"to {position}, by {seek.request.by}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            seek.failure = _failure(error)
        else:
            self._change(self._record, f"seek {position}", seek.request)
        seek.is_done = True
        self._seek = None

    async def _pump(self, start: SupervisorInput, settings: ConnectorSettings) -> None:
        """Run the pumps until it is to be otherwise, or one has ended; all have drained at the return."""
        dry_run = self._record.dry_run
        pumps = [
            self._start_pump(start, settings, shard_index, dry_run=dry_run)
            for shard_index in range(settings.shard_count)
        ]
        self._pumping = dry_run
        try:
            await workflow.wait_condition(
                lambda: (
                    self._wanted != settings
                    or self._record.dry_run is not dry_run
                    or not self._may_pump()
                    or any(pump.done() for pump in pumps)
                )
            )
        except asyncio.CancelledError:
            await _stop(pumps)
            raise
        # Not by finally: what is awaited there would also be awaited when the worker drops the workflow.
        await _stop(pumps)
        self._pumping = None

    def _start_pump(
        self, start: SupervisorInput, settings: ConnectorSettings, shard_index: int, *, dry_run: bool
    ) -> workflow.ActivityHandle[None]:
        mode = ", dry run" if dry_run else ""
        return workflow.start_activity(
            names.pump_activity(start.definition, start.connector),
            PumpInput(start.definition, start.connector, shard_index, settings.shard_count, dry_run),
            task_queue=start.pump_task_queue,
            start_to_close_timeout=PUMP_LIFETIME,
            heartbeat_timeout=timedelta(seconds=settings.heartbeat_timeout_seconds),
            retry_policy=PUMP_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"shard {shard_index + 1} of {settings.shard_count}{mode}",
        )


async def _stop(pumps: Sequence[workflow.ActivityHandle[None]]) -> None:
    """Cancel the pumps, and wait until they have drained."""
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)


def _require_sound(request: ControlRequest) -> None:
    """Refuse a request that does not say who asks, or says more than the memo has room for."""
    if not request.by:
        raise _refusal("it must be known who asks for it")
    for what, text in (("a name", request.by), ("a reason", request.reason)):
        if len(text) > MAX_TEXT:
            raise _refusal(f"{what} has at most {MAX_TEXT} characters, not {len(text)}")


def _refusal(reason: str) -> ApplicationError:
    return ApplicationError(reason, type=ControlRefused.__name__, non_retryable=True)


def _failure(error: ActivityError) -> ApplicationError:
    """What the seek is answered with: the activity's own error."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        text = cause.message if cause.non_retryable else f"{cause.type}: {cause.message}"
    else:
        text = f"it was not answered: {cause}"
    return ApplicationError(text, type=ControlRefused.__name__, non_retryable=True)
