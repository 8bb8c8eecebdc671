"""The commands on parked events, and the one that traces an event, as processes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from pumphouse.worker.dev_server import DevServer
from pumphouse.workflows import DeadLetters
from pumphouse.workflows.parked import DeadLetterRecord
from tests.eventually import eventually
from tests.integration.parked import stands
from tests.integration.test_command import command, line_with, outcome

APP = """
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from pydantic import BaseModel
from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.workflows import Workflow

class Status(Enum):
    OPEN = 1
    DONE = 2

class Ticket(BaseModel):
    title: str = ""

def event(number, foreign_id, type):
    return ConnectorEvent(
        id=str(number), foreign_id=foreign_id, type=type, created_at=datetime.now(UTC), data={{"n": number}}
    )

desk = Workflow("{name}", Ticket, Status, task_queue="{name}")
desk.allow(Status.OPEN, Status.DONE)
events = [
    event(1, "t-1", "opened"),
    event(2, "t-2", "broken"),
    event(3, "t-3", "hopeless"),
    event(4, "t-4", "broken"),
    event(5, "t-5", "stubborn"),
]

async def handle(api, event):
    mended = Path("mended").exists()
    if event.type == "hopeless" or (event.type == "broken" and not mended):
        raise ValueError(f"it is {{event.type}}")
    await api.trigger(event.foreign_id, Ticket())

@desk.connector("mails", MemoryConnector(events), max_attempts=1)
async def on_mail(api, event):
    if event.type != "stubborn":
        await handle(api, event)

@desk.connector("calls", MemoryConnector(events[4:]), error_backoff=timedelta(milliseconds=100))
async def on_call(api, event):
    raise ValueError("nobody answers")
"""


class Desk:
    """A worker as a process, with two connectors; `name` is its definition's."""

    def __init__(self, cwd: Path, server: DevServer, client: Client) -> None:
        self.name = f"desk-{uuid4().hex[:8]}"
        self.mails = f"{self.name}/mails"
        self.calls = f"{self.name}/calls"
        self.cwd = cwd
        self.environ = {"TEMPORAL_ADDRESS": server.address, "COLUMNS": "200"}
        self.letters = DeadLetters(client, self.name, "mails")
        (cwd / "app.py").write_text(APP.format(name=self.name))

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """A worker is up, and the dead letters are there."""
        async with command("worker", "app:desk", cwd=self.cwd, **self.environ) as worker:
            await line_with(worker, "executing")
            for event_id in ("2", "3", "4"):
                await self.standing(event_id, "dead")
            await eventually(self.all_are_listed)
            yield

    async def run(self, *arguments: str, **environ: str) -> tuple[int | None, str]:
        return await outcome(*arguments, cwd=self.cwd, **self.environ, **environ)

    async def all_are_listed(self) -> bool:
        return {event_id async for event_id in self.letters.event_ids()} == {"2", "3", "4"}

    async def standing(self, event_id: str, standing: str) -> DeadLetterRecord:
        return await stands(self.letters, event_id, standing)


@pytest.fixture
def desk(tmp_path: Path, server: DevServer, client: Client) -> Desk:
    return Desk(tmp_path, server, client)


async def test_dead_letters_are_listed_shown_redriven_and_discarded(desk: Desk) -> None:
    async with desk.working():
        code, listed = await desk.run("dlq", "list", desk.mails)
        assert code == 0, listed
        rows = [line for line in listed.splitlines() if "ValueError" in line]
        cells = [[cell.strip() for cell in row.split("│")[1:6]] for row in rows]
        assert sorted(cells) == [
            ["2", "t-2", "dead", "1", "ValueError: it is broken"],
            ["3", "t-3", "dead", "1", "ValueError: it is hopeless"],
            ["4", "t-4", "dead", "1", "ValueError: it is broken"],
        ]

        code, shown = await desk.run("dlq", "show", desk.mails, "2")
        assert code == 0, shown
        assert '"n": 2' in shown
        assert "foreign id    t-2" in shown

        code, refused = await desk.run("dlq", "redrive", desk.mails, "3")
        assert (code, refused) == (1, f"{desk.mails}, event 3: dead: ValueError: it is hopeless\n")

        (desk.cwd / "mended").touch()
        code, redriven = await desk.run("dlq", "redrive", desk.mails, "--all", "--reason", "mended")
        assert code == 1, redriven
        assert sorted(redriven.splitlines()) == [
            f"{desk.mails}, event 2: redriven",
            f"{desk.mails}, event 3: dead: ValueError: it is hopeless",
            f"{desk.mails}, event 4: redriven",
        ]

        code, discarded = await desk.run("dlq", "discard", desk.mails, "3", "--reason", "hopeless")
        assert (code, discarded) == (0, f"{desk.mails}, event 3: discarded\n")

        code, told = await desk.run("dlq", "release", desk.mails, "t-3", "3")
        assert code == 1  # nothing is parked in order
        assert told.startswith(f"pumphouse: {desk.mails}: event '3' is not parked")

        code, again = await desk.run("dlq", "discard", desk.mails, "3", "--reason", "hopeless")
        assert code == 1
        assert again.startswith(f"pumphouse: {desk.mails}: event '3' is not parked")

        code, listed = await desk.run("dlq", "list", desk.mails)
        assert (code, listed) == (0, f"{desk.mails}: nothing is parked\n")
        code, redriven = await desk.run("dlq", "redrive", desk.mails, "--all")
        assert (code, redriven) == (0, f"{desk.mails}: nothing is dead\n")

    record = await desk.letters.get("3")
    assert (record.changes[-1].what, record.changes[-1].reason) == ("discarded", "hopeless")
    assert "@" in record.changes[-1].by


