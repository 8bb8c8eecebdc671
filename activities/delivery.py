"""One event on its way through the handler, again and again until the handler takes it or it is given up."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pumphouse.activities.acks import Failure, Receipt
from pumphouse.activities.context import PumpContext
from pumphouse.activities.failures import chain, name_event
from pumphouse.activities.retry import (
    Stopped,
    backoff,
    error_of,
    in_time,
    is_any_set_within,
    is_hopeless,
    is_temporals,
)
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows.requests import handling

logger = logging.getLogger(__name__)

PATIENT_ATTEMPTS = 3
"""How often an event that holds up its shard may fail before it is parked; most errors pass sooner."""


@dataclass(frozen=True)
class Delivery:
    """Hands the events of one connector to its handler."""

    context: PumpContext
    handle: Callable[[ConnectorEvent], Awaitable[object]]
    _failing: dict[str, str] = field(default_factory=dict[str, str], init=False)
    """The events that have failed and are tried again, each with its last error."""

    async def __call__(self, receipt: Receipt) -> Failure | None:
        """Bring an event through the handler.

        Returns:
            None if the handler took it; otherwise why it is not tried here any more.

        Raises:
            Stopped: the pump stopped before that.
        """
        event = receipt.event
        if self.context.is_stopped or await self._is_stopped_before_due(event):
            raise Stopped
        try:
            failure = await self._attempts(receipt)
        finally:
            self._failing.pop(event.id, None)
        if failure is None:
            self.context.stats.delivered += 1
        return failure

    @property
    def failing(self) -> list[str]:
        """The events that are tried again, each with its last error."""
        return list(self._failing.values())

    async def _is_stopped_before_due(self, event: ConnectorEvent) -> bool:
        """Wait until the event is old enough; never longer than the lag, whatever its clock says."""
        lag = self.context.options.consume_lag
        wait = min(lag - (datetime.now(UTC) - event.created_at), lag)
        return wait > timedelta(0) and await is_any_set_within(wait, self.context.stopping)

    async def _attempts(self, receipt: Receipt) -> Failure | None:
        attempt, counted = 1, 0
        while (error := await self._attempt(receipt.event)) is not None:
            counted += not is_temporals(error)
            failure = Failure(chain(error), counted, is_final=self._is_given_up(error, counted))
            self._log(receipt.event, attempt, failure)
            if failure.is_final or await self._is_parked_before_retry(receipt, attempt, failure):
                return failure
            attempt += 1
            self.context.stats.retried += 1
            self.context.metrics.retried(receipt.event)
        return None

    def _is_given_up(self, error: BaseException, counted: int) -> bool:
        most = self.context.options.max_attempts
        return is_hopeless(error, self.context.options) or (most is not None and counted >= most)

    async def _is_parked_before_retry(self, receipt: Receipt, attempt: int, failure: Failure) -> bool:
        """Wait out the back-off; whether Temporal is to go on with the event, as it holds up its shard."""
        event_id = receipt.event.id
        self._failing[event_id] = f"event {event_id}, attempt {attempt}: {failure.errors[0]}"
        may_park = failure.attempts >= PATIENT_ATTEMPTS and not self._is_outage
        signals = (self.context.stopping, receipt.holds_up) if may_park else (self.context.stopping,)
        await is_any_set_within(backoff(self.context.options, attempt), *signals)
        if self.context.is_stopped:
            raise Stopped
        return may_park and receipt.holds_up.is_set()

    @property
    def _is_outage(self) -> bool:
        """Whether so much fails that no event is to blame: then the source waits, and nothing is parked."""
        # Of one or two in flight, a single one that fails says nothing.
        return len(self._failing) * 2 > max(self.context.options.max_in_flight, 2)

    async def _attempt(self, event: ConnectorEvent) -> BaseException | None:
        """Let the handler try once; its error, if it has failed.

        Raises:
            Stopped: the lease was lost meanwhile. A call may have been refused for it, and the handler may
                have made nothing of that: the event is left to the next pump, whatever the handler says.
        """
        context, begun = self.context, time.monotonic()
        with handling(context.definition, context.connector, event.id, check=context.lease.check):
            error = await error_of(in_time(self.handle(event), context.options.handler_timeout))
        seconds = time.monotonic() - begun
        if context.lease.is_lost:
            raise Stopped
        if error is None:
            context.metrics.succeeded(event, seconds)
        else:
            context.metrics.failed(event, seconds)
        return error

    def _log(self, event: ConnectorEvent, attempt: int, failure: Failure) -> None:
        logger.warning(
            "connector %s/%s, %s: attempt %d failed, %s: %s",
            self.context.definition,
            self.context.connector,
            name_event(event),
            attempt,
            "the event is given up" if failure.is_final else "the next follows after a back-off",
            failure.described,
        )
