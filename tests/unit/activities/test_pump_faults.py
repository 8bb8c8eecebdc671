"""Sources and handlers that misbehave in ways which once stopped a pump, with its heartbeats going on."""

import asyncio

import pytest

from pumphouse.activities.shards import shards
from pumphouse.connectors import ConnectorEvent
from tests.unit.activities.events import events_of
from tests.unit.activities.records import turns
from tests.unit.activities.rigs import NEVER, SOON, pumping
from tests.unit.activities.sources import WatchedSource, fail_first


async def test_a_window_of_one_goes_on_after_a_skipped_event() -> None:
    events = events_of(*(f"order-{number}" for number in range(20)))
    async with pumping(WatchedSource(*events), shard=shards(2)[0], max_in_flight=1) as rig:
        await rig.moves.until("ack 20")


@pytest.mark.parametrize("after", range(8))
async def test_an_ack_that_makes_room_is_not_missed_whenever_it_comes(after: int) -> None:
    second_asked_for = asyncio.Event()

    async def handle(event: ConnectorEvent) -> None:
        if event.foreign_id == "poison":
            raise ValueError
        if event.id == "1":
            await second_asked_for.wait()
            await turns(after)

    async def before(move: str) -> None:
        if move == "recv" and source.tries.count("recv") == 2:
            second_asked_for.set()

    source = WatchedSource(*events_of("a", "poison", "b"), before=before)
    async with pumping(source, handle, max_in_flight=2, error_backoff=NEVER) as rig:
        await rig.moves.until("end 3")


@pytest.mark.parametrize("move", ["make", "recv", "ack 1"])
async def test_a_cancellation_inside_the_source_is_only_an_error_of_the_source(move: str) -> None:
    source = WatchedSource(*events_of("a", "b"), before=fail_first(move, asyncio.CancelledError()))
    async with pumping(source) as rig:
        await rig.moves.until("ack 2")


async def test_a_cancellation_inside_close_does_no_harm() -> None:
    source = WatchedSource(*events_of("a"), before=fail_first("close", asyncio.CancelledError()))
    async with pumping(source) as rig:
        await rig.moves.until("ack 1")
        await rig.stop()


async def test_an_ack_that_ends_well_when_cancelled_does_not_hold_up_a_stop() -> None:
    async def before(move: str) -> None:
        if move == "ack 1":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return

    source = WatchedSource(*events_of("a"), before=before)
    async with pumping(source, drain_timeout=SOON) as rig:
        await source.tries.until("ack 1")
        await rig.stop()


async def test_a_handler_whose_clean_up_fails_does_not_fail_the_stop() -> None:
    async def handle(_event: ConnectorEvent) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("the rollback failed")

    async with pumping(WatchedSource(*events_of("a")), handle, drain_timeout=SOON) as rig:
        await rig.moves.until("begin 1")
        await rig.stop()


async def test_an_ack_that_goes_well_again_ends_the_error_though_the_source_is_idle() -> None:
    source = WatchedSource(*events_of("a"), before=fail_first("ack 1", ConnectionError()))
    async with pumping(source) as rig:
        await rig.moves.until("ack 1")
        await rig.heartbeats.more(1)
        (beat,) = await rig.heartbeats.more(1)
    assert (beat.source_error, beat.lag_seconds) == ("", 0)


async def test_an_error_that_cannot_be_told_does_not_end_the_pump() -> None:
    class Untold(Exception):
        def __str__(self) -> str:
            raise TypeError

    async def handle(event: ConnectorEvent) -> None:
        if event.id == "1":
            raise Untold

    async with pumping(WatchedSource(*events_of("a", "b")), handle) as rig:
        await rig.moves.until("end 2")
        await rig.heartbeats.more(3)
