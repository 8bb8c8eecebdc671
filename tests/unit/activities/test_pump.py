import itertools
import logging
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumphouse.activities.shards import shards
from pumphouse.activities.stats import PumpStats
from pumphouse.connectors import ConnectorEvent, InvalidEvent
from tests.unit.activities.events import events_of, make_event
from tests.unit.activities.meters import Meters
from tests.unit.activities.records import GUARD, turns
from tests.unit.activities.rigs import HEARTBEAT_TIMEOUT, NEVER, ONLY_SHARD, Gates, hang, pumping
from tests.unit.activities.sources import Outage, WatchedSource, fail_first

CONSUMER_NAME = f"orders/payments/{ONLY_SHARD}"
A_FEW_BEATS = 3


# Receiving, handling, acking


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), max_size=20), st.integers(1, 5))
@settings(deadline=None, max_examples=50)
async def test_every_event_is_handled_in_order_and_then_acked_in_the_order_of_receipt(
    plan: list[tuple[str, int]], max_in_flight: int
) -> None:
    events = events_of(*(foreign_id for foreign_id, _ in plan))

    async def handle(event: ConnectorEvent) -> None:
        await turns(plan[int(event.id) - 1][1])

    async with pumping(WatchedSource(*events), handle, max_in_flight=max_in_flight) as rig:
        await rig.moves.until(*(f"ack {event.id}" for event in events))
        await rig.stop()

    moves = rig.moves.entries
    assert rig.acks == [f"ack {event.id}" for event in events]
    assert all(moves.index(f"end {event.id}") < moves.index(f"ack {event.id}") for event in events)
    for foreign_id in "abc":
        mine = [event.id for event in events if event.foreign_id == foreign_id]
        handled = [f"{what} {event_id}" for event_id in mine for what in ("begin", "end")]
        assert [move for move in moves if move in handled] == handled


async def test_an_event_is_not_acked_while_its_handler_runs() -> None:
    gates = Gates()
    async with pumping(WatchedSource(*events_of("a", "b")), gates) as rig:
        gates.open("2")
        await rig.moves.until("end 2")
        await rig.heartbeats.more(A_FEW_BEATS)
        assert rig.acks == []
        gates.open("1")
        await rig.moves.until("ack 2")
    assert rig.acks == ["ack 1", "ack 2"]


async def test_no_more_is_taken_from_the_source_than_max_in_flight() -> None:
    gates = Gates()
    async with pumping(WatchedSource(*events_of(*"abcdef")), gates, max_in_flight=3) as rig:
        await rig.moves.until("begin 3")
        beats = await rig.heartbeats.more(A_FEW_BEATS)
        assert [beat.in_flight for beat in beats] == [3] * A_FEW_BEATS
        assert rig.source.tries.count("recv") == 3
        gates.open("1")
        await rig.moves.until("begin 4")
        await rig.heartbeats.more(A_FEW_BEATS)
        assert rig.source.tries.count("recv") == 4


async def test_events_of_other_shards_are_acked_as_skipped_and_never_handled(meters: Meters) -> None:
    shard = shards(2)[0]
    events = events_of(*(f"order-{number}" for number in range(20)))
    mine = [event.id for event in events if shard.takes(event.foreign_id)]
    assert 0 < len(mine) < 20
    async with pumping(WatchedSource(*events), shard=shard) as rig:
        await rig.moves.until("ack 20")
        await rig.stop()
    assert sorted(move for move in rig.moves.entries if move.startswith("begin")) == sorted(
        f"begin {event_id}" for event_id in mine
    )
    stats = rig.heartbeats.entries[-1]
    assert (stats.received, stats.delivered, stats.skipped) == (20, len(mine), 20 - len(mine))
    assert meters.read_one("pumphouse.events.received") == 20
    assert meters.read_one("pumphouse.events.skipped") == 20 - len(mine)


async def test_a_poison_event_does_not_stop_the_other_foreign_ids() -> None:
    poisoned = True

    async def handle(event: ConnectorEvent) -> None:
        if poisoned and event.foreign_id == "poison":
            raise ValueError

    events = events_of("a", "poison", *"abcabc")
    async with pumping(WatchedSource(*events), handle) as rig:
        await rig.moves.until("end 8")
        assert (await rig.heartbeats.next(lambda stats: stats.retried > 3)).delivered == 7
        assert rig.acks == ["ack 1"]
        poisoned = False
        await rig.moves.until("ack 8")


