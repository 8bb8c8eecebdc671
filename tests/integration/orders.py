"""A definition for tests, and a worker that executes it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from pumphouse.worker import PumphousePlugin
from pumphouse.workflows import API, Run, Workflow
from pumphouse.workflows.messages import Record


class OrderStatus(Enum):
    CREATED = 1
    PAID = 2
    SHIPPED = 3
    REFUNDED = 4


class Order(BaseModel):
    total: int = 1
    shipped: bool = False


def bare_orders() -> Workflow[Order, OrderStatus]:
    """A definition with a name and a task queue of its own, and nothing else."""
    name = f"orders-{uuid4().hex[:8]}"
    return Workflow(name, Order, OrderStatus, task_queue=name)


def define_orders() -> Workflow[Order, OrderStatus]:
    """CREATED -> PAID -> SHIPPED, the latter by a step, and CREATED -> REFUNDED."""
    orders = bare_orders()
    orders.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.REFUNDED)

    @orders.step(OrderStatus.PAID, to=[OrderStatus.SHIPPED])
    async def ship(run: Run[Order, OrderStatus]) -> OrderStatus:
        run.object.shipped = True
        return OrderStatus.SHIPPED

    return orders


@asynccontextmanager
async def executing(
    client: Client, *definitions: Workflow[Any, Any], **options: Any
) -> AsyncGenerator[Worker]:
    """Run a worker for definitions of one task queue."""
    worker = Worker(
        client, task_queue=definitions[0].task_queue, plugins=[PumphousePlugin(*definitions)], **options
    )
    async with worker:
        yield worker


def handle_of(
    client: Client, api: API[Order, OrderStatus], foreign_id: str
) -> WorkflowHandle[object, Record]:
    """Temporal's own handle of a run."""
    return client.get_workflow_handle(f"{api.name}/{foreign_id}", result_type=Record)
