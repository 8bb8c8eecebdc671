"""The activities of parked events, as a worker runs them, without a server."""

import asyncio
import dataclasses
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Unpack

import pytest
from pydantic import BaseModel, JsonValue
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from pumphouse.activities import redrive as redrive_module
from pumphouse.activities.redrive import PAUSED_DELAY, parked_activities
from pumphouse.connectors import ConnectorConstructor, ConnectorConsumer, ConnectorEvent, InvalidEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.workflows import API, ConnectorOptions, Workflow
from pumphouse.workflows.messages import ConnectorRecord, ConnectorState
from pumphouse.workflows.options import ConnectorKeywords
from pumphouse.workflows.parked import ParkedEvent, RedriveFailure, RedriveInput
from pumphouse.workflows.requests import RequestIDs, request_id
from tests.unit.activities.events import make_event
from tests.unit.activities.records import GUARD, Record
from tests.unit.activities.rigs import SOON, Handle, hang, make_options, take

SECRET = "hunter2"  # noqa: S105 - stands for an event's data

Activity = Callable[[Any], Awaitable[None]]


class Status(Enum):
    CREATED = 1
    PAID = 2


class Order(BaseModel):
    total: int


def make_parked(event: ConnectorEvent | None, **fields: Any) -> ParkedEvent:
    now = datetime.now(UTC)
    kept = event.model_dump(mode="json") if event else None
    return dataclasses.replace(ParkedEvent("orders", "payments", "1", "order-1", kept, now, now), **fields)


def make_activities(
    handle: Handle = take, source: ConnectorConstructor | None = None, **keywords: Unpack[ConnectorKeywords]
) -> dict[str, Activity]:
    """The activities of a connector's parked events, by the names that Temporal knows."""
    orders = Workflow("orders", Order, Status)
    orders.allow(Status.CREATED, Status.PAID)

    async def handler(_api: API[Order, Status], event: ConnectorEvent) -> None:
        await handle(event)

    options: ConnectorOptions = make_options(**keywords)
    orders.add_connector("payments", source or MemoryConnector(), handler, options)
    made = parked_activities(orders, orders.connectors[0])
    return {str(activity._Definition.must_from_callable(each).name): each for each in made}  # pyright: ignore[reportPrivateUsage]


async def run(
    function: Activity, argument: object, *heartbeat_details: object, beats: list[object] | None = None
) -> list[object]:
    """Run an activity without a server; the details of its heartbeats, which `beats` takes too."""
    beats = [] if beats is None else beats
    environment = ActivityEnvironment(client=await Client.connect("nowhere:1", lazy=True))
    environment.info = dataclasses.replace(environment.info, heartbeat_details=heartbeat_details)
    environment.on_heartbeat = beats.append
    async with asyncio.timeout(GUARD):
        await environment.run(function, argument)
    return beats


async def redrive(
    handle: Handle,
    parked: ParkedEvent | None = None,
    *,
    attempts_before: int = 0,
    source: ConnectorConstructor | None = None,
    limit: int | None = None,
    **keywords: Unpack[ConnectorKeywords],
) -> list[object]:
    """Redrive an event as somebody has asked."""
    function = make_activities(handle, source, **keywords)["orders.redrive[payments]"]
    request = RedriveInput(parked or make_parked(make_event()), limit, is_asked=True)
    return await run(function, request, *([attempts_before] if attempts_before else []))


async def redrive_and_fail(
    handle: Handle,
    parked: ParkedEvent | None = None,
    *,
    attempts_before: int = 0,
    source: ConnectorConstructor | None = None,
    limit: int | None = None,
    **keywords: Unpack[ConnectorKeywords],
) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await redrive(handle, parked, attempts_before=attempts_before, source=source, limit=limit, **keywords)
    return caught.value


def failing(error: BaseException) -> Handle:
    async def handle(_event: ConnectorEvent) -> None:
        raise error

    return handle


async def validate(event: ConnectorEvent) -> None:
    Order.model_validate(event.data)


async def validate_and_wrap(event: ConnectorEvent) -> None:
    try:
        await validate(event)
    except ValueError as error:
        raise RuntimeError("not an order") from error


async def test_a_parked_event_comes_to_the_handler_as_it_came_from_the_source() -> None:
    handled = Record[ConnectorEvent]()
    event = make_event("7", "order-9", data={"total": [1, None, "é"]}, headers={"tenant": "a"})

    async def handle(each: ConnectorEvent) -> str:
        handled.add(each)
        return "what a handler answers is of no interest"

    await redrive(handle, make_parked(event))
    assert handled.entries == [event]


