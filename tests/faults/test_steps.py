"""What becomes of a step when its worker is killed."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

from examples.flights.demo import running
from pumphouse.worker.dev_server import DevServer
from tests.eventually import eventually
from tests.faults.slow import MARK, Job, Status, jobs

WORKER = ("-m", "pumphouse.worker", "worker", "tests.faults.slow:jobs")
SOON = timedelta(seconds=60)
"""Much less than the step's own time-out of ten minutes."""


async def test_a_step_whose_worker_was_killed_runs_again_without_waiting_for_its_timeout(
    server: DevServer, tmp_path: Path
) -> None:
    mark = tmp_path / "begun"
    environ = {MARK: str(mark), "TEMPORAL_ADDRESS": server.address}
    api = jobs.bind(server.client)

    async def has_begun() -> bool:
        return await asyncio.to_thread(mark.exists)

    async with running(*WORKER, environ=environ, log=tmp_path / "worker.log") as worker:
        await api.trigger("job", Job())
        await eventually(has_begun, seconds=60)
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
    async with running(*WORKER, environ=environ, log=tmp_path / "worker.log"):
        async with asyncio.timeout(SOON.total_seconds()):
            await server.client.get_workflow_handle(f"{jobs.name}/job").result()

    assert (await api.latest("job")).status is Status.DONE
