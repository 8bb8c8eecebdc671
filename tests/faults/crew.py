"""The workers of a trial, each behind network connections of its own that can be cut."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from pumphouse.workflows.names import pump_task_queue
from tests.faults.journal import Journal, Note
from tests.faults.points import KillPoints
from tests.faults.processes import TemporalServer, Worker
from tests.faults.proxy import Proxy
from tests.faults.settings import AppSettings

READY_PATIENCE = 10.0
"""Seconds in which a worker has started, unless the machine has much else to do."""
READY_LOOK = 0.2
DRAIN_TIMEOUT = "PT1S"
BUSY_SHARE = 0.7


@dataclass(frozen=True)
class Place:
    """A worker and its network."""

    worker: Worker
    temporal: Proxy
    database: Proxy


@dataclass
class Crew:
    """The workers of a trial, with all that faults can be done to."""

    server: TemporalServer
    database: sa.URL
    settings: AppSettings
    journal: Journal
    points: KillPoints
    places: list[Place] = field(default_factory=list[Place])
    struck: tuple[int, float] = (0, 0.0)
    """Whom `strike` has struck last, and when."""

    @asynccontextmanager
    async def working(self, count: int) -> AsyncGenerator["Crew"]:
        """Run so many workers for the length of the block."""
        async with AsyncExitStack() as stack:
            for number in range(count):
                temporal = await stack.enter_async_context(Proxy(self.server.port).running())
                database = await stack.enter_async_context(Proxy(self.database.port or 0).running())
                worker = Worker(self.settings.directory / f"worker-{number}.log")
                place = Place(worker, temporal, database)
                worker.environ = self._environ(place)
                await stack.enter_async_context(worker.running())
                self.places.append(place)
            yield self

    async def deploy(self, settings: AppSettings) -> None:
        """Replace the workers one after the other by new ones with other settings."""
        self.settings = settings
        for place in self.places:
            # Of all first: a worker that dies meanwhile comes back as a new one.
            place.worker.environ = self._environ(place)
        for place in self.places:
            await place.worker.stop()
            await self.ready()

    async def ready(self) -> bool:
        """Wait until every worker asks for shards, but not for ever; whether they all do."""
        deadline = time.monotonic() + READY_PATIENCE
        while not await self._are_polling():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(READY_LOOK)
        return True

    async def _are_polling(self) -> bool:
        pollers = await self.server.pollers(pump_task_queue(self.settings.name))
        return {place.worker.pid for place in self.places} <= pollers

    def strike(self, number: signal.Signals, chance: random.Random) -> bool:
        """Send a signal to somebody; whether there was a process to take it."""
        moment = time.time()
        self.struck = (self.somebody(chance).worker.send(number), moment)
        return self.struck[0] != 0

    def somebody(self, chance: random.Random) -> Place:
        """A place to strike: mostly that of the worker that has acked last, as the others may be idle."""
        acks = (entry for entry in reversed(self.journal.recent()) if entry.note is Note.ACKED)
        busy = next(acks, None)
        if busy and chance.random() < BUSY_SHARE:
            for place in self.places:
                if place.worker.pid == busy.pid:
                    return place
        return chance.choice(self.places)

    def _environ(self, place: Place) -> dict[str, str]:
        url = self.database.set(port=place.database.port)
        settings = self.settings.model_copy(
            update={"database_url": url.render_as_string(hide_password=False)}
        )
        return {
            "TEMPORAL_ADDRESS": f"127.0.0.1:{place.temporal.port}",
            "PUMPHOUSE_DRAIN_TIMEOUT": DRAIN_TIMEOUT,
            **settings.environ(),
        }
