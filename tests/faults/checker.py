"""Proves, or refutes, that every event had its effect once and in order. It reads plain data only."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from tests.faults.effects import Attributor, Effect, effects_of
from tests.faults.graph import CLOSED, CLOSING
from tests.faults.journal import Entry, Note
from tests.faults.ledger import RunLedger
from tests.faults.load import PlannedEvent

MAX_SHOWN = 40  # characters

T = TypeVar("T", PlannedEvent, RunLedger)


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "an event without its effect"
    TWICE = "an event applied twice"
    ORDER = "events applied out of order"
    STRAY = "an effect of no event"
    OPEN = "a run that does not end"
    DEAD_LETTER = "a wrong dead letter"
    PARKED = "an event that stays parked"
    SHARDS = "an event handled by two shards"
    SOURCE = "a source that is not committed to its end"
    PUMPS = "a pump that is not healthy"
    RECOVERY = "a shard that came back too late"


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    kind: Kind
    what: str
    event_id: str = ""
    """The event that it is about, if it is about one."""

    def __str__(self) -> str:
        """In one line."""
        return f"{self.kind}: {self.what}"


def check_effects(
    definition: str,
    events: Sequence[PlannedEvent],
    runs: Iterable[RunLedger],
    dead_letters: Iterable[str] = (),
) -> list[Violation]:
    """Compare what the runs have done with what the events ask for.

    Args:
        definition: the definition's name.
        events: the load, in source order.
        runs: what every run has done, each foreign ID's in the order of their starts.
        dead_letters: the IDs of the events that were given up.
    """
    violations = _check_dead_letters(events, set(dead_letters))
    runs_of = _by_foreign_id(runs)
    events_of = _by_foreign_id(events)
    for foreign_id, mine in events_of.items():
        attributor = Attributor(definition, foreign_id, mine)
        violations += _check_foreign_id(foreign_id, attributor, mine, runs_of.pop(foreign_id, []))
    for foreign_id in runs_of:
        violations.append(Violation(Kind.STRAY, f"a run of {foreign_id}, which has no events"))
    return violations


def check_shards(entries: Iterable[Entry]) -> list[Violation]:
    """Find events that two shards of one split have handled; one shard may handle an event again."""
    shards: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        if entry.note is Note.HANDLING:
            index, _, count = entry.shard.partition("-of-")
            shards.setdefault((entry.event_id, count), set()).add(index)
    return [
        Violation(
            Kind.SHARDS, f"event {event_id} by shards {', '.join(sorted(indices))} of {count}", event_id
        )
        for (event_id, count), indices in shards.items()
        if len(indices) > 1
    ]


def _check_dead_letters(events: Iterable[PlannedEvent], dead: set[str]) -> list[Violation]:
    poison = {str(event.id) for event in events if event.is_poison}
    wrong = {
        **dict.fromkeys(poison - dead, "is poison, and no dead letter"),
        **dict.fromkeys(dead - poison, "is a dead letter, and no poison"),
    }
    return [
        Violation(Kind.DEAD_LETTER, f"event {event_id} {what}", event_id) for event_id, what in wrong.items()
    ]


def _check_foreign_id(
    foreign_id: str, attributor: Attributor, events: Sequence[PlannedEvent], runs: Sequence[RunLedger]
) -> list[Violation]:
    made: list[Effect] = []
    violations: list[Violation] = []
    for run in runs:
        attribution = attributor.attribute(run)
        made += attribution.effects
        where = f"run {run.run_id} of {shorten(foreign_id)}"
        violations += [Violation(Kind.STRAY, f"{where} {stray}") for stray in attribution.strays]
        if run.entered[-1:] != (CLOSED,) and CLOSING in run.entered:
            violations.append(Violation(Kind.OPEN, f"{where} stays at {run.entered[-1]}"))
    return violations + _compare(foreign_id, [each for event in events for each in effects_of(event)], made)


def _compare(foreign_id: str, wanted: Sequence[Effect], made: Sequence[Effect]) -> list[Violation]:
    counts = Counter(made)

    def violation(kind: Kind, effect: Effect, more: str = "") -> Violation:
        return Violation(kind, f"{effect} of {shorten(foreign_id)}{more}", str(effect.event_id))

    lost = [violation(Kind.LOST, effect) for effect in wanted if not counts[effect]]
    twice = [
        violation(Kind.TWICE, effect, f", {count} times") for effect, count in counts.items() if count > 1
    ]
    pairs = zip(dict.fromkeys(made), (effect for effect in wanted if counts[effect]), strict=True)
    # What follows the first one out of order is out of order as well.
    order = next(
        (violation(Kind.ORDER, was, f", before {ought}") for was, ought in pairs if was != ought), None
    )
    return [*lost, *twice, *([order] if order else [])]


def shorten(foreign_id: str) -> str:
    """The foreign ID as far as it fits into a line."""
    return foreign_id if len(foreign_id) <= MAX_SHOWN else f"{foreign_id[:MAX_SHOWN]}..."


def _by_foreign_id(items: Iterable[T]) -> dict[str, list[T]]:
    grouped: dict[str, list[T]] = {}
    for item in items:
        grouped.setdefault(item.foreign_id, []).append(item)
    return grouped
