"""The processes of a trial: a Temporal server that can be killed, and workers that always come back."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from pumphouse.worker.dev_server import FAST_SQLITE, server_binary
from pumphouse.workflows.names import SEARCH_ATTRIBUTES

ROOT = Path(__file__).parents[2]
WORKER = ("-m", "pumphouse.worker", "worker", "tests.faults.app:definition")
RESTART_SECONDS = 0.3
"""How long an orchestrator takes to start a worker anew."""
SERVER_PATIENCE = 60
POLLERS_TIMEOUT = timedelta(seconds=5)
STOP_PATIENCE = 20


class TemporalServer:
    """A Temporal server on a file; killed, it goes on where it was, at the same port."""

    def __init__(self, directory: Path) -> None:
        """Choose a port; nothing is started."""
        self.port = free_port()
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._client: Client | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["TemporalServer"]:
        """Run the server for the length of the block; at its end it is killed."""
        try:
            await self.start()
            yield self
        finally:
            await self.kill()

    async def start(self) -> None:
        """Start the server, and wait until it answers."""
        attributes = [
            part for key in SEARCH_ATTRIBUTES for part in ("--search-attribute", f"{key.name}=Keyword")
        ]
        with (self._directory / "temporal.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(server_binary(), "server", "start-dev", "--headless", "--log-level", "warn"),
                *("--port", str(self.port), "--db-filename", str(self._directory / "temporal.db")),
                *(*FAST_SQLITE, *attributes),
                stdout=log,
                stderr=log,
            )
        await self.connect()

    async def kill(self) -> None:
        """End the server without a warning."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def pollers(self, task_queue: str) -> set[int]:
        """The processes that ask a task queue for activities, or did lately; none if the server is away."""
        request = DescribeTaskQueueRequest(
            namespace="default",
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        )
        try:
            self._client = self._client or await Client.connect(self.address)
            service = self._client.workflow_service
            described = await service.describe_task_queue(request, timeout=POLLERS_TIMEOUT)
        except (RPCError, RuntimeError):
            return set()
        # The SDK's clients are called so: 123@host.
        return {int(poller.identity.partition("@")[0]) for poller in described.pollers}

    async def connect(self) -> Client:
        """A client of the server, once it answers."""
        async with asyncio.timeout(SERVER_PATIENCE):
            while True:
                try:
                    return await Client.connect(self.address)
                except RuntimeError:
                    await asyncio.sleep(0.1)


class Worker:
    """A place for one worker process: whenever it has ended, another one is started."""

    def __init__(self, log: Path) -> None:
        """Begin without a process; what its processes say is appended to the log."""
        self.environ: Mapping[str, str] = {}
        """What the next process has in its environment beside this one's."""
        self.statuses: list[int] = []
        """How its processes have ended: exit statuses, or negative signals."""
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Worker"]:
        """Keep a process running for the length of the block; at its end it is killed."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    @property
    def pid(self) -> int:
        """The process; 0 between two."""
        is_up = self._process and self._process.returncode is None
        return self._process.pid if self._process and is_up else 0

    def send(self, number: signal.Signals) -> int:
        """Send a signal to the process, if there is one; its process ID, or 0."""
        if self._process and self.pid:
            self._process.send_signal(number)
        return self.pid

    async def stop(self) -> None:
        """Stop the process as a deployment does, and return when its successor is there."""
        old = self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                await self._succeeded(old)
        except TimeoutError:
            # As an orchestrator does with a process that outlives its time of grace.
            self.send(signal.SIGKILL)
            await self._succeeded(old)

    async def _succeeded(self, old: int) -> None:
        while self.pid in {0, old}:  # noqa: ASYNC110 - another task waits for the process
            await asyncio.sleep(0.05)

    async def _keep(self) -> None:
        with self._log.open("ab") as log:
            while True:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, *WORKER),
                    cwd=ROOT,
                    env={**os.environ, **self.environ},
                    stdout=log,
                    stderr=log,
                )
                try:
                    self.statuses.append(await self._process.wait())
                finally:
                    if self._process.returncode is None:
                        self._process.kill()
                        await self._process.wait()
                await asyncio.sleep(RESTART_SECONDS)


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
