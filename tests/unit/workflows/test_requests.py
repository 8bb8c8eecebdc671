"""The request IDs of a handler's calls: derived in a handling, random outside."""

import asyncio
import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import CreateWorkflowRuleRequest, PauseActivityRequest

from pumphouse.workflows.requests import RequestIDs, handling, request_id

EVENT = ("orders", "payments", "1")

# Every event in flight would look new during an upgrade that changed one of these.
PROMISED = [
    (EVENT, [("trigger", "order-1", "763fc577af03436b247e99c48e2e4aa2")]),
    (EVENT, [("update_status", "order-1", "57de7bd324e39fac9af086272112f6ce")]),
    (EVENT, [("start", "orders/order-1", "2f5c71f31ea25b389fce19433e618cd6")]),
    (EVENT, [("signal", "orders/order-1", "4c0c6cd5c1d0d9e82b0932e132fc72ce")]),
    (EVENT, [("signal-with-start", "orders/order-1", "ca98bdab1ca4d0ca6477ad587ef534b0")]),
    (EVENT, [("update", "orders/order-1", "e0704345bc676083c286c1b56cee99f4")]),
    (EVENT, [("update-with-start", "orders/order-1", "114b2a4f37726b8a250481a42466ac5e")]),
    (EVENT, [("cancel", "orders/order-1", "ec5563012c8623e12cd9c89b66105e25")]),
    (EVENT, [("create_schedule", "nightly", "b32adc054a128bc5dca85b9cb422413a")]),
    (
        EVENT,
        [
            ("trigger", "order-1", "763fc577af03436b247e99c48e2e4aa2"),
            ("trigger", "order-1", "594a29ad7c7dfaeb0dd6e99638d13af0"),
        ],
    ),
    (
        ("Bestellungen", "zahlungen", "größe-\N{ROCKET}"),
        [("trigger", "auftrag-ä", "8b2df987ce9b000bc232f96c3cecdb93")],
    ),
    (("a/b", 'c"d', "e,f"), [("start", "g/h\n", "bd47d4254aca6c5603d26a7517bc764a")]),
    (("a", 'b/c"d', "e,f"), [("start", "g/h\n", "5cfbd92e91fca88f174fecfaf002c44f")]),
    (("orders", "payments", ""), [("signal", "", "877d95c9b3333abe18c6e4a3cb74de22")]),
]


@pytest.mark.parametrize(("event", "calls"), PROMISED)
def test_the_derivation_never_changes(event: tuple[str, str, str], calls: list[tuple[str, str, str]]) -> None:
    ids = RequestIDs(*event)
    assert [(kind, target, ids.next(kind, target)) for kind, target, _ in calls] == calls


def test_the_same_handling_repeats_the_same_sequence() -> None:
    calls = [("trigger", "a"), ("signal", "a"), ("trigger", "a"), ("signal", "b"), ("signal", "a")]
    first, again = RequestIDs(*EVENT), RequestIDs(*EVENT)
    sequence = [first.next(*call) for call in calls]
    assert [again.next(*call) for call in calls] == sequence
    assert len(set(sequence)) == len(calls)


@given(data=st.data())
def test_calls_in_another_order_repeat_themselves(data: st.DataObject) -> None:
    call = st.tuples(st.sampled_from(["trigger", "signal"]), st.sampled_from(["a", "b"]))
    calls = data.draw(st.lists(call, max_size=8))
    ids, reordered = RequestIDs(*EVENT), RequestIDs(*EVENT)
    made = sorted((each, ids.next(*each)) for each in calls)
    assert sorted((each, reordered.next(*each)) for each in data.draw(st.permutations(calls))) == made


def test_ordinals_count_only_calls_of_one_kind_for_one_target() -> None:
    alone, among_others = RequestIDs(*EVENT), RequestIDs(*EVENT)
    for kind, target in [
        ("signal", "b"),
        ("trigger", "a"),
        ("trigger", "a"),
        ("signals", "a"),
        ("sign", "ala"),
    ]:
        among_others.next(kind, target)
    assert among_others.next("signal", "a") == alone.next("signal", "a")


parts = st.tuples(*[st.text('a/,"\\é', max_size=3)] * 5)


