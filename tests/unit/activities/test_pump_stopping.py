"""How a pump ends: told to stop, or cancelled; the rest of the pump is in test_pump.py."""

import asyncio

import pytest

from pumphouse.activities import pump as pump_module
from pumphouse.connectors import ConnectorEvent
from tests.unit.activities.events import events_of
from tests.unit.activities.records import turns
from tests.unit.activities.rigs import NEVER, SOON, Gates, Rig, hang, pumping
from tests.unit.activities.sources import Outage, WatchedSource, fail_first

A_FEW_BEATS = 3


async def fail(_event: ConnectorEvent) -> None:
    raise ValueError


async def test_a_stop_lets_the_handlers_end_and_acks_them_and_begins_nothing() -> None:
    gates = Gates()
    async with pumping(WatchedSource(*events_of("a", "a", "b")), gates) as rig:
        await rig.moves.until("begin 1", "begin 3")
        gates.open("2", "3")
        rig.tell_to_stop()
        await rig.heartbeats.more(A_FEW_BEATS)
        gates.open("1")
        await rig.ended()
    assert rig.moves.entries[-3:] == ["end 1", "ack 1", "close"]
    assert "begin 2" not in rig.moves.entries
    assert rig.moves.count("close") == 1
    assert rig.heartbeats.entries[-1].in_flight == 2


async def test_a_stop_acks_all_that_has_ended_before_it_closes() -> None:
    gates = Gates()
    async with pumping(WatchedSource(*events_of(*"abc")), gates) as rig:
        gates.open("2", "3")
        await rig.moves.until("end 2", "end 3")
        gates.open("1")
        await rig.stop()
    assert rig.moves.entries[-4:] == ["ack 1", "ack 2", "ack 3", "close"]


async def test_a_stop_waits_for_the_acks_and_goes_on_with_heartbeats() -> None:
    outage = Outage("ack 1")

    async def before(move: str) -> None:
        await outage(move)
        await turns(5)

    source = WatchedSource(*events_of("a", "b"), before=before)
    async with pumping(source) as rig:
        await rig.moves.until("end 2")
        await source.tries.until("ack 1")
        rig.tell_to_stop()
        await rig.heartbeats.more(A_FEW_BEATS)
        outage.end()
        await rig.ended()
    assert rig.moves.entries[-3:] == ["ack 1", "ack 2", "close"]


async def test_a_stop_waits_for_the_retry_of_an_ack_that_failed() -> None:
    source = WatchedSource(*events_of("a"), before=fail_first("ack 1", ConnectionError()))
    async with pumping(source) as rig:
        await source.tries.until("ack 1")
        await rig.stop()
    assert rig.moves.entries[-2:] == ["ack 1", "close"]


async def test_what_a_stop_has_left_is_handled_by_the_next_pump() -> None:
    source = WatchedSource(*events_of(*"aaa"))
    gates = Gates()
    async with pumping(source, gates) as rig:
        await rig.moves.until("begin 1")
        gates.open("1")
        await rig.stop()
    async with pumping(source) as rig:
        await rig.moves.until("ack 3")
        await rig.stop()
    handled = [move for move in rig.moves.entries if move.startswith("end")]
    assert handled == ["end 1", "end 2", "end 3"]


async def test_a_handler_that_never_ends_holds_up_a_stop_only_for_the_drain_timeout() -> None:
    async with pumping(WatchedSource(*events_of(*"abc")), Gates("1", "3"), drain_timeout=SOON) as rig:
        await rig.moves.until("ack 1", "begin 2", "end 3")
        await rig.stop()
    assert rig.acks == ["ack 1"]
    assert rig.moves.entries[-1] == "close"
    assert "end 2" not in rig.moves.entries


async def test_an_ack_that_never_ends_holds_up_a_stop_only_for_the_drain_timeout() -> None:
    source = WatchedSource(*events_of("a"), before=Outage("ack 1"))
    async with pumping(source, drain_timeout=SOON) as rig:
        await source.tries.until("ack 1")
        await rig.stop()
    assert rig.acks == []
    assert source.tries.entries[-2:] == ["ack 1", "close"]


