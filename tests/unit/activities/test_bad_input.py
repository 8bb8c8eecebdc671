"""Handlers and events that nobody would want, and what becomes of them."""

import asyncio

import pytest

from pumphouse.activities.delivery import Delivery
from pumphouse.connectors import ConnectorEvent
from tests.unit.activities.events import events_of, make_event
from tests.unit.activities.places import Lot
from tests.unit.activities.rigs import SOON, hang, pumping
from tests.unit.activities.sources import WatchedSource, fail_first

FORGED = "7\nINFO connector orders/payments: all is well\x1b[2J"
MANY = 10_000
LONG_GUARD = 60.0
"""Seconds after which so many events have failed to come; an idle machine takes one or two."""


class Odd(BaseException):
    """An error that is no `Exception`."""


@pytest.mark.parametrize(
    "error",
    [
        *(Odd(), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), asyncio.InvalidStateError()),
        *(StopAsyncIteration(), BaseExceptionGroup("several", [Odd(), SystemExit(1)]), MemoryError()),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_handler_raises_the_pump_goes_on(error: BaseException) -> None:
    left = [error]

    async def handle(_event: ConnectorEvent) -> None:
        if left:
            raise left.pop()

    async with pumping(WatchedSource(*events_of("a", "b")), handle) as rig:
        await rig.moves.until("ack 2")
        await rig.stop()
    assert len([move for move in rig.moves.entries if move.startswith("begin")]) == 3


async def test_what_a_handler_answers_is_ignored() -> None:
    async def handle(event: ConnectorEvent) -> object:
        return {"1": False, "2": ValueError("returned, not raised"), "3": Delivery}[event.id]

    async with pumping(WatchedSource(*events_of(*"aab")), handle) as rig:
        await rig.moves.until("ack 3")
    assert rig.moves.count("begin 1") == rig.moves.count("begin 2") == 1


async def test_without_a_handler_timeout_only_the_drain_timeout_ends_a_handler_that_never_does() -> None:
    async with pumping(WatchedSource(*events_of("a", "b")), hang, drain_timeout=SOON) as rig:
        await rig.moves.until("begin 1", "begin 2")
        await rig.heartbeats.more(3)
        assert rig.acks == []
        await rig.stop()
    assert rig.acks == []


async def test_ten_thousand_events_of_one_foreign_id_are_handled_in_order_and_a_window_at_a_time() -> None:
    handled: list[str] = []
    most_allowed, most, done = 8, 0, asyncio.Event()

    async def handle(event: ConnectorEvent) -> None:
        nonlocal most
        handled.append(event.id)
        if event.id == "1":
            await rig.heartbeats.next(lambda stats: stats.in_flight == most_allowed)
        if len(handled) == MANY:
            done.set()
        most = max(most, len(rig.pump._window))  # pyright: ignore[reportPrivateUsage]

    source = WatchedSource(*events_of(*["a"] * MANY))
    async with pumping(source, handle, max_in_flight=most_allowed) as rig:
        async with asyncio.timeout(LONG_GUARD):
            await done.wait()
        await rig.moves.until(f"ack {MANY}")
    assert handled == [str(number) for number in range(1, MANY + 1)]
    assert most == most_allowed


@pytest.mark.parametrize(("event_id", "foreign_id"), [(FORGED, "order-1"), ("7", FORGED)])
@pytest.mark.parametrize("fault", ["the handler", "the ack", "parking"])
async def test_an_id_with_control_characters_forges_no_log_line(
    caplog: pytest.LogCaptureFixture, event_id: str, foreign_id: str, fault: str
) -> None:
    async def handle(event: ConnectorEvent) -> None:
        if fault != "the ack":
            raise ValueError

    source = WatchedSource(make_event(event_id, foreign_id), before=fail_first(f"ack {event_id}", OSError()))
    lot = Lot(source.moves, before=fail_first(f"put {event_id}", OSError()))
    async with pumping(source, handle, lot=lot, max_attempts=1) as rig:
        await rig.moves.until(f"ack {event_id}")
    lines = [record.getMessage() for record in caplog.records]
    assert lines
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("header", ["a\nb", "\x00", "\x1b[2J", "\r\n\r\nGET / HTTP/1.1"])
async def test_headers_with_control_characters_come_to_the_handler_and_into_no_log(
    caplog: pytest.LogCaptureFixture, header: str
) -> None:
    handled: list[dict[str, str]] = []

    async def handle(event: ConnectorEvent) -> None:
        handled.append(event.headers)
        if len(handled) == 1:
            raise ValueError

    event = make_event(headers={header: header})
    async with pumping(WatchedSource(event), handle) as rig:
        await rig.moves.until("ack 1")
    assert handled == [{header: header}] * 2
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert header not in caplog.text
