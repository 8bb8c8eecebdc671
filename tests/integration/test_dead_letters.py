"""Events that are given up, or hold up their shard, are parked in Temporal; people decide about them."""

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Unpack

import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from pumphouse.activities import redrive
from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.connectors.sql import SqlConnector
from pumphouse.workflows import (
    API,
    ConnectorControls,
    ConnectorOptions,
    DeadLetterNotFound,
    DeadLetterRefused,
    DeadLetters,
    DeadLetterTimeout,
    Handler,
    names,
)
from pumphouse.workflows.options import ConnectorKeywords
from pumphouse.workflows.parked import (
    DeadLetterInput,
    DeadLetterRecord,
    ParkedEvent,
    RedrivePolicy,
)
from pumphouse.workflows.parking import Parking
from tests.eventually import eventually
from tests.integration.orders import Order, OrderStatus, bare_orders, executing
from tests.integration.parked import stands

OrderAPI = API[Order, OrderStatus]
SECRET = "hunter2"  # noqa: S105 - stands for an event's data
QUICK: ConnectorKeywords = {
    "error_backoff": timedelta(milliseconds=20),
    "max_backoff": timedelta(milliseconds=100),
    "heartbeat_timeout": timedelta(seconds=2),
}


def event(number: int, foreign_id: str, kind: str = "good") -> ConnectorEvent:
    return ConnectorEvent(id=str(number), foreign_id=foreign_id, type=kind, created_at=datetime.now(UTC))


class Desk:
    """A connector whose handler refuses events of the type `bad` until it is mended, and what it handled."""

    def __init__(
        self,
        client: Client,
        *events: ConnectorEvent,
        handler: Handler[Order, OrderStatus] | None = None,
        **options: Unpack[ConnectorKeywords],
    ) -> None:
        self.client = client
        self.orders = bare_orders()
        self.orders.allow(OrderStatus.CREATED, *list(OrderStatus)[1:])
        self.source = MemoryConnector(events)
        self.handled: list[str] = []
        self.attempts: list[str] = []
        self.error: Callable[[], Exception] | None = lambda: RuntimeError("not today")
        chosen = QUICK.copy()
        chosen.update(options)
        self.orders.add_connector("events", self.source, handler or self.handle, ConnectorOptions(**chosen))
        self.letters = DeadLetters(client, self.orders.name, "events", by="ada")

    async def handle(self, api: OrderAPI, event: ConnectorEvent) -> None:
        self.attempts.append(event.id)
        if event.type == "bad" and self.error:
            raise self.error()
        await api.trigger(f"{event.foreign_id}/{event.id}", Order())
        self.handled.append(event.id)

    def working(self) -> AbstractAsyncContextManager[Worker]:
        return executing(self.client, self.orders)

    async def acked(self, count: int) -> None:
        async def is_acked() -> bool:
            return self.source.acked(f"{self.orders.name}/events/1-of-1") == count

        await eventually(is_acked)

    async def has_handled(self, event_id: str) -> bool:
        return event_id in self.handled

    async def standing(self, event_id: str, standing: str) -> DeadLetterRecord:
        return await stands(self.letters, event_id, standing)


async def test_an_event_that_fails_too_often_becomes_a_dead_letter_and_the_others_go_on(
    client: Client,
) -> None:
    begun = datetime.now(UTC)
    desk = Desk(client, event(1, "a", "bad"), event(2, "a"), event(3, "b"), max_attempts=2)
    async with desk.working():
        await desk.acked(3)
        record = await desk.standing("1", "dead")

    assert desk.attempts.count("1") == 2
    assert sorted(desk.handled) == ["2", "3"]
    parked = record.parked
    assert (parked.event_id, parked.foreign_id, parked.attempts) == ("1", "a", 2)
    assert parked.errors == ["RuntimeError: not today"]
    assert begun <= parked.received_at <= parked.parked_at <= datetime.now(UTC)
    assert ConnectorEvent.model_validate(parked.event).type == "bad"


async def test_a_dead_letter_is_found_by_its_search_attributes_and_its_id(client: Client) -> None:
    desk = Desk(client, event(1, "a", "bad"), max_attempts=1)
    async with desk.working():
        await desk.standing("1", "dead")

        async def ids() -> list[str]:
            return [event_id async for event_id in desk.letters.event_ids()]

        assert await eventually(ids) == ["1"]
        query = (
            "WorkflowType = 'pumphouse.dead-letter' AND PumphouseForeignId = 'a' AND PumphouseStatus = 'DEAD'"
        )

        async def found() -> list[str]:
            return [one.id async for one in client.list_workflows(query) if desk.orders.name in one.id]

        assert await eventually(found) == [f"pumphouse/dead-letter/{desk.orders.name}/events/1"]


