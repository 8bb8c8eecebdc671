"""The pump: drives one shard of one connector until it is told to stop."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pumphouse.activities.acks import AckWindow, Failure, Receipt
from pumphouse.activities.context import PumpContext
from pumphouse.activities.delivery import Delivery
from pumphouse.activities.failures import chain, describe, is_cancelled, name_event
from pumphouse.activities.lanes import Lanes
from pumphouse.activities.parking import Parker
from pumphouse.activities.retry import Stopped, backoff
from pumphouse.activities.stats import PumpStats
from pumphouse.connectors.contract import ConnectorConstructor, ConnectorConsumer, Positioned
from pumphouse.connectors.errors import InvalidEvent
from pumphouse.connectors.event import ConnectorEvent

logger = logging.getLogger(__name__)

BEATS_PER_TIMEOUT = 5  # of the heartbeat time-out, so that one late beat does no harm
CLOSE_TIMEOUT = timedelta(seconds=5)
MAX_FAILING_SHOWN = 10

T = TypeVar("T")


@dataclass
class Pump:
    """Receives, delivers and acks the events of one shard.

    It heartbeats from its own loop, around every wait: a pump that is stuck falls silent, and Temporal
    moves its shard to another worker.
    """

    context: PumpContext
    constructor: ConnectorConstructor
    delivery: Delivery
    parker: Parker
    heartbeat: Callable[[PumpStats], None]
    drain_timeout: timedelta
    """How long events in the handler may take to end after a stop."""
    is_dry_run: bool = False
    """Whether the source is told of no ack, so that all events are delivered again later."""
    _window: AckWindow = field(init=False)
    _beat_interval: float = field(init=False)
    """In seconds."""
    _stopped: asyncio.Task[bool] = field(init=False)
    _positioned: Positioned | None = field(default=None, init=False)
    """The consumer, if it tells positions; asked once, as such a question is slow."""
    _failing_since: datetime | None = field(default=None, init=False)
    _next_beat: float = field(default=0.0, init=False)
    _is_alert: bool = field(default=False, init=False)
    _is_ack_failing: bool = field(default=False, init=False)
    _source_failures: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Begin with nothing in flight."""
        self._window = AckWindow(self.context.options.max_in_flight, self._note_ack)
        self._beat_interval = self.context.options.heartbeat_timeout.total_seconds() / BEATS_PER_TIMEOUT

    async def run(self) -> None:
        """Pump until told to stop; then finish what is in the handler, ack it, and close the consumer."""
        async with asyncio.TaskGroup() as tasks:
            self._stopped = tasks.create_task(self.context.stopping.wait())
            with suppress(Stopped):
                await self._beating(self.parker.load())
                consumer = await self._ask_source(lambda: self.constructor.make(self.context.consumer_name))
                self._positioned = consumer if isinstance(consumer, Positioned) else None
                try:
                    await self._pump(consumer)
                finally:
                    await self._close(consumer)
            self._beat(now=True)

    async def _pump(self, consumer: ConnectorConsumer) -> None:
        async with asyncio.TaskGroup() as tasks:
            lanes = Lanes(tasks, self._deliver)
            acking = tasks.create_task(self._window.run(self._retry_ack))
            with suppress(Stopped):
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
        receipt = await self._ask_source(lambda: self._next(consumer))
        self._take_in(receipt)
        if self.context.shard.takes(receipt.event.foreign_id):
            lanes.put(receipt)
        else:
            self.context.stats.skipped += 1
            self.context.metrics.skipped(receipt.event, "shard")
            self._window.finish(receipt)

    async def _next(self, consumer: ConnectorConsumer) -> Receipt:
        try:
            event, ack = await consumer.recv()
        except InvalidEvent as error:
            if error.ack is None:
                raise
            failure = Failure(chain(error), attempts=0)
            return Receipt(_stand_in(error), error.ack, error.position, failure)
        return Receipt(event, ack, self._positioned.position if self._positioned else "")

    def _take_in(self, receipt: Receipt) -> None:
        self.context.stats.received += 1
        self.context.stats.last_event_id = receipt.event.id
        self.context.metrics.received(receipt.event)
        if self.is_dry_run:
            receipt.ack = _no_ack
        self._window.add(receipt)

    async def _deliver(self, receipt: Receipt) -> bool:
        """Bring an event to its end; False when the pump stopped before that."""
        with suppress(Stopped):
            if not await self.parker.is_parked_behind(receipt):
                failure = receipt.failure or await self.delivery(receipt)
                if failure:
                    await self.parker.park(receipt, failure)
            self._window.finish(receipt)
            return True
        return False

    def _note_ack(self) -> None:
        self.context.stats.acked += 1
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
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            # The shard moves on all the same: an ack that was not stored means a redelivery, no loss.
            logger.warning(
                "connector %s: did not close well: %s", self.context.consumer_name, describe(error)
            )

    async def _ask_source(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call the source until it answers well, with a back-off between the calls."""
        while True:
            try:
                answer = await self._beating(call())
            except Stopped:
                raise
            except (Exception, asyncio.CancelledError) as error:  # a source may raise anything
                if is_cancelled():
                    raise asyncio.CancelledError from error
                self._note_source_error(error)
                await self._beating(asyncio.sleep(self._source_backoff().total_seconds()))
            else:
                if not self._is_ack_failing:
                    self._note_source_success()
                return answer

    async def _retry_ack(self, receipt: Receipt, error: BaseException) -> None:
        event = receipt.event
        self._is_ack_failing = True
        self._note_source_error(error, f", ack of {name_event(event)}")
        await asyncio.sleep(self._source_backoff().total_seconds())

    def _source_backoff(self) -> timedelta:
        return backoff(self.context.options, self._source_failures)

    def _note_source_success(self) -> None:
        self._failing_since = None
        self._source_failures = 0
        self.context.stats.source_error = ""

    def _note_source_error(self, error: BaseException, what: str = "") -> None:
        self._failing_since = self._failing_since or datetime.now(UTC)
        self._source_failures += 1
        self.context.stats.source_error = type(error).__name__
        self.context.metrics.source_failed()
        logger.warning(
            "connector %s%s: the source failed, the next try follows after a back-off: %s",
            *(self.context.consumer_name, what, describe(error)),
        )

    async def _beating(self, wait: Coroutine[Any, Any, T]) -> T:
        """Await something, with heartbeats.

        Raises:
            Stopped: the pump was told to stop before that; the wait is cancelled.
        """
        task = asyncio.create_task(wait)
        try:
            while not task.done():
                if self.context.stopping.is_set():
                    raise Stopped
                self._beat()
                await asyncio.wait(
                    {task, self._stopped},
                    timeout=self._beat_interval,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _beat_until(self, task: asyncio.Task[None], timeout: timedelta) -> None:  # noqa: ASYNC109 - it does not cancel
        """Heartbeat until a task is done, or the time is over."""
        deadline = time.monotonic() + timeout.total_seconds()
        while not task.done() and (left := deadline - time.monotonic()) > 0:
            self._beat()
            await asyncio.wait({task}, timeout=min(self._beat_interval, left))

    def _beat(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if moment < self._next_beat and not now:
            return
        self._next_beat = moment + self._beat_interval
        self._renew_lease()
        self.context.stats.in_flight = len(self._window)
        self.context.stats.failing = self.delivery.failing[:MAX_FAILING_SHOWN]
        self.context.stats.lag_seconds = lag = self._lag().total_seconds()
        self._note_alert(lag)
        self.context.metrics.observe(in_flight=len(self._window), lag_seconds=lag, is_alert=self._is_alert)
        self.heartbeat(copy(self.context.stats))

    def _renew_lease(self) -> None:
        if not self.context.lease.renew() and not self.context.stopping.is_set():
            # Temporal may have given the shard to another pump: this one ends, as if it had been told to.
            logger.warning(
                "connector %s: the pump stood still for too long, and gives its shard up",
                self.context.consumer_name,
            )
            self.context.stopping.set()

    def _note_alert(self, lag: float) -> None:
        """Log when the lag rises above its limit, and when it is back."""
        was_alert = self._is_alert
        self._is_alert = lag > self.context.options.lag_alert.total_seconds()
        if self._is_alert != was_alert:
            logger.log(
                logging.WARNING if self._is_alert else logging.INFO,
                "connector %s: the lag of %.0f s is %s its limit, %s",
                *(self.context.consumer_name, lag, "above" if self._is_alert else "back under"),
                self.context.options.lag_alert,
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


def _stand_in(error: InvalidEvent) -> ConnectorEvent:
    """What goes through the pump for an event that cannot be read: its position, in place of its IDs.

    Where the source tells no position the ID is a new one, so that each is parked by itself.
    """
    event_id = f"position:{error.position or uuid.uuid4().hex}"
    return ConnectorEvent(id=event_id, foreign_id=event_id, created_at=datetime.now(UTC))


async def _no_ack() -> None:
    """Tell the source nothing."""
