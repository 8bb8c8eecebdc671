"""The command `pumphouse`, as a process."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from pumphouse.worker.dev_server import DevServer
from tests.eventually import eventually

APP = """
from datetime import UTC, datetime
from enum import Enum
from pydantic import BaseModel
from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.workflows import Workflow

class Status(Enum):
    OPEN = 1
    DONE = 2

class Ticket(BaseModel):
    title: str = ""

mails = Workflow("mails", Ticket, Status, task_queue="mails")
mails.allow(Status.OPEN, Status.DONE)
broken = Workflow("broken", Ticket, Status)
events = [ConnectorEvent(id="1", foreign_id="t-1", type="opened", created_at=datetime.now(UTC))]

@mails.connector("postbox", MemoryConnector(events))
async def on_event(api, event):
    await api.trigger(event.foreign_id, Ticket())
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@asynccontextmanager
async def command(*arguments: str, cwd: Path, **environ: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pumphouse.worker", *arguments),
        cwd=cwd,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def outcome(*arguments: str, cwd: Path, **environ: str) -> tuple[int | None, str]:
    """The exit status and the output of a command that ends by itself."""
    async with asyncio.timeout(60), command(*arguments, cwd=cwd, **environ) as process:
        output, _ = await process.communicate()
        return process.returncode, output.decode()


async def line_with(process: asyncio.subprocess.Process, text: str) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if text in line:
                return line
            lines.append(line)
    raise AssertionError(f"the process ended without a line with {text!r}: {''.join(lines)}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_worker_pumps_and_ends_well_on_sigterm(app: Path, server: DevServer, client: Client) -> None:
    async with command("worker", "app:mails", cwd=app, TEMPORAL_ADDRESS=server.address) as process:
        await line_with(process, "executing mails")
        await eventually(lambda: exists(client, "mails/t-1"))

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await process.communicate()

    assert process.returncode == 0


async def exists(client: Client, workflow_id: str) -> bool:
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return False
    return True


async def test_telemetry_goes_where_the_standard_settings_say(app: Path, server: DevServer) -> None:
    environ = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"}
    async with command("worker", "app:mails", cwd=app, TEMPORAL_ADDRESS=server.address, **environ) as process:
        await line_with(process, "StartWorkflow:")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            output, _ = await process.communicate()

    assert process.returncode == 0
    # Metrics are sent at the end at the latest.
    assert '"name": "pumphouse.lag"' in output.decode()
    assert '"workflow": "mails"' in output.decode()


async def test_the_status_shows_the_pumps(app: Path, server: DevServer) -> None:
    async with command("worker", "app:mails", cwd=app, TEMPORAL_ADDRESS=server.address) as process:
        await line_with(process, "executing mails")
        async with asyncio.timeout(30):
            output = ""
            while "mails.connector[postbox]" not in output:
                code, output = await outcome(
                    "status", cwd=app, TEMPORAL_ADDRESS=server.address, COLUMNS="200"
                )
                assert code == 0, output


async def test_without_a_server_the_command_says_where_it_looked(app: Path) -> None:
    address = f"127.0.0.1:{free_port()}"

    code, output = await outcome("worker", "app:mails", cwd=app, TEMPORAL_ADDRESS=address)

    assert code == 1
    assert address in output
    assert "pumphouse dev" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("app", "expected MODULE:ATTRIBUTE"),
        ("nowhere:mails", "there is no module 'nowhere'"),
        ("app:nothing", "no attribute 'nothing'"),
        ("app:Ticket", "expected MODULE:ATTRIBUTE"),
        ("app:broken", "nothing leads on from the starting status OPEN"),
    ],
)
async def test_a_target_that_is_no_definition_is_refused(
    app: Path, server: DevServer, target: str, complaint: str
) -> None:
    code, output = await outcome("worker", target, cwd=app, TEMPORAL_ADDRESS=server.address)

    assert code == 1
    assert complaint in output
    assert "Traceback" not in output


async def test_a_setting_that_makes_no_sense_is_named(app: Path) -> None:
    code, output = await outcome("worker", "app:mails", cwd=app, PUMPHOUSE_DRAIN_TIMEOUT="-1")

    assert code == 1
    assert "drain_timeout" in output
    assert "Traceback" not in output


async def test_a_second_server_on_the_same_file_is_refused(tmp_path: Path) -> None:
    database = str(tmp_path / "data" / "temporal.db")

    def ports() -> list[str]:
        return ["--port", str(free_port()), "--ui-port", str(free_port())]

    async with command("dev", "--database", database, *ports(), cwd=tmp_path) as first:
        await line_with(first, "stop with Ctrl-C")

        code, output = await outcome("dev", "--database", database, *ports(), cwd=tmp_path)

        assert code == 1
        assert f"another server runs on {database}" in output
        first.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await first.communicate()
        assert first.returncode == 0


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        code, output = await outcome(
            "dev", "--database", str(tmp_path / "t.db"), "--port", str(port), cwd=tmp_path
        )

    assert code == 1
    assert f"port {port} is in use" in output
