"""Runs whose history is long enough to go on in a new execution."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.worker import Replayer

from pumphouse.workflows import API, InvalidTransition, RunFinished, Workflow, names
from pumphouse.workflows.machine import Machine
from pumphouse.workflows.messages import MachineInput, StatusUpdate
from pumphouse.workflows.requests import deduplicated, handling
from tests.integration.orders import Order, OrderStatus, bare_orders, executing, handle_of
from tests.integration.worn import worn_after

SOON = timedelta(seconds=20)

Orders = Workflow[Order, OrderStatus]


@pytest.fixture(scope="module")
async def worn() -> AsyncGenerator[Client]:
    async with worn_after(20) as client:
        yield client


@pytest.fixture
def circling() -> Orders:
    """CREATED <-> PAID from outside, for as long as one likes; REFUNDED ends it."""
    orders = bare_orders()
    orders.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.REFUNDED)
    orders.allow(OrderStatus.PAID, OrderStatus.CREATED)
    return orders


async def test_nothing_is_lost_when_a_run_continues_as_new(worn: Client, circling: Orders) -> None:
    api = circling.bind(worn)
    handle = handle_of(worn, api, "circling")
    async with executing(worn, circling):
        run_id = await api.trigger("circling", Order(total=5))
        for number in range(40):
            status = OrderStatus.PAID if number % 2 == 0 else OrderStatus.CREATED
            await api.update_status("circling", status, wait=number % 10 == 9)
        await api.update_status("circling", OrderStatus.PAID)
        await api.update_status("circling", OrderStatus.CREATED)
        await api.update_status("circling", OrderStatus.REFUNDED)
        record = await handle.result()
        run = await api.latest("circling")

    description = await handle.describe()
    assert description.run_id != run_id, "the history was never worn: the test shows nothing"
    assert (record.version, record.refused, record.run_id) == (44, [], run_id)
    assert (run.run_id, run.object.total) == (run_id, 5)
    assert description.typed_search_attributes[names.STATUS] == "REFUNDED"
    assert description.typed_search_attributes[names.FOREIGN_ID] == "circling"


async def test_what_was_applied_is_known_in_the_next_execution(worn: Client, circling: Orders) -> None:
    api = circling.bind(worn)
    handle = handle_of(worn, api, "remembering")
    async with executing(worn, circling):
        run_id = await api.trigger("remembering", Order())
        # From PAID this would be allowed: were it applied again, the run would be back at CREATED.
        early = StatusUpdate("CREATED", "an early request")
        await api.update_status("remembering", OrderStatus.PAID, wait=True)
        await handle.signal(names.UPDATE_STATUS, early)
        while (await handle.describe()).run_id == run_id:
            await api.update_status("remembering", OrderStatus.PAID, wait=True)
            await api.update_status("remembering", OrderStatus.CREATED, wait=True)
        await api.update_status("remembering", OrderStatus.PAID, wait=True)
        await handle.signal(names.UPDATE_STATUS, early)

        assert (await api.latest("remembering")).status is OrderStatus.PAID


@pytest.mark.parametrize("wait", [False, True])
async def test_an_update_of_an_early_execution_is_known_when_the_run_has_finished(
    worn: Client, circling: Orders, *, wait: bool
) -> None:
    api = circling.bind(deduplicated(worn))
    handle = handle_of(worn, api, f"long ago {wait}")

    async def deliver(status: OrderStatus) -> None:
        with handling(api.name, "source", status.name):
            await api.update_status(f"long ago {wait}", status, wait=wait)

    async with executing(worn, circling):
        run_id = await api.trigger(f"long ago {wait}", Order())
        await deliver(OrderStatus.PAID)
        await api.update_status(f"long ago {wait}", OrderStatus.CREATED, wait=True)
        while (await handle.describe()).run_id == run_id:
            await api.update_status(f"long ago {wait}", OrderStatus.PAID, wait=True)
            await api.update_status(f"long ago {wait}", OrderStatus.CREATED, wait=True)
        await api.update_status(f"long ago {wait}", OrderStatus.REFUNDED, wait=True)
        record = await handle.result()
    await deliver(OrderStatus.PAID)

    assert len(record.applied) == record.version - 1
    with pytest.raises(RunFinished):
        await deliver(OrderStatus.SHIPPED)


async def test_a_refusal_of_an_early_execution_is_repeated_when_the_run_has_finished(
    worn: Client, circling: Orders
) -> None:
    api = circling.bind(deduplicated(worn))
    handle = handle_of(worn, api, "refused long ago")

    async def deliver_refused() -> None:
        with handling(api.name, "source", "1"), pytest.raises(InvalidTransition, match="from CREATED"):
            await api.update_status("refused long ago", OrderStatus.CREATED, wait=True)

    async with executing(worn, circling):
        run_id = await api.trigger("refused long ago", Order())
        await deliver_refused()
        while (await handle.describe()).run_id == run_id:
            await api.update_status("refused long ago", OrderStatus.PAID, wait=True)
            await api.update_status("refused long ago", OrderStatus.CREATED, wait=True)
        await api.update_status("refused long ago", OrderStatus.REFUNDED, wait=True)
        await handle.result()
    await deliver_refused()


async def test_what_was_applied_before_a_cancellation_is_known_without_a_worker(
    worn: Client, circling: Orders
) -> None:
    api = circling.bind(deduplicated(worn))
    handle = handle_of(worn, api, "ended")

    async def deliver(event_id: str, status: OrderStatus) -> None:
        with handling(api.name, "source", event_id):
            await api.update_status("ended", status)

    async with executing(worn, circling):
        run_id = await api.trigger("ended", Order())
        await deliver("1", OrderStatus.PAID)
        await deliver("2", OrderStatus.CREATED)
        while (await handle.describe()).run_id == run_id:
            await api.update_status("ended", OrderStatus.PAID, wait=True)
            await api.update_status("ended", OrderStatus.CREATED, wait=True)
        await handle.terminate()
    await deliver("1", OrderStatus.PAID)
    await deliver("2", OrderStatus.CREATED)

    with pytest.raises(RunFinished):
        await deliver("3", OrderStatus.PAID)


async def test_the_definitions_bound_is_carried_into_the_next_execution(worn: Client) -> None:
    name = bare_orders().name
    brief = Workflow(name, Order, OrderStatus, task_queue=name, remembered_requests=3)
    brief.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.REFUNDED)
    brief.allow(OrderStatus.PAID, OrderStatus.CREATED)
    api = brief.bind(worn)
    handle = handle_of(worn, api, "brief")
    async with executing(worn, brief):
        run_id = await api.trigger("brief", Order())
        while (await handle.describe()).run_id == run_id:
            await api.update_status("brief", OrderStatus.PAID, wait=True)
            await api.update_status("brief", OrderStatus.CREATED, wait=True)
        for _ in range(3):
            await api.update_status("brief", OrderStatus.PAID, wait=True)
            await api.update_status("brief", OrderStatus.CREATED, wait=True)
        await api.update_status("brief", OrderStatus.REFUNDED)
        record = await handle.result()

    assert len(record.applied) == 3
    first = worn.get_workflow_handle(f"{api.name}/brief", run_id=run_id)
    closing = [event async for event in first.fetch_history_events()][-1]
    handed_on = closing.workflow_execution_continued_as_new_event_attributes.input.payloads
    [start] = await worn.data_converter.decode(handed_on, [MachineInput])
    assert start.continuation
    assert (len(start.continuation.applied), start.continuation.record.applied, start.applied) == (3, [], [])


async def test_a_trigger_delivered_again_finds_its_run(worn: Client, circling: Orders) -> None:
    api = circling.bind(deduplicated(worn))
    handle = handle_of(worn, api, "renewed")
    async with executing(worn, circling):
        with handling(api.name, "source", "1"):
            run_id = await api.trigger("renewed", Order())
        while (await handle.describe()).run_id == run_id:
            await api.update_status("renewed", OrderStatus.PAID, wait=True)
            await api.update_status("renewed", OrderStatus.CREATED, wait=True)

        with handling(api.name, "source", "1"):
            assert await api.trigger("renewed", Order()) == run_id


async def test_a_wait_goes_on_into_the_next_execution(worn: Client, circling: Orders) -> None:
    api = circling.bind(worn)
    handle = handle_of(worn, api, "watched")
    async with executing(worn, circling), asyncio.TaskGroup() as tasks:
        run_id = await api.trigger("watched", Order())
        waiting = tasks.create_task(api.wait_for("watched", OrderStatus.REFUNDED, timeout=SOON))
        while (await handle.describe()).run_id == run_id:
            await api.update_status("watched", OrderStatus.PAID, wait=True)
            await api.update_status("watched", OrderStatus.CREATED, wait=True)
        await api.update_status("watched", OrderStatus.REFUNDED)

    assert waiting.result().status is OrderStatus.REFUNDED


async def test_every_execution_of_a_chain_replays_although_it_was_queried_on_the_way(
    worn: Client, circling: Orders
) -> None:
    api = circling.bind(worn)
    async with executing(worn, circling):
        for number in range(6):
            foreign_id = f"queried-{number}"
            await api.trigger(foreign_id, Order())
            async with asyncio.TaskGroup() as tasks:
                looking = tasks.create_task(look_without_end(api, foreign_id))
                for _ in range(12):
                    await api.update_status(foreign_id, OrderStatus.PAID, wait=True)
                    await api.update_status(foreign_id, OrderStatus.CREATED, wait=True)
                looking.cancel()

    histories = worn.list_workflows(f"WorkflowType = '{api.name}'").map_histories()
    replayed = await Replayer(workflows=[Machine]).replay_workflows(histories)
    assert replayed.replay_failures == {}


async def look_without_end(api: API[Order, OrderStatus], foreign_id: str) -> None:
    while True:
        await api.latest(foreign_id)