async def test_an_ack_that_fails_is_called_again_and_none_overtakes_it(meters: Meters) -> None:
    source = WatchedSource(*events_of(*"abc"), before=fail_first("ack 2", OSError(), OSError()))
    async with pumping(source) as rig:
        await rig.moves.until("ack 3")
    assert [each for each in source.tries.entries if each.startswith("ack")] == [
        *("ack 1", "ack 2", "ack 2", "ack 2", "ack 3"),
    ]
    assert meters.read_one("pumphouse.source.errors") == 2


async def test_an_ack_that_fails_is_called_again_only_after_the_back_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = WatchedSource(make_event("7", "order-9"), before=Outage("ack 7", OSError("the broker is away")))
    async with pumping(source, error_backoff=NEVER) as rig:
        failed = await rig.heartbeats.next(lambda stats: stats.source_error != "")
        await rig.heartbeats.more(A_FEW_BEATS)
        assert source.tries.count("ack 7") == 1
    assert failed.source_error == "OSError"
    (record,) = caplog.records
    assert record.message.startswith(f"connector {CONSUMER_NAME}, ack of event 7, foreign ID order-9: ")
    assert record.message.endswith(": OSError: the broker is away")


# A source out of reach


async def test_a_source_that_fails_is_asked_again_and_shows_its_error_and_a_growing_lag() -> None:
    outage = Outage("recv", ConnectionError("the broker is away"))
    async with pumping(WatchedSource(*events_of("a"), before=outage)) as rig:
        beats = [await rig.heartbeats.next(lambda stats: stats.source_error != "") for _ in range(4)]
        assert {beat.source_error for beat in beats} == {"ConnectionError"}
        lags = [beat.lag_seconds for beat in beats]
        assert lags == sorted(set(lags))
        outage.end()
        await rig.moves.until("ack 1")
        mended = await rig.heartbeats.next(lambda stats: stats.acked == 1)
    assert (mended.source_error, mended.lag_seconds) == ("", 0)


@pytest.mark.parametrize("move", ["make", "recv"])
async def test_a_source_that_fails_is_asked_again_only_after_the_back_off(move: str) -> None:
    source = WatchedSource(*events_of("a"), before=Outage(move, ConnectionError()))
    async with pumping(source, error_backoff=NEVER) as rig:
        await rig.heartbeats.next(lambda stats: stats.source_error != "")
        await rig.heartbeats.more(A_FEW_BEATS)
        assert source.tries.count(move) == 1
        await rig.stop()


async def test_a_consumer_that_cannot_be_made_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    before = fail_first("make", ConnectionError("the broker is away"), ConnectionError("still"))
    source = WatchedSource(*events_of("a"), before=before)
    async with pumping(source) as rig:
        await rig.moves.until("ack 1")
        await rig.stop()
    assert source.tries.count("make") == 3
    assert rig.moves.count("close") == 1
    line = caplog.records[0].getMessage()
    assert CONSUMER_NAME in line
    assert "the broker is away" in line


async def test_an_event_that_cannot_be_read_stays_in_its_place_until_it_is_mended() -> None:
    outage = Outage("recv", InvalidEvent("payments", "1", "no ID"))
    async with pumping(WatchedSource(*events_of(*"ab"), before=outage)) as rig:
        await rig.heartbeats.next(lambda stats: stats.source_error == "InvalidEvent")
        await rig.heartbeats.more(A_FEW_BEATS)
        assert rig.source.tries.count("recv") > 1
        assert rig.moves.entries == ["make"]
        outage.end()
        await rig.moves.until("ack 2")
    assert rig.acks == ["ack 1", "ack 2"]


# Heartbeats


@pytest.mark.parametrize("max_in_flight", [1, 64], ids=["the window is full", "the source has nothing"])
async def test_heartbeats_go_on_while_the_pump_waits(max_in_flight: int) -> None:
    async with pumping(WatchedSource(*events_of("a")), hang, max_in_flight=max_in_flight) as rig:
        await rig.moves.until("begin 1")
        await rig.heartbeats.more(10)