@given(one=parts, other=parts)
def test_requests_that_differ_in_any_part_have_different_ids(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    one_id, other_id = (
        RequestIDs(definition, connector, event_id).next(kind, target)
        for definition, connector, event_id, kind, target in (one, other)
    )
    assert (one_id == other_id) == (one == other)


@pytest.mark.parametrize("separator", ["", "/", ",", '"', '","', "\0", "\n"])
def test_parts_that_look_alike_when_put_together_have_different_ids(separator: str) -> None:
    split = [("a" + separator + "b", "c"), ("a", "b" + separator + "c")]
    assert len({RequestIDs(*pair, "e").next("k", "t") for pair in split}) == 2
    assert len({RequestIDs("d", *pair).next("k", "t") for pair in split}) == 2
    assert len({RequestIDs("d", "c", first).next(second, "t") for first, second in split}) == 2
    assert len({RequestIDs("d", "c", "e").next(*pair) for pair in split}) == 2


def test_an_ordinal_is_not_taken_for_the_end_of_a_target() -> None:
    ids = RequestIDs(*EVENT)
    ids.next("signal", "a")
    second = ids.next("signal", "a")
    assert second not in {RequestIDs(*EVENT).next("signal", target) for target in ("a1", "a,1", "1")}


def test_ids_in_a_handling_are_those_of_its_event() -> None:
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        made = [request_id("trigger", "a"), request_id("trigger", "a")]
    assert made == [ids.next("trigger", "a"), ids.next("trigger", "a")]


def test_ids_outside_a_handling_are_random() -> None:
    made = {request_id("trigger", "a") for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in made)


def test_ids_after_a_handling_are_random_again() -> None:
    with handling(*EVENT):
        request_id("trigger", "a")
    assert request_id("trigger", "a") != request_id("trigger", "a")


def test_a_handling_that_fails_ends_as_well() -> None:
    with contextlib.suppress(KeyError), handling(*EVENT):
        raise KeyError
    ids = RequestIDs(*EVENT)
    assert request_id("trigger", "a") != ids.next("trigger", "a")


def test_a_second_handling_of_an_event_begins_anew() -> None:
    made: list[str] = []
    for _ in range(2):
        with handling(*EVENT):
            made.append(request_id("trigger", "a"))
    assert made[0] == made[1]


def test_a_handling_inside_another_is_on_its_own_and_lets_the_outer_one_go_on() -> None:
    outer, inner = RequestIDs(*EVENT), RequestIDs("orders", "payments", "2")
    with handling(*EVENT):
        made = [request_id("trigger", "a")]
        with handling("orders", "payments", "2"):
            made.append(request_id("trigger", "a"))
        made.append(request_id("trigger", "a"))
    assert made == [outer.next("trigger", "a"), inner.next("trigger", "a"), outer.next("trigger", "a")]


async def make_id() -> str:
    await asyncio.sleep(0)
    return request_id("trigger", "a")


async def test_tasks_that_are_made_in_a_handling_share_it() -> None:
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        tasks = [asyncio.create_task(make_id()) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            tasks.append(group.create_task(make_id()))
        made = {*await asyncio.gather(*tasks), await asyncio.to_thread(request_id, "trigger", "a")}
    assert made == {ids.next("trigger", "a") for _ in range(4)}


async def test_a_task_that_was_made_before_a_handling_has_no_part_in_it() -> None:
    task = asyncio.create_task(make_id())
    with handling(*EVENT):
        made = await task
    assert made != RequestIDs(*EVENT).next("trigger", "a")


async def test_handlings_side_by_side_do_not_mix() -> None:
    async def handle(event_id: str) -> list[str]:
        with handling("orders", "payments", event_id):
            return [await make_id(), await make_id()]

    made = [*await asyncio.gather(handle("1"), handle("2"))]
    expected = [RequestIDs("orders", "payments", event_id) for event_id in ("1", "2")]
    assert made == [[ids.next("trigger", "a"), ids.next("trigger", "a")] for ids in expected]


class Overtaken(Exception):
    pass


def test_an_id_is_handed_out_only_after_the_check() -> None:
    checks: list[str] = []
    with handling(*EVENT, check=lambda: checks.append("checked")):
        assert not checks
        assert request_id("trigger", "a") == RequestIDs(*EVENT).next("trigger", "a")
        request_id("trigger", "a")
    assert checks == ["checked", "checked"]


def test_a_check_that_fails_is_the_error_of_the_call() -> None:
    def fail() -> None:
        raise Overtaken

    ids = RequestIDs(*EVENT, fail)
    with pytest.raises(Overtaken):
        ids.next("trigger", "a")
    with handling(*EVENT, check=fail), pytest.raises(Overtaken):
        request_id("trigger", "a")


def test_a_check_that_failed_has_used_up_no_id() -> None:
    failures = iter([Overtaken()])

    def fail_once() -> None:
        for failure in failures:
            raise failure

    with handling(*EVENT, check=fail_once):
        with pytest.raises(Overtaken):
            request_id("trigger", "a")
        assert request_id("trigger", "a") == RequestIDs(*EVENT).next("trigger", "a")


def test_every_further_equal_call_has_an_id_of_its_own() -> None:
    ids = RequestIDs(*EVENT)
    assert len({ids.next("signal", "a") for _ in range(4)}) == 4


def test_what_a_request_is_about_is_found_in_whichever_field_tells_it() -> None:
    pause = PauseActivityRequest(execution=WorkflowExecution(workflow_id="a"))
    RequestIDs(*EVENT).sign("pause_activity", pause)
    assert pause.request_id == RequestIDs(*EVENT).next("pause_activity", "a")


def test_a_request_that_is_about_nothing_in_particular_has_an_id_all_the_same() -> None:
    rule = CreateWorkflowRuleRequest()
    RequestIDs(*EVENT).sign("create_workflow_rule", rule)
    assert rule.request_id == RequestIDs(*EVENT).next("create_workflow_rule", "")
