import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumphouse.activities.acks import AckWindow, Failure, Receipt
from tests.unit.activities.events import make_event
from tests.unit.activities.records import GUARD, Record, turns

acks = st.tuples(st.integers(0, 2), st.integers(0, 2))
"""How many calls of an ack fail before one goes well, and for how many turns of the loop each takes."""

steps = st.tuples(st.sampled_from(["receive", "finish"]), st.integers(0, 99), st.integers(0, 3))
"""What happens next, to which of the events that it can happen to, and how many turns pass after it."""


class Window:
    """An `AckWindow` in use."""

    def __init__(self, limit: int = 100) -> None:
        self.log = Record[str]()
        """`finish 1`; then, for each call of its ack, `call 1` and `ack 1` or `fail 1`; then `noted`."""
        self.acks = AckWindow(limit, lambda: self.log.add("noted"))
        self.receipts: dict[str, Receipt] = {}

    @property
    def acked(self) -> list[str]:
        return [entry.removeprefix("ack ") for entry in self.log.entries if entry.startswith("ack ")]

    @property
    def unfinished(self) -> list[str]:
        return [event_id for event_id, receipt in self.receipts.items() if not receipt.is_finished]

    def receive(
        self, event_id: str, *, failures: int = 0, duration: int = 0, gate: asyncio.Event | None = None
    ) -> None:
        """Take in an event whose ack takes so many turns, or until its gate is open."""
        failing = iter(range(failures))

        async def ack() -> None:
            self.log.add(f"call {event_id}")
            await turns(duration)
            if gate:
                await gate.wait()
            if next(failing, None) is not None:
                self.log.add(f"fail {event_id}")
                raise ConnectionError(event_id)
            self.log.add(f"ack {event_id}")

        self.receipts[event_id] = receipt = Receipt(make_event(event_id), ack)
        self.acks.add(receipt)

    def finish(self, *event_ids: str) -> None:
        for event_id in event_ids:
            self.log.add(f"finish {event_id}")
            self.acks.finish(self.receipts[event_id])

    @asynccontextmanager
    async def acking(self) -> AsyncGenerator[None]:
        """Ack for as long as the block lasts."""
        task = asyncio.create_task(self.acks.run(self._retry))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _retry(self, receipt: Receipt, error: BaseException) -> None:
        self.log.add(f"retry {receipt.event.id} after {error!r}")


def received(*event_ids: str) -> Window:
    window = Window()
    for event_id in event_ids:
        window.receive(event_id)
    return window


@given(st.lists(acks, max_size=12), st.lists(steps, max_size=40))
@settings(deadline=None)
async def test_acks_never_overtake_whatever_order_the_events_finish_in(
    to_receive: list[tuple[int, int]], plan: list[tuple[str, int, int]]
) -> None:
    window = Window()
    event_ids = [str(number) for number in range(len(to_receive))]
    waiting = list(zip(event_ids, to_receive, strict=True))

    def do(what: str, which: int) -> None:
        if what == "receive" and waiting:
            event_id, (failures, duration) = waiting.pop(0)
            window.receive(event_id, failures=failures, duration=duration)
        elif what == "finish" and (unfinished := window.unfinished):
            window.finish(unfinished[which % len(unfinished)])

    async with asyncio.timeout(GUARD), window.acking():
        for what, which, pause in plan:
            do(what, which)
            await turns(pause)
        while waiting:
            do("receive", 0)
        window.finish(*reversed(window.unfinished))
        await window.log.until(*(f"ack {event_id}" for event_id in event_ids))
        await turns(1)

    assert window.acked == event_ids
    assert len(window.acks) == 0
    assert window.log.count("noted") == len(event_ids)
    assert_nothing_was_overtaken(window.log.entries, event_ids)


def assert_nothing_was_overtaken(log: list[str], event_ids: list[str]) -> None:
    """Each ack was called after its event and all earlier ones had finished, and those were acked."""
    for event_id in event_ids:
        before_call = set(log[: log.index(f"call {event_id}")])
        earlier = event_ids[: event_ids.index(event_id)]
        assert before_call >= {f"ack {each}" for each in earlier}
        assert before_call >= {f"finish {each}" for each in (*earlier, event_id)}
    calls = [entry for entry in log if entry.startswith(("call ", "ack ", "fail "))]
    assert all(entry.startswith("call ") for entry in calls[::2])
    assert not any(entry.startswith("call ") for entry in calls[1::2])


async def test_an_event_that_finished_early_is_acked_when_those_before_it_have() -> None:
    window = received("1", "2", "3")
    async with window.acking():
        window.finish("2", "3")
        await turns(5)
        assert window.acked == []
        window.finish("1")
        await window.log.until("ack 3")
    assert window.acked == ["1", "2", "3"]


async def test_an_event_that_does_not_finish_holds_up_those_behind_it() -> None:
    window = received("1", "2", "3")
    async with window.acking():
        window.finish("1", "3")
        await window.log.until("ack 1")
        await turns(5)
    assert window.acked == ["1"]
    assert window.acks.oldest is window.receipts["2"]


