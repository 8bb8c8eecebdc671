"""How pumphouse is used: type checkers find nothing here, and test_typing.py holds them to it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import Enum
from typing import assert_type

from pydantic import BaseModel
from temporalio.client import Client

from pumphouse.connectors import Ack, ConnectorConstructor, ConnectorConsumer, ConnectorEvent, Reshardable
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.workflows import API, Run, RunState, Workflow


class Order(BaseModel):
    total: int = 0


class OrderStatus(Enum):
    CREATED = "created"
    PAID = "paid"
    SHIPPED = "shipped"
    REFUNDED = "refunded"


orders = Workflow("orders", Order, OrderStatus)
assert_type(orders, Workflow[Order, OrderStatus])


@orders.step(OrderStatus.PAID, to=[OrderStatus.SHIPPED, OrderStatus.REFUNDED], timeout=timedelta(minutes=1))
async def ship(run: Run[Order, OrderStatus]) -> OrderStatus:
    assert_type(run.object, Order)
    assert_type(run.status, OrderStatus)
    run.object.total += 1
    return OrderStatus.SHIPPED if run.object.total else OrderStatus.REFUNDED


orders.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.REFUNDED)


@orders.connector(
    "payments",
    MemoryConnector(),
    parallel_count=5,
    error_backoff=timedelta(seconds=30),
    consume_lag=timedelta(minutes=5),
    lag_alert=timedelta(minutes=10),
)
async def on_payment(api: API[Order, OrderStatus], event: ConnectorEvent) -> None:
    match event.type:
        case "order.created":
            await api.trigger(event.foreign_id, Order(total=1))
        case "payment.completed":
            await api.update_status(event.foreign_id, OrderStatus.PAID)
        case _:
            return


async def refund(run: Run[Order, OrderStatus]) -> OrderStatus:
    del run
    return OrderStatus.REFUNDED


class Handler:
    async def __call__(self, api: API[Order, OrderStatus], event: ConnectorEvent) -> None:
        """An object may handle events as well."""


class Source:
    """A connector needs no base class."""

    async def make(self, consumer_name: str) -> ConnectorConsumer:
        return await MemoryConnector().make(consumer_name)


source: ConnectorConstructor = Source()
reshardable: Reshardable = MemoryConnector()
orders.add_step(OrderStatus.SHIPPED, refund, [OrderStatus.REFUNDED])
orders.add_connector("refunds", source, Handler())

# The decorators leave the functions callable, with their types.
step: Callable[[Run[Order, OrderStatus]], Awaitable[OrderStatus]] = ship
handler: Callable[[API[Order, OrderStatus], ConnectorEvent], Awaitable[None]] = on_payment


async def call_the_api(client: Client) -> None:
    api = orders.bind(client)
    assert_type(api, API[Order, OrderStatus])
    assert_type(await api.trigger("order-1", Order(), start_at=OrderStatus.PAID), str)
    await api.update_status("order-1", OrderStatus.PAID, wait=True)
    run = await api.wait_for("order-1", OrderStatus.SHIPPED, timeout=timedelta(minutes=1))
    assert_type(run, Run[Order, OrderStatus])
    latest = await api.latest("order-1")
    assert_type(latest.object, Order)
    assert_type(latest.status, OrderStatus)
    assert_type(latest.run_state, RunState)
    assert_type(await api.exists("order-1"), bool)
    await api.cancel("order-1", "a mistake")


async def read_a_source() -> None:
    consumer = await MemoryConnector().make("a")
    event, ack = await consumer.recv()
    assert_type(event, ConnectorEvent)
    assert_type(ack, Ack)
    await ack()
    await consumer.close()
