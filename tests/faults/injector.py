"""Injects faults as long as there is a load: one at a time and seen through, or a storm of several."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.crew import Crew
from tests.faults.injections import DEPLOYMENTS, KILL, KILLS_AT, STOP, Fault
from tests.faults.journal import Entry, Note
from tests.faults.recovery import Recovery, recoveries
from tests.faults.settings import HEARTBEAT_SECONDS

logger = logging.getLogger(__name__)

STORM_SIZE = 3
MAX_PAUSE_SECONDS = 1.0
KILL_LIMIT_SECONDS = HEARTBEAT_SECONDS + 5
STOP_LIMIT_SECONDS = 2.0
CALM_SECONDS = 6.0
"""What runs take to go on after a fault: workflow tasks of a worker that is gone time out first."""
PATIENCE_SECONDS = 2 * KILL_LIMIT_SECONDS
"""How long a shard is waited for at the most."""


@dataclass(frozen=True)
class Injection:
    """A fault that came about, and when, in seconds of the system's clock."""

    fault: str
    begun: float
    ended: float


class Injector:
    """Draws faults from a deck that holds each of them once, and is shuffled anew when it is empty."""

    def __init__(
        self, crew: Crew, faults: Sequence[Fault], chance: random.Random, storm_share: float
    ) -> None:
        """Shuffle the deck.

        Args:
            crew: whom the faults befall.
            faults: what may happen.
            chance: decides.
            storm_share: how often several faults come at once; recovery is measured in the other cases.
        """
        self._crew = crew
        self._faults = faults
        self._chance = chance
        self._storm_share = storm_share
        self._deck: list[Fault] = []
        self.injections: list[Injection] = []
        """What came about."""
        self.after_kill: list[Recovery] = []
        """The recoveries after a worker was killed, with nothing else the matter."""
        self.after_stop: list[Recovery] = []
        """Those after a worker was stopped."""

    async def run(self, load: asyncio.Task[None]) -> None:
        """Inject faults until the load is written."""
        while self._faults and not load.done():
            # Workers that never come to work would be struck in vain.
            is_ready = await self._crew.ready()
            if self._chance.random() < self._storm_share:
                await self._storm()
            elif (fault := self._draw()) in MEASURED and is_ready:
                await self._measured(fault)
            else:
                await self._inject(fault)
            await asyncio.sleep(self._chance.uniform(0, MAX_PAUSE_SECONDS))

    async def _storm(self) -> None:
        faults = {fault.name: fault for fault in (self._draw() for _ in range(STORM_SIZE))}
        deployments = [fault for fault in faults.values() if fault in DEPLOYMENTS]
        others = [fault for fault in faults.values() if fault not in DEPLOYMENTS]
        await asyncio.gather(self._one_by_one(deployments), *map(self._inject, others))

    async def _one_by_one(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            await self._inject(fault)

    async def _measured(self, fault: Fault) -> None:
        """Inject a fault that ends a worker, once all is calm, and see how long its shards stand still."""
        last = self.injections[-1].ended if self.injections else 0.0
        await asyncio.sleep(max(0.0, last + CALM_SECONDS - time.time()))
        begun = time.time()
        if not await self._inject(fault):
            return
        pid, moment = self._crew.struck if fault in (KILL, STOP) else self._killed_since(begun)
        found = await self._see_through(pid, moment)
        (self.after_stop if fault is STOP else self.after_kill).extend(found)

    async def _see_through(self, pid: int, moment: float) -> list[Recovery]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = recoveries(self._crew.journal.recent(), pid, moment)
            if all(recovery.seconds for recovery in found) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.1)

    def _killed_since(self, moment: float) -> tuple[int, float]:
        entries: list[Entry] = self._crew.journal.recent()
        return next(
            (entry.pid, entry.time)
            for entry in reversed(entries)
            if entry.note is Note.KILLED and entry.time >= moment
        )

    async def _inject(self, fault: Fault) -> bool:
        begun = time.time()
        came_about = await fault.inject(self._crew, self._chance)
        ended = time.time()
        if came_about:
            self.injections.append(Injection(fault.name, begun, ended))
        logger.info("%s: %.1f s%s", fault.name, ended - begun, "" if came_about else ", did not come about")
        return came_about

    def _draw(self) -> Fault:
        if not self._deck:
            self._deck = self._chance.sample(self._faults, len(self._faults))
        return self._deck.pop()


MEASURED = (KILL, STOP, *KILLS_AT.values())
