"""The worker process: connects, executes definitions, and stops well."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from pumphouse.worker.plugin import PumphousePlugin
from pumphouse.worker.settings import WorkerSettings
from pumphouse.workflows.definition import Workflow
from pumphouse.workflows.errors import InvalidDefinition

STICKY_TIMEOUT = timedelta(seconds=3)
"""How long a run waits for the worker that has it in its cache, before any other may go on with it: the SDK's
10 s would hold up every awaited call behind a worker that was killed."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def run_worker(
    client: Client, definitions: Sequence[Workflow[Any, Any]], settings: WorkerSettings, stop: asyncio.Event
) -> None:
    """Execute definitions until told to stop; then end what is under way and hand the shards over.

    Args:
        client: the connection.
        definitions: all of one task queue.
        settings: how to run.
        stop: set to stop.

    Raises:
        InvalidDefinition: a definition cannot work, or they are of different task queues.
    """
    plugin = PumphousePlugin(*definitions, drain_timeout=settings.drain_timeout)
    worker = Worker(
        client,
        task_queue=_task_queue(definitions),
        plugins=[plugin],
        max_concurrent_activities=settings.max_concurrent_steps,
        graceful_shutdown_timeout=settings.drain_timeout,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(worker.run())
        stopped = tasks.create_task(stop.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not running.done():
            # The pumps first: their handlers may wait for runs, which this worker still executes.
            await plugin.drain()
            await worker.shutdown()


def _task_queue(definitions: Sequence[Workflow[Any, Any]]) -> str:
    first = definitions[0]
    for other in definitions:
        if other.task_queue != first.task_queue:
            raise InvalidDefinition(
                other.name,
                f"its task queue is {other.task_queue!r}, and that of {first.name} is {first.task_queue!r}: "
                "run a worker for each, or give them one",
            )
    return first.task_queue
