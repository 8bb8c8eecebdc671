"""How a pump parks events, against a parking lot in this process whose calls may fail."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.converter import DataConverter

from pumphouse.activities.acks import Failure, Receipt
from pumphouse.activities.failures import chain
from pumphouse.activities.parking import MAX_EVENT_BYTES, REDRIVE_TIMEOUT, TIMEOUT_MARGIN, Parker
from pumphouse.activities.retry import Stopped
from pumphouse.connectors import ConnectorEvent
from pumphouse.workflows.parked import ParkedEvent, RedrivePolicy
from tests.unit.activities.clocks import Clock
from tests.unit.activities.events import make_event, make_receipt, no_ack
from tests.unit.activities.meters import Meters
from tests.unit.activities.places import Lot
from tests.unit.activities.records import GUARD, turns
from tests.unit.activities.rigs import NEVER, make_parker
from tests.unit.activities.sources import Outage, fail_first

SECRET = "hunter2"  # noqa: S105 - stands for an event's data
GIVEN_UP = Failure(["ValueError: no"], attempts=5)
HOLDS_UP = Failure(["ConnectionError: away"], attempts=3, is_final=False)
AWAY = ConnectionError("the server is away")
BLOB_LIMIT = 2 * 1024 * 1024  # bytes: Temporal's, for one payload


def text_of(event: ConnectorEvent) -> bytes:
    """The event as Temporal's SDK writes it."""
    return json.dumps(event.model_dump(mode="json")).encode()


async def tell(_parked: ParkedEvent) -> None:
    """A user's sink."""


# What is written, and in which order


async def test_an_event_given_up_becomes_a_dead_letter_and_takes_no_place() -> None:
    lot = Lot()
    await make_parker(lot).park(make_receipt(), GIVEN_UP)
    assert lot.moves.entries == ["put 1"]
    letter = lot.letters["1"]
    assert (letter.standing, letter.in_order, letter.strict) == ("dead", False, False)


async def test_in_strict_order_an_event_given_up_is_queued_once_it_is_a_dead_letter() -> None:
    lot = Lot()
    await make_parker(lot, order="strict").park(make_receipt(), GIVEN_UP)
    assert lot.moves.entries == ["put 1", "place 1"]
    letter = lot.letters["1"]
    assert (letter.standing, letter.in_order, letter.strict) == ("dead", True, True)


@pytest.mark.parametrize("order", ["relaxed", "strict"])
async def test_an_event_that_holds_up_its_shard_keeps_its_order_while_temporal_retries_it(order: Any) -> None:
    lot = Lot()
    await make_parker(lot, order=order).park(make_receipt(), HOLDS_UP)
    assert lot.moves.entries == ["put 1", "place 1"]
    letter = lot.letters["1"]
    assert (letter.standing, letter.in_order, letter.strict) == ("waiting", True, order == "strict")


async def test_a_dead_letter_holds_the_event_and_what_became_of_it() -> None:
    lot, begun = Lot(), datetime.now(UTC)
    event = make_event("7", "order-9", data={"total": 3}, headers={"tenant": "a"})
    receipt = Receipt(event, no_ack, position="orders/0/42")
    await make_parker(lot).park(receipt, GIVEN_UP)
    parked = lot.letters["7"].parked
    assert ConnectorEvent.model_validate(parked.event) == event
    assert (parked.definition, parked.connector) == ("orders", "payments")
    assert (parked.event_id, parked.foreign_id, parked.position) == ("7", "order-9", "orders/0/42")
    assert parked.source_id == "7"
    assert (parked.errors, parked.attempts) == (["ValueError: no"], 5)
    assert parked.received_at == receipt.received_at
    assert begun <= parked.parked_at <= datetime.now(UTC)
    text = text_of(event)
    assert (parked.size, parked.digest) == (len(text), hashlib.sha256(text).hexdigest())