async def test_a_redriven_event_goes_through_the_handler_with_its_request_ids(client: Client) -> None:
    runs: list[str] = []

    async def trigger_and_fail(api: OrderAPI, event: ConnectorEvent) -> None:
        runs.append(await api.trigger(event.foreign_id, Order()))
        if len(runs) == 1:
            raise RuntimeError("after the call")

    desk = Desk(client, event(1, "a"), handler=trigger_and_fail, max_attempts=1)
    async with desk.working():
        await desk.standing("1", "dead")
        record = await desk.letters.redrive("1", "mended")
        assert await desk.letters.get("1") == record

    assert record.standing == "redriven"
    assert [(change.what, change.by, change.reason) for change in record.changes] == [
        ("retrying", "ada", "mended"),
        ("redriven", "pumphouse", ""),
    ]
    assert runs[0] == runs[1]


async def test_a_redriven_event_that_fails_again_stays_dead_with_its_new_error(client: Client) -> None:
    desk = Desk(client, event(1, "a", "bad"), max_attempts=2)
    async with desk.working():
        await desk.standing("1", "dead")
        desk.error = lambda: LookupError("another")
        record = await desk.letters.redrive("1")

    assert (record.standing, record.parked.attempts) == ("dead", 3)
    assert record.parked.errors == ["LookupError: another"]


async def test_a_discarded_event_says_who_and_why_and_is_over(client: Client) -> None:
    desk = Desk(client, event(1, "a", "bad"), max_attempts=1)
    async with desk.working():
        await desk.standing("1", "dead")
        record = await desk.letters.discard("1", "a test order")
        with pytest.raises((DeadLetterNotFound, DeadLetterRefused)):
            await desk.letters.redrive("1")

    assert record.standing == "discarded"
    change = record.changes[-1]
    assert (change.what, change.by, change.reason) == ("discarded", "ada", "a test order")


async def test_in_strict_order_later_events_wait_behind_a_dead_letter_and_follow_it(client: Client) -> None:
    events = [event(1, "a", "bad"), *(event(n, "a") for n in range(2, 6)), event(6, "b")]
    desk = Desk(client, *events, max_attempts=1, order="strict")
    async with desk.working():
        await desk.acked(6)
        assert desk.handled == ["6"]
        for number in range(2, 6):
            await desk.standing(str(number), "waiting")
        with pytest.raises(DeadLetterRefused, match="is waiting"):
            await desk.letters.redrive("3")

    async with desk.working():  # another worker, another pump: it knows what is parked
        await desk.source.publish(event(7, "a"), event(8, "b"))
        await desk.acked(8)
        assert desk.handled == ["6", "8"]
        desk.error = None
        await desk.letters.redrive("1")
        await desk.standing("7", "redriven")
        await desk.source.publish(event(9, "a"))
        # It may still be parked behind 7, of which the parking lot does not know yet that it has left.
        await eventually(lambda: desk.has_handled("9"))

    assert desk.handled == ["6", "8", "1", "2", "3", "4", "5", "7", "9"]


async def test_in_strict_order_a_discarded_event_lets_the_others_follow(client: Client) -> None:
    desk = Desk(client, event(1, "a", "bad"), event(2, "a"), max_attempts=1, order="strict")
    async with desk.working():
        await desk.standing("2", "waiting")
        await desk.letters.discard("1", "a test order")
        await desk.standing("2", "redriven")

    assert desk.handled == ["2"]


async def test_a_dead_letter_cancelled_in_temporal_is_discarded(client: Client) -> None:
    desk = Desk(client, event(1, "a", "bad"), event(2, "a"), max_attempts=1, order="strict")
    async with desk.working():
        await desk.standing("2", "waiting")
        letter = client.get_workflow_handle(f"pumphouse/dead-letter/{desk.orders.name}/events/1")
        await letter.cancel()
        await desk.standing("2", "redriven")
        record = await desk.standing("1", "discarded")

    assert record.changes[-1].reason == "cancelled in Temporal"
    assert (await letter.describe()).status == WorkflowExecutionStatus.CANCELED


async def test_a_terminated_dead_letter_is_let_go_by_hand(client: Client) -> None:
    desk = Desk(client, event(1, "a", "bad"), event(2, "a"), max_attempts=1, order="strict")
    async with desk.working():
        await desk.standing("2", "waiting")
        letter = client.get_workflow_handle(f"pumphouse/dead-letter/{desk.orders.name}/events/1")
        await letter.terminate()
        await desk.letters.release("a", "1")
        await desk.standing("2", "redriven")


