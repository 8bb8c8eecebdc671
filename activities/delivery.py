"""One event on its way through the handler, again and again until the handler takes it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pumphouse.activities.failures import describe, is_cancelled
from pumphouse.activities.metrics import PumpMetrics
from pumphouse.activities.stats import PumpStats
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows.options import ConnectorOptions
from pumphouse.workflows.requests import handling

logger = logging.getLogger(__name__)


async def is_set_within(event: asyncio.Event, duration: timedelta) -> bool:
    """Wait for an event for so long at the most; whether it is set then."""
    try:
        async with asyncio.timeout(duration.total_seconds()):
            return await event.wait()
    except TimeoutError:
        return False


@dataclass(frozen=True)
class Delivery:
    """Hands the events of one connector to its handler."""

    definition: str
    connector: str
    options: ConnectorOptions
    handle: Callable[[ConnectorEvent], Awaitable[None]]
    stopping: asyncio.Event
    """Set when the pump stops: what is not in the handler then is left to the next pump."""
    stats: PumpStats
    metrics: PumpMetrics

    async def __call__(self, event: ConnectorEvent) -> bool:
        """Bring an event through the handler.

        Returns:
            Whether it was handled; False when the pump stopped before that.
        """
        if self.stopping.is_set() or await self._is_stopped_before_due(event):
            return False
        attempt = 1
        while not await self._attempt(event, attempt):
            if await is_set_within(self.stopping, self.options.error_backoff):
                return False
            attempt += 1
            self.stats.retried += 1
            self.metrics.retried(event)
        self.stats.delivered += 1
        return True

    async def _is_stopped_before_due(self, event: ConnectorEvent) -> bool:
        """Wait until the event is old enough; never longer than the lag, whatever its clock says."""
        lag = self.options.consume_lag
        wait = min(lag - (datetime.now(UTC) - event.created_at), lag)
        return wait > timedelta(0) and await is_set_within(self.stopping, wait)

    async def _attempt(self, event: ConnectorEvent, attempt: int) -> bool:
        begun = time.monotonic()
        try:
            with handling(self.definition, self.connector, event.id):
                await self.handle(event)
        except GeneratorExit:
            raise
        except BaseException as error:  # a handler's SystemExit must not end the worker of everybody
            if is_cancelled():
                raise asyncio.CancelledError from error
            self.metrics.failed(event, time.monotonic() - begun)
            self._log_failure(event, attempt, error)
            return False
        self.metrics.succeeded(event, time.monotonic() - begun)
        return True

    def _log_failure(self, event: ConnectorEvent, attempt: int, error: BaseException) -> None:
        logger.warning(
            "connector %s/%s, event %s, foreign ID %s: attempt %d failed, the next follows in %s: %s",
            self.definition,
            self.connector,
            event.id,
            event.foreign_id,
            attempt,
            self.options.error_backoff,
            describe(error),
        )