@pytest.mark.parametrize("excess", [0, 1])
async def test_an_event_too_large_for_temporal_leaves_its_digest_and_not_its_data(excess: int) -> None:
    lot, bare = Lot(), make_event(data="")
    room = MAX_EVENT_BYTES - len(text_of(bare))
    event = bare.model_copy(update={"data": "x" * (room + excess)})
    await make_parker(lot).park(Receipt(event, no_ack, position="7"), GIVEN_UP)
    parked = lot.letters["1"].parked
    assert parked.size == MAX_EVENT_BYTES + excess
    assert parked.digest == hashlib.sha256(text_of(event)).hexdigest()
    assert parked.position == "7"
    assert (parked.event is None) is bool(excess)


BIG = 1_400_000


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        ("x" * BIG, GIVEN_UP),
        ("é" * (BIG // 2), GIVEN_UP),
        ("", Failure(chain(ValueError("é" * BLOB_LIMIT)), attempts=1)),
    ],
    ids=["ASCII", "letters with accents", "a long error"],
)
async def test_whatever_is_parked_is_small_enough_for_temporal(data: str, failure: Failure) -> None:
    lot = Lot()
    await make_parker(lot).park(Receipt(make_event(data=data), no_ack), failure)
    (payload,) = await DataConverter.default.encode([lot.letters["1"]])
    assert payload.ByteSize() < BLOB_LIMIT


async def test_an_event_that_utf_8_cannot_hold_is_parked_too() -> None:
    lot = Lot()
    event = make_event(data="\ud800")  # as json.loads makes of "\\ud800"
    async with asyncio.timeout(GUARD):
        await make_parker(lot).park(Receipt(event, no_ack), GIVEN_UP)
    await DataConverter.default.encode([lot.letters["1"]])


async def test_what_could_not_be_read_is_parked_without_the_event_that_stood_in_for_it() -> None:
    lot = Lot()
    receipt = make_receipt("7", "7")
    receipt.failure = Failure(["InvalidEvent: no ID"], attempts=0)
    await make_parker(lot).park(receipt, receipt.failure)
    letter = lot.letters["7"]
    assert (letter.standing, letter.parked.event, letter.parked.attempts) == ("dead", None, 0)


@pytest.mark.parametrize(
    ("failure", "allowed", "left"),
    [(HOLDS_UP, None, None), (HOLDS_UP, 10, 7), (GIVEN_UP, 5, 1), (HOLDS_UP, 3, 1)],
)
async def test_temporal_goes_on_with_the_attempts_that_are_left(
    failure: Failure, allowed: int | None, left: int | None
) -> None:
    lot = Lot()
    await make_parker(lot, max_attempts=allowed).park(make_receipt(), failure)
    assert lot.letters["1"].policy.max_attempts == left


async def test_temporal_goes_on_with_the_back_off_and_the_time_out_of_the_connector() -> None:
    lot, second = Lot(), timedelta(seconds=1)
    parker = make_parker(
        lot, handler_timeout=7 * second, error_backoff=2 * second, max_backoff=9 * second, backoff_factor=3
    )
    await parker.park(make_receipt(), HOLDS_UP)
    timeout = 7 + TIMEOUT_MARGIN.total_seconds()
    assert lot.letters["1"].policy == RedrivePolicy(timeout, 2, 3, 9, None)


async def test_without_a_handler_timeout_an_attempt_of_temporals_has_one_all_the_same() -> None:
    lot = Lot()
    await make_parker(lot, error_backoff=NEVER).park(make_receipt(), HOLDS_UP)
    policy = lot.letters["1"].policy
    assert policy.timeout_seconds == REDRIVE_TIMEOUT.total_seconds()
    assert policy.max_backoff_seconds == NEVER.total_seconds()


@pytest.mark.parametrize("sink", [None, tell])
@pytest.mark.parametrize("known", [True, False])
async def test_a_dead_letter_knows_of_the_sink_and_the_search_attributes(sink: Any, *, known: bool) -> None:
    lot = Lot()
    context = make_parker(lot, on_dead_letter=sink).context
    await Parker(context, lot, lambda: known).park(make_receipt(), GIVEN_UP)
    letter = lot.letters["1"]
    assert (letter.has_sink, letter.search_attributes) == (sink is not None, known)


