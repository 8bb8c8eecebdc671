"""What the memory connector promises: the contract of connectors, without a source."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumphouse.connectors import (
    Ack,
    ConnectorConstructor,
    ConnectorConsumer,
    ConnectorEvent,
    Findable,
    InvalidPosition,
    Positioned,
    PumphouseError,
    Reshardable,
    Seekable,
)
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.connectors.positions import Start

MOMENT = datetime(2013, 2, 8, 17, 30, tzinfo=UTC)
GROUP = "orders/payments/"


def numbered(*numbers: int) -> list[ConnectorEvent]:
    return [ConnectorEvent(id=str(number), foreign_id="order-1", created_at=MOMENT) for number in numbers]


async def receive(consumer: ConnectorConsumer, count: int) -> list[tuple[ConnectorEvent, Ack]]:
    """The next events; a consumer that has none fails the test instead of blocking it."""
    async with asyncio.timeout(5):
        return [await consumer.recv() for _ in range(count)]


async def received_ids(consumer: ConnectorConsumer, count: int) -> list[str]:
    return [event.id for event, _ in await receive(consumer, count)]


async def ack_events(connector: MemoryConnector, consumer_name: str, count: int) -> None:
    for _, ack in await receive(await connector.make(consumer_name), count):
        await ack()


async def turn_loop(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def waiting_recv(consumer: ConnectorConsumer) -> "asyncio.Task[tuple[ConnectorEvent, Ack]]":
    """A call of recv that has nothing to return yet."""

    async def recv() -> tuple[ConnectorEvent, Ack]:
        return await consumer.recv()

    task = asyncio.create_task(recv())
    await turn_loop(10)
    assert not task.done()
    return task


def positions(connector: MemoryConnector, names: Sequence[str]) -> dict[str, int]:
    return {name: connector.acked(name) for name in names}


async def test_it_is_a_connector_that_can_do_everything() -> None:
    connector: ConnectorConstructor = MemoryConnector()
    assert isinstance(connector, Reshardable)
    assert isinstance(connector, Seekable)
    assert isinstance(connector, Findable)
    assert isinstance(await connector.make("a"), Positioned)


async def test_events_come_in_the_order_of_the_list() -> None:
    consumer = await MemoryConnector(numbered(3, 1, 2)).make("a")
    assert await received_ids(consumer, 3) == ["3", "1", "2"]


async def test_published_events_follow_those_of_the_list() -> None:
    connector = MemoryConnector(numbered(1))
    consumer = await connector.make("a")
    await connector.publish(*numbered(2, 3))
    await connector.publish(*numbered(4))
    assert await received_ids(consumer, 4) == ["1", "2", "3", "4"]


async def test_events_are_copied_from_the_list_that_they_are_given_in() -> None:
    given_events = numbered(1)
    connector = MemoryConnector(given_events)
    given_events.clear()
    assert await received_ids(await connector.make("a"), 1) == ["1"]


async def test_each_consumer_name_reads_every_event_on_its_own() -> None:
    connector = MemoryConnector(numbered(1, 2))
    await ack_events(connector, "a", 2)
    assert await received_ids(await connector.make("b"), 2) == ["1", "2"]
    assert positions(connector, ["a", "b"]) == {"a": 2, "b": 0}


async def test_a_new_consumer_goes_on_after_the_last_acked_event() -> None:
    connector = MemoryConnector(numbered(1, 2, 3))
    await ack_events(connector, "a", 2)
    assert await received_ids(await connector.make("a"), 1) == ["3"]


async def test_an_event_that_was_not_acked_is_delivered_again_with_all_that_follow() -> None:
    connector = MemoryConnector(numbered(1, 2, 3))
    consumer = await connector.make("a")
    (_, ack), *_ = await receive(consumer, 3)
    await ack()
    await consumer.close()
    assert await received_ids(await connector.make("a"), 2) == ["2", "3"]


async def test_one_consumer_never_delivers_an_event_twice() -> None:
    connector = MemoryConnector(numbered(1, 2))
    consumer = await connector.make("a")
    assert await received_ids(consumer, 2) == ["1", "2"]
    recv = await waiting_recv(consumer)
    recv.cancel()


async def test_closing_acks_nothing() -> None:
    connector = MemoryConnector(numbered(1))
    consumer = await connector.make("a")
    await receive(consumer, 1)
    await consumer.close()
    assert connector.acked("a") == 0


async def test_a_repeated_or_late_ack_never_moves_the_position_back() -> None:
    connector = MemoryConnector(numbered(1, 2))
    (_, ack_first), (_, ack_second) = await receive(await connector.make("a"), 2)
    await ack_first()
    await ack_second()
    await ack_first()
    assert connector.acked("a") == 2


async def test_an_ack_of_a_consumer_given_up_for_dead_does_not_move_its_successor_back() -> None:
    connector = MemoryConnector(numbered(1, 2))
    (_, late_ack), *_ = await receive(await connector.make("a"), 1)
    await ack_events(connector, "a", 2)
    await late_ack()
    assert connector.acked("a") == 2


@given(count=st.integers(0, 8), rounds=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=5))
async def test_every_event_comes_again_until_it_is_acked(count: int, rounds: list[tuple[int, int]]) -> None:
    events = numbered(*range(count))
    connector = MemoryConnector(events)
    acked = 0
    for received, acks in rounds:
        deliveries = await receive(await connector.make("a"), min(received, count - acked))
        assert [event for event, _ in deliveries] == events[acked : acked + len(deliveries)]
        for _, ack in deliveries[:acks]:
            await ack()
        acked += min(acks, len(deliveries))
        assert connector.acked("a") == acked


async def test_publish_wakes_a_recv_that_waits() -> None:
    connector = MemoryConnector()
    recv = await waiting_recv(await connector.make("a"))
    await connector.publish(*numbered(1))
    async with asyncio.timeout(5):
        event, _ = await recv
    assert event.id == "1"


async def test_publish_wakes_every_consumer_that_waits() -> None:
    connector = MemoryConnector()
    waiting = [await waiting_recv(await connector.make(name)) for name in ("a", "b", "c")]
    await connector.publish(*numbered(1))
    async with asyncio.timeout(5):
        assert [event.id for event, _ in await asyncio.gather(*waiting)] == ["1", "1", "1"]


async def test_publishing_nothing_wakes_nobody() -> None:
    connector = MemoryConnector()
    recv = await waiting_recv(await connector.make("a"))
    await connector.publish()
    await turn_loop(10)
    assert not recv.done()
    recv.cancel()


async def test_a_recv_that_is_cancelled_while_it_waits_loses_nothing() -> None:
    connector = MemoryConnector()
    consumer = await connector.make("a")
    recv = await waiting_recv(consumer)
    recv.cancel()
    with pytest.raises(asyncio.CancelledError):
        await recv
    await connector.publish(*numbered(1, 2))
    assert await received_ids(consumer, 2) == ["1", "2"]


@pytest.mark.parametrize("turns", range(6))
async def test_a_recv_that_is_cancelled_as_its_event_arrives_loses_nothing(turns: int) -> None:
    connector = MemoryConnector()
    consumer = await connector.make("a")
    recv = await waiting_recv(consumer)
    await connector.publish(*numbered(1, 2))
    await turn_loop(turns)
    recv.cancel()
    (outcome,) = await asyncio.gather(recv, return_exceptions=True)
    delivered = [] if isinstance(outcome, BaseException) else [outcome[0].id]
    assert delivered + await received_ids(consumer, 2 - len(delivered)) == ["1", "2"]


async def test_a_cancelled_recv_leaves_the_others_and_publish_alone() -> None:
    connector = MemoryConnector()
    cancelled = await waiting_recv(await connector.make("a"))
    waiting = await waiting_recv(await connector.make("b"))
    cancelled.cancel()
    async with asyncio.timeout(5):
        await connector.publish(*numbered(1))
        event, _ = await waiting
    assert event.id == "1"


async def test_resharding_starts_every_name_at_the_earliest_position_of_the_group() -> None:
    connector = MemoryConnector(numbered(*range(9)))
    old, new = [f"{GROUP}1-of-2", f"{GROUP}2-of-2"], [f"{GROUP}{n}-of-3" for n in (1, 2, 3)]
    await connector.reshard(GROUP, old)
    await ack_events(connector, old[0], 5)
    await ack_events(connector, old[1], 3)
    await connector.reshard(GROUP, new)
    assert positions(connector, new) == dict.fromkeys(new, 3)
    assert await received_ids(await connector.make(new[2]), 2) == ["3", "4"]


async def test_resharding_starts_from_the_beginning_when_one_shard_has_acked_nothing() -> None:
    connector = MemoryConnector(numbered(1, 2))
    await connector.reshard(GROUP, [f"{GROUP}1-of-2", f"{GROUP}2-of-2"])
    await ack_events(connector, f"{GROUP}1-of-2", 2)
    await connector.reshard(GROUP, [f"{GROUP}1-of-1"])
    assert connector.acked(f"{GROUP}1-of-1") == 0


async def test_resharding_loses_no_event_of_a_consumer_that_was_opened_and_has_acked_nothing() -> None:
    connector = MemoryConnector(numbered(1, 2))
    await connector.make("a/2-of-2")
    await ack_events(connector, "a/1-of-2", 2)
    await connector.reshard("a/", ["a/1-of-1"])
    assert connector.acked("a/1-of-1") == 0


async def test_a_name_without_a_position_starts_from_the_beginning_beside_those_that_keep_theirs() -> None:
    connector = MemoryConnector(numbered(1, 2))
    await ack_events(connector, "a/1", 2)
    await connector.reshard("a/", ["a/1", "a/2"])
    assert positions(connector, ["a/1", "a/2"]) == {"a/1": 2, "a/2": 0}
    # From now on it has one, which counts as the earliest.
    await connector.reshard("a/", ["a/3"])
    assert connector.acked("a/3") == 0


async def test_resharding_to_no_names_forgets_the_group() -> None:
    connector = MemoryConnector(numbered(1))
    await ack_events(connector, "a/1", 1)
    await connector.reshard("a/", [])
    await connector.reshard("a/", ["a/2"])
    assert positions(connector, ["a/1", "a/2"]) == {"a/1": 0, "a/2": 0}


async def test_resharding_forgets_the_names_that_are_no_longer_wanted() -> None:
    connector = MemoryConnector(numbered(1, 2, 3))
    await connector.reshard(GROUP, [f"{GROUP}1-of-1"])
    await ack_events(connector, f"{GROUP}1-of-1", 1)
    await connector.reshard(GROUP, [f"{GROUP}1-of-2", f"{GROUP}2-of-2"])
    await ack_events(connector, f"{GROUP}1-of-2", 2)
    await ack_events(connector, f"{GROUP}2-of-2", 2)
    assert connector.acked(f"{GROUP}1-of-1") == 0
    # What was forgotten holds nothing back any more.
    await connector.reshard(GROUP, [f"{GROUP}1-of-1"])
    assert connector.acked(f"{GROUP}1-of-1") == 3


async def test_resharding_a_group_without_positions_starts_from_the_beginning() -> None:
    connector = MemoryConnector(numbered(1))
    await connector.reshard(GROUP, [f"{GROUP}1-of-1"])
    assert await received_ids(await connector.make(f"{GROUP}1-of-1"), 1) == ["1"]


@pytest.mark.parametrize("again", [["a/1", "a/2"], ["a/2", "a/1"], ["a/1", "a/2", "a/2"]])
async def test_resharding_to_the_names_that_there_are_changes_nothing(again: list[str]) -> None:
    connector = MemoryConnector(numbered(1, 2, 3))
    await connector.reshard("a/", ["a/1", "a/2"])
    await ack_events(connector, "a/1", 3)
    await ack_events(connector, "a/2", 1)
    await connector.reshard("a/", again)
    assert positions(connector, ["a/1", "a/2"]) == {"a/1": 3, "a/2": 1}


async def test_a_repeated_reshard_changes_nothing_more() -> None:
    connector = MemoryConnector(numbered(1, 2, 3))
    await connector.reshard("a/", ["a/1"])
    await ack_events(connector, "a/1", 1)
    await connector.reshard("a/", ["a/x", "a/y"])
    await ack_events(connector, "a/x", 2)
    await connector.reshard("a/", ["a/x", "a/y"])
    assert positions(connector, ["a/x", "a/y"]) == {"a/x": 3, "a/y": 1}


async def test_a_name_that_stays_goes_back_to_the_earliest_position_as_well() -> None:
    connector = MemoryConnector(numbered(1, 2, 3))
    await connector.reshard("a/", ["a/1", "a/2"])
    await ack_events(connector, "a/1", 3)
    await ack_events(connector, "a/2", 1)
    await connector.reshard("a/", ["a/1", "a/3"])
    assert positions(connector, ["a/1", "a/2", "a/3"]) == {"a/1": 1, "a/2": 0, "a/3": 1}


async def test_resharding_leaves_other_groups_untouched() -> None:
    connector = MemoryConnector(numbered(1, 2))
    others = ["orders/payments-eu/1-of-1", "orders/refunds/1-of-1", "eu/orders/payments/1-of-1"]
    for other in others:
        await ack_events(connector, other, 2)
    await ack_events(connector, f"{GROUP}1-of-1", 1)
    await connector.reshard(GROUP, [f"{GROUP}1-of-2", f"{GROUP}2-of-2"])
    assert positions(connector, others) == dict.fromkeys(others, 2)
    assert connector.acked(f"{GROUP}2-of-2") == 1


@pytest.mark.parametrize(
    ("start", "first"), [("earliest", "0"), ("latest", "3"), (0, "0"), (2, "2"), (3, "3"), (4, "4")]
)
async def test_a_new_name_begins_at_the_start_and_stays_there(start: Start, first: str) -> None:
    connector = MemoryConnector(numbered(0, 1, 2), start=start)
    await connector.make("a")
    await connector.publish(*numbered(3, 4))
    assert await received_ids(await connector.make("a"), 1) == [first]


@pytest.mark.parametrize("start", ["first", "2", -1, True, None])
def test_a_start_without_sense_is_refused(start: Start) -> None:
    with pytest.raises(PumphouseError, match=r"start is .*; it must be .* the index of an event"):
        MemoryConnector(start=start)


async def test_the_shards_of_a_new_group_begin_at_one_latest_position() -> None:
    connector = MemoryConnector(numbered(0, 1), start="latest")
    names = [f"{GROUP}{n}-of-3" for n in (1, 2, 3)]
    await connector.reshard(GROUP, names)
    await connector.publish(*numbered(2))
    await connector.reshard(GROUP, names)
    assert [await received_ids(await connector.make(name), 1) for name in names] == [["2"]] * 3


@pytest.mark.parametrize(("start", "joined"), [("latest", 1), (3, 1), ("earliest", 0), (0, 0)])
async def test_a_name_without_a_position_joins_its_group_at_the_start_but_no_later_than_the_others(
    start: Start, joined: int
) -> None:
    connector = MemoryConnector(numbered(0, 1, 2), start=start)
    await connector.seek(["a/1", "a/2"], "1")
    await connector.reshard("a/", ["a/1", "a/2", "a/3"])
    assert positions(connector, ["a/1", "a/2", "a/3"]) == {"a/1": 1, "a/2": 1, "a/3": joined}


@pytest.mark.parametrize(
    ("position", "acked"), [("earliest", 0), ("latest", 3), ("0", 0), ("2", 2), ("9", 9)]
)
async def test_seek_sets_the_position_of_the_names_given(position: str, acked: int) -> None:
    connector = MemoryConnector(numbered(0, 1, 2))
    for name in ("a", "b"):
        await ack_events(connector, name, 1)
    for _ in range(2):
        await connector.seek(["a", "new"], position)
    assert positions(connector, ["a", "new", "b"]) == {"a": acked, "new": acked, "b": 1}


async def test_the_position_of_an_event_is_where_seek_delivers_it_again() -> None:
    connector = MemoryConnector(numbered(7, 8, 9))
    consumer = await connector.make("a")
    assert consumer.position == ""
    await receive(consumer, 2)
    assert consumer.position == "1"
    await connector.seek(["a"], consumer.position)
    assert await received_ids(await connector.make("a"), 2) == ["8", "9"]


async def test_the_position_stays_while_recv_waits() -> None:
    connector = MemoryConnector(numbered(7))
    consumer = await connector.make("a")
    await receive(consumer, 1)
    recv = await waiting_recv(consumer)
    assert consumer.position == "0"
    recv.cancel()


@pytest.mark.parametrize("position", ["", "first", "-1", "1.0"])
async def test_seek_refuses_what_is_no_position(position: str) -> None:
    connector = MemoryConnector(numbered(0, 1))
    await ack_events(connector, "a", 1)
    with pytest.raises(InvalidPosition, match=r"use .* the index of an event, counted from 0"):
        await connector.seek(["a"], position)
    assert connector.acked("a") == 1


async def test_an_ack_from_before_a_seek_does_not_undo_it() -> None:
    connector = MemoryConnector(numbered(0, 1))
    _, (_, late_ack) = await receive(await connector.make("a"), 2)
    await connector.seek(["a"], "earliest")
    await late_ack()
    assert connector.acked("a") == 0
    await ack_events(connector, "a", 1)
    assert connector.acked("a") == 1


async def test_an_ack_under_a_forgotten_name_does_not_bring_it_back() -> None:
    connector = MemoryConnector(numbered(0, 1))
    ((_, late_ack),) = await receive(await connector.make("a/1"), 1)
    await connector.reshard("a/", ["a/x", "a/y"])
    await late_ack()
    await ack_events(connector, "a/x", 2)
    await ack_events(connector, "a/y", 2)
    await connector.reshard("a/", ["a/z"])
    assert connector.acked("a/z") == 2


async def test_an_event_is_found_by_its_id() -> None:
    events = numbered(7, 8)
    connector = MemoryConnector(events)
    assert await connector.find("8") == events[1]
    assert await connector.find("9") is None
