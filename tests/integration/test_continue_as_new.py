"""Runs whose history is long enough to go on in a new execution."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from pumphouse.worker.dev_server import server_binary
from pumphouse.workflows import API, Workflow, names
from pumphouse.workflows.machine import Machine
from pumphouse.workflows.messages import StatusUpdate
from pumphouse.workflows.requests import deduplicated, handling
from tests.integration.orders import Order, OrderStatus, bare_orders, executing, handle_of

SOON = timedelta(seconds=20)

Orders = Workflow[Order, OrderStatus]


@pytest.fixture(scope="module")
async def worn() -> AsyncGenerator[Client]:
    """A server that suggests to continue as new after a few events."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=server_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=[
            *("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20"),
            *("--dynamic-config-value", "history.suggestContinueAsNewCount=20"),
        ],
    ) as environment:
        yield environment.client


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
