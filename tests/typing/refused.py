"""Mistakes that type checkers find: test_typing.py holds them to the lines marked as errors, and no other."""

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum

from pydantic import BaseModel
from temporalio.client import Client

from pumphouse.connectors import (
    ConnectorConstructor,
    ConnectorEvent,
    Findable,
    Positioned,
    Reshardable,
    Seekable,
)
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.workflows import API, ConnectorControls, ConnectorOptions, DeadLetters, Run, Workflow
from pumphouse.workflows.parked import ParkedEvent


class Order(BaseModel):
    total: int = 0


class Status(Enum):
    CREATED = "created"
    PAID = "paid"


class Invoice(BaseModel):
    total: int = 0


class InvoiceStatus(Enum):
    CREATED = "created"
    PAID = "paid"


orders = Workflow("orders", Order, Status)
Workflow("orders", int, Status)  # error: the object is no Pydantic model
Workflow("orders", Order, str)  # error: the statuses are no Enum
bad: Workflow[Order, Status] = Workflow("a", Order, Status, start_at=InvoiceStatus.PAID)  # error: other Enum


@orders.step(Status.CREATED, to=[Status.PAID])  # error: the step returns another Enum
async def return_another_enum(run: Run[Order, Status]) -> InvoiceStatus:
    del run
    return InvoiceStatus.PAID


@orders.step(Status.CREATED, to=[Status.PAID])  # error: the step returns nothing
async def return_nothing(run: Run[Order, Status]) -> None:
    del run


@orders.step(Status.CREATED, to=[Status.PAID])  # error: the step takes a run of another definition
async def take_another_run(run: Run[Invoice, InvoiceStatus]) -> Status:
    del run
    return Status.PAID


@orders.step(Status.CREATED, to=[Status.PAID])  # error: the step is not async
def return_at_once(run: Run[Order, Status]) -> Status:
    del run
    return Status.PAID


@orders.connector("payments", MemoryConnector())  # error: the handler takes another event
async def take_another_event(api: API[Order, Status], event: str) -> None:
    del api, event


@orders.connector("payments", MemoryConnector())  # error: the handler takes the API of another definition
async def take_another_api(api: API[Invoice, InvoiceStatus], event: ConnectorEvent) -> None:
    del api, event


@orders.connector("payments", MemoryConnector())  # error: the handler is not async
def handle_at_once(api: API[Order, Status], event: ConnectorEvent) -> None:
    del api, event


@orders.connector("payments", MemoryConnector())  # error: the handler takes no event
async def take_no_event(api: API[Order, Status]) -> None:
    del api


async def handle(api: API[Order, Status], event: ConnectorEvent) -> None:
    """Nothing is wrong with it."""
    del api, event


async def pay(run: Run[Order, Status]) -> Status:
    """Nothing is wrong with it."""
    run.object = Invoice()  # error: the object of another definition
    run.status = InvoiceStatus.PAID  # error: a status of another Enum
    return Status.PAID


def page_at_once(parked: ParkedEvent) -> None:
    """Tell somebody, but not as a coroutine."""
    del parked


class Odd:
    """Has the methods of other sources, but not as they are."""

    position = 7

    async def seek(self, names: Sequence[str], position: int) -> None:
        """Take positions that are no texts."""

    async def find(self, event_id: str) -> str:
        """Find what is no event."""
        return event_id


class WithoutClose:
    async def make(self, consumer_name: str) -> str:
        """Make what is no consumer."""
        return consumer_name


