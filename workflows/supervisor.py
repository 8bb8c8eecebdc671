"""The Temporal workflow that keeps the pumps of one connector running."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from pumphouse.workflows import names
from pumphouse.workflows.messages import ConnectorSettings, PumpInput, ReshardInput, SupervisorInput

PUMP_LIFETIME = timedelta(days=3650)  # Temporal wants a bound; heartbeats are the real one
PUMP_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
RESHARD_TIMEOUT = timedelta(minutes=1)


@workflow.defn(name=names.SUPERVISOR_WORKFLOW, sandboxed=False)
class Supervisor:
    """Runs one pump a shard, and new ones when the settings change."""

    def __init__(self) -> None:
        """Begin without settings: the worker's signal brings them."""
        self._wanted: ConnectorSettings | None = None

    @workflow.signal(name=names.CONFIGURE_SIGNAL)
    def configure(self, settings: ConnectorSettings) -> None:
        """Take the settings of the worker that started last."""
        self._wanted = settings

    @workflow.run
    async def run(self, start: SupervisorInput) -> None:
        """Pump until cancelled."""
        self._wanted = self._wanted or start.settings
        await workflow.wait_condition(lambda: self._wanted is not None)
        settings = start.settings
        while not workflow.info().is_continue_as_new_suggested():
            settings = await self._reshard(start, settings)
            await self._pump(start, settings)
        workflow.continue_as_new(replace(start, settings=settings))

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
            self._wanted = replace(wanted, shard_count=previous.shard_count)
        return self._wanted or wanted

    async def _pump(self, start: SupervisorInput, settings: ConnectorSettings) -> None:
        """Run the pumps until other settings are wanted, or one has ended; all have drained at the return."""
        pumps = [
            self._start_pump(start, settings, shard_index) for shard_index in range(settings.shard_count)
        ]
        try:
            await workflow.wait_condition(
                lambda: (
                    self._wanted != settings
                    or workflow.info().is_continue_as_new_suggested()
                    or any(pump.done() for pump in pumps)
                )
            )
        except asyncio.CancelledError:
            await _stop(pumps)
            raise
        # Not by finally: what is awaited there would also be awaited when the worker drops the workflow.
        await _stop(pumps)

    def _start_pump(
        self, start: SupervisorInput, settings: ConnectorSettings, shard_index: int
    ) -> workflow.ActivityHandle[None]:
        return workflow.start_activity(
            names.pump_activity(start.definition, start.connector),
            PumpInput(start.definition, start.connector, shard_index, settings.shard_count),
            task_queue=start.pump_task_queue,
            start_to_close_timeout=PUMP_LIFETIME,
            heartbeat_timeout=timedelta(seconds=settings.heartbeat_timeout_seconds),
            retry_policy=PUMP_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"shard {shard_index + 1} of {settings.shard_count}",
        )


async def _stop(pumps: Sequence[workflow.ActivityHandle[None]]) -> None:
    """Cancel the pumps, and wait until they have drained."""
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