async def test_a_redrive_makes_its_requests_with_the_ids_that_the_event_has_always_had() -> None:
    made = Record[str]()

    async def handle(event: ConnectorEvent) -> None:
        made.add(request_id("start", event.foreign_id))

    for attempts in (0, 1):
        await redrive(handle, make_parked(make_event("7", "a")), attempts_before=attempts)
    expected = RequestIDs("orders", "payments", "7").next("start", "a")
    assert made.entries == [expected, expected]


async def test_a_handler_that_fails_fails_the_attempt_and_tells_the_causes() -> None:
    error = RuntimeError("not an order")
    error.__cause__ = KeyError("total")
    failure = await redrive_and_fail(failing(error), attempts_before=3)
    assert failure.message == "RuntimeError: not an order, caused by KeyError: 'total'"
    assert list(failure.details) == [
        RedriveFailure(["RuntimeError: not an order", "KeyError: 'total'"], attempts=4)
    ]
    assert (failure.type, failure.non_retryable) == ("NotRedriven", False)


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (ConnectionError("away"), False),
        (SystemExit(1), False),
        (KeyboardInterrupt(), False),
        (asyncio.CancelledError(), False),
        (ExceptionGroup("both", [ValueError(), ValueError()]), False),
        (InvalidEvent("payments", "7", "no amount"), True),
        (KeyError("total"), True),
        (ExceptionGroup("both", [ValueError(), KeyError("total")]), True),
        (ApplicationError("no", non_retryable=True), False),
    ],
    ids=repr,
)
async def test_only_an_error_that_would_come_again_is_the_last(
    error: BaseException, *, is_final: bool
) -> None:
    failure = await redrive_and_fail(failing(error), non_retryable=(LookupError,))
    assert failure.non_retryable is is_final


@pytest.mark.parametrize("handle", [validate, validate_and_wrap])
@pytest.mark.parametrize("data", [{"total": SECRET}, SECRET])
async def test_what_temporal_keeps_of_a_failure_is_without_the_events_data(
    handle: Handle, data: JsonValue
) -> None:
    failure = await redrive_and_fail(handle, make_parked(make_event(data=data)))
    kept = "".join(traceback.format_exception(failure))
    assert "ValidationError of Order" in f"{failure.details}"
    assert SECRET not in f"{kept}{failure.details}"
    assert failure.__cause__ is None


async def test_an_event_that_temporal_does_not_hold_is_taken_from_the_source() -> None:
    handled = Record[ConnectorEvent]()
    mended = make_event("7", data="mended")

    async def handle(event: ConnectorEvent) -> None:
        handled.add(event)

    await redrive(handle, make_parked(None, source_id="7"), source=MemoryConnector([make_event(), mended]))
    assert handled.entries == [mended]


class Unsearchable:
    """A connector that cannot look an event up."""

    async def make(self, consumer_name: str) -> ConnectorConsumer:
        raise NotImplementedError


@pytest.mark.parametrize(
    "source", [MemoryConnector(), Unsearchable()], ids=lambda source: type(source).__name__
)
async def test_an_event_that_neither_temporal_nor_the_source_has_is_not_handled(
    source: ConnectorConstructor,
) -> None:
    handled = Record[ConnectorEvent]()

    async def handle(event: ConnectorEvent) -> None:
        handled.add(event)

    failure = await redrive_and_fail(handle, make_parked(None, source_id="42"), source=source)
    assert failure.message.startswith("EventNotFound: payments/1: Temporal does not hold this event")
    assert failure.non_retryable
    assert handled.entries == []


async def test_a_source_that_is_away_while_the_event_is_looked_up_is_asked_again() -> None:
    class Away(MemoryConnector):
        async def find(self, event_id: str) -> ConnectorEvent | None:
            raise ConnectionError(event_id)

    failure = await redrive_and_fail(take, make_parked(None, source_id="1"), source=Away())
    assert failure.message == "ConnectionError: 1"
    assert not failure.non_retryable


async def test_an_event_that_a_later_version_parked_fails_without_its_data() -> None:
    parked = make_parked(make_event())
    parked.event["priority"] = SECRET
    failure = await redrive_and_fail(take, parked)
    assert SECRET not in "".join(traceback.format_exception(failure))


async def test_an_attempt_that_takes_longer_than_the_handler_timeout_has_failed() -> None:
    failure = await redrive_and_fail(hang, handler_timeout=SOON)
    assert failure.message == "TimeoutError: longer than handler_timeout, 0:00:00.005000"
    assert not failure.non_retryable