async def test_an_event_that_holds_up_its_shard_is_retried_by_temporal_and_its_order_kept(
    client: Client,
) -> None:
    events = [
        event(1, "a", "bad"),
        event(2, "a"),
        *(event(n, f"o-{n}") for n in range(3, 13)),
        event(13, "a"),
    ]
    desk = Desk(client, *events, max_in_flight=4)
    async with desk.working():
        await desk.acked(13)
        await desk.standing("1", "retrying")
        await desk.standing("13", "waiting")
        assert sorted(desk.handled, key=int) == [str(n) for n in range(3, 13)]
        desk.error = None
        await desk.standing("13", "redriven")
        lot = client.get_workflow_handle(f"pumphouse/parking-lot/{desk.orders.name}/events")

        async def is_over() -> bool:
            return (await lot.describe()).status == WorkflowExecutionStatus.COMPLETED

        await eventually(is_over)
        await desk.source.publish(event(14, "a"))
        await eventually(lambda: desk.has_handled("14"))

    assert [number for number in desk.handled if number in {"1", "2", "13", "14"}] == ["1", "2", "13", "14"]


async def test_a_retried_event_that_is_given_up_lets_the_others_follow(client: Client) -> None:
    events = [event(1, "a", "bad"), event(2, "a"), *(event(n, f"o-{n}") for n in range(3, 10))]
    desk = Desk(client, *events, max_in_flight=4, max_attempts=6)
    async with desk.working():
        record = await desk.standing("1", "dead")
        await desk.standing("2", "redriven")

    assert record.parked.attempts == desk.attempts.count("1") == 6


async def test_what_temporal_retries_waits_while_its_connector_is_paused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "PAUSED_DELAY", timedelta(milliseconds=50))
    events = [event(1, "a", "bad"), *(event(n, f"o-{n}") for n in range(2, 8)), event(8, "b", "bad")]
    desk = Desk(client, *events, max_in_flight=4, max_attempts=100)
    controls = ConnectorControls(client, desk.orders.name, "events")
    async with desk.working():
        await desk.standing("1", "retrying")
        await controls.stop()
        desk.error = None
        attempts = desk.attempts.count("1")
        letter = client.get_workflow_handle(names.dead_letter_workflow_id(desk.orders.name, "events", "1"))

        async def is_put_off() -> bool:
            [pending] = (await letter.describe()).raw_description.pending_activities
            return "is stopped" in pending.last_failure.message and pending.attempt > attempts + 3

        await eventually(is_put_off)
        assert "1" not in desk.handled
        await controls.resume()
        await desk.standing("1", "redriven")


async def test_invalid_data_is_given_up_at_once_and_not_quoted(client: Client) -> None:
    def invalid() -> Exception:
        try:
            TypeAdapter(int).validate_python(SECRET)
        except ValueError as error:
            return error
        raise AssertionError

    desk = Desk(client, event(1, "a", "bad"))
    desk.error = invalid
    async with desk.working():
        record = await desk.standing("1", "dead")

    assert record.parked.attempts == 1
    assert record.parked.errors == ["ValidationError of int: : int_parsing"]
    letter = client.get_workflow_handle(names.dead_letter_workflow_id(desk.orders.name, "events", "1"))
    assert SECRET not in (await letter.fetch_history()).to_json()


async def test_a_request_too_large_for_temporal_is_a_dead_letter_with_a_digest(client: Client) -> None:
    async def pass_on(api: OrderAPI, event: ConnectorEvent) -> None:
        await client.get_workflow_handle("nobody").signal("take", event.data)

    huge = event(1, "a").model_copy(update={"data": "x" * 2_200_000})
    desk = Desk(client, huge, handler=pass_on)
    async with desk.working():
        record = await desk.standing("1", "dead")
        again = await desk.letters.redrive("1")
        await desk.letters.discard("1", "too large")

    assert record.parked.event is None
    assert record.parked.size > 2_200_000
    assert (len(record.parked.digest), record.parked.position) == (64, "0")
    assert "Blob data size exceeds limit" in record.parked.errors[0]
    # The source has found it, and it was too large once more.
    assert (again.standing, again.parked.errors, again.parked.attempts) == ("dead", record.parked.errors, 2)


async def test_the_users_own_sink_is_told_until_it_has_taken_it(client: Client) -> None:
    told: list[ParkedEvent] = []

    async def sink(parked: ParkedEvent) -> None:
        told.append(parked)
        if len(told) == 1:
            raise RuntimeError("not yet")

    desk = Desk(client, event(1, "a", "bad"), max_attempts=1, on_dead_letter=sink)
    async with desk.working():

        async def is_told() -> bool:
            return len(told) == 2

        await eventually(is_told)
        await desk.letters.discard("1", "told")

    assert [(parked.event_id, parked.attempts) for parked in told] == [("1", 1)] * 2