async def test_what_is_parked_is_counted_and_logged_without_its_data(
    meters: Meters, caplog: pytest.LogCaptureFixture
) -> None:
    parker = make_parker(Lot())
    await parker.park(Receipt(make_event("7", "order-9", data=SECRET), no_ack), GIVEN_UP)
    await parker.park(Receipt(make_event("8", "order-8", data=SECRET), no_ack), HOLDS_UP)
    stats = parker.context.stats
    assert (stats.parked, stats.dead_lettered) == (2, 1)
    assert sorted(meters.read()["pumphouse.events.parked"].values()) == [1, 1]
    assert meters.read_one("pumphouse.events.dead_lettered") == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    line = caplog.records[0].getMessage()
    assert line == "connector orders/payments, event 7, foreign ID order-9: parked, dead"
    assert SECRET not in caplog.text


# Behind an earlier event


async def test_nothing_is_asked_about_a_foreign_id_of_which_nothing_is_parked() -> None:
    lot = Lot()
    parker = make_parker(lot)
    await parker.load()
    await parker.park(make_receipt("1", "a"), GIVEN_UP)
    assert not await parker.is_parked_behind(make_receipt("2", "a"))
    assert not await parker.is_parked_behind(make_receipt("3", "b"))
    assert lot.tries.entries == ["load", "put 1"]


async def test_the_next_event_waits_behind_one_that_is_parked_in_order() -> None:
    lot = Lot()
    parker = make_parker(lot)
    await parker.park(make_receipt("1", "a"), HOLDS_UP)
    assert await parker.is_parked_behind(make_receipt("2", "a"))
    assert lot.queues == {"a": ["1", "2"]}
    assert lot.standings == {"1": "waiting", "2": "waiting"}
    parked = lot.letters["2"].parked
    assert (parked.errors, parked.attempts) == ([], 0)
    assert parker.context.stats.dead_lettered == 0


async def test_a_lane_is_free_again_once_all_that_was_parked_has_gone() -> None:
    lot = Lot()
    parker = make_parker(lot)
    await parker.park(make_receipt("1", "a"), HOLDS_UP)
    lot.leave("a", "1")
    assert not await parker.is_parked_behind(make_receipt("2", "a"))
    asked = len(lot.tries.entries)
    assert not await parker.is_parked_behind(make_receipt("3", "a"))
    assert len(lot.tries.entries) == asked
    assert lot.queues == {}


async def test_a_pump_knows_what_earlier_pumps_have_parked() -> None:
    lot = Lot()
    await make_parker(lot, order="strict").park(make_receipt("1", "a"), GIVEN_UP)
    parker = make_parker(lot)
    await parker.load()
    assert await parker.is_parked_behind(make_receipt("2", "a"))
    assert not await parker.is_parked_behind(make_receipt("3", "b"))


# Calls that fail


@pytest.mark.parametrize(
    "move",
    ["place 1", "placed 1", "put 1", "has put 1"],
    ids=["place", "its answer", "put", "its answer too"],
)
async def test_parking_is_repeated_until_temporal_has_the_event_and_happens_once(
    move: str, caplog: pytest.LogCaptureFixture
) -> None:
    lot = Lot(before=fail_first(move, AWAY, AWAY))
    async with asyncio.timeout(GUARD):
        await make_parker(lot).park(make_receipt(), HOLDS_UP)
    assert lot.moves.entries == ["put 1", "place 1"]
    assert len(lot.tries.entries) == 4
    line = (
        "connector orders/payments: event 1, foreign ID order-1 could not be parked, "
        "the next try follows after a back-off: ConnectionError: the server is away"
    )
    assert [record.getMessage() for record in caplog.records].count(line) == 2


async def test_what_is_parked_is_asked_for_until_it_is_told() -> None:
    lot = Lot(before=fail_first("load", AWAY, AWAY))
    lot.queues["a"] = ["1"]
    parker = make_parker(lot)
    async with asyncio.timeout(GUARD):
        await parker.load()
    assert await parker.is_parked_behind(make_receipt("2", "a"))


async def test_a_cancellation_inside_temporals_client_is_only_a_call_that_failed() -> None:
    lot = Lot(before=fail_first("put 1", asyncio.CancelledError()))
    await make_parker(lot).park(make_receipt(), GIVEN_UP)
    assert lot.standings == {"1": "dead"}


