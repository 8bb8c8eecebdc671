import asyncio
from collections import defaultdict
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pumphouse.activities.acks import Receipt
from pumphouse.activities.lanes import Lanes
from tests.unit.activities.events import events_of
from tests.unit.activities.records import GUARD, Record, turns

deliveries = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5)), max_size=40)
"""Foreign IDs, and for how many turns of the loop each delivery takes."""


async def _no_ack() -> None:
    pass


def receipts_of(*foreign_ids: str) -> list[Receipt]:
    return [Receipt(event, _no_ack) for event in events_of(*foreign_ids)]


class Deliverer:
    """Delivers each event once its gate is open, and tells on `delivered` of each that began and ended."""

    def __init__(self, *, refused: Sequence[str] = ()) -> None:
        self.delivered = Record[str]()
        self.gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._refused = refused

    async def __call__(self, receipt: Receipt) -> bool:
        event_id = receipt.event.id
        self.delivered.add(f"begin {event_id}")
        await self.gates[event_id].wait()
        self.delivered.add(f"end {event_id}")
        return event_id not in self._refused

    def open(self, *event_ids: str) -> None:
        for event_id in event_ids:
            self.gates[event_id].set()


@given(deliveries, st.integers(0, 3))
@settings(deadline=None)
async def test_a_foreign_id_is_delivered_in_order_and_one_at_a_time(
    plan: list[tuple[str, int]], turns_between_puts: int
) -> None:
    durations = {str(number): duration for number, (_, duration) in enumerate(plan, start=1)}
    under_way: set[str] = set()
    delivered: list[Receipt] = []

    async def deliver(receipt: Receipt) -> bool:
        assert receipt.event.foreign_id not in under_way
        under_way.add(receipt.event.foreign_id)
        await turns(durations[receipt.event.id])
        under_way.remove(receipt.event.foreign_id)
        delivered.append(receipt)
        return True

    receipts = receipts_of(*(foreign_id for foreign_id, _ in plan))
    async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
        lanes = Lanes(tasks, deliver)
        for receipt in receipts:
            lanes.put(receipt)
            await turns(turns_between_puts)

    for lane in "abcd":
        assert [each for each in delivered if each.event.foreign_id == lane] == [
            each for each in receipts if each.event.foreign_id == lane
        ]


async def test_foreign_ids_are_delivered_side_by_side() -> None:
    deliver = Deliverer()
    async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
        lanes = Lanes(tasks, deliver)
        for receipt in receipts_of("a", "b", "c"):
            lanes.put(receipt)
        await deliver.delivered.until("begin 1", "begin 2", "begin 3")
        deliver.open("3", "1", "2")
    assert deliver.delivered.entries[:3] == ["begin 1", "begin 2", "begin 3"]


async def test_an_event_waits_for_the_one_before_it_and_for_no_other() -> None:
    deliver = Deliverer()
    async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
        lanes = Lanes(tasks, deliver)
        for receipt in receipts_of("a", "a", "b", "b"):
            lanes.put(receipt)
        deliver.open("2", "3", "4")
        await deliver.delivered.until("end 4")
        assert "begin 2" not in deliver.delivered.entries
        deliver.open("1")
    assert deliver.delivered.entries[-3:] == ["end 1", "begin 2", "end 2"]


async def test_a_lane_that_is_refused_leaves_the_rest_and_the_other_lanes_go_on() -> None:
    deliver = Deliverer(refused=["1"])
    async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
        lanes = Lanes(tasks, deliver)
        for receipt in receipts_of("a", "a", "b", "b"):
            lanes.put(receipt)
        deliver.open("1", "2", "3", "4")
    assert set(deliver.delivered.entries) == {
        *("begin 1", "end 1"),
        *("begin 3", "end 3"),
        *("begin 4", "end 4"),
    }


async def test_a_lane_has_one_task_however_many_events_it_has() -> None:
    deliver = Deliverer()
    async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
        lanes = Lanes(tasks, deliver)
        for receipt in receipts_of("a", "b", "a", "a", "b"):
            lanes.put(receipt)
            await turns(1)
        assert len(lanes.running) == 2
        deliver.open("1", "2", "3", "4", "5")


async def test_nothing_is_kept_of_a_lane_that_has_ended() -> None:
    deliver = Deliverer(refused=["2"])
    deliver.open("1", "2", "3")
    async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
        lanes = Lanes(tasks, deliver)
        for receipt in receipts_of("a", "b", "b"):
            lanes.put(receipt)
        await asyncio.wait(lanes.running)
        await turns(1)
        assert not lanes.running
        assert not lanes._queues  # pyright: ignore[reportPrivateUsage]


async def test_a_lane_that_has_ended_begins_anew_with_the_next_event() -> None:
    deliver = Deliverer()
    deliver.open("1", "2")
    async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
        lanes = Lanes(tasks, deliver)
        first, second = receipts_of("a", "a")
        lanes.put(first)
        await asyncio.wait(lanes.running)
        lanes.put(second)
    assert deliver.delivered.entries == ["begin 1", "end 1", "begin 2", "end 2"]