async def test_a_heartbeat_may_come_late_without_harm() -> None:
    times: list[float] = []
    async with pumping(WatchedSource()) as rig:
        for _ in range(10):
            await rig.heartbeats.more(1)
            times.append(time.monotonic())
    shortest = min(later - earlier for earlier, later in itertools.pairwise(times))
    assert shortest < HEARTBEAT_TIMEOUT.total_seconds() / 3


async def test_a_fast_source_makes_no_more_heartbeats_than_a_slow_one() -> None:
    async with pumping(WatchedSource(*events_of(*"abcdefghij" * 20)), heartbeat_timeout=NEVER) as rig:
        await rig.moves.until("ack 200")
        await rig.stop()
    at_the_start_and_the_end = 2
    assert len(rig.heartbeats.entries) == at_the_start_and_the_end


async def test_a_pump_whose_loop_is_blocked_gives_no_heartbeat() -> None:
    beats_while_blocked: list[PumpStats] = []

    async def block(_event: ConnectorEvent) -> None:
        before = len(rig.heartbeats.entries)
        time.sleep(2 * HEARTBEAT_TIMEOUT.total_seconds())  # noqa: ASYNC251 - that is the fault
        beats_while_blocked.extend(rig.heartbeats.entries[before:])

    source = WatchedSource()
    async with pumping(source, block) as rig:
        await rig.heartbeats.more(1)
        await source.memory.publish(make_event())
        await rig.moves.until("ack 1")
        await rig.heartbeats.more(1)
    assert beats_while_blocked == []


async def test_the_lag_is_the_age_of_the_oldest_event_in_flight_and_grows(meters: Meters) -> None:
    gates = Gates()
    events = [make_event("1", "a", age=timedelta(hours=1)), make_event("2", "b")]
    async with pumping(WatchedSource(*events), gates, lag_alert=timedelta(minutes=30)) as rig:
        first, second = [await rig.heartbeats.next(lambda stats: stats.in_flight == 2) for _ in range(2)]
        assert 3600 <= first.lag_seconds < second.lag_seconds < 3600 + GUARD
        assert meters.read_one("pumphouse.lag.alert") == 1
        gates.open("1", "2")
        done = await rig.heartbeats.next(lambda stats: stats.acked == 2)
        assert done.lag_seconds == 0
        assert meters.read_one("pumphouse.lag.alert") == 0


async def test_a_lag_above_the_limit_is_logged_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pumphouse")
    gates, old = Gates(), make_event(age=timedelta(hours=1))
    async with pumping(WatchedSource(old), gates, lag_alert=timedelta(minutes=30)) as rig:
        await rig.heartbeats.next(lambda stats: stats.in_flight == 1)
        await rig.heartbeats.more(A_FEW_BEATS)
        gates.open("1")
        await rig.heartbeats.next(lambda stats: stats.acked == 1)
        await rig.heartbeats.more(A_FEW_BEATS)
    raised, over = caplog.records
    assert (raised.levelno, over.levelno) == (logging.WARNING, logging.INFO)
    assert f"connector {CONSUMER_NAME}: the lag of 3600 s is above its limit, 0:30:00" in raised.message
    assert f"connector {CONSUMER_NAME}: the lag of 0 s is back under its limit" in over.message


async def test_a_lag_below_the_limit_is_no_alert(meters: Meters) -> None:
    old = make_event(age=timedelta(hours=1))
    async with pumping(WatchedSource(old), hang, lag_alert=timedelta(hours=2)) as rig:
        await rig.heartbeats.next(lambda stats: stats.in_flight == 1)
        assert meters.read_one("pumphouse.lag") >= 3600
        assert meters.read_one("pumphouse.lag.alert") == 0
        assert meters.read_one("pumphouse.events.in_flight") == 1


async def test_the_counters_go_on_from_those_given() -> None:
    before = PumpStats(received=10, delivered=8, acked=7, retried=2)
    async with pumping(WatchedSource(*events_of("a")), stats=before) as rig:
        await rig.moves.until("ack 1")
        await rig.stop()
    assert rig.heartbeats.entries[-1] == PumpStats(
        shard="1-of-1", received=11, delivered=9, acked=8, retried=2, last_event_id="1"
    )
