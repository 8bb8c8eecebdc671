"""A trial: a load, workers that handle it, faults meanwhile, and what the checker says in the end."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.client import Client

from tests.faults.checker import Violation, check_effects, check_shards
from tests.faults.crew import Crew
from tests.faults.health import DEAD, check_parked, check_pumps, check_source, positions, read_parked
from tests.faults.injections import Fault
from tests.faults.injector import KILL_LIMIT_SECONDS, STOP_LIMIT_SECONDS, Injection, Injector
from tests.faults.journal import Entry, Journal
from tests.faults.ledger import RunLedger, count_runs, read_ledger
from tests.faults.load import events_table, plan_events, runs_wanted, write_events
from tests.faults.points import KillPoints
from tests.faults.processes import TemporalServer
from tests.faults.recovery import Recovery, late
from tests.faults.settings import AppSettings, Break
from tests.integration.postgres import postgres_server

WORKERS = 2
LOOK_SECONDS = 0.5
START_SECONDS = 180


@dataclass(frozen=True)
class Stage:
    """The servers that trials play on, one after the other."""

    server: TemporalServer
    database: sa.URL
    directory: Path


@asynccontextmanager
async def stage(directory: Path) -> AsyncGenerator[Stage]:
    """Run a Temporal server and a PostgreSQL server for the length of the block."""
    with postgres_server() as database:
        async with TemporalServer(directory).running() as server:
            yield Stage(server, database, directory)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a trial consists of."""

    name: str
    """Of the definition; each trial of a stage has its own."""
    seed: int
    events: int
    foreign_ids: int
    duration: timedelta
    """How long events are written and faults injected; what follows is the settling."""
    faults: Sequence[Fault]
    storm_share: float = 0.35
    """How often several faults come at once."""
    misdelivery_rate: float = 0.02
    """The share of events that the source delivers twice, and that of those it delivers late."""
    poison_share: float = 0.01
    """The share of events that the handler can never take."""
    patience: timedelta = timedelta(seconds=40)
    """When nothing moves for so long in the end, what is missing is taken for lost."""
    broken: Break | None = None
    has_recovery_limits: bool = False
    """Whether a shard that comes back too late is a violation: with other faults about, those may be why."""


@dataclass
class Report:
    """What came of a trial."""

    plan: Plan
    injections: list[Injection] = field(default_factory=list[Injection])
    violations: list[Violation] = field(default_factory=list[Violation])
    after_kill: list[Recovery] = field(default_factory=list[Recovery])
    after_stop: list[Recovery] = field(default_factory=list[Recovery])
    clock_jumps: int = 0
    runs: int = 0
    parked: int = 0
    dead: int = 0
    settled_after: float = 0.0
    """Seconds from the last event that was written to the end of all work."""
    statuses: Counter[int] = field(default_factory=Counter[int])
    """How many worker processes have ended in which way: exit statuses, or negative signals."""
    entries: list[Entry] = field(default_factory=list[Entry])
    """The journal."""


class Trial:
    """Plays one plan on a stage."""

    def __init__(self, plan: Plan, stage: Stage) -> None:
        """Plan the events; nothing is started."""
        self._plan = plan
        self._stage = stage
        self._events = plan_events(plan.seed, plan.events, plan.foreign_ids, plan.poison_share)
        self._directory = stage.directory / plan.name
        self._directory.mkdir()
        self._journal = Journal(self._directory / "journal")
        self._report = Report(plan, clock_jumps=sum(bool(event.clock_jump) for event in self._events))

    async def run(self) -> Report:
        """Play the plan to its end, and check what came of it."""
        engine = create_async_engine(self._stage.database)
        try:
            async with self._crew().working(WORKERS) as crew:
                await self._play(crew, engine)
                await self._settle(crew, engine)
                await self._check(crew, engine)
                for place in crew.places:
                    self._report.statuses.update(place.worker.statuses)
        finally:
            await engine.dispose()
        return self._report

    def _crew(self) -> Crew:
        settings = AppSettings(
            name=self._plan.name,
            database_url="",
            directory=self._directory,
            seed=self._plan.seed,
            twice_rate=self._plan.misdelivery_rate,
            late_rate=self._plan.misdelivery_rate,
            broken=self._plan.broken,
        )
        points = KillPoints(self._directory, self._journal)
        return Crew(self._stage.server, self._stage.database, settings, self._journal, points)

    async def _play(self, crew: Crew, engine: AsyncEngine) -> None:
        """Write the load, and inject faults meanwhile."""
        plan = self._plan
        table = events_table(crew.settings.events_table)
        async with engine.begin() as connection:
            await connection.run_sync(table.metadata.create_all)
        chance = random.Random(plan.seed)  # noqa: S311 - no secret
        injector = Injector(crew, plan.faults, chance, plan.storm_share)
        await self._begin(crew)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write_events(engine, table, self._events, plan.duration))
            await injector.run(writing)
        self._report.injections = injector.injections
        self._report.after_kill = injector.after_kill
        self._report.after_stop = injector.after_stop

    async def _begin(self, crew: Crew) -> None:
        """Wait until every shard is pumped."""
        client = await crew.server.connect()
        try:
            async with asyncio.timeout(START_SECONDS):
                while await check_pumps(client, crew.settings):  # noqa: ASYNC110 - no event comes with it
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError as error:
            raise RuntimeError(f"no worker pumps; see their logs in {self._directory}") from error

    async def _settle(self, crew: Crew, engine: AsyncEngine) -> None:
        """Wait until all is as it ought to be, or nothing moves any more."""
        client = await crew.server.connect()
        wanted = runs_wanted(self._events)
        begun = moved = time.monotonic()
        before: object = None
        while time.monotonic() - moved < self._plan.patience.total_seconds():
            runs = await count_runs(client, self._plan.name)
            unhealthy = await self._unhealthy(crew, engine, client)
            if runs == wanted and not unhealthy:
                break
            # How long a pump has been silent is no movement.
            now = (runs, [violation.kind for violation in unhealthy], await positions(engine, crew.settings))
            if now != before:
                before, moved = now, time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
        self._report.settled_after = time.monotonic() - begun

    async def _check(self, crew: Crew, engine: AsyncEngine) -> None:
        client = await crew.server.connect()
        runs: list[RunLedger] = await read_ledger(client, self._plan.name)
        parked = await read_parked(client, self._plan.name)
        dead = [event_id for event_id, standing in parked.items() if standing == DEAD]
        self._report.entries = self._journal.read()
        self._report.runs = len(runs)
        self._report.parked = len(parked)
        self._report.dead = len(dead)
        self._report.violations = [
            *check_effects(self._plan.name, self._events, runs, dead),
            *check_shards(self._report.entries),
            *await self._unhealthy(crew, engine, client),
        ]
        if self._plan.has_recovery_limits:
            self._report.violations += late(self._report.after_kill, KILL_LIMIT_SECONDS)
            self._report.violations += late(self._report.after_stop, STOP_LIMIT_SECONDS)

    async def _unhealthy(self, crew: Crew, engine: AsyncEngine, client: Client) -> list[Violation]:
        return [
            *await check_source(engine, crew.settings, self._events[-1].id),
            *await check_pumps(client, crew.settings),
            *check_parked(await read_parked(client, crew.settings.name)),
        ]