async def test_an_ack_that_fails_is_called_again_before_any_other() -> None:
    window = Window()
    window.receive("1", failures=2)
    window.receive("2")
    async with window.acking():
        window.finish("1", "2")
        await window.log.until("ack 2")
    assert [entry for entry in window.log.entries if not entry.startswith("finish")] == [
        *("call 1", "fail 1", "retry 1 after ConnectionError('1')"),
        *("call 1", "fail 1", "retry 1 after ConnectionError('1')"),
        *("call 1", "ack 1", "noted"),
        *("call 2", "ack 2", "noted"),
    ]


async def test_an_event_is_in_flight_until_its_ack_has_ended() -> None:
    window, gate = Window(limit=1), asyncio.Event()
    window.receive("1", gate=gate)
    window.finish("1")
    async with window.acking():
        await window.log.until("call 1")
        await turns(5)
        assert window.acks.is_full
        assert "noted" not in window.log.entries
        gate.set()
        await window.log.until("noted")
        assert len(window.acks) == 0


async def test_a_window_is_full_at_its_limit_finished_events_included() -> None:
    window = Window(limit=2)
    sizes = [(len(window.acks), window.acks.is_full)]
    for event_id in ("1", "2"):
        window.receive(event_id)
        window.finish(event_id)
        sizes.append((len(window.acks), window.acks.is_full))
    assert sizes == [(0, False), (1, False), (2, True)]


@pytest.mark.parametrize(
    ("finished", "is_ackable"), [([], False), (["2"], False), (["1"], True), (["2", "1"], True)]
)
def test_only_the_oldest_event_can_be_acked_next(finished: list[str], *, is_ackable: bool) -> None:
    window = received("1", "2")
    window.finish(*finished)
    assert window.acks.is_ackable is is_ackable
    assert window.acks.oldest is window.receipts["1"]


def test_a_window_without_events_has_no_oldest_and_nothing_to_ack() -> None:
    acks = AckWindow(1, lambda: None)
    assert acks.oldest is None
    assert not acks.is_ackable


async def test_a_waiter_for_an_ack_wakes_with_the_next_one() -> None:
    window = received("1", "2")
    async with asyncio.timeout(GUARD), window.acking():
        window.finish("1")
        await window.log.until("ack 1")
        waiter = asyncio.create_task(window.acks.acked())
        await turns(5)
        assert not waiter.done()
        window.finish("2")
        await waiter
    assert window.acked == ["1", "2"]


async def test_an_ack_under_way_is_cancelled_with_the_loop() -> None:
    window = Window()
    window.receive("1", gate=asyncio.Event())
    window.finish("1")
    async with window.acking():
        await window.log.until("call 1")
    assert window.acked == []
    assert len(window.acks) == 1


async def test_whoever_waits_for_room_lets_the_oldest_event_know_that_it_holds_up_the_shard() -> None:
    window = Window(limit=2)
    window.receive("1")
    window.receive("2")
    async with asyncio.timeout(GUARD), window.acking():
        assert not window.receipts["1"].holds_up.is_set()
        waiter = asyncio.create_task(window.acks.room())
        await window.receipts["1"].holds_up.wait()
        assert not window.receipts["2"].holds_up.is_set()
        window.finish("1")
        await waiter
    assert not window.acks.is_full
    assert not window.receipts["2"].holds_up.is_set()


async def test_the_next_event_holds_up_the_shard_when_the_first_has_gone_and_the_window_is_full_again() -> (
    None
):
    window = Window(limit=1)
    window.receive("1")
    async with asyncio.timeout(GUARD), window.acking():
        window.finish("1")
        await window.acks.room()
        window.receive("2")
        waiter = asyncio.create_task(window.acks.room())
        await window.receipts["2"].holds_up.wait()
        window.finish("2")
        await waiter


async def test_there_is_room_at_once_in_a_window_that_is_not_full() -> None:
    window = Window(limit=2)
    window.receive("1")
    async with asyncio.timeout(GUARD):
        await window.acks.room()
    assert not window.receipts["1"].holds_up.is_set()


def test_a_failure_is_described_in_one_line() -> None:
    failure = Failure(["KeyError: 'total'", "ValueError: no"], attempts=2)
    assert failure.described == "KeyError: 'total', caused by ValueError: no"


async def test_a_loop_that_is_cancelled_ends_although_an_ack_keeps_that_to_itself() -> None:
    window = Window()

    async def ack() -> None:
        window.log.add("call 1")
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    window.receipts["1"] = Receipt(make_event("1"), ack)
    window.acks.add(window.receipts["1"])
    window.receive("2")
    window.finish("1", "2")
    task = asyncio.create_task(window.acks.run(window._retry))  # pyright: ignore[reportPrivateUsage]
    async with asyncio.timeout(GUARD):
        await window.log.until("call 1")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "call 2" not in window.log.entries
    assert window.acks.oldest is window.receipts["2"]


async def _no_ack() -> None:
    pass


def test_an_event_is_received_now() -> None:
    before = datetime.now(UTC)
    received_at = Receipt(make_event("1"), _no_ack).received_at
    assert before <= received_at <= datetime.now(UTC)