async def test_a_back_off_of_the_handler_does_not_hold_up_a_stop() -> None:
    async with pumping(WatchedSource(*events_of("a")), fail, error_backoff=NEVER) as rig:
        await rig.moves.until("begin 1")
        await rig.stop()
    assert rig.moves.entries == ["make", "recv 1", "begin 1", "close"]


async def test_an_event_too_young_to_be_handled_does_not_hold_up_a_stop() -> None:
    async with pumping(WatchedSource(*events_of("a")), consume_lag=NEVER) as rig:
        await rig.moves.until("recv 1")
        await rig.stop()
    assert rig.moves.entries == ["make", "recv 1", "close"]


@pytest.mark.parametrize("error", [None, ConnectionError()], ids=["hangs", "fails"])
@pytest.mark.parametrize(("move", "moves"), [("make", []), ("recv", ["make", "close"])])
async def test_a_source_that_does_not_answer_does_not_hold_up_a_stop(
    move: str, moves: list[str], error: Exception | None
) -> None:
    source = WatchedSource(*events_of("a"), before=Outage(move, error))
    async with pumping(source, error_backoff=NEVER) as rig:
        await source.tries.until(move)
        await rig.heartbeats.more(A_FEW_BEATS)
        await rig.stop()
    assert rig.moves.entries == moves


async def test_a_full_window_does_not_hold_up_a_stop() -> None:
    async with pumping(WatchedSource(*events_of("a")), hang, max_in_flight=1, drain_timeout=SOON) as rig:
        await rig.moves.until("begin 1")
        await rig.heartbeats.more(A_FEW_BEATS)
        await rig.stop()
    assert rig.moves.entries == ["make", "recv 1", "begin 1", "close"]


async def test_a_pump_that_is_told_to_stop_before_it_begins_makes_no_consumer() -> None:
    async with pumping(WatchedSource(*events_of("a"))) as rig:
        await rig.stop()
    assert rig.moves.entries == []


async def test_a_consumer_that_fails_to_close_is_told_of_and_does_no_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = WatchedSource(*events_of("a"), before=Outage("close", ConnectionError("the broker is away")))
    async with pumping(source) as rig:
        await rig.moves.until("ack 1")
        await rig.stop()
    assert source.tries.count("close") == 1
    (record,) = caplog.records
    assert "orders/payments/1-of-1: did not close well: ConnectionError: the broker is away" in record.message


async def test_a_consumer_that_never_closes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "CLOSE_TIMEOUT", SOON)
    source = WatchedSource(before=Outage("close"))
    async with pumping(source) as rig:
        await rig.moves.until("make")
        await rig.stop()
    assert source.tries.count("close") == 1


async def test_a_pump_that_is_cancelled_in_a_handler_closes_its_consumer_and_acks_nothing() -> None:
    async with pumping(WatchedSource(*events_of("a", "b")), hang) as rig:
        await rig.moves.until("begin 1", "begin 2")
        await cancel(rig)
    assert rig.acks == []
    assert rig.moves.entries[-1] == "close"
    assert rig.moves.count("close") == 1


async def test_a_pump_that_is_cancelled_while_it_stops_closes_its_consumer() -> None:
    async with pumping(WatchedSource(*events_of("a")), hang) as rig:
        await rig.moves.until("begin 1")
        rig.tell_to_stop()
        await rig.heartbeats.more(A_FEW_BEATS)
        await cancel(rig)
    assert rig.moves.entries[-1] == "close"
    assert rig.moves.count("close") == 1


@pytest.mark.parametrize(("move", "moves"), [("make", []), ("recv", ["make", "close"])])
async def test_a_pump_that_is_cancelled_while_the_source_hangs_closes_what_it_has(
    move: str, moves: list[str]
) -> None:
    source = WatchedSource(before=Outage(move))
    async with pumping(source) as rig:
        await source.tries.until(move)
        await cancel(rig)
    assert rig.moves.entries == moves


async def cancel(rig: Rig) -> None:
    rig.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rig.ended()