async def test_a_redrive_that_is_cancelled_ends_as_cancelled() -> None:
    begun = asyncio.Event()

    async def handle(_event: ConnectorEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    redriving = asyncio.create_task(redrive(handle))
    async with asyncio.timeout(GUARD):
        await begun.wait()
    redriving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await redriving


async def test_each_attempt_is_counted_from_where_the_last_one_left_off() -> None:
    assert await redrive(take) == [1]
    assert await redrive(take, attempts_before=6) == [7]


@pytest.mark.parametrize(("before", "is_final"), [(0, False), (1, False), (2, True)])
async def test_the_last_attempt_that_is_allowed_is_final(before: int, *, is_final: bool) -> None:
    failure = await redrive_and_fail(failing(ValueError()), attempts_before=before, limit=3)
    assert failure.non_retryable is is_final


# A connector that is paused, stopped, or in a dry run

PAUSED = ConnectorRecord(ConnectorState.PAUSED)
DRY_RUN = ConnectorRecord(dry_run=True)


def supervise(
    monkeypatch: pytest.MonkeyPatch, record: ConnectorRecord, status: RPCStatusCode | None = None
) -> None:
    """Let the supervisor answer so, or with an error of that status."""

    async def describe(_handle: object) -> None:
        if status:
            raise RPCError("no", status, b"")

    async def read(_description: object) -> ConnectorRecord:
        return record

    monkeypatch.setattr(WorkflowHandle, "describe", describe)
    monkeypatch.setattr(redrive_module, "read_connector", read)


async def redrive_unasked(handle: Handle) -> list[object]:
    request = RedriveInput(make_parked(make_event()))
    return await run(make_activities(handle)["orders.redrive[payments]"], request)


@pytest.mark.parametrize(
    ("record", "how"), [(PAUSED, "paused"), (DRY_RUN, "in a dry run")], ids=["paused", "dry run"]
)
async def test_an_attempt_that_nobody_asked_for_is_put_off_while_the_connector_does_not_run(
    monkeypatch: pytest.MonkeyPatch, record: ConnectorRecord, how: str
) -> None:
    handled = Record[ConnectorEvent]()

    async def handle(event: ConnectorEvent) -> None:
        handled.add(event)

    supervise(monkeypatch, record)
    with pytest.raises(ApplicationError, match=f"^NotRunning: connector orders/payments is {how}$") as caught:
        await redrive_unasked(handle)
    assert caught.value.next_retry_delay == PAUSED_DELAY
    assert not caught.value.non_retryable
    assert handled.entries == []
    assert await redrive(handle) == [1]


@pytest.mark.parametrize("status", [None, RPCStatusCode.NOT_FOUND])
async def test_an_attempt_is_made_while_the_connector_runs_or_was_never_touched(
    monkeypatch: pytest.MonkeyPatch, status: RPCStatusCode | None
) -> None:
    supervise(monkeypatch, ConnectorRecord(), status)
    assert await redrive_unasked(take) == [1]


async def test_no_attempt_is_made_while_temporal_does_not_tell_whether_the_connector_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervise(monkeypatch, ConnectorRecord(), RPCStatusCode.UNAVAILABLE)
    with pytest.raises(RPCError):
        await redrive_unasked(failing(AssertionError()))


# The sink


async def test_a_connector_without_a_sink_has_no_activity_for_it() -> None:
    assert set(make_activities()) == {"orders.redrive[payments]"}


async def test_the_sink_is_told_of_the_event() -> None:
    told = Record[ParkedEvent]()

    async def sink(parked: ParkedEvent) -> None:
        told.add(parked)

    parked = make_parked(make_event())
    await run(make_activities(on_dead_letter=sink)["orders.dead-letter[payments]"], parked)
    assert told.entries == [parked]


async def test_a_sink_that_fails_is_to_be_repeated_whatever_it_says() -> None:
    async def sink(_parked: ParkedEvent) -> None:
        raise ApplicationError("never again", 7, type="Full", non_retryable=True)

    function = make_activities(on_dead_letter=sink)["orders.dead-letter[payments]"]
    with pytest.raises(ApplicationError) as caught:
        await run(function, make_parked(None))
    failure = caught.value
    assert (failure.message, failure.type, list(failure.details)) == ("never again", "Full", [7])
    assert not failure.non_retryable


@pytest.mark.parametrize(
    ("error", "counted"), [(RPCError("away", RPCStatusCode.UNAVAILABLE, b""), 3), (LookupError(), 4)]
)
async def test_an_attempt_at_which_temporal_was_out_of_reach_does_not_count(
    error: Exception, counted: int
) -> None:
    beats: list[object] = []
    function = make_activities(failing(error))["orders.redrive[payments]"]
    with pytest.raises(ApplicationError):
        await run(function, RedriveInput(make_parked(make_event()), 9, is_asked=True), 3, beats=beats)
    assert beats[-1] == counted
