"""The pump: drives one shard of one connector until it is told to stop."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pumphouse.activities.acks import AckWindow, Receipt
from pumphouse.activities.delivery import Delivery
from pumphouse.activities.failures import describe, is_cancelled
from pumphouse.activities.lanes import Lanes
from pumphouse.activities.metrics import PumpMetrics
from pumphouse.activities.shards import Shard
from pumphouse.activities.stats import PumpStats
from pumphouse.connectors.contract import Ack, ConnectorConstructor, ConnectorConsumer
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows.options import ConnectorOptions

logger = logging.getLogger(__name__)

BEATS_PER_TIMEOUT = 5  # of the heartbeat time-out, so that one late beat does no harm
CLOSE_TIMEOUT = timedelta(seconds=5)

T = TypeVar("T")


class _Stopped(Exception):
    """The pump was told to stop while it waited."""


@dataclass
class Pump:
    """Receives, delivers and acks the events of one shard.

    It heartbeats from its own loop, around every wait: a pump that is stuck falls silent, and Temporal
    moves its shard to another worker.
    """

    constructor: ConnectorConstructor
    consumer_name: str
    shard: Shard
    options: ConnectorOptions
    delivery: Delivery
    stats: PumpStats
    """Where the counters go on from; an earlier pump of the shard may have counted before."""
    metrics: PumpMetrics
    heartbeat: Callable[[PumpStats], None]
    stopping: asyncio.Event
    """Set from outside, to stop the pump."""
    drain_timeout: timedelta
    """How long events in the handler may take to end after a stop."""
    _window: AckWindow = field(init=False)
    _stopped: asyncio.Task[bool] = field(init=False)
    _failing_since: datetime | None = field(default=None, init=False)
    _next_beat: float = field(default=0.0, init=False)
    _is_alert: bool = field(default=False, init=False)
    _is_ack_failing: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Begin with nothing in flight."""
        self._window = AckWindow(self.options.max_in_flight, self._note_ack)

    async def run(self) -> None:
        """Pump until told to stop; then finish what is in the handler, ack it, and close the consumer."""
        async with asyncio.TaskGroup() as tasks:
            self._stopped = tasks.create_task(self.stopping.wait())
            with suppress(_Stopped):
                consumer = await self._ask_source(lambda: self.constructor.make(self.consumer_name))
                try:
                    await self._pump(consumer)
                finally:
                    await self._close(consumer)
            self._beat(now=True)

    async def _pump(self, consumer: ConnectorConsumer) -> None:
        async with asyncio.TaskGroup() as tasks:
            lanes = Lanes(tasks, self._deliver)
            acking = tasks.create_task(self._window.run(self._retry_ack))
            with suppress(_Stopped):
                while True:
                    await self._receive(consumer, lanes)
            draining = tasks.create_task(self._drain(lanes))
            await self._beat_until(draining, self.drain_timeout)
            for task in (draining, acking, *lanes.running):
                task.cancel()

    async def _receive(self, consumer: ConnectorConsumer, lanes: Lanes) -> None:
        """Take in one event, once there is room for it."""
        if self._window.is_full:
            await self._beating(self._window.room())
        event, ack = await self._ask_source(consumer.recv)
        receipt = self._take_in(event, ack)
        if self.shard.takes(event.foreign_id):
            lanes.put(receipt)
        else:
            self.stats.skipped += 1
            self.metrics.skipped(event, "shard")
            self._window.finish(receipt)

    def _take_in(self, event: ConnectorEvent, ack: Ack) -> Receipt:
        self.stats.received += 1
        self.stats.last_event_id = event.id
        self.metrics.received(event)
        return self._window.add(event, ack)

    async def _deliver(self, receipt: Receipt) -> bool:
        if not await self.delivery(receipt.event):
            return False
        self._window.finish(receipt)
        return True

    def _note_ack(self) -> None:
        self.stats.acked += 1
        if self._is_ack_failing:
            self._is_ack_failing = False
            self._note_source_success()

    async def _drain(self, lanes: Lanes) -> None:
        """Wait for the handlers under way, and for the acks that they make possible."""
        if lanes.running:
            await asyncio.wait(lanes.running)
        while self._window.is_ackable:
            await self._window.acked()

    async def _close(self, consumer: ConnectorConsumer) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT.total_seconds()):
                await consumer.close()
        except (Exception, asyncio.CancelledError) as error:  # a source may raise anything
            if is_cancelled():
                raise
            # The shard moves on all the same: an ack that was not stored means a redelivery, no loss.
            logger.warning("connector %s: did not close well: %s", self.consumer_name, describe(error))

    async def _ask_source(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call the source until it answers well, with the error back-off between the calls."""
        while True:
            try:
                answer = await self._beating(call())
            except _Stopped:
                raise
            except (Exception, asyncio.CancelledError) as error:  # a source may raise anything
                if is_cancelled():
                    raise
                self._note_source_error(error)
                await self._beating(asyncio.sleep(self.options.error_backoff.total_seconds()))
            else:
                if not self._is_ack_failing:
                    self._note_source_success()
                return answer

    async def _retry_ack(self, receipt: Receipt, error: BaseException) -> None:
        event = receipt.event
        self._is_ack_failing = True
        self._note_source_error(error, f", ack of event {event.id}, foreign ID {event.foreign_id}")
        await asyncio.sleep(self.options.error_backoff.total_seconds())

    def _note_source_success(self) -> None:
        self._failing_since = None
        self.stats.source_error = ""

    def _note_source_error(self, error: BaseException, what: str = "") -> None:
        self._failing_since = self._failing_since or datetime.now(UTC)
        self.stats.source_error = type(error).__name__
        self.metrics.source_failed()
        logger.warning(
            "connector %s%s: the source failed, the next try follows in %s: %s",
            self.consumer_name,
            what,
            self.options.error_backoff,
            describe(error),
        )

    async def _beating(self, wait: Coroutine[Any, Any, T]) -> T:
        """Await something, with heartbeats.

        Raises:
            _Stopped: the pump was told to stop before that; the wait is cancelled.
        """
        task = asyncio.create_task(wait)
        try:
            while not task.done():
                if self.stopping.is_set():
                    raise _Stopped
                self._beat()
                await asyncio.wait(
                    {task, self._stopped},
                    timeout=self._beat_interval,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _beat_until(self, task: asyncio.Task[None], timeout: timedelta) -> None:  # noqa: ASYNC109 - it does not cancel
        """Heartbeat until a task is done, or the time is over."""
        deadline = time.monotonic() + timeout.total_seconds()
        while not task.done() and (left := deadline - time.monotonic()) > 0:
            self._beat()
            await asyncio.wait({task}, timeout=min(self._beat_interval, left))

    @property
    def _beat_interval(self) -> float:
        return self.options.heartbeat_timeout.total_seconds() / BEATS_PER_TIMEOUT

    def _beat(self, *, now: bool = False) -> None:
        if not now and time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + self._beat_interval
        self.stats.in_flight = len(self._window)
        self.stats.lag_seconds = lag = self._lag().total_seconds()
        self._note_alert(lag)
        self.metrics.observe(in_flight=len(self._window), lag_seconds=lag, is_alert=self._is_alert)
        self.heartbeat(replace(self.stats))

    def _note_alert(self, lag: float) -> None:
        """Log when the lag rises above its limit, and when it is back."""
        was_alert = self._is_alert
        self._is_alert = lag > self.options.lag_alert.total_seconds()
        if self._is_alert != was_alert:
            logger.log(
                logging.WARNING if self._is_alert else logging.INFO,
                "connector %s: the lag of %.0f s is %s its limit, %s",
                *(self.consumer_name, lag, "above" if self._is_alert else "back under"),
                self.options.lag_alert,
            )

    def _lag(self) -> timedelta:
        """How far behind: the age of the oldest event in flight, or how long the source has been silent.

        It is taken anew with every heartbeat, so that a pump whose source or handler stands still shows a
        growing lag.
        """
        oldest = self._window.oldest
        since = [oldest.event.created_at] if oldest else []
        if self._failing_since:
            since.append(self._failing_since)
        return max([timedelta(0), *(datetime.now(UTC) - moment for moment in since)])
