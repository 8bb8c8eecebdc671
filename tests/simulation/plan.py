"""What a schedule is about: events, the troubles of their handling, options and faults.

Nine of ten schedules are small: one to three events (two on average) of at most two foreign IDs, a quarter
of them in two shards, and up to three faults. Most faults of a pump show in these, in half of the time.
Every tenth is large: three to six events of up to three foreign IDs, a third of them in two shards, and a
handling that fails up to twelve times. In these the window fills up behind parked events, shards change
hands more than once, and redelivery takes long.

Where events are going to be parked, half of the faults come soon after the first one is: what a pump forgets
of it shows only if the next pump begins before all is over.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows.options import ConnectorOptions, Order
from tests.simulation.choices import Choices
from tests.simulation.clock import EPOCH

HEARTBEAT_TIMEOUT = 1.25
HANDLER_TIMEOUT = 0.5
CALL_LISTS = (("x",), ("x", "y"), ("x",), ("x", "x", "y"))
"""The targets of the calls that a handler makes for an event."""
MAX_STEP_AFTER_PARKING = 24
RARITIES = (0, 0, 24, 6)
OUTAGES = (*[(0.0, 0.0)] * 6, (0.05, 0.3), (0.1, 0.8))
ODDITY = 8
"""One event in so many cannot be read, or comes late."""


@dataclass(frozen=True)
class Size:
    """How much there is to a schedule: out of what its plan is drawn, the plainest first."""

    event_counts: tuple[int, ...]
    shard_counts: tuple[int, ...]
    foreign_ids: tuple[str, ...]
    """Those of the events, in the order of the source."""
    failures: tuple[int, ...]
    """How often a handling fails."""
    max_faults: int
    max_fault_step: int
    """Callbacks after which a fault comes at the latest; most schedules of the size have about so many."""


SMALL = Size(
    event_counts=(1, 2, 2, 3),
    shard_counts=(1, 1, 1, 2),
    foreign_ids=("aaa", "aab", "aba", "aaa", "aab", "abb"),
    failures=(1, 2, 1, 4),
    max_faults=3,
    max_fault_step=120,
)
LARGE = Size(
    event_counts=(3, 4, 6),
    shard_counts=(1, 1, 2),
    foreign_ids=("aaaaaa", "ababab", "aabbaa", "abcabc", "aaabbb", "abbaca", "aabaac"),
    failures=(1, 2, 1, 5, 1, 3, 2, 12),
    max_faults=3,
    max_fault_step=240,
)
SIZES = (*[SMALL] * 9, LARGE)


class Trouble(Enum):
    """What is wrong with the handling of an event."""

    NONE = auto()
    FAILS = auto()  #: it fails some times
    SLOW = auto()  #: it takes some time
    HANGS = auto()  #: it does not return, some times
    EXITS = auto()  #: it raises `SystemExit`, some times
    HOPELESS = auto()  #: it fails with an error that no retry mends
    STUBBORN = auto()  #: it fails until all events of other foreign IDs are done
    POISON = auto()  #: it fails whenever it is tried; only where attempts are limited


TROUBLES = (
    *([Trouble.NONE] * 6),
    *(trouble for trouble in Trouble if trouble is not Trouble.STUBBORN),
    # What is parked the soonest takes the least time.
    *([Trouble.HOPELESS] * 3),
    Trouble.POISON,
)


PARKED = (Trouble.HOPELESS, Trouble.POISON)
"""After which an event is parked."""


class Fault(Enum):
    """What happens to a pump, or to all of them."""

    KILL = auto()
    FREEZE = auto()  #: for a moment, or for longer than the heartbeat time-out
    STOP = auto()  #: it is told to stop, as when its worker shuts down
    CANCEL = auto()  #: its task is cancelled
    RESHARD = auto()
    KILL_WORKER = auto()  #: the process that hands parked events to the handler
    REDRIVE = auto()  #: somebody redrives a dead letter
    DISCARD = auto()  #: somebody discards a parked event


FAULTS = (Fault.KILL, Fault.FREEZE, *Fault)
FREEZES = (0.1, 0.7, 0.8, 1.2, 1.4, 1.8)


class PlannedFault(NamedTuple):
    """A fault, and when it comes."""

    step: int
    fault: Fault
    shard: int
    seconds: float = 0.0
    is_after_parking: bool = False
    """Whether the steps count from when the first event is parked, and not from the beginning."""

    def __str__(self) -> str:
        since = " after parking" if self.is_after_parking else ""
        return f"step {self.step}{since}: {self.fault.name} {self.shard} {self.seconds or ''}"


class PlannedEvent(NamedTuple):
    """An event of the source, and what its handling is like."""

    event: ConnectorEvent
    calls: tuple[str, ...]
    trouble: Trouble = Trouble.NONE
    failures: int = 0
    fails_at: int = 0
    """After how many of its calls a failing attempt fails."""
    is_unreadable: bool = False
    misreads: int = 0
    """How often it cannot be read before somebody has mended it."""
    published_at: float = 0.0

    @property
    def letter_id(self) -> str:
        """Under which ID it is parked: an unreadable event has but its position."""
        return f"position:{self.event.id}" if self.is_unreadable else self.event.id

    @property
    def lane(self) -> str:
        """The foreign ID that the pump takes it for."""
        return self.letter_id if self.is_unreadable else self.event.foreign_id

    def __str__(self) -> str:
        parts = [f"event {self.event.id} of {self.event.foreign_id}, calls {'+'.join(self.calls)}"]
        if self.trouble is not Trouble.NONE:
            parts.append(f"{self.trouble.name.lower()} {self.failures or ''} at {self.fails_at}")
        if self.is_unreadable:
            parts.append("unreadable")
        if self.misreads:
            parts.append(f"misread {self.misreads} times")
        if self.published_at:
            parts.append(f"published at {self.published_at}")
        return ", ".join(parts)


@dataclass
class Plan:
    """A schedule before it begins."""

    options: ConnectorOptions
    events: list[PlannedEvent] = field(default_factory=list[PlannedEvent])
    shard_count: int = 1
    faults: list[PlannedFault] = field(default_factory=list[PlannedFault])
    is_queue: bool = False
    """Whether the source takes acks one by one; otherwise an ack moves a cursor."""
    gathers_acks: bool = False
    rarity: int = 0
    source_outage: tuple[float, float] = (0.0, 0.0)
    server_outage: tuple[float, float] = (0.0, 0.0)

    @property
    def by_id(self) -> dict[str, PlannedEvent]:
        return {planned.event.id: planned for planned in self.events}

    def __str__(self) -> str:
        options = self.options
        kind = "queue" if self.is_queue else "cursor"
        lines = [
            f"{self.shard_count} shards, order {options.order}, {options.max_in_flight} in flight",
            f"attempts {options.max_attempts}, lag {options.consume_lag.total_seconds()} s",
            f"source: {kind}{', gathers acks' if self.gathers_acks else ''}",
            f"1 bad request in {self.rarity or 'none'}",
            f"out: source {self.source_outage}, server {self.server_outage}",
            *map(str, self.events),
        ]
        return "\n".join([*lines, *map(str, self.faults)])


def make_plan(choices: Choices) -> Plan:
    """Draw a schedule."""
    draw, pick = choices.draw, choices.pick
    size = pick(SIZES)
    has_limit = bool(draw(2))
    plan = Plan(
        _options(
            pick((64, 1, 2, 3)),
            pick(("relaxed", "strict")),
            pick((3, 5)) if has_limit else None,
            pick((0, 0, 0, 125)),
        ),
        shard_count=pick(size.shard_counts),
        is_queue=bool(draw(2)),
        gathers_acks=choices.happens(4),
        rarity=pick(RARITIES),
        source_outage=pick(OUTAGES),
        server_outage=pick(OUTAGES),
    )
    foreign_ids = pick(size.foreign_ids)
    has_troubles = draw(4) > 0
    plan.events = [
        _make_event(
            choices,
            size,
            make_event(str(number + 1), foreign_ids[number]),
            has_troubles=has_troubles,
            has_limit=has_limit,
        )
        for number in range(pick(size.event_counts))
    ]
    if plan.options.max_in_flight > 1 and plan.events and has_troubles and choices.happens(4):
        # Only one: where half of the window fails, the pump takes it for an outage, and waits.
        # One of the first, as it is to keep later ones from being received.
        number = draw((len(plan.events) + 1) // 2)
        plan.events[number] = plan.events[number]._replace(trouble=Trouble.STUBBORN, fails_at=0)
    is_parking = any(each.is_unreadable or each.trouble in PARKED for each in plan.events)
    faults = [_make_fault(choices, size, is_parking=is_parking) for _ in range(draw(size.max_faults + 1))]
    plan.faults = sorted(faults, key=lambda each: each.step)
    return plan


def _make_event(
    choices: Choices, size: Size, event: ConnectorEvent, *, has_troubles: bool, has_limit: bool
) -> PlannedEvent:
    draw, pick = choices.draw, choices.pick
    calls = pick(CALL_LISTS)
    if not has_troubles:
        return PlannedEvent(event, calls)
    trouble = pick(TROUBLES)
    if trouble is Trouble.POISON and not has_limit:
        trouble = Trouble.FAILS
    is_odd = choices.happens(ODDITY)
    misreads = draw(3) if is_odd else 0
    return PlannedEvent(
        event,
        calls,
        trouble,
        failures=pick(size.failures[:2] if trouble is Trouble.HANGS else size.failures),
        fails_at=draw(len(calls) + 1),
        is_unreadable=is_odd and not misreads,
        misreads=misreads,
        published_at=pick((0.25, 0.5)) if choices.happens(ODDITY) else 0.0,
    )


def _make_fault(choices: Choices, size: Size, *, is_parking: bool) -> PlannedFault:
    fault = choices.pick(FAULTS)
    is_after_parking = is_parking and bool(choices.draw(2))
    return PlannedFault(
        choices.draw(MAX_STEP_AFTER_PARKING if is_after_parking else size.max_fault_step),
        fault,
        choices.draw(2),
        choices.pick(FREEZES) if fault is Fault.FREEZE else 0.0,
        is_after_parking,
    )


@cache
def make_event(event_id: str, foreign_id: str) -> ConnectorEvent:
    return ConnectorEvent(id=event_id, foreign_id=foreign_id, created_at=EPOCH)


@cache
def _options(in_flight: int, order: Order, max_attempts: int | None, lag: int) -> ConnectorOptions:
    return ConnectorOptions(
        max_in_flight=in_flight,
        order=order,
        max_attempts=max_attempts,
        consume_lag=timedelta(milliseconds=lag),
        heartbeat_timeout=timedelta(seconds=HEARTBEAT_TIMEOUT),
        handler_timeout=timedelta(seconds=HANDLER_TIMEOUT),
        error_backoff=timedelta(seconds=0.0625),
        max_backoff=timedelta(seconds=0.25),
        jitter=0,
    )