async def test_one_place_is_asked_for_at_a_time() -> None:
    outage = Outage("place 1")
    lot = Lot(before=outage)
    parker = make_parker(lot)
    async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
        for number in ("1", "2"):
            tasks.create_task(parker.park(make_receipt(number, number), HOLDS_UP))
        await turns(10)
        assert lot.tries.entries == ["put 1", "place 1", "put 2"]
        outage.end()
    assert lot.queues == {"1": ["1"], "2": ["2"]}


async def test_an_event_whose_pump_died_between_its_two_writes_is_queued_when_it_comes_again() -> None:
    lot = Lot(before=Outage("place 1"))
    dying = asyncio.create_task(make_parker(lot).park(make_receipt("1", "a"), HOLDS_UP))
    await lot.tries.until("place 1")
    await cancelled(dying)
    assert (lot.queues, lot.standings) == ({}, {"1": "waiting"})

    alive = Lot()
    alive.letters = lot.letters
    parker = make_parker(alive)
    await parker.load()
    assert not await parker.is_parked_behind(make_receipt("1", "a"))  # it goes through the handler once more
    await parker.park(make_receipt("1", "a"), HOLDS_UP)
    assert await parker.is_parked_behind(make_receipt("2", "a"))
    assert alive.queues == {"a": ["1", "2"]}


async def test_an_event_that_is_parked_twice_keeps_its_first_dead_letter() -> None:
    lot = Lot()
    await make_parker(lot).park(make_receipt(), HOLDS_UP)
    again = make_parker(lot)
    await again.load()
    assert await again.is_parked_behind(make_receipt())
    assert lot.queues == {"order-1": ["1"]}
    assert lot.letters["1"].parked.attempts == HOLDS_UP.attempts


# Stopping


def all_ways(parker: Parker) -> list[Coroutine[Any, Any, object]]:
    return [parker.load(), parker.park(make_receipt(), GIVEN_UP), parker.park(make_receipt(), HOLDS_UP)]


@pytest.mark.parametrize("way", range(3))
async def test_a_stop_ends_the_tries(way: int) -> None:
    lot = Lot(before=fail_always)
    parker = make_parker(lot, error_backoff=NEVER)
    ways = all_ways(parker)
    trying = asyncio.create_task(ways.pop(way))
    for other in ways:
        other.close()
    await lot.tries.more(1)
    await turns(5)
    assert not trying.done()
    parker.context.stopping.set()
    with pytest.raises(Stopped):
        await trying
    assert len(lot.tries.entries) == 1


@pytest.mark.parametrize("way", range(3))
async def test_nothing_is_written_once_the_lease_is_lost(clock: Clock, way: int) -> None:
    lot = Lot()
    ways = all_ways(make_parker(lot))
    clock.pass_by(2 * NEVER)
    with pytest.raises(Stopped):
        await ways.pop(way)
    for other in ways:
        other.close()
    assert lot.tries.entries == []


async def test_a_lease_lost_between_the_two_writes_forbids_the_second(clock: Clock) -> None:
    async def freeze(move: str) -> None:
        if move == "has put 1":
            clock.pass_by(2 * NEVER)

    lot = Lot(before=freeze)
    with pytest.raises(Stopped):
        await make_parker(lot).park(make_receipt(), HOLDS_UP)
    assert lot.moves.entries == ["put 1"]


async def test_a_lease_lost_while_another_place_is_asked_for_forbids_the_next(clock: Clock) -> None:
    outage = Outage("place 1")
    lot = Lot(before=outage)
    parker = make_parker(lot)
    first = asyncio.create_task(parker.park(make_receipt("1", "1"), HOLDS_UP))
    await lot.tries.until("place 1")
    second = asyncio.create_task(parker.park(make_receipt("2", "2"), HOLDS_UP))
    await lot.tries.until("put 2")
    await turns(5)
    clock.pass_by(2 * NEVER)
    outage.end()
    await first
    with pytest.raises(Stopped):
        await second
    assert lot.queues == {"1": ["1"]}


async def fail_always(_move: str) -> None:
    raise AWAY


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
