"""Records the histories that the replay test holds against the machine.

    python -m tests.replay.record

Run it to add histories when the machine learns something; never to replace those that are there, since they
stand for the runs that users have open.
"""

import asyncio
from enum import Enum
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel
from temporalio.client import Client
from temporalio.worker import Worker

from pumphouse.worker import PumphousePlugin
from pumphouse.worker.dev_server import dev_server
from pumphouse.workflows import Run, Workflow
from tests.eventually import eventually

HISTORIES = Path(__file__).with_name("histories")


class Status(Enum):
    ASKED = 1
    GRANTED = 2
    PAID_OUT = 3
    ARCHIVED = 4


class Loan(BaseModel):
    amount: int
    paid_out: bool = False


def define_loans() -> Workflow[Loan, Status]:
    """A graph that no other code has: nothing of it is there when the histories are replayed."""
    loans = Workflow("loans", Loan, Status, task_queue="loans")
    loans.allow(Status.ASKED, Status.GRANTED)

    @loans.step(Status.GRANTED, to=[Status.PAID_OUT])
    async def pay_out(run: Run[Loan, Status]) -> Status:
        run.object.paid_out = True
        return Status.PAID_OUT

    loans.allow(Status.PAID_OUT, Status.ARCHIVED)
    return loans


async def record(client: Client, name: str, *updates: Status, cancel: bool = False) -> None:
    """Let a run take some updates, and store its history as it is then."""
    loans = define_loans()
    api = loans.bind(client)
    foreign_id = f"{name}-{uuid4().hex[:8]}"
    async with Worker(client, task_queue="loans", plugins=[PumphousePlugin(loans)]):
        await api.trigger(foreign_id, Loan(amount=100))
        for status in updates:
            await api.update_status(foreign_id, status)
            if status is Status.GRANTED:
                await api.wait_for(foreign_id, Status.PAID_OUT)
        if cancel:
            await api.cancel(foreign_id, "for the record")
        await settle(client, f"loans/{foreign_id}")
        history = await client.get_workflow_handle(f"loans/{foreign_id}").fetch_history()
    (HISTORIES / f"{name}.json").write_text(history.to_json())


async def settle(client: Client, workflow_id: str) -> None:
    """Wait until no workflow task is under way, by a query behind everything else."""
    handle = client.get_workflow_handle(workflow_id)
    await handle.query("record")

    async def is_idle() -> bool:
        return not (await handle.describe()).raw_description.HasField("pending_workflow_task")

    await eventually(is_idle)


async def main() -> None:
    async with dev_server() as server:
        await record(server.client, "closed", Status.GRANTED, Status.ARCHIVED)
        await record(server.client, "open", Status.GRANTED)
        await record(server.client, "open-with-refusal", Status.ARCHIVED)
        await record(server.client, "cancelled", cancel=True)


if __name__ == "__main__":
    asyncio.run(main())