orders.step(InvoiceStatus.CREATED, to=[Status.PAID])  # error: a status of another Enum
orders.step(Status.CREATED, to=[InvoiceStatus.PAID])  # error: a status of another Enum
orders.step(Status.CREATED, to=["PAID"])  # error: a status is no string
orders.step(Status.CREATED, to=[Status.PAID], timeout=60)  # error: a duration is no number
orders.step(Status.CREATED, to=[Status.PAID], retries=3)  # error: there is no such option
orders.step(Status.CREATED)  # error: the answers are missing
orders.add_step(Status.CREATED, handle, [Status.PAID])  # error: a handler is no step
orders.allow(Status.CREATED, InvoiceStatus.PAID)  # error: a status of another Enum
orders.connector("payments", MemoryConnector(), parallel_count="5")  # error: a count is no string
orders.connector("payments", MemoryConnector(), error_backoff=30)  # error: a duration is no number
orders.connector("payments", MemoryConnector(), paralel_count=5)  # error: there is no such option
orders.connector("payments", MemoryConnector)  # error: the class is no connector
orders.add_connector("payments", WithoutClose(), handle)  # error: it does not make consumers
orders.add_connector("payments", MemoryConnector(), pay)  # error: a step is no handler
ConnectorOptions(5)  # error: options are named
made: ConnectorConstructor = WithoutClose()  # error: it does not make consumers
reshardable: Reshardable = WithoutClose()  # error: it has no reshard
seekable: Seekable = Odd()  # error: a position is a string
findable: Findable = Odd()  # error: what is found is an event
positioned: Positioned = Odd()  # error: a position is a string
MemoryConnector(start="newest")  # error: there is no such start
Workflow("orders", Order, Status, remembered_requests="all")  # error: a count is no string
orders.connector("payments", MemoryConnector(), max_attempts=2.5)  # error: a count is whole
orders.connector("payments", MemoryConnector(), handler_timeout=5)  # error: a duration is no number
orders.connector("payments", MemoryConnector(), backoff_factor="2")  # error: a factor is no string
orders.connector("payments", MemoryConnector(), non_retryable=[LookupError])  # error: a tuple, no list
orders.connector("payments", MemoryConnector(), non_retryable=(LookupError(),))  # error: classes, no errors
orders.connector("payments", MemoryConnector(), order="loose")  # error: there is no such order
orders.connector("payments", MemoryConnector(), max_parked=None)  # error: there is always a limit
orders.connector("payments", MemoryConnector(), on_dead_letter=page_at_once)  # error: it is not async


async def call_the_api(client: Client) -> None:
    """Call what there is, with what it does not take."""
    orders.bind("localhost:7233")  # error: an address is no client
    api = orders.bind(client)
    await api.trigger("order-1", Invoice())  # error: the object of another definition
    await api.trigger("order-1", {"total": 3})  # error: the object is a model
    await api.trigger(1, Order())  # error: a foreign ID is no number
    await api.trigger("order-1")  # error: the object is missing
    await api.trigger("order-1", Order(), start_at=InvoiceStatus.PAID)  # error: a status of another Enum
    await api.update_status("order-1", InvoiceStatus.PAID)  # error: a status of another Enum
    await api.update_status("order-1", "PAID")  # error: a status is no string
    await api.cancel("order-1", reason=None)  # error: a reason is a string
    await api.wait_for("order-1", Status.PAID, timedelta(1))  # error: options are named
    await api.wait_for("order-1", InvoiceStatus.PAID)  # error: a status of another Enum
    await api.wait_for("order-1", Status.PAID, timeout=5)  # error: a duration is no number
    run = await api.latest("order-1")
    invoice: Invoice = run.object  # error: the object is an order
    status: InvoiceStatus = run.status  # error: the status is an order's
    del invoice, status


async def control_a_connector(client: Client) -> None:
    """Ask for what there is, with what it does not take."""
    controls = ConnectorControls(client, "orders", "payments")
    await controls.seek(7)  # error: a position is a string
    await controls.dry_run("on")  # error: the switch is named
    letters = DeadLetters(client, "orders", "payments")
    await letters.discard("17")  # error: the reason is missing


def read_an_event(event: ConnectorEvent) -> str:
    """Read what is not there."""
    return event.foreignId  # error: there is no such field
