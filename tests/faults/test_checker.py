from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.faults.checker import Kind, check_effects, check_shards
from tests.faults.graph import CLOSED, CLOSING, OPENED
from tests.faults.ledger import Request, RunLedger
from tests.faults.load import POISON, PlannedEvent
from tests.faults.made_up import (
    DEFINITION,
    handling,
    moved_to,
    opened,
    requests_of,
    run_of,
    without_request_ids,
)

OPEN, FIRST, SECOND, CLOSE = (
    opened(1),
    moved_to(2, "MOVED_1", "MOVED_2"),
    moved_to(3, "MOVED_3"),
    moved_to(4, CLOSING),
)
AGAIN, AGAIN_FIRST = opened(5), moved_to(6, "MOVED_1")
EVENTS = [OPEN, FIRST, SECOND, CLOSE, AGAIN, AGAIN_FIRST]
RUN = run_of(OPEN, FIRST, SECOND, CLOSE)
NEXT_RUN = run_of(AGAIN, AGAIN_FIRST)


def kinds(runs: Sequence[RunLedger], events: Sequence[PlannedEvent] = EVENTS) -> list[Kind]:
    return [violation.kind for violation in check_effects(DEFINITION, events, runs)]


def test_each_event_applied_once_and_in_order_is_right() -> None:
    assert kinds([RUN, NEXT_RUN]) == []


def test_the_foreign_ids_do_not_touch_each_other() -> None:
    other = [opened(7, "other"), moved_to(8, "MOVED_1", foreign_id="other")]
    assert kinds([run_of(*other), RUN, NEXT_RUN], [*EVENTS, *other]) == []


def test_repeats_that_the_run_has_dropped_are_right() -> None:
    repeated = replace(RUN, requests=requests_of(FIRST, FIRST, SECOND, FIRST, CLOSE, SECOND))
    assert kinds([repeated, NEXT_RUN]) == []


@pytest.mark.parametrize("late", [True, False])
def test_a_repeat_of_the_run_before_that_was_dropped_is_right(late: bool) -> None:  # noqa: FBT001 - a parameter
    repeat, own = requests_of(FIRST)[:1], requests_of(AGAIN_FIRST)
    assert kinds([RUN, replace(NEXT_RUN, requests=own + repeat if late else repeat + own)]) == []


def test_statuses_of_a_newer_version_of_the_graph_are_right() -> None:
    audited = replace(RUN, entered=(*RUN.entered[:-1], "AUDITED_1", CLOSED))
    assert kinds([audited, NEXT_RUN]) == []


def test_an_event_without_an_effect_is_lost() -> None:
    assert kinds([run_of(OPEN, FIRST, CLOSE), NEXT_RUN]) == [Kind.LOST]


def test_a_call_without_an_effect_is_lost() -> None:
    half = replace(RUN, requests=RUN.requests[1:], entered=(OPENED, *RUN.entered[2:]))
    violations = check_effects(DEFINITION, EVENTS, [half, NEXT_RUN])
    assert [str(violation) for violation in violations] == [
        "an event without its effect: event 2 (call 0: MOVED_1) of item-1"
    ]


def test_a_request_that_the_run_took_and_did_not_make_is_lost() -> None:
    assert kinds([replace(RUN, entered=(OPENED, "MOVED_1", "MOVED_2", CLOSING, CLOSED)), NEXT_RUN]) == [
        Kind.LOST
    ]


def test_the_last_event_without_an_effect_is_lost() -> None:
    assert kinds([RUN, run_of(AGAIN)]) == [Kind.LOST]


def test_a_trigger_without_a_run_is_lost_with_all_behind_it() -> None:
    assert kinds([RUN]) == [Kind.LOST, Kind.LOST]


def test_an_event_applied_again_is_applied_twice() -> None:
    assert kinds([run_of(OPEN, FIRST, SECOND, SECOND, CLOSE), NEXT_RUN]) == [Kind.TWICE]


def test_an_event_applied_in_the_run_before_and_again_in_the_next_is_applied_twice() -> None:
    assert Kind.TWICE in kinds([RUN, run_of(AGAIN, SECOND, AGAIN_FIRST)])


def test_a_trigger_that_has_made_two_runs_is_applied_twice() -> None:
    second = replace(run_of(AGAIN), run_id="another")
    assert Kind.TWICE in kinds([RUN, NEXT_RUN, second])


def test_events_in_another_order_are_found() -> None:
    assert kinds([run_of(OPEN, SECOND, FIRST, CLOSE), NEXT_RUN]) == [Kind.ORDER]


def test_an_event_applied_in_the_run_of_another_is_out_of_order() -> None:
    early = run_of(OPEN, FIRST, AGAIN_FIRST, SECOND, CLOSE)
    assert kinds([early, run_of(AGAIN)]) == [Kind.ORDER]


def test_a_change_that_no_event_has_asked_for_is_found() -> None:
    stray = replace(NEXT_RUN, requests=(*NEXT_RUN.requests, Request("MOVED_2", "of nobody")))
    assert kinds([RUN, replace(stray, entered=(*NEXT_RUN.entered, "MOVED_2"))]) == [Kind.STRAY]


def test_a_change_that_nobody_has_asked_for_is_found() -> None:
    strange = replace(NEXT_RUN, entered=(*NEXT_RUN.entered, "MOVED_9"))
    assert Kind.STRAY in kinds([RUN, strange])


def test_a_run_of_no_event_is_found() -> None:
    assert kinds([RUN, NEXT_RUN, run_of(opened(99, "nobody"))]) == [Kind.STRAY]


def test_a_run_opened_by_an_event_that_opens_none_is_found() -> None:
    assert Kind.STRAY in kinds([RUN, replace(NEXT_RUN, opened_by="3")])


def test_a_run_that_does_not_end_is_found() -> None:
    assert kinds([replace(RUN, entered=RUN.entered[:-1]), NEXT_RUN]) == [Kind.OPEN]


def test_a_repeat_is_found_without_request_ids_as_well() -> None:
    twice = without_request_ids(run_of(OPEN, FIRST, SECOND, SECOND, CLOSE))
    assert kinds([twice, NEXT_RUN]).count(Kind.TWICE) == 1


def test_poison_has_to_be_a_dead_letter_and_nothing_else_may_be() -> None:
    poison = PlannedEvent(7, OPEN.foreign_id, POISON)
    events = [*EVENTS, poison]
    runs = [RUN, NEXT_RUN]
    assert check_effects(DEFINITION, events, runs, ["7"]) == []
    assert [each.kind for each in check_effects(DEFINITION, events, runs)] == [Kind.DEAD_LETTER]
    assert [each.kind for each in check_effects(DEFINITION, events, runs, ["6", "7"])] == [Kind.DEAD_LETTER]


def test_an_event_handled_by_two_shards_is_found() -> None:
    assert [each.event_id for each in check_shards([handling(1, "1-of-2"), handling(1, "2-of-2")])] == ["1"]


def test_an_event_handled_again_by_its_shard_or_after_a_new_split_is_right() -> None:
    assert check_shards([handling(1, "1-of-2"), handling(1, "1-of-2"), handling(1, "3-of-3")]) == []
