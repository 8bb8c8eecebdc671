"""What has happened in a schedule, and which promises were broken by it. It sees all, and changes nothing."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tests.simulation.plan import Plan, PlannedEvent


class Promise(StrEnum):
    """What must always hold: the numbers are those of the design, section 5."""

    LOST = "1: an event was acked and lost"
    TWICE = "2: an event was applied twice"
    ORDER = "3: events of one foreign ID were handled out of order"
    SHARDS = "4: an event was handled by two shards"
    COMMITTED = "5: the source was committed past an unfinished event"
    END = "7: the schedule does not come to its end"
    MEMORY = "8: more events in flight than allowed"
    TASKS = "9: a task was left behind, or was not awaited"
    ERRORS = "11: an error ended a pump, or was swallowed"
    FENCE = "lease: a pump went on after its shard was given to another"


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    promise: Promise
    what: str

    def __str__(self) -> str:
        return f"{self.promise.value}: {self.what}"


class Effect(NamedTuple):
    """What one call of a handler does: the `ordinal`-th one for that target."""

    event_id: str
    target: str
    ordinal: int

    def __str__(self) -> str:
        return f"call {self.target}#{self.ordinal} of event {self.event_id}"


@dataclass
class Ledger:
    """Watches the models."""

    plan: Plan
    is_parked: Callable[[str], bool]
    """Whether a dead letter was ever made under that ID."""
    holds_up: Callable[[str], list[int]]
    """The numbers of the events that the later ones of a foreign ID have to wait for."""
    violations: list[Violation] = field(default_factory=list[Violation])
    effects: list[Effect] = field(default_factory=list[Effect])
    attempts: Counter[str] = field(default_factory=Counter[str])
    """How often the handler has begun each event."""
    _effects_of: Counter[str] = field(default_factory=Counter[str])
    _shards_of: dict[tuple[str, int], set[int]] = field(default_factory=dict[tuple[str, int], set[int]])

    def __post_init__(self) -> None:
        self.planned = self.plan.by_id

    def blame(self, promise: Promise, what: str) -> None:
        """Note a broken promise."""
        self.violations.append(Violation(promise, what))

    def note_handling(self, event_id: str, shard_index: int, shard_count: int) -> None:
        """A pump begins an attempt."""
        indexes = self._shards_of.setdefault((event_id, shard_count), set())
        indexes.add(shard_index)
        if len(indexes) > 1:
            self.blame(Promise.SHARDS, f"event {event_id} by the shards {sorted(indexes)} of {shard_count}")

    def note_effect(self, effect: Effect) -> None:
        """A call was applied."""
        self._check_parked(effect)
        self.effects.append(effect)
        self._effects_of[effect.event_id] += 1

    def _check_parked(self, effect: Effect) -> None:
        foreign_id = self.planned[effect.event_id].event.foreign_id
        for number in self.holds_up(foreign_id):
            if number < int(effect.event_id) and not self.is_applied(self.planned[str(number)]):
                self.blame(Promise.ORDER, f"{effect} of {foreign_id} while event {number} is parked")

    def note_commit(self, planned: PlannedEvent) -> None:
        """The source will not deliver the event again to a shard that had to handle it."""
        if not self.is_settled(planned):
            self.blame(
                Promise.COMMITTED, f"past event {planned.event.id}, which is neither applied nor parked"
            )

    def is_settled(self, planned: PlannedEvent) -> bool:
        """Whether the event needs no redelivery."""
        return self.is_applied(planned) or self.is_parked(planned.letter_id)

    def is_applied(self, planned: PlannedEvent) -> bool:
        """Whether all calls of its handling were applied."""
        return not planned.is_unreadable and self._effects_of[planned.event.id] >= len(planned.calls)

    def are_others_settled(self, planned: PlannedEvent) -> bool:
        """Whether the events of all other foreign IDs need no redelivery."""
        return all(
            self.is_settled(other)
            for other in self.plan.events
            if other.event.foreign_id != planned.event.foreign_id
        )

    def check_effects(self, excused: set[str]) -> None:
        """Compare what was applied with what was to be.

        Args:
            excused: the IDs of the events that were given up at some time.
        """
        for effect, count in Counter(self.effects).items():
            if count > 1:
                self.blame(Promise.TWICE, f"{effect}, {count} times")
        for planned in self.plan.events:
            if not self.is_applied(planned) and planned.letter_id not in excused:
                self.blame(Promise.LOST, f"event {planned.event.id}")
        self._check_order(excused)

    def _check_order(self, excused: set[str]) -> None:
        newest: dict[str, int] = {}
        for effect in self.effects:
            foreign_id = self.planned[effect.event_id].event.foreign_id
            number = int(effect.event_id)
            if effect.event_id in excused:
                continue
            if number < newest.get(foreign_id, 0):
                self.blame(Promise.ORDER, f"{effect} of {foreign_id} after event {newest[foreign_id]}")
            newest[foreign_id] = max(number, newest.get(foreign_id, 0))
