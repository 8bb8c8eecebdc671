"""The machine against the real server: what runs do between their calls."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from pumphouse.worker import plugin
from pumphouse.workflows import Run, RunState, StatusNotReached, Workflow, names
from pumphouse.workflows.messages import StatusUpdate
from tests.integration.orders import Order, OrderStatus, bare_orders, define_orders, executing, handle_of

SOON = timedelta(seconds=20)
AT_ONCE = timedelta(milliseconds=10)

Orders = Workflow[Order, OrderStatus]
OrderRun = Run[Order, OrderStatus]


async def test_a_step_that_fails_is_repeated_until_it_answers(client: Client) -> None:
    orders = bare_orders()
    attempts = Counter[str]()

    @orders.step(OrderStatus.CREATED, to=list(OrderStatus)[1:], error_backoff=AT_ONCE)
    async def fail_twice(run: OrderRun) -> OrderStatus:
        attempts[run.foreign_id] += 1
        run.object.total += 100
        if attempts[run.foreign_id] == 1:
            raise ValueError("not yet")
        if attempts[run.foreign_id] == 2:
            raise ApplicationError("never, says the step", non_retryable=True)
        return OrderStatus.PAID

    api = orders.bind(client)
    async with executing(client, orders):
        await api.trigger("stubborn", Order(total=1))
        run = await api.wait_for("stubborn", OrderStatus.PAID, timeout=SOON)

    assert attempts["stubborn"] == 3
    assert run.object.total == 101, "what a failed attempt did to the object must be gone"


async def test_a_step_cannot_answer_what_it_does_not_declare(client: Client) -> None:
    orders = bare_orders()
    answers = iter([OrderStatus.REFUNDED, OrderStatus.SHIPPED])
    orders.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.REFUNDED)

    @orders.step(OrderStatus.PAID, to=[OrderStatus.SHIPPED], error_backoff=AT_ONCE)
    async def confused(run: OrderRun) -> OrderStatus:
        return next(answers)

    api = orders.bind(client)
    async with executing(client, orders):
        await api.trigger("confused", Order(), start_at=OrderStatus.PAID)
        record = await handle_of(client, api, "confused").result()

    assert record.visited == ["PAID", "SHIPPED"]


async def test_an_update_from_outside_wins_over_a_step_under_way(client: Client) -> None:
    orders = bare_orders()
    working = asyncio.Event()
    orders.allow(OrderStatus.CREATED, OrderStatus.REFUNDED)

    @orders.step(OrderStatus.CREATED, to=[OrderStatus.PAID, OrderStatus.SHIPPED])
    async def work_for_ever(run: OrderRun) -> OrderStatus:
        working.set()
        await asyncio.Event().wait()
        raise AssertionError

    api = orders.bind(client)
    async with executing(client, orders):
        await api.trigger("overtaken", Order())
        await working.wait()
        await api.update_status("overtaken", OrderStatus.REFUNDED, wait=True)
        record = await handle_of(client, api, "overtaken").result()

    assert (record.status, record.run_state) == ("REFUNDED", "Completed")


async def test_a_cancellation_reaches_a_run_at_work(client: Client) -> None:
    orders = bare_orders()
    working = asyncio.Event()

    @orders.step(OrderStatus.CREATED, to=list(OrderStatus)[1:])
    async def work_for_ever(run: OrderRun) -> OrderStatus:
        working.set()
        await asyncio.Event().wait()
        raise AssertionError

    api = orders.bind(client)
    async with executing(client, orders):
        await api.trigger("cancelled", Order())
        await working.wait()
        await api.cancel("cancelled")
        with pytest.raises(StatusNotReached):
            await api.wait_for("cancelled", OrderStatus.PAID, timeout=SOON)
        run = await api.latest("cancelled")

    assert run.run_state is RunState.CANCELLED


async def test_requests_behind_the_last_change_are_refused_in_the_record(client: Client) -> None:
    orders = define_orders()
    api = orders.bind(client)
    await api.trigger("crowded", Order())
    await api.update_status("crowded", OrderStatus.REFUNDED)
    await api.update_status("crowded", OrderStatus.PAID)

    async with executing(client, orders):
        record = await handle_of(client, api, "crowded").result()

    assert record.status == "REFUNDED"
    assert [refusal.status for refusal in record.refused] == ["PAID"]


async def test_a_request_that_comes_again_is_applied_once(client: Client) -> None:
    orders = bare_orders()
    orders.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.REFUNDED)
    orders.allow(OrderStatus.PAID, OrderStatus.CREATED)
    api = orders.bind(client)
    handle = handle_of(client, api, "repeated")
    async with executing(client, orders):
        await api.trigger("repeated", Order())
        for status, request_id in [("PAID", "1"), ("CREATED", "2"), ("PAID", "1"), ("REFUNDED", "3")]:
            await handle.signal(names.UPDATE_STATUS, StatusUpdate(status, request_id))
        record = await handle.result()

    assert (record.version, record.refused) == (4, [])


async def test_status_and_state_are_search_attributes(client: Client) -> None:
    orders = define_orders()
    api = orders.bind(client)
    async with executing(client, orders):
        await api.trigger("ürgent order", Order())
        await api.update_status("ürgent order", OrderStatus.REFUNDED)
        await handle_of(client, api, "ürgent order").result()

    attributes = (await handle_of(client, api, "ürgent order").describe()).typed_search_attributes
    assert attributes[names.FOREIGN_ID] == "ürgent order"
    assert attributes[names.STATUS] == "REFUNDED"
    assert attributes[names.RUN_STATE] == "Completed"


async def test_the_activities_are_named_by_definition_and_status(client: Client) -> None:
    orders = define_orders()
    api = orders.bind(client)
    async with executing(client, orders):
        await api.trigger("named", Order(), start_at=OrderStatus.PAID)
        await handle_of(client, api, "named").result()

    history = await handle_of(client, api, "named").fetch_history()
    scheduled = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    assert scheduled == [f"{orders.name}.step[PAID]"]


async def test_a_step_costs_eight_events_of_history(client: Client) -> None:
    orders = bare_orders()
    for status, following in zip(OrderStatus, list(OrderStatus)[1:], strict=False):

        async def go_on(run: OrderRun, following: OrderStatus = following) -> OrderStatus:
            return following

        orders.add_step(status, go_on, [following])
    api = orders.bind(client)
    async with executing(client, orders):
        await api.trigger("long", Order())
        await handle_of(client, api, "long").result()

    events = (await handle_of(client, api, "long").fetch_history()).events
    assert len(events) <= 3 * 8 + 10


async def test_an_open_run_goes_on_under_a_changed_graph(client: Client) -> None:
    before = bare_orders()
    before.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.REFUNDED)
    before.allow(OrderStatus.PAID, OrderStatus.SHIPPED)
    after = Workflow(before.name, Order, OrderStatus, task_queue=before.task_queue)
    after.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.SHIPPED)

    @after.step(OrderStatus.PAID, to=[OrderStatus.REFUNDED])
    async def refund(run: OrderRun) -> OrderStatus:
        return OrderStatus.REFUNDED

    api = before.bind(client)
    async with executing(client, before):
        await api.trigger("waiting", Order())
        await api.trigger("at a changed status", Order())
        await api.update_status("at a changed status", OrderStatus.PAID, wait=True)

    # Without a cache each workflow task replays the history that the other graph has made.
    async with executing(client, after, max_cached_workflows=0):
        await api.update_status("waiting", OrderStatus.PAID)
        await api.update_status("at a changed status", OrderStatus.SHIPPED)
        new = await handle_of(client, api, "waiting").result()
        old = await handle_of(client, api, "at a changed status").result()

    assert new.visited == ["CREATED", "PAID", "REFUNDED"]
    assert old.visited == ["CREATED", "PAID", "SHIPPED"], "the plan of a status holds until it is left"


async def test_a_server_without_the_search_attributes_does_not_stop_a_run(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(client: Client) -> bool:
        return False

    monkeypatch.setattr(plugin, "register_search_attributes", refused)
    orders = define_orders()
    api = orders.bind(client)
    async with executing(client, orders):
        await api.trigger("plain", Order(), start_at=OrderStatus.PAID)
        record = await handle_of(client, api, "plain").result()

    assert record.status == "SHIPPED"
    attributes = (await handle_of(client, api, "plain").describe()).typed_search_attributes
    assert attributes.get(names.STATUS) is None
