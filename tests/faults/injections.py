"""The faults: what each does to the crew, and when it is over."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from tests.faults.crew import Crew
from tests.faults.points import Point
from tests.faults.settings import HEARTBEAT_SECONDS

POINT_PATIENCE = 5.0
"""Seconds in which some worker comes to an armed point, if any does."""
SHARD_COUNTS = [1, 2, 3, 4]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong."""

    name: str
    inject: Callable[[Crew, random.Random], Awaitable[bool]]
    """Does it, and returns when it is over: whether it really came about."""


async def kill(crew: Crew, chance: random.Random) -> bool:
    """Kill a worker at any moment."""
    return crew.strike(signal.SIGKILL, chance)


async def stop(crew: Crew, chance: random.Random) -> bool:
    """Stop a worker as a deployment does."""
    return crew.strike(signal.SIGTERM, chance)


async def kill_at(point: Point, crew: Crew, chance: random.Random) -> bool:
    """Kill the worker that comes to a point next."""
    await asyncio.sleep(chance.random())
    crew.points.arm(point)
    try:
        async with asyncio.timeout(POINT_PATIENCE):
            while crew.points.is_armed(point):  # noqa: ASYNC110 - another process ends it
                await asyncio.sleep(0.02)
    except TimeoutError:
        # Whoever comes between the look and the disarming dies all the same.
        return not crew.points.disarm(point)
    return True


async def freeze(crew: Crew, chance: random.Random) -> bool:
    """Freeze a worker until its shards have another one, and let it go on beside that."""
    worker = crew.somebody(chance).worker
    pid = worker.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(HEARTBEAT_SECONDS * chance.uniform(1.5, 2.5))
    finally:
        worker.send(signal.SIGCONT)
    return pid != 0 and worker.pid == pid


async def restart_server(crew: Crew, chance: random.Random) -> bool:
    """Kill the Temporal server, and start it again on its file."""
    await crew.server.kill()
    await asyncio.sleep(chance.uniform(0.0, 1.0))
    await crew.server.start()
    return True


async def cut_from_server(crew: Crew, chance: random.Random) -> bool:
    """Break a worker's connections to Temporal; for so long, at times, that its shards move."""
    await crew.somebody(chance).temporal.cut(_seconds(chance, 0.1, 2 * HEARTBEAT_SECONDS))
    return True


async def delay_from_server(crew: Crew, chance: random.Random) -> bool:
    """Slow a worker's connections to Temporal down."""
    delay = _seconds(chance, 0.05, 0.5)
    await crew.somebody(chance).temporal.delay(delay, _seconds(chance, 1.0, 3.0))
    return True


async def cut_from_source(crew: Crew, chance: random.Random) -> bool:
    """Break a worker's connections to the source."""
    await crew.somebody(chance).database.cut(_seconds(chance, 0.1, 2.0))
    return True


async def delay_from_source(crew: Crew, chance: random.Random) -> bool:
    """Slow a worker's connections to the source down."""
    delay = _seconds(chance, 0.05, 0.5)
    await crew.somebody(chance).database.delay(delay, _seconds(chance, 1.0, 3.0))
    return True


async def change_graph(crew: Crew, _chance: random.Random) -> bool:
    """Deploy a version with one more status and step, worker by worker."""
    await crew.deploy(crew.settings.model_copy(update={"audits": crew.settings.audits + 1}))
    return True


async def change_shards(crew: Crew, chance: random.Random) -> bool:
    """Deploy another `parallel_count`, worker by worker."""
    count = chance.choice([count for count in SHARD_COUNTS if count != crew.settings.shard_count])
    await crew.deploy(crew.settings.model_copy(update={"shard_count": count}))
    return True


KILL = Fault("worker killed at any moment", kill)
STOP = Fault("worker stopped (SIGTERM)", stop)
KILLS_AT = {point: Fault(f"worker killed {point}", partial(kill_at, point)) for point in Point}
DEPLOYMENTS = (
    Fault("deployed with a changed graph", change_graph),
    Fault("deployed with another parallel_count", change_shards),
)
"""They go one after the other, whatever else happens meanwhile."""
FAULTS = (
    KILL,
    STOP,
    *KILLS_AT.values(),
    Fault("worker frozen for longer than the heartbeat timeout", freeze),
    Fault("Temporal server killed and restarted", restart_server),
    Fault("connections to Temporal cut", cut_from_server),
    Fault("connections to Temporal delayed", delay_from_server),
    Fault("connections to the source cut", cut_from_source),
    Fault("connections to the source delayed", delay_from_source),
    *DEPLOYMENTS,
)


def _seconds(chance: random.Random, least: float, most: float) -> timedelta:
    return timedelta(seconds=chance.uniform(least, most))
