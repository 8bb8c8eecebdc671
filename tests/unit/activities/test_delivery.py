import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from pumphouse.activities import delivery as delivery_module
from pumphouse.activities.acks import Failure, Receipt
from pumphouse.activities.delivery import Delivery
from pumphouse.activities.retry import Stopped
from pumphouse.connectors import ConnectorEvent
from pumphouse.workflows.requests import request_id
from tests.unit.activities.events import NO_TIME, make_event, make_receipt, no_ack
from tests.unit.activities.meters import Meters
from tests.unit.activities.records import GUARD, Record, turns
from tests.unit.activities.rigs import NEVER, Handle, make_delivery

SECRET = "hunter2"  # noqa: S105 - stands for an event's data
HOUR = timedelta(hours=1)


class Handler:
    """Fails with each of the errors given, one an attempt, and then takes the event."""

    def __init__(self, *errors: BaseException) -> None:
        self.attempts = Record[ConnectorEvent]()
        self._errors = list(errors)

    async def __call__(self, event: ConnectorEvent) -> None:
        self.attempts.add(event)
        if self._errors:
            raise self._errors.pop(0)

    def fail_with(self, *errors: BaseException) -> None:
        self._errors.extend(errors)


async def deliver(delivery: Delivery, event: ConnectorEvent) -> Failure | None:
    async with asyncio.timeout(GUARD):
        return await delivery(Receipt(event, no_ack))


async def is_taken(delivery: Delivery, event: ConnectorEvent) -> bool:
    return await deliver(delivery, event) is None


async def test_an_event_is_handled_once_when_all_goes_well() -> None:
    handler, event = Handler(), make_event()
    delivery = make_delivery(handler)
    assert await is_taken(delivery, event)
    assert handler.attempts.entries == [event]
    assert (delivery.context.stats.delivered, delivery.context.stats.retried) == (1, 0)


async def test_an_event_whose_handler_fails_is_handled_again_until_it_is_taken() -> None:
    handler, event = Handler(*(ValueError(str(number)) for number in range(20))), make_event()
    delivery = make_delivery(
        handler, error_backoff=timedelta(milliseconds=1), max_backoff=timedelta(milliseconds=1)
    )
    assert await is_taken(delivery, event)
    assert handler.attempts.entries == [event] * 21
    assert (delivery.context.stats.delivered, delivery.context.stats.retried) == (1, 20)


async def test_the_next_attempt_follows_after_the_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = watch_waits(monkeypatch)
    delivery = make_delivery(Handler(ValueError(), ValueError()), error_backoff=HOUR)
    assert await is_taken(delivery, make_event())
    assert waits == [HOUR, HOUR]


async def test_the_back_off_grows_with_each_failed_attempt_and_begins_anew_with_the_next_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = watch_waits(monkeypatch)
    handler = Handler(*(ValueError() for _ in range(4)))
    delivery = make_delivery(handler, error_backoff=HOUR, backoff_factor=3, max_backoff=10 * HOUR)
    assert await is_taken(delivery, make_event())
    handler.fail_with(ValueError())
    assert await is_taken(delivery, make_event("2"))
    assert waits == [HOUR, 3 * HOUR, 9 * HOUR, 10 * HOUR, HOUR]


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(1),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        TimeoutError(),
        BaseExceptionGroup("all at once", [SystemExit(1)]),
        StopAsyncIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_handler_raises_is_only_a_failed_attempt(error: BaseException) -> None:
    handler = Handler(error)
    assert await is_taken(make_delivery(handler), make_event())
    assert len(handler.attempts.entries) == 2


async def test_a_time_out_inside_the_handler_is_only_a_failed_attempt() -> None:
    attempts = Record[int]()

    async def handle(_event: ConnectorEvent) -> None:
        attempts.add(len(attempts.entries))
        async with asyncio.timeout(0 if len(attempts.entries) == 1 else None):
            await turns(3)

    assert await is_taken(make_delivery(handle), make_event())
    assert len(attempts.entries) == 2


async def test_a_cancellation_from_outside_passes_through() -> None:
    begun = asyncio.Event()

    async def handle(_event: ConnectorEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    delivery = make_delivery(handle)
    delivering = asyncio.create_task(delivery(make_receipt()))
    await begun.wait()
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert delivery.context.stats.delivered == 0


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (2 * HOUR, NO_TIME),
        (HOUR, NO_TIME),
        (HOUR / 4, HOUR * 3 / 4),
        (NO_TIME, HOUR),
        (-HOUR, HOUR),
        (timedelta(days=-36500), HOUR),
    ],
)
async def test_an_event_waits_until_it_is_old_enough_and_never_longer_than_the_lag(
    monkeypatch: pytest.MonkeyPatch, age: timedelta, wait: timedelta
) -> None:
    waits = watch_waits(monkeypatch)
    assert await is_taken(make_delivery(consume_lag=HOUR), make_event(age=age))
    assert wait - timedelta(seconds=GUARD) <= sum(waits, NO_TIME) <= wait


async def test_a_handler_sees_an_event_only_after_the_lag() -> None:
    lag = timedelta(milliseconds=30)
    ages = Record[timedelta]()

    async def handle(event: ConnectorEvent) -> None:
        ages.add(datetime.now(UTC) - event.created_at)

    assert await is_taken(make_delivery(handle, consume_lag=lag), make_event())
    clock_difference = timedelta(milliseconds=1)
    assert ages.entries[0] >= lag - clock_difference


