from itertools import pairwise

import pytest

from tests.faults.effects import effects_of
from tests.faults.graph import CLOSING, OPENED
from tests.faults.load import PlannedEvent, plan_events, runs_wanted

EVENTS = plan_events(7, 3000, 50, poison_share=0.01)


def of_one(foreign_id: str) -> list[PlannedEvent]:
    return [event for event in EVENTS if event.foreign_id == foreign_id and not event.is_poison]


FOREIGN_IDS = sorted({event.foreign_id for event in EVENTS})


def test_a_seed_gives_the_same_events_again() -> None:
    assert plan_events(7, 3000, 50, poison_share=0.01) == EVENTS
    assert plan_events(8, 3000, 50, poison_share=0.01) != EVENTS


def test_the_ids_are_the_places_in_the_source() -> None:
    assert [event.id for event in EVENTS] == list(range(1, 3001))


def test_all_foreign_ids_have_events() -> None:
    assert len(FOREIGN_IDS) == 50


@pytest.mark.parametrize("foreign_id", FOREIGN_IDS)
def test_the_runs_of_a_foreign_id_come_one_after_the_other(foreign_id: str) -> None:
    statuses = [effect.status for event in of_one(foreign_id) for effect in effects_of(event)]
    assert statuses[0] == OPENED
    assert all((before == CLOSING) == (after == OPENED) for before, after in pairwise(statuses))


@pytest.mark.parametrize("foreign_id", FOREIGN_IDS)
def test_a_run_is_at_each_status_once(foreign_id: str) -> None:
    seen: set[str] = set()
    for event in of_one(foreign_id):
        for effect in effects_of(event):
            seen = set[str]() if effect.status == OPENED else seen
            assert effect.status not in seen
            seen.add(effect.status)


def test_there_is_something_of_everything() -> None:
    assert any(event.is_poison for event in EVENTS)
    assert any(event.wait for event in EVENTS)
    assert any(event.clock_jump for event in EVENTS)
    assert any(len(event.to) > 1 for event in EVENTS)
    assert any(not foreign_id.isascii() for foreign_id in FOREIGN_IDS)


def test_the_runs_are_counted() -> None:
    events = [
        PlannedEvent(1, "a", OPENED),
        PlannedEvent(2, "b", OPENED),
        PlannedEvent(3, "a", "", (CLOSING,)),
    ]
    assert runs_wanted(events) == (2, 1)
