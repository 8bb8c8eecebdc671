"""When a delivery gives an event up, or leaves it to Temporal; the rest of it is in test_delivery.py."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

import pytest
from pydantic import BaseModel
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.activities.acks import Failure, Receipt
from pumphouse.activities.delivery import PATIENT_ATTEMPTS, Delivery
from pumphouse.activities.lease import LeaseLost
from pumphouse.activities.retry import Stopped
from pumphouse.connectors import ConnectorEvent, InvalidEvent
from pumphouse.workflows.requests import request_id
from tests.unit.activities.clocks import Clock
from tests.unit.activities.events import make_receipt
from tests.unit.activities.records import GUARD, Record, turns
from tests.unit.activities.rigs import NEVER, SOON, Handle, hang, make_delivery

INSTANT = timedelta(microseconds=1)
REFUSED = RPCError("bad request", RPCStatusCode.INVALID_ARGUMENT, b"")


class Payment(BaseModel):
    amount: int


class Failing:
    """A handler that always fails, and counts how often."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.attempts = Record[str]()
        self._error = error or ConnectionError("the server is away")

    async def __call__(self, event: ConnectorEvent) -> None:
        self.attempts.add(event.id)
        raise self._error


async def give_up(delivery: Delivery, receipt: Receipt) -> Failure:
    """Deliver an event until it is not tried any more."""
    async with asyncio.timeout(GUARD):
        failure = await delivery(receipt)
    assert failure
    return failure


async def test_an_event_is_given_up_after_max_attempts() -> None:
    handler = Failing()
    delivery = make_delivery(handler, max_attempts=4)
    failure = await give_up(delivery, make_receipt())
    assert failure == Failure(["ConnectionError: the server is away"], attempts=4, is_final=True)
    assert handler.attempts.count("1") == 4
    assert (delivery.context.stats.delivered, delivery.context.stats.retried) == (0, 3)


async def test_an_event_that_is_taken_with_its_last_attempt_is_not_given_up() -> None:
    left = iter([ValueError(), ValueError()])

    async def handle(_event: ConnectorEvent) -> None:
        for error in left:
            raise error

    assert await make_delivery(handle, max_attempts=3)(make_receipt()) is None


async def _validate(_event: ConnectorEvent) -> None:
    Payment.model_validate({"amount": "none"})


@pytest.mark.parametrize(
    "handle",
    [
        _validate,
        Failing(InvalidEvent("payments", "7", "no amount")),
        Failing(REFUSED),
        Failing(BaseExceptionGroup("all at once", [REFUSED, SystemExit(1)])),
        Failing(KeyError("total")),
    ],
    ids=["ValidationError", "InvalidEvent", "INVALID_ARGUMENT", "a group with one of them", "non_retryable"],
)
async def test_an_event_that_would_fail_with_every_attempt_is_given_up_with_the_first(handle: Handle) -> None:
    delivery = make_delivery(handle, non_retryable=(LookupError,), error_backoff=NEVER)
    failure = await give_up(delivery, make_receipt())
    assert (failure.attempts, failure.is_final) == (1, True)


async def test_a_failure_holds_the_causes_of_its_error() -> None:
    error = RuntimeError("not an order")
    error.__cause__ = KeyError("total")
    failure = await give_up(make_delivery(Failing(error), max_attempts=1), make_receipt())
    assert failure.errors == ["RuntimeError: not an order", "KeyError: 'total'"]


async def test_an_event_that_is_given_up_is_logged_as_such(caplog: pytest.LogCaptureFixture) -> None:
    await give_up(make_delivery(Failing(), max_attempts=2), make_receipt("event-7", "order-9"))
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    line = caplog.records[-1].getMessage()
    assert line.startswith("connector orders/payments, event event-7, foreign ID order-9: attempt 2 failed, ")
    assert line.endswith("the event is given up: ConnectionError: the server is away")


# Events that hold up their shard


async def test_an_event_that_holds_up_its_shard_is_left_to_temporal_after_a_few_attempts() -> None:
    handler = Failing()
    receipt = make_receipt()
    receipt.holds_up.set()
    failure = await give_up(make_delivery(handler), receipt)
    assert (failure.attempts, failure.is_final) == (PATIENT_ATTEMPTS, False)
    assert handler.attempts.count("1") == PATIENT_ATTEMPTS


async def test_a_long_back_off_ends_when_the_event_begins_to_hold_up_its_shard() -> None:
    handler, receipt = Failing(), make_receipt()
    # Waits of 1 us, 30 ms and 15 min: the third is the one that may be cut short.
    delivery = make_delivery(handler, error_backoff=INSTANT, backoff_factor=3e4, max_backoff=NEVER)
    delivering = asyncio.create_task(give_up(delivery, receipt))
    await handler.attempts.more(PATIENT_ATTEMPTS)
    await turns(3)
    assert not delivering.done()
    receipt.holds_up.set()
    assert (await delivering).is_final is False


