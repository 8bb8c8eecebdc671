"""A pump whose process was frozen, and a pump in a dry run: neither may do what a pump otherwise does."""

import time

import pytest

from pumphouse.connectors import ConnectorEvent
from pumphouse.workflows.requests import request_id
from tests.unit.activities.clocks import Clock
from tests.unit.activities.events import events_of, make_event
from tests.unit.activities.records import Record
from tests.unit.activities.rigs import HEARTBEAT_TIMEOUT, NEVER, Gates, pumping
from tests.unit.activities.sources import WatchedSource

LEASE = 3 * HEARTBEAT_TIMEOUT


async def fail(_event: ConnectorEvent) -> None:
    raise ValueError


async def test_a_pump_that_was_frozen_stops_by_itself_and_says_why(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with pumping(WatchedSource(*events_of("a"))) as rig:
        await rig.moves.until("ack 1")
        clock.pass_by(2 * NEVER)
        await rig.ended()
    assert rig.moves.entries[-1] == "close"
    (record,) = caplog.records
    assert record.getMessage() == (
        "connector orders/payments/1-of-1: the pump stood still for too long, and gives its shard up"
    )


async def test_a_pump_that_beats_in_time_keeps_its_lease() -> None:
    async with pumping(WatchedSource(*events_of("a")), Gates(), lease=LEASE) as rig:
        await rig.heartbeats.more(5 * int(LEASE / HEARTBEAT_TIMEOUT) * 2)
        assert not rig.pump.context.is_stopped


async def test_a_pump_that_was_frozen_makes_no_more_calls_and_acks_only_what_had_finished(
    clock: Clock,
) -> None:
    gates, calls = Gates(), Record[str]()

    async def handle(event: ConnectorEvent) -> None:
        await gates(event)
        request_id("start", event.foreign_id)
        calls.add(event.id)

    async with pumping(WatchedSource(*events_of("a", "b", "b")), handle) as rig:
        gates.open("1")
        await rig.moves.until("ack 1", "begin 2")
        clock.pass_by(2 * NEVER)
        gates.open("2", "3")
        await rig.ended()
    assert calls.entries == ["1"]
    assert rig.acks == ["ack 1"]
    assert "begin 3" not in rig.moves.entries


async def test_a_pump_that_was_frozen_parks_nothing(clock: Clock) -> None:
    async def handle(event: ConnectorEvent) -> None:
        clock.pass_by(2 * NEVER)
        await fail(event)

    async with pumping(WatchedSource(*events_of("a", "b")), handle, max_attempts=1) as rig:
        await rig.ended()
    assert rig.lot.tries.entries == ["load"]
    assert rig.acks == []


async def test_a_pump_whose_loop_was_blocked_for_longer_than_its_lease_gives_its_shard_up() -> None:
    async def block(_event: ConnectorEvent) -> None:
        time.sleep(2 * LEASE.total_seconds())  # noqa: ASYNC251 - that is the fault

    source = WatchedSource()
    async with pumping(source, block, lease=LEASE) as rig:
        await rig.heartbeats.more(1)
        await source.memory.publish(make_event("1", "a"), make_event("2", "a"))
        await rig.ended()
    assert rig.pump.context.lease.is_lost
    assert "begin 2" not in rig.moves.entries


# Dry run


async def test_a_dry_run_handles_every_event_and_acks_none() -> None:
    source = WatchedSource(*events_of(*"abcdef"))
    async with pumping(source, is_dry_run=True, max_in_flight=2) as rig:
        await rig.moves.until(*(f"end {number}" for number in range(1, 7)))
        await rig.stop()
    assert rig.acks == []
    async with pumping(source) as rig:
        await rig.moves.until("ack 6")
