"""What a pump does with the events that it sets aside: dead letters, and what waits behind them in order."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from pumphouse.activities.acks import Failure, Receipt
from pumphouse.activities.context import PumpContext
from pumphouse.activities.failures import describe, is_cancelled, name_event
from pumphouse.activities.retry import Stopped, backoff, is_any_set_within
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows.parked import DeadLetterInput, ParkedEvent, RedrivePolicy, Standing

logger = logging.getLogger(__name__)

REDRIVE_TIMEOUT = timedelta(minutes=10)
"""How long an attempt may take that Temporal makes, if the connector has no `handler_timeout`."""
TIMEOUT_MARGIN = timedelta(seconds=10)
"""What Temporal adds to `handler_timeout`, for the way to the worker and back."""
MAX_EVENT_BYTES = 1_500_000
"""An event up to this size is kept with its dead letter; Temporal takes 2 MiB with all that is around it."""

T = TypeVar("T")


class ParkingPlaces(Protocol):
    """Where events are parked; `pumphouse.workflows.parking.Parking` is it in Temporal."""

    async def foreign_ids(self) -> set[str]:
        """The foreign IDs of which events are parked in order."""
        ...

    async def holds(self, foreign_id: str) -> bool:
        """Whether events of a foreign ID are parked in order."""
        ...

    async def put(self, letter: DeadLetterInput) -> None:
        """Make an event's dead letter, unless it has one that is open."""
        ...

    async def place(self, foreign_id: str, event_id: str) -> None:
        """Queue an event behind the others of its foreign ID; its dead letter has to be there."""
        ...


@dataclass
class Parker:
    """Parks the events of one pump, each as often as it takes until Temporal has it."""

    context: PumpContext
    places: ParkingPlaces
    has_search_attributes: Callable[[], bool]
    _held: set[str] = field(default_factory=set[str], init=False)
    """The foreign IDs of which events are parked in order, as far as this pump knows: it alone parks them."""
    _placing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    """One at a time: Temporal takes few updates of one workflow side by side."""

    async def load(self) -> None:
        """Learn what earlier pumps have parked; to be called before the first event is delivered.

        Raises:
            Stopped: the pump stopped before that.
        """
        self._held = await self._insist("what is parked cannot be read", self.places.foreign_ids)

    async def is_parked_behind(self, receipt: Receipt) -> bool:
        """Park an event behind the earlier ones of its foreign ID; whether there are any.

        Raises:
            Stopped: the pump stopped before that.
        """
        foreign_id = receipt.event.foreign_id
        if foreign_id not in self._held:
            return False
        if not await self._insist(_parking(receipt), lambda: self.places.holds(foreign_id)):
            self._held.discard(foreign_id)
            return False
        await self._park(receipt, receipt.failure, in_order=True)
        return True

    async def park(self, receipt: Receipt, failure: Failure) -> None:
        """Park an event that is not tried here any more.

        Raises:
            Stopped: the pump stopped before that.
        """
        in_order = not failure.is_final or self.context.options.order == "strict"
        await self._park(receipt, failure, in_order=in_order)
        if failure.is_final:
            self.context.stats.dead_lettered += 1
            self.context.metrics.dead_lettered(receipt.event)

    async def _park(self, receipt: Receipt, failure: Failure | None, *, in_order: bool) -> None:
        """Make the dead letter, and then queue it.

        In this order, as a place without a dead letter would be waited for without end. A pump that dies in
        between leaves no gap: a dead letter that waits queues itself, and the event is delivered again.
        """
        event = receipt.event
        letter = self._letter(receipt, failure, in_order=in_order)
        await self._insist(_parking(receipt), lambda: self.places.put(letter))
        if in_order:
            self._held.add(event.foreign_id)
            await self._insist(_parking(receipt), lambda: self._place(event))
        logger.warning(
            "connector %s/%s, %s: parked, %s",
            *(self.context.definition, self.context.connector, name_event(event), letter.standing),
        )
        self.context.stats.parked += 1
        self.context.metrics.parked(event, letter.standing)

    async def _place(self, event: ConnectorEvent) -> None:
        async with self._placing:
            if self.context.is_stopped:
                raise Stopped
            await self.places.place(event.foreign_id, event.id)

    def _letter(self, receipt: Receipt, failure: Failure | None, *, in_order: bool) -> DeadLetterInput:
        is_dead = failure is not None and failure.is_final
        return DeadLetterInput(
            parked=self._parked(receipt, failure),
            standing=(Standing.DEAD if is_dead else Standing.WAITING).value,
            policy=self._policy(failure),
            in_order=in_order,
            strict=self.context.options.order == "strict",
            has_sink=self.context.options.on_dead_letter is not None,
            search_attributes=self.has_search_attributes(),
        )

    def _parked(self, receipt: Receipt, failure: Failure | None) -> ParkedEvent:
        event = receipt.event
        content = event.model_dump(mode="json")
        text = json.dumps(content).encode()  # as the SDK writes it: letters beyond ASCII are escaped
        is_kept = receipt.failure is None and len(text) <= MAX_EVENT_BYTES
        return ParkedEvent(
            definition=self.context.definition,
            connector=self.context.connector,
            event_id=event.id,
            foreign_id=event.foreign_id,
            event=content if is_kept else None,
            received_at=receipt.received_at,
            parked_at=datetime.now(UTC),
            errors=failure.errors if failure else [],
            attempts=failure.attempts if failure else 0,
            position=receipt.position,
            source_id=receipt.position if receipt.failure else event.id,
            size=len(text),
            digest=hashlib.sha256(text).hexdigest(),
        )

    def _policy(self, failure: Failure | None) -> RedrivePolicy:
        options = self.context.options
        timeout = options.handler_timeout
        longest = max(options.error_backoff, options.max_backoff)
        made = failure.attempts if failure else 0
        return RedrivePolicy(
            timeout_seconds=(timeout + TIMEOUT_MARGIN if timeout else REDRIVE_TIMEOUT).total_seconds(),
            backoff_seconds=options.error_backoff.total_seconds(),
            backoff_factor=options.backoff_factor,
            max_backoff_seconds=longest.total_seconds(),
            max_attempts=max(options.max_attempts - made, 1) if options.max_attempts else None,
        )

    async def _insist(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call until it is answered well: an event that is not parked is not acked."""
        failures = 0
        while not self.context.is_stopped:
            try:
                return await call()
            except Stopped:
                raise
            except (Exception, asyncio.CancelledError) as error:  # whatever it is, no event may be lost by it
                if is_cancelled():
                    raise asyncio.CancelledError from error
                failures += 1
                logger.warning(
                    "connector %s/%s: %s, the next try follows after a back-off: %s",
                    *(self.context.definition, self.context.connector, what, describe(error)),
                )
                await is_any_set_within(backoff(self.context.options, failures), self.context.stopping)
        raise Stopped


def _parking(receipt: Receipt) -> str:
    return f"{name_event(receipt.event)} could not be parked"