async def test_an_event_that_holds_up_nothing_is_tried_on() -> None:
    handler = Failing()
    delivering = asyncio.create_task(make_delivery(handler)(make_receipt()))
    await handler.attempts.more(3 * PATIENT_ATTEMPTS)
    assert not delivering.done()
    delivering.cancel()


async def test_nothing_is_left_to_temporal_while_most_of_the_lanes_fail() -> None:
    handler = Failing()
    delivery = make_delivery(handler, max_in_flight=4)
    receipts = [make_receipt(str(number), f"order-{number}") for number in range(3)]
    receipts[0].holds_up.set()
    delivering = [asyncio.create_task(delivery(receipt)) for receipt in receipts]
    await handler.attempts.more(9 * PATIENT_ATTEMPTS)
    assert not any(task.done() for task in delivering)
    delivering[2].cancel()
    async with asyncio.timeout(GUARD):
        failure = await delivering[0]
    assert failure
    assert not failure.is_final
    delivering[1].cancel()


async def test_the_events_that_fail_are_told_until_they_are_taken_or_given_up() -> None:
    poisoned = True
    attempts = Record[str]()

    async def handle(event: ConnectorEvent) -> None:
        attempts.add(event.id)
        if poisoned:
            raise ValueError("no")

    delivery = make_delivery(handle)
    delivering = asyncio.create_task(delivery(make_receipt("event-7")))
    await attempts.more(2)
    await turns(1)
    assert delivery.failing == ["event event-7, attempt 2: ValueError: no"]
    poisoned = False
    assert await delivering is None
    assert delivery.failing == []


# A handler that never comes to an end


async def test_an_attempt_that_takes_longer_than_the_handler_timeout_has_failed() -> None:
    delivery = make_delivery(hang, handler_timeout=SOON, max_attempts=2)
    failure = await give_up(delivery, make_receipt())
    assert failure.errors[0] == "TimeoutError: longer than handler_timeout, 0:00:00.005000"
    assert (failure.attempts, failure.is_final) == (2, True)


async def test_a_handler_that_ends_within_the_handler_timeout_has_taken_its_event() -> None:
    async def handle(_event: ConnectorEvent) -> None:
        await turns(3)

    assert await make_delivery(handle, handler_timeout=NEVER)(make_receipt()) is None


async def test_a_handler_that_fails_on_its_time_out_has_failed_and_is_tried_again() -> None:
    attempts = Record[str]()

    async def handle(event: ConnectorEvent) -> None:
        attempts.add(event.id)
        try:
            await hang(event)
        finally:
            raise ConnectionError("the rollback failed")

    failure = await give_up(make_delivery(handle, handler_timeout=SOON, max_attempts=2), make_receipt())
    assert attempts.count("1") == 2
    assert failure.errors == ["ConnectionError: the rollback failed"]


# A lease that is lost


async def test_an_event_that_comes_after_the_lease_was_lost_is_not_handled(clock: Clock) -> None:
    handler = Failing()
    delivery = make_delivery(handler)
    clock.pass_by(2 * NEVER)
    with pytest.raises(Stopped):
        await delivery(make_receipt())
    assert handler.attempts.entries == []


async def test_a_handler_gets_no_more_request_ids_and_no_more_attempts_once_the_lease_is_lost(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = Record[str]()

    async def handle(event: ConnectorEvent) -> None:
        outcomes.add(request_id("start", event.foreign_id))
        clock.pass_by(2 * NEVER)
        try:
            request_id("start", event.foreign_id)
        except LeaseLost:
            outcomes.add("refused")
            raise

    delivery = make_delivery(handle, max_attempts=1)
    with pytest.raises(Stopped):
        await delivery(make_receipt())
    assert outcomes.entries[1:] == ["refused"]
    assert caplog.records == []


async def test_an_event_whose_handler_ended_well_is_not_taken_if_the_lease_was_lost_meanwhile(
    clock: Clock,
) -> None:
    async def handle(_event: ConnectorEvent) -> None:
        clock.pass_by(2 * NEVER)
        with suppress(LeaseLost):  # a call is refused, and the handler makes nothing of that
            request_id("signal", "a")

    with pytest.raises(Stopped):
        await make_delivery(handle)(make_receipt())


async def test_a_process_that_was_frozen_in_a_back_off_tries_the_event_no_more(clock: Clock) -> None:
    handler = Failing()
    delivering = asyncio.create_task(make_delivery(handler)(make_receipt()))
    await handler.attempts.more(1)
    await turns(1)
    clock.pass_by(2 * NEVER)
    with pytest.raises(Stopped):
        await delivering
    assert handler.attempts.count("1") == 1


async def test_attempts_at_which_temporal_was_out_of_reach_do_not_count() -> None:
    errors: list[Exception] = [RPCError("away", RPCStatusCode.UNAVAILABLE, b"")] * 5
    attempts = Record[str]()

    async def handle(event: ConnectorEvent) -> None:
        attempts.add(event.id)
        raise errors.pop() if errors else LookupError("no such order")

    failure = await give_up(make_delivery(handle, max_attempts=2), make_receipt())
    assert attempts.count("1") == 7
    assert (failure.attempts, failure.errors) == (2, ["LookupError: no such order"])
