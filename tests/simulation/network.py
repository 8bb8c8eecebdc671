"""The way between a process and what lies outside: it delays, and loses requests and answers."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from tests.simulation.loop import SimulatedLoop, World

T = TypeVar("T")

TICK = 1 / 256
DELAYS = (TICK, TICK, TICK, 2 * TICK, 3 * TICK, 5 * TICK)
"""Of one way, in seconds; many are equal, so that much happens at one moment."""
SLOW = 0.2
"""As slow as a way may be for a lease to hold: less than a fifth of the heartbeat time-out."""
LATE = 2.0
"""So slow that the shard may have been handed over twice in between."""


class Fate(IntEnum):
    """What becomes of a request."""

    FINE = 0
    SLOW = 1  #: both ways take long
    LOST_REQUEST = 2  #: an error, and nothing has happened
    LOST_ANSWER = 3  #: an error, and it has happened
    SILENT = 4  #: it has happened, and no answer comes
    LATE = 5  #: an error, and it happens long after


class Unreachable(Exception):
    """No answer came; nobody knows whether the request has arrived."""

    def __init__(self) -> None:
        super().__init__("out of reach")


@dataclass
class Link:
    """The way to one outside thing."""

    world: World
    name: str
    rarity: int
    """One request in so many has a bad fate; none, if 0."""
    fates: tuple[Fate, ...]
    outage: tuple[float, float] = (0.0, 0.0)
    """From when to when nothing passes."""

    async def request(self, process: SimulatedLoop, what: object, effect: Callable[[], T]) -> T:
        """Ask for something, from within the process.

        Args:
            process: who asks.
            what: names the request in the trace.
            effect: happens when the request arrives, and makes the answer.

        Raises:
            Unreachable: no answer came.
            Exception: what the effect has raised.
        """
        world = self.world
        choices = world.choices
        fate = choices.pick(self.fates) if choices.happens(self.rarity) else Fate.FINE
        if world.trace is not None:
            doom = f" ({fate.name.lower()})" if fate else ""
            world.note(f"{process.name} -> {self.name}: {what}{doom}")
        delay = SLOW if fate is Fate.SLOW else choices.pick(DELAYS)
        begin, end = self.outage
        is_out = begin <= world.now < end
        answered: asyncio.Future[T] = process.create_future()
        if is_out or fate is Fate.LOST_REQUEST or fate is Fate.LATE:
            world.send(delay, process, _settle, answered, Unreachable(), None)
            if fate is Fate.LATE and not is_out:
                world.send(LATE, None, _run_quietly, effect)
        else:
            world.send(delay, None, self._arrive, process, effect, answered, fate, delay)
        return await answered

    def _arrive(
        self,
        process: SimulatedLoop,
        effect: Callable[[], T],
        answered: asyncio.Future[T],
        fate: Fate,
        delay: float,
    ) -> None:
        answer, error = None, None
        try:
            answer = effect()
        except Exception as raised:  # noqa: BLE001 - it is the answer
            error = raised
        if fate is Fate.LOST_ANSWER:
            error = Unreachable()
        if fate is not Fate.SILENT:
            self.world.send(delay, process, _settle, answered, error, answer)


def _settle(future: asyncio.Future[Any], error: BaseException | None, answer: object) -> None:
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(answer)


def _run_quietly(effect: Callable[[], object]) -> None:
    """Let happen what nobody waits for any more."""
    with suppress(Exception):  # its sender has had another answer
        effect()