async def test_a_stop_ends_the_wait_for_the_lag_without_handling() -> None:
    handler = Handler()
    delivery = make_delivery(handler, consume_lag=NEVER)
    delivering = asyncio.create_task(deliver(delivery, make_event()))
    await turns(5)
    assert not delivering.done()
    delivery.context.stopping.set()
    with pytest.raises(Stopped):
        await delivering
    assert handler.attempts.entries == []


async def test_a_stop_ends_the_back_off_without_a_further_attempt() -> None:
    handler = Handler(ValueError())
    delivery = make_delivery(handler, error_backoff=NEVER)
    delivering = asyncio.create_task(deliver(delivery, make_event()))
    await handler.attempts.more(1)
    await turns(5)
    assert not delivering.done()
    delivery.context.stopping.set()
    with pytest.raises(Stopped):
        await delivering
    assert len(handler.attempts.entries) == 1
    assert (delivery.context.stats.delivered, delivery.context.stats.retried) == (0, 0)


async def test_an_event_that_comes_after_the_stop_is_not_handled() -> None:
    handler = Handler()
    delivery = make_delivery(handler)
    delivery.context.stopping.set()
    with pytest.raises(Stopped):
        await deliver(delivery, make_event())
    assert handler.attempts.entries == []


async def test_a_handler_that_ends_well_after_the_stop_has_taken_its_event() -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def handle(_event: ConnectorEvent) -> None:
        begun.set()
        await gate.wait()

    delivery = make_delivery(handle)
    delivering = asyncio.create_task(deliver(delivery, make_event()))
    await begun.wait()
    delivery.context.stopping.set()
    gate.set()
    assert await delivering is None


def recording_requests(into: Record[list[str]], *, failures: int = 0) -> Handle:
    """A handler that makes four requests, one of them in a task of its own."""

    async def in_a_task() -> str:
        return request_id("signal", "orders/1")

    async def handle(_event: ConnectorEvent) -> None:
        equal = [request_id("start", "orders/1"), request_id("start", "orders/1")]
        others = [request_id("start", "orders/2"), await asyncio.create_task(in_a_task())]
        into.add([*equal, *others])
        if len(into.entries) <= failures:
            raise ValueError

    return handle


async def test_each_attempt_makes_its_requests_with_the_same_ids() -> None:
    made = Record[list[str]]()
    assert await is_taken(make_delivery(recording_requests(made, failures=2)), make_event())
    first, second, third = made.entries
    assert first == second == third
    assert len(set(first)) == 4


async def test_a_redelivery_makes_its_requests_with_the_same_ids_and_another_event_with_others() -> None:
    made = Record[list[str]]()
    for event_id in ("1", "1", "2"):
        assert await is_taken(make_delivery(recording_requests(made)), make_event(event_id))
    first, again, another = made.entries
    assert first == again
    assert not set(first) & set(another)


async def test_request_ids_are_random_again_after_the_handler() -> None:
    made = Record[list[str]]()
    await deliver(make_delivery(recording_requests(made)), make_event())
    outside = [request_id("start", "orders/1"), request_id("start", "orders/1")]
    assert len({*outside, *made.entries[0]}) == 6


class Payment(BaseModel):
    amount: int


async def _validate(event: ConnectorEvent) -> None:
    Payment.model_validate(event.data)


async def _validate_and_wrap(event: ConnectorEvent) -> None:
    try:
        await _validate(event)
    except ValueError as error:
        raise RuntimeError("not a payment") from error


async def _fail(_event: ConnectorEvent) -> None:
    raise ConnectionError("the server is away")


@pytest.mark.parametrize(
    ("failing", "described"),
    [
        (_fail, "ConnectionError: the server is away"),
        (_validate, "ValidationError of Payment: amount: int_parsing"),
        (_validate_and_wrap, "RuntimeError: not a payment, caused by ValidationError of Payment"),
    ],
)
async def test_a_failure_is_logged_with_the_event_named_and_without_its_data(
    caplog: pytest.LogCaptureFixture, failing: Callable[[ConnectorEvent], Awaitable[None]], described: str
) -> None:
    event = make_event("event-7", "order-9", data={"amount": SECRET})
    failure = await deliver(make_delivery(failing, max_attempts=2), event)
    assert failure
    assert SECRET not in failure.described

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * failure.attempts
    *earlier, last = [record.getMessage() for record in caplog.records]
    for number, line in enumerate(earlier, start=1):
        assert f"attempt {number} failed, the next follows after a back-off: " in line
    assert f"attempt {failure.attempts} failed, the event is given up: " in last
    for line in (*earlier, last):
        assert line.startswith("connector orders/payments, event event-7, foreign ID order-9: ")
        assert described in line
    assert SECRET not in caplog.text


async def test_each_attempt_is_measured(meters: Meters) -> None:
    delivery = make_delivery(Handler(ValueError(), ValueError()))
    assert await is_taken(delivery, make_event())
    assert meters.read_one("pumphouse.handler.errors") == 2
    assert meters.read_one("pumphouse.events.retried") == 2
    assert meters.read_one("pumphouse.handler.successes") == 1
    assert meters.read_one("pumphouse.events.delivered") == 1
    assert 0 <= meters.read_one("pumphouse.handler.duration") < GUARD


def watch_waits(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """Let every wait for a stop end at once; the list takes how long each would have been."""
    waits: list[timedelta] = []

    async def end_at_once(duration: timedelta, *_events: asyncio.Event) -> bool:
        waits.append(duration)
        return False

    monkeypatch.setattr(delivery_module, "is_any_set_within", end_at_once)
    return waits
