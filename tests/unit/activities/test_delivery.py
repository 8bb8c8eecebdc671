import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from pumphouse.activities import delivery as delivery_module
from pumphouse.activities.delivery import Delivery, is_set_within
from pumphouse.connectors import ConnectorEvent
from pumphouse.workflows.requests import request_id
from tests.unit.activities.events import NO_TIME, make_event
from tests.unit.activities.meters import Meters
from tests.unit.activities.records import GUARD, Record, turns
from tests.unit.activities.rigs import NEVER, SOON, Handle, make_delivery, take

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


async def deliver(delivery: Delivery, event: ConnectorEvent) -> bool:
    async with asyncio.timeout(GUARD):
        return await delivery(event)


async def test_an_event_is_handled_once_when_all_goes_well() -> None:
    handler, event = Handler(), make_event()
    delivery = make_delivery(handler)
    assert await deliver(delivery, event)
    assert handler.attempts.entries == [event]
    assert (delivery.stats.delivered, delivery.stats.retried) == (1, 0)


async def test_an_event_whose_handler_fails_is_handled_again_until_it_is_taken() -> None:
    handler, event = Handler(*(ValueError(str(number)) for number in range(20))), make_event()
    delivery = make_delivery(handler, error_backoff=timedelta(milliseconds=1))
    assert await deliver(delivery, event)
    assert handler.attempts.entries == [event] * 21
    assert (delivery.stats.delivered, delivery.stats.retried) == (1, 20)


async def test_the_next_attempt_follows_after_the_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = watch_waits(monkeypatch)
    delivery = make_delivery(Handler(ValueError(), ValueError()), error_backoff=HOUR)
    assert await deliver(delivery, make_event())
    assert waits == [HOUR, HOUR]


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
    assert await deliver(make_delivery(handler), make_event())
    assert len(handler.attempts.entries) == 2


async def test_a_time_out_inside_the_handler_is_only_a_failed_attempt() -> None:
    attempts = Record[int]()

    async def handle(_event: ConnectorEvent) -> None:
        attempts.add(len(attempts.entries))
        async with asyncio.timeout(0 if len(attempts.entries) == 1 else None):
            await turns(3)

    assert await deliver(make_delivery(handle), make_event())
    assert len(attempts.entries) == 2


async def test_a_cancellation_from_outside_passes_through() -> None:
    begun = asyncio.Event()

    async def handle(_event: ConnectorEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    delivery = make_delivery(handle)
    delivering = asyncio.create_task(delivery(make_event()))
    await begun.wait()
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert delivery.stats.delivered == 0


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
    assert await deliver(make_delivery(consume_lag=HOUR), make_event(age=age))
    assert wait - timedelta(seconds=GUARD) <= sum(waits, NO_TIME) <= wait


async def test_a_handler_sees_an_event_only_after_the_lag() -> None:
    lag = timedelta(milliseconds=30)
    ages = Record[timedelta]()

    async def handle(event: ConnectorEvent) -> None:
        ages.add(datetime.now(UTC) - event.created_at)

    assert await deliver(make_delivery(handle, consume_lag=lag), make_event())
    clock_difference = timedelta(milliseconds=1)
    assert ages.entries[0] >= lag - clock_difference


async def test_a_stop_ends_the_wait_for_the_lag_without_handling() -> None:
    handler = Handler()
    delivery = make_delivery(handler, consume_lag=NEVER)
    delivering = asyncio.create_task(deliver(delivery, make_event()))
    await turns(5)
    assert not delivering.done()
    delivery.stopping.set()
    assert await delivering is False
    assert handler.attempts.entries == []


async def test_a_stop_ends_the_back_off_without_a_further_attempt() -> None:
    handler = Handler(ValueError())
    delivery = make_delivery(handler, error_backoff=NEVER)
    delivering = asyncio.create_task(deliver(delivery, make_event()))
    await handler.attempts.more(1)
    await turns(5)
    assert not delivering.done()
    delivery.stopping.set()
    assert await delivering is False
    assert len(handler.attempts.entries) == 1
    assert (delivery.stats.delivered, delivery.stats.retried) == (0, 0)


async def test_an_event_that_comes_after_the_stop_is_not_handled() -> None:
    handler = Handler()
    delivery = make_delivery(handler)
    delivery.stopping.set()
    assert await deliver(delivery, make_event()) is False
    assert handler.attempts.entries == []


async def test_a_handler_that_ends_well_after_the_stop_has_taken_its_event() -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def handle(_event: ConnectorEvent) -> None:
        begun.set()
        await gate.wait()

    delivery = make_delivery(handle)
    delivering = asyncio.create_task(deliver(delivery, make_event()))
    await begun.wait()
    delivery.stopping.set()
    gate.set()
    assert await delivering is True


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
    assert await deliver(make_delivery(recording_requests(made, failures=2)), make_event())
    first, second, third = made.entries
    assert first == second == third
    assert len(set(first)) == 4


async def test_a_redelivery_makes_its_requests_with_the_same_ids_and_another_event_with_others() -> None:
    made = Record[list[str]]()
    for event_id in ("1", "1", "2"):
        assert await deliver(make_delivery(recording_requests(made)), make_event(event_id))
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
    attempts = iter([failing, failing, take])
    event = make_event("event-7", "order-9", data={"amount": SECRET})

    async def handle(each: ConnectorEvent) -> None:
        await next(attempts)(each)

    assert await deliver(make_delivery(handle), event)

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    for number, record in enumerate(caplog.records, start=1):
        line = record.getMessage()
        assert line.startswith("connector orders/payments, event event-7, foreign ID order-9: ")
        assert f"attempt {number} failed, the next follows in {SOON}" in line
        assert described in line
    assert SECRET not in caplog.text


async def test_each_attempt_is_measured(meters: Meters) -> None:
    delivery = make_delivery(Handler(ValueError(), ValueError()))
    assert await deliver(delivery, make_event())
    assert meters.read_one("pumphouse.handler.errors") == 2
    assert meters.read_one("pumphouse.events.retried") == 2
    assert meters.read_one("pumphouse.handler.successes") == 1
    assert meters.read_one("pumphouse.events.delivered") == 1
    assert 0 <= meters.read_one("pumphouse.handler.duration") < GUARD


@pytest.mark.parametrize(
    ("is_set", "duration"), [(True, NO_TIME), (True, NEVER), (False, NO_TIME), (False, SOON)]
)
async def test_a_wait_tells_whether_the_event_was_set_within_it(*, is_set: bool, duration: timedelta) -> None:
    event = asyncio.Event()
    if is_set:
        event.set()
    assert await is_set_within(event, duration) is is_set


def watch_waits(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """Let every wait for a stop end at once; the list takes how long each would have been."""
    waits: list[timedelta] = []

    async def end_at_once(_event: asyncio.Event, duration: timedelta) -> bool:
        waits.append(duration)
        return False

    monkeypatch.setattr(delivery_module, "is_set_within", end_at_once)
    return waits