async def test_ten_thousand_characters_are_no_workflow_id_and_still_a_dead_letter(client: Client) -> None:
    long = event(1, "a", "bad").model_copy(update={"id": "é\n" * 5_000})
    desk = Desk(client, long, max_attempts=1)
    async with desk.working():
        record = await desk.standing(long.id, "dead")
        assert record.parked.event_id == long.id

        async def ids() -> list[str]:
            return [event_id async for event_id in desk.letters.event_ids()]

        [found] = await eventually(ids)
        await desk.letters.discard(found, "too long")
        assert (await desk.letters.get(long.id)).standing == "discarded"


async def test_a_row_that_is_no_event_is_parked_and_redriven_once_it_is_mended(
    client: Client, tmp_path: Path
) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'events.db'}")
    desk = Desk(client)
    orders = desk.orders
    options = dataclasses.replace(ConnectorOptions(**QUICK), parallel_count=2)
    orders.add_connector("rows", SqlConnector(engine), desk.handle, options)
    desk.letters = DeadLetters(client, orders.name, "rows")
    async with engine.begin() as connection:
        await connection.execute(
            sa.text(
                "CREATE TABLE events (id INTEGER PRIMARY KEY, foreign_id, type, headers, created_at, data)"
            )
        )
        await connection.execute(
            sa.text("INSERT INTO events (foreign_id, type, created_at) VALUES ('a', 'good', :at)"),
            [{"at": "2013-02-08"}, {"at": SECRET}, {"at": "2013-02-08"}],
        )
    async with desk.working():
        record = await desk.standing("position:2", "dead")
        await eventually(lambda: desk.has_handled("3"))
        assert (await desk.letters.redrive("position:2")).standing == "dead"
        async with engine.begin() as connection:
            await connection.execute(sa.text("UPDATE events SET created_at = '2013-02-08' WHERE id = 2"))
        assert (await desk.letters.redrive("position:2")).standing == "redriven"
    await engine.dispose()

    assert (record.parked.event, record.parked.position, record.parked.attempts) == (None, "2", 0)
    assert "created_at: ValueError" in record.parked.errors[0]
    assert SECRET not in "".join(record.parked.errors)
    assert desk.handled == ["1", "3", "2"]


async def test_a_dead_letter_that_is_delivered_again_holds_nobody_up(client: Client) -> None:
    """As after a crash between the dead letter and its ack, with another event of its foreign ID parked."""
    desk = Desk(client, event(1, "a", "bad"), max_attempts=1)
    parking = Parking(client, desk.orders.name, "events", desk.orders.task_queue, limit=100)
    async with desk.working():
        await desk.standing("1", "dead")
        # Event 2 is retried by Temporal; event 1 comes again, and is parked behind it; then comes event 3.
        for number, standing in (("2", "dead"), ("1", "waiting"), ("3", "waiting")):
            record = await desk.letters.get("1")
            parked = dataclasses.replace(
                record.parked, event_id=number, event=event(int(number), "a").model_dump(mode="json")
            )
            policy = RedrivePolicy(60, 0.02, 1, 1)
            letter = DeadLetterInput(parked, standing, policy, in_order=True, strict=number == "2")
            await parking.put(letter)
            await parking.place("a", number)
        await desk.letters.redrive("2")
        await desk.standing("3", "redriven")
        await desk.standing("1", "dead")


async def test_a_dead_letter_that_is_delivered_again_as_the_first_lets_the_others_go(client: Client) -> None:
    """As after a crash between the dead letter of an event that Temporal retried, and its ack."""
    desk = Desk(client, event(1, "a", "bad"), max_attempts=1)
    parking = Parking(client, desk.orders.name, "events", desk.orders.task_queue, limit=100)
    async with desk.working():
        record = await desk.standing("1", "dead")
        await parking.put(
            DeadLetterInput(record.parked, "waiting", RedrivePolicy(60, 0.02, 1, 1), in_order=True)
        )
        await parking.place("a", "1")

        async def is_free() -> bool:
            return not await parking.holds("a") and await parking.foreign_ids() == set()

        await eventually(is_free)
        assert (await desk.letters.get("1")).standing == "dead"


async def test_without_a_worker_calls_on_dead_letters_end_with_an_error(client: Client) -> None:
    desk = Desk(client, event(1, "a", "bad"), max_attempts=1)
    async with desk.working():
        await desk.standing("1", "dead")
    hasty = dataclasses.replace(desk.letters, timeout=timedelta(milliseconds=200))

    for call in (hasty.get("1"), hasty.redrive("1"), hasty.discard("1", "why not")):
        with pytest.raises(DeadLetterTimeout, match=r"event '1': no worker has answered within 0:00:00.2"):
            await call
    # A time-out of the caller's own stays his.
    with pytest.raises(TimeoutError) as raised:
        async with asyncio.timeout(0.2):
            await desk.letters.redrive("1")
    assert not isinstance(raised.value, DeadLetterTimeout)
