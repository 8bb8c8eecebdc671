"""Records the histories that the replay test holds against the machine.

    python -m tests.replay.record

Run it to add histories when a workflow learns something; those that are there stay, since they stand for the
executions that users have open.
"""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.worker import PumphousePlugin
from pumphouse.worker.dev_server import dev_server
from pumphouse.worker.status import pump_statuses
from pumphouse.workflows import (
    API,
    ConnectorControls,
    ConnectorOptions,
    ControlRefused,
    DeadLetterNotFound,
    DeadLetters,
    Run,
    Workflow,
    names,
)
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


def define_loans(name: str = "loans") -> Workflow[Loan, Status]:
    """A graph that no other code has: nothing of it is there when the histories are replayed."""
    loans = Workflow(name, Loan, Status, task_queue=name)
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
        await store(client.get_workflow_handle(f"loans/{foreign_id}"), name)


async def record_supervisor(client: Client, name: str, *parallel_counts: int) -> None:
    """Let one worker after the other pump a connector, and store its supervisor's history as it is then."""
    loans = f"loans-{uuid4().hex[:8]}"
    source = MemoryConnector()
    supervisor = client.get_workflow_handle(names.supervisor_workflow_id(loans, "requests"))
    for parallel_count in parallel_counts:
        definition = define_loans(loans)
        definition.add_connector("requests", source, ignore, ConnectorOptions(parallel_count=parallel_count))
        async with Worker(client, task_queue=loans, plugins=[PumphousePlugin(definition)]):
            await pumped(client, supervisor.id, parallel_count)
    await store(supervisor, name)


async def record_controls(client: Client, name: str) -> None:
    """Control a connector in every way, and store its supervisor's history as it is then."""
    loans = define_loans(f"loans-{uuid4().hex[:8]}")
    loans.add_connector("requests", MemoryConnector(), ignore)
    controls = ConnectorControls(client, loans.name, "requests", by="the recorder")
    supervisor = client.get_workflow_handle(names.supervisor_workflow_id(loans.name, "requests"))
    async with Worker(client, task_queue=loans.name, plugins=[PumphousePlugin(loans)]):
        await pumped(client, supervisor.id, 1)
        await controls.pause("for the record")
        await controls.resume()
        await controls.seek("earliest")
        await controls.dry_run(on=True)
        await pumped(client, supervisor.id, 1)
        with suppress(ControlRefused):
            await controls.seek("nowhere")
        await controls.stop()
        await controls.seek("latest")
        await controls.dry_run(on=False)
        await controls.resume()
        await pumped(client, supervisor.id, 1)
    await store(supervisor, name)


async def record_parked(client: Client) -> None:
    """Let an event fail, and others wait behind it, and store the histories of their workflows."""
    loans = define_loans(f"loans-{uuid4().hex[:8]}")
    now = datetime.now(UTC)
    requests = MemoryConnector(
        ConnectorEvent(id=str(number), foreign_id="loan-1", created_at=now) for number in range(1, 4)
    )
    failing = {"1", "3"}

    async def refuse(api: API[Loan, Status], event: ConnectorEvent) -> None:
        if event.id in failing:
            raise LookupError(event.id)

    loans.add_connector("requests", requests, refuse, ConnectorOptions(max_attempts=1, order="strict"))
    letters = DeadLetters(client, loans.name, "requests", by="the recorder")

    async def stands(event_id: str, standing: str) -> None:
        async def so() -> bool:
            with suppress(DeadLetterNotFound):
                return (await letters.get(event_id)).standing == standing
            return False

        await eventually(so)

    async with Worker(client, task_queue=loans.name, plugins=[PumphousePlugin(loans)]):
        await stands("3", "waiting")
        await letters.redrive("1", "in vain")
        failing.remove("1")
        await letters.redrive("1", "for the record")
        await stands("3", "dead")
        workflow_ids = {
            **{f"dead-letter-{n}": f"pumphouse/dead-letter/{loans.name}/requests/{n}" for n in (1, 2, 3)},
            "parking-lot": f"pumphouse/parking-lot/{loans.name}/requests",
        }
        for name, workflow_id in workflow_ids.items():
            await store(client.get_workflow_handle(workflow_id), name)


async def ignore(api: API[Loan, Status], event: ConnectorEvent) -> None:
    """A handler for events that never come."""


async def pumped(client: Client, supervisor_id: str, parallel_count: int) -> None:
    """Wait until so many pumps have told how they stand."""

    async def have_begun() -> bool:
        pumps = await pump_statuses(client, supervisor_id)
        return {pump.stats.shard for pump in pumps} >= {
            f"{number}-of-{parallel_count}" for number in range(1, parallel_count + 1)
        }

    await eventually(have_begun)


async def store(handle: WorkflowHandle[Any, Any], name: str) -> None:
    path = HISTORIES / f"{name}.json"
    if path.exists():
        return
    history = json.loads((await handle.fetch_history()).to_json(), object_hook=without_trace)
    path.write_text(json.dumps(history, indent=2))


def without_trace(part: dict[str, Any]) -> dict[str, Any]:
    """Leave out where on this machine an error came from."""
    return {key: value for key, value in part.items() if key != "stackTrace"}


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
        await record_supervisor(server.client, "supervisor", 1, 3, 2)
        await record_controls(server.client, "supervisor-controlled")
        await record_parked(server.client)


if __name__ == "__main__":
    asyncio.run(main())
