"""How pumphouse is used: type checkers find nothing here, and test_typing.py holds them to it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from enum import Enum
from typing import assert_type

from pydantic import BaseModel
from temporalio.client import Client

from pumphouse.connectors import (
    Ack,
    ConnectorConstructor,
    ConnectorConsumer,
    ConnectorEvent,
    Findable,
    Positioned,
    Reshardable,
    Seekable,
)
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.connectors.sql import SqlConnector
from pumphouse.workflows import (
    API,
    ConnectorControls,
    ConnectorRecord,
    ControlAnswer,
    DeadLetters,
    Run,
    RunState,
    Trace,
    Tracer,
    Workflow,
)
from pumphouse.workflows.parked import DeadLetterRecord, ParkedEvent


class Order(BaseModel):
    total: int = 0


class OrderStatus(Enum):
    CREATED = "created"
    PAID = "paid"
    SHIPPED = "shipped"
    REFUNDED = "refunded"


orders = Workflow("orders", Order, OrderStatus, remembered_requests=5_000)
assert_type(orders, Workflow[Order, OrderStatus])


@orders.step(OrderStatus.PAID, to=[OrderStatus.SHIPPED, OrderStatus.REFUNDED], timeout=timedelta(minutes=1))
async def ship(run: Run[Order, OrderStatus]) -> OrderStatus:
    assert_type(run.object, Order)
    assert_type(run.status, OrderStatus)
    run.object.total += 1
    return OrderStatus.SHIPPED if run.object.total else OrderStatus.REFUNDED


orders.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.REFUNDED)


async def page_somebody(parked: ParkedEvent) -> None:
    assert_type(parked.errors, list[str])


@orders.connector(
    "payments",
    MemoryConnector(),
    parallel_count=5,
    error_backoff=timedelta(seconds=30),
    consume_lag=timedelta(minutes=5),
    lag_alert=timedelta(minutes=10),
    handler_timeout=timedelta(seconds=20),
    backoff_factor=1.5,
    max_backoff=timedelta(minutes=5),
    jitter=0,
    max_attempts=10,
    non_retryable=(LookupError, ArithmeticError),
    order="strict",
    max_parked=500,
    on_dead_letter=page_somebody,
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


class Log:
    """What else a source can do is told by the methods that it has."""

    async def seek(self, names: Sequence[str], position: str) -> None:
        """Go on there."""

    async def find(self, event_id: str) -> ConnectorEvent | None:
        del event_id
        return None


class Reader:
    """Where a consumer stands may be an attribute as well."""

    position = "7"


seekable: tuple[Seekable, ...] = (
    Log(),
    MemoryConnector(start="latest"),
    SqlConnector("sqlite+aiosqlite:///a", start=7),
)
findable: tuple[Findable, ...] = (Log(), MemoryConnector(), SqlConnector("sqlite+aiosqlite:///a"))
positioned: Positioned = Reader()
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


async def control_a_connector(client: Client) -> None:
    controls = ConnectorControls(client, "orders", "payments", by="ann", timeout=timedelta(seconds=5))
    assert_type(await controls.pause("lunch"), ControlAnswer)
    await controls.seek("earliest")
    await controls.dry_run(on=True, reason="a try")
    assert_type(await controls.state(), ConnectorRecord)


async def clear_up(client: Client) -> None:
    letters = DeadLetters(client, "orders", "payments", by="ann")
    async for event_id in letters.event_ids():
        assert_type(await letters.redrive(event_id), DeadLetterRecord)
        await letters.discard(event_id, "a test order")
    assert_type(await Tracer(client, "orders", "payments").trace("17", "order-1"), Trace)


async def read_a_source() -> None:
    consumer = await MemoryConnector().make("a")
    position: Positioned = consumer
    assert_type(position.position, str)
    event, ack = await consumer.recv()
    assert_type(event, ConnectorEvent)
    assert_type(ack, Ack)
    await ack()
    await consumer.close()
