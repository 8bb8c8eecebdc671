"""Runs whose definition a worker of their task queue does not know, as while a deployment is under way."""

import asyncio
from datetime import timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from pumphouse.workflows import Workflow
from tests.eventually import eventually
from tests.integration.orders import Order, OrderStatus, bare_orders, define_orders, executing

SOON = timedelta(seconds=30)


async def test_a_worker_that_does_not_know_a_definition_can_stop_and_one_that_does_goes_on(
    client: Client,
) -> None:
    orders = define_orders()
    others = Workflow(bare_orders().name, Order, OrderStatus, task_queue=orders.task_queue)
    others.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.REFUNDED)
    api = orders.bind(client)
    handle = client.get_workflow_handle(f"{orders.name}/order-1")

    async def was_refused() -> bool:
        history = await handle.fetch_history()
        return any(e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for e in history.events)

    async with asyncio.timeout(SOON.total_seconds()):
        async with executing(client, others):
            await api.trigger("order-1", Order(), start_at=OrderStatus.PAID)
            await eventually(was_refused)
    async with executing(client, orders):
        run = await api.wait_for("order-1", OrderStatus.SHIPPED, timeout=SOON)

    assert run.object.shipped
