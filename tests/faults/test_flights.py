"""The demo's day, with a worker that is stopped and killed on the way."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.client import Client

from examples.flights.demo import running, watch
from examples.flights.feeder import create_table, feed
from examples.flights.progress import Progress, read_progress
from pumphouse.worker.dev_server import DevServer
from tests.eventually import eventually

WORKER = ("-m", "pumphouse.worker", "worker", "examples.flights.flights:flights")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'flights.db'}"


@pytest.fixture
async def engine(url: str) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(url)
    await create_table(engine)
    yield engine
    await engine.dispose()


async def acked(client: Client, engine: AsyncEngine, events: int) -> Progress:
    """Wait until so many events are acked."""

    async def look() -> Progress | None:
        progress = await read_progress(client, engine)
        return progress if progress.acked >= events else None

    return await eventually(look, seconds=120)


async def test_a_worker_stopped_and_killed_on_the_way_ends_in_the_same_totals(
    server: DevServer, engine: AsyncEngine, url: str, tmp_path: Path
) -> None:
    environ = {"FLIGHTS_DATABASE_URL": url, "TEMPORAL_ADDRESS": server.address}
    await feed(engine)

    stops = [(signal.SIGTERM, 300), (signal.SIGKILL, 700), (signal.SIGTERM, 1300)]
    for number, (stop, events) in enumerate(stops):
        async with running(*WORKER, environ=environ, log=tmp_path / "worker.log") as worker:
            stopped_at = await acked(server.client, engine, events)
            worker.send_signal(stop)
            async with asyncio.timeout(30):
                status = await worker.wait()
        assert stopped_at.differences, f"stop {number} came when all was done: it shows nothing"
        assert status == (0 if stop is signal.SIGTERM else -signal.SIGKILL)

    async with running(*WORKER, environ=environ, log=tmp_path / "worker.log") as worker:
        await watch(server.client, engine, worker)

    assert (await read_progress(server.client, engine)).differences == []