async def test_dead_letters_are_redriven_in_the_order_they_were_parked(desk: Desk) -> None:
    async with desk.working():
        parked = sorted(
            [(await desk.letters.get(event_id)).parked for event_id in "234"], key=lambda p: p.parked_at
        )
        _, redriven = await desk.run("dlq", "redrive", desk.mails, "--all")

    assert [line.split()[2] for line in redriven.splitlines()] == [f"{each.event_id}:" for each in parked]


async def test_an_event_is_traced_to_its_calls_its_dead_letter_or_its_attempts(desk: Desk) -> None:
    async with desk.working():
        code, told = await desk.run("trace", desk.mails, "1", "--foreign-id", "t-1")
        assert code == 0, told
        head, call = told.splitlines()
        assert head == f"{desk.mails}, event 1, foreign ID t-1: received"
        assert f"trigger: started, {desk.name}/t-1, run " in call

        code, told = await desk.run("trace", desk.mails, "3")
        assert code == 0, told
        assert told.startswith(f"{desk.mails}, event 3, foreign ID t-3: received\n")
        assert "parked, dead, attempts 1: ValueError: it is hopeless" in told

        async def is_tried() -> bool:
            code, told = await desk.run("trace", desk.calls, "5")
            return code == 0 and "being tried: event 5, attempt " in told and "nobody answers" in told

        await eventually(is_tried)
        _, told = await desk.run("status")
        assert f"{desk.name}.connector[calls] 1-of-1: event 5, attempt " in told


async def test_the_source_tells_the_foreign_id_of_an_event(desk: Desk) -> None:
    async with desk.working():
        code, told = await desk.run("trace", desk.mails, "1", "--app", "app:desk")
        assert code == 0, told
        assert "event 1, foreign ID t-1: received" in told

        code, told = await desk.run("trace", desk.mails, "5", PUMPHOUSE_APP="app:desk")
        assert code == 1
        assert "event 5, foreign ID t-5: not known to have been received\nEither it is in the source" in told

        code, told = await desk.run("trace", desk.mails, "6", "--app", "app:desk")
        assert code == 1
        assert "event 6: not known to have been received\nEither it was never seen" in told
        assert told.endswith("give --foreign-id.\n")

        code, told = await desk.run("trace", f"{desk.name}/letters", "1", "--app", "app:desk")
        assert (code, told) == (
            1,
            f"pumphouse: app:desk has no connector {desk.name}/letters; it has {desk.mails}, {desk.calls}\n",
        )


@pytest.mark.parametrize(
    "arguments",
    [("trace", "{}", "1"), ("dlq", "list", "{}"), ("dlq", "redrive", "{}", "--all"), ("pause", "{}")],
)
async def test_a_connector_that_nobody_knows_is_named_as_such(desk: Desk, arguments: tuple[str, ...]) -> None:
    unknown = f"{desk.name}/letters"
    code, told = await desk.run(*(each.format(unknown) for each in arguments))
    assert code == 1
    assert f"pumphouse: {unknown}: no such connector is being supervised" in told


async def test_without_a_worker_no_command_waits_for_ever(desk: Desk) -> None:
    async with desk.working():
        pass
    outcomes = await asyncio.gather(
        desk.run("dlq", "list", desk.mails),
        desk.run("dlq", "show", desk.mails, "2"),
        desk.run("dlq", "redrive", desk.mails, "2"),
        desk.run("trace", desk.mails, "2"),
    )
    for code, told in outcomes:
        assert code == 1
        assert told.startswith(f"pumphouse: {desk.mails}: event '")
        assert "': no worker has answered within 0:00:10; is one up that executes" in told
        assert told.count("\n") == 1
