"""The events of a trial, made from its seed, and the one writer who puts them into the table."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.faults.graph import CLOSING, MAX_MOVES, OPENED, moved

MOVED = "MOVED"
POISON = "POISON"
WRITES_PER_SECOND = 5
JUMP_SHARE = 0.05
WAIT_SHARE = 0.05
TWO_CALLS_SHARE = 0.2
CLOCK_JUMPS = [
    timedelta(days=-20_000),
    timedelta(days=-1),
    timedelta(minutes=-5),
    timedelta(minutes=5),
    timedelta(days=1),
    timedelta(days=400_000),
]
STRANGE_NAMES = ["Überlingen/Ö {}", "订单 {}", "a b%2F/../{}", "{} " + "x" * 800]
"""Foreign IDs that a careless escape, hash or limit would trip over."""


@dataclass(frozen=True)
class PlannedEvent:
    """An event of the load; its ID is its place in the source, from 1 on."""

    id: int
    foreign_id: str
    type: str
    """OPENED triggers a run, MOVED updates it, POISON makes the handler fail for good."""
    to: tuple[str, ...] = ()
    """The statuses it updates the run to, one call each."""
    wait: bool = False
    clock_jump: timedelta = timedelta(0)
    """What its `created_at` is wrong by."""

    @property
    def is_poison(self) -> bool:
        """Whether it has to end as a dead letter."""
        return self.type == POISON


def plan_events(seed: int, events: int, foreign_ids: int, poison_share: float = 0.0) -> list[PlannedEvent]:
    """Plan the events of a trial: each foreign ID has runs one after the other, the last may stay open.

    Args:
        seed: the same seed gives the same events.
        events: how many.
        foreign_ids: over how many foreign IDs they are spread, at random.
        poison_share: how many of them make the handler fail for good.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    scripts = [_Script(_name(number), chance, poison_share) for number in range(foreign_ids)]
    return [chance.choice(scripts).next(number) for number in range(1, events + 1)]


def runs_wanted(events: Sequence[PlannedEvent]) -> tuple[int, int]:
    """How many runs the events open, and how many of these they close."""
    opened = sum(event.type == OPENED for event in events)
    return opened, sum(CLOSING in event.to for event in events)


class _Script:
    """The events of one foreign ID, without end."""

    def __init__(self, foreign_id: str, chance: random.Random, poison_share: float) -> None:
        self._poison_share = poison_share
        self._foreign_id = foreign_id
        self._chance = chance
        self._ahead: list[str] = []
        """The statuses that the run in progress is still to be updated to."""

    def next(self, number: int) -> PlannedEvent:
        jump = self._chance.choice(CLOCK_JUMPS) if self._is(JUMP_SHARE) else timedelta(0)
        if self._is(self._poison_share):
            return PlannedEvent(number, self._foreign_id, POISON, clock_jump=jump)
        if not self._ahead:
            moves = self._chance.randint(1, MAX_MOVES)
            self._ahead = [*map(moved, range(1, moves + 1)), CLOSING]
            return PlannedEvent(number, self._foreign_id, OPENED, clock_jump=jump)
        calls = 2 if self._is(TWO_CALLS_SHARE) else 1
        to, self._ahead = tuple(self._ahead[:calls]), self._ahead[calls:]
        return PlannedEvent(number, self._foreign_id, MOVED, to, self._is(WAIT_SHARE), jump)

    def _is(self, share: float) -> bool:
        return self._chance.random() < share


def _name(number: int) -> str:
    """A foreign ID; every tenth is a strange one."""
    kind, is_plain = number // 10 % len(STRANGE_NAMES), number % 10
    return f"item-{number}" if is_plain else STRANGE_NAMES[kind].format(number)


def events_table(name: str) -> sa.Table:
    """The table that the source reads."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("foreign_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("headers", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
    )


async def write_events(
    engine: AsyncEngine, table: sa.Table, events: list[PlannedEvent], duration: timedelta
) -> None:
    """Write the events in their order, evenly over a time."""
    batch_size = max(1, round(len(events) / (duration.total_seconds() * WRITES_PER_SECOND)))
    pause = duration.total_seconds() * batch_size / len(events)
    due = time.monotonic()
    for first in range(0, len(events), batch_size):
        async with engine.begin() as connection:
            rows = [_row(event) for event in events[first : first + batch_size]]
            await connection.execute(table.insert(), rows)
        due += pause
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def _row(event: PlannedEvent) -> dict[str, object]:
    return {
        "id": event.id,
        "foreign_id": event.foreign_id,
        "type": event.type,
        "headers": {},
        "created_at": (datetime.now(UTC) + event.clock_jump).isoformat(),
        "data": {"to": event.to, "wait": event.wait},
    }
