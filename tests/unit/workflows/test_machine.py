"""What the machine decides about changes of status, without a server: Temporal's calls are stood in for."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from pumphouse.workflows.machine import MAX_SIGNALS, Machine, _Request
from pumphouse.workflows.messages import (
    MAX_REFUSALS,
    Continuation,
    MachineInput,
    Plan,
    Record,
    Refusal,
    StatusUpdate,
)
from pumphouse.workflows.run import RunState

# pyright: reportPrivateUsage=false

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def plan(status: str, *external: str) -> Plan:
    """What there is to do at a status that these may follow by an update."""
    return Plan(status, terminal=False, search_attributes=False, external=[*external])


AT_OPEN = plan("OPEN", "PAID", "LOST")


class Temporal:
    """What the machine asks of Temporal on its way to a decision, and what it tells."""

    def __init__(self) -> None:
        self.awaited: list[Callable[[], bool]] = []
        self.shown: dict[str, Any] = {}
        self.is_long = False

    async def wait_condition(self, condition: Callable[[], bool]) -> None:
        self.awaited.append(condition)

    def upsert_search_attributes(self, updates: Sequence[SearchAttributeUpdate[Any]]) -> None:
        self.shown.update({update.key.name: update.value for update in updates})

    def info(self) -> Any:
        return SimpleNamespace(
            first_execution_run_id="run",
            start_time=STARTED,
            typed_search_attributes={},
            is_continue_as_new_suggested=lambda: self.is_long,
        )


@pytest.fixture(autouse=True)
def temporal(monkeypatch: pytest.MonkeyPatch) -> Temporal:
    temporal = Temporal()
    monkeypatch.setattr(workflow, "now", lambda: NOW)
    monkeypatch.setattr(workflow, "logger", logging.getLogger("machine"))
    for name in ("info", "wait_condition", "upsert_search_attributes"):
        monkeypatch.setattr(workflow, name, getattr(temporal, name))
    return temporal


def begun(start: MachineInput | None = None) -> Machine:
    """A machine at its first status."""
    machine = Machine()
    machine._load(start or MachineInput("order-1", {"total": 1}, "OPEN"))
    return machine


def asked(machine: Machine, *updates: tuple[str, str]) -> list[_Request]:
    """Requests for changes of status, as (status, request ID), that the machine has received."""
    requests = [_Request(StatusUpdate(status, request_id)) for status, request_id in updates]
    machine._inbox.extend(requests)
    return requests


def applied(machine: Machine) -> list[str]:
    return machine.record().applied


def test_a_change_that_the_plan_allows_is_taken() -> None:
    machine = begun()
    (request,) = asked(machine, ("PAID", "1"))
    assert machine._take_accepted(AT_OPEN) == "PAID"
    assert not request.refusal
    assert applied(machine) == ["1"]


def test_without_requests_nothing_changes() -> None:
    assert begun()._take_accepted(AT_OPEN) is None


def test_a_change_that_the_plan_does_not_allow_is_refused_and_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = begun()
    (request,) = asked(machine, ("SHIPPED", "1"))
    assert machine._take_accepted(AT_OPEN) is None
    assert request.refusal == "from OPEN no update leads to SHIPPED"
    assert machine.record().refused == [Refusal("SHIPPED", "OPEN", "1", NOW)]
    assert machine.record().status == "OPEN"
    assert applied(machine) == ["1"]
    assert caplog.messages == ["status update refused: from OPEN no update leads to SHIPPED (request 1)"]


def test_requests_are_taken_in_order_up_to_the_first_that_changes_the_status() -> None:
    machine = begun()
    refused, first, second = asked(machine, ("SHIPPED", "1"), ("PAID", "2"), ("LOST", "3"))
    assert machine._take_accepted(AT_OPEN) == "PAID"
    assert machine._taken == [refused, first]
    assert [*machine._inbox] == [second]
    assert machine._take_accepted(AT_OPEN) == "LOST"


def test_requests_that_were_taken_are_answered_once_and_no_others() -> None:
    machine = begun()
    refused, first, second = asked(machine, ("SHIPPED", "1"), ("PAID", "2"), ("LOST", "3"))
    machine._take_accepted(AT_OPEN)
    assert not any(request.is_answered for request in (refused, first, second))
    machine._answer()
    assert [request.is_answered for request in (refused, first, second)] == [True, True, False]
    assert machine._taken == []


def test_a_request_that_comes_again_changes_nothing_a_second_time() -> None:
    machine = begun()
    first, again, _ = asked(machine, ("PAID", "1"), ("PAID", "1"), ("LOST", "2"))
    assert machine._take_accepted(AT_OPEN) == "PAID"
    assert machine._take_accepted(AT_OPEN) == "LOST"
    assert not first.refusal
    assert not again.refusal
    assert again in machine._taken
    assert applied(machine) == ["1", "2"]


def test_a_refused_request_that_comes_again_is_refused_again_in_the_same_words() -> None:
    machine = begun()
    asked(machine, ("SHIPPED", "1"), ("SENT", "2"))
    machine._take_accepted(AT_OPEN)
    machine._change("PAID", {})
    (again,) = asked(machine, ("SHIPPED", "1"))
    assert machine._take_accepted(plan("PAID", "SHIPPED")) is None
    assert again.refusal == "from OPEN no update leads to SHIPPED"
    assert len(machine.record().refused) == 2


def test_what_an_earlier_run_refused_is_refused_again() -> None:
    earlier = Refusal("PAID", "CLOSED", "1", STARTED)
    machine = begun(MachineInput("order-1", {}, "OPEN", applied=["1", "2"], refused=[earlier]))
    refused, accepted = asked(machine, ("PAID", "1"), ("PAID", "2"))
    assert machine._take_accepted(AT_OPEN) is None
    assert refused.refusal == "from CLOSED no update leads to PAID"
    assert not accepted.refusal
    assert machine.record().refused == []


def test_as_many_requests_are_remembered_as_the_definition_says_the_oldest_fall_out() -> None:
    machine = begun(MachineInput("order-1", {}, "OPEN", remembered_requests=2))
    asked(machine, *(("SHIPPED", request_id) for request_id in "123"))
    machine._take_accepted(AT_OPEN)
    assert applied(machine) == ["2", "3"]


def test_only_the_newest_refusals_are_kept() -> None:
    machine = begun()
    asked(machine, *(("SHIPPED", str(number)) for number in range(MAX_REFUSALS + 2)))
    machine._take_accepted(AT_OPEN)
    kept = [refusal.request_id for refusal in machine.record().refused]
    assert kept == [str(number) for number in range(2, MAX_REFUSALS + 2)]


def test_what_was_answered_before_a_continuation_is_known_after_it() -> None:
    refusal = Refusal("SHIPPED", "OPEN", "1", STARTED)
    record = replace(begun().record(), refused=[refusal], applied=[])
    waiting = [StatusUpdate("SHIPPED", "1"), StatusUpdate("PAID", "2"), StatusUpdate("LOST", "3")]
    continuation = Continuation(record=record, inbox=waiting, applied=["0", "1"])
    machine = Machine()
    machine.signal_status(StatusUpdate("PAID", "4"))
    machine._load(MachineInput("order-1", None, "OPEN", continuation, remembered_requests=1000))
    assert [request.update.request_id for request in machine._inbox] == ["1", "2", "3", "4"]
    assert applied(machine) == ["0", "1"]
    assert machine._take_accepted(AT_OPEN) == "PAID"
    assert machine._taken[0].refusal == "from OPEN no update leads to SHIPPED"


def test_a_change_makes_a_new_version_and_notes_the_status_when_it_is_new() -> None:
    machine = begun()
    before = machine.record()
    machine._change("PAID", {"total": 2})
    assert machine.record() == replace(
        before,
        status="PAID",
        object={"total": 2},
        version=before.version + 1,
        updated_at=NOW,
        visited=["OPEN", "PAID"],
    )
    machine._change("OPEN", {"total": 3})
    assert machine.record().visited == ["OPEN", "PAID"]
    assert machine.record().version == before.version + 2
    assert before.visited == ["OPEN"]


async def test_what_still_waits_at_the_end_is_refused_and_answered() -> None:
    machine = begun()
    asked(machine, ("PAID", "1"))
    machine._take_accepted(AT_OPEN)
    first, again, second = asked(machine, ("LOST", "2"), ("PAID", "1"), ("LOST", "3"))
    await machine._end(RunState.COMPLETED)
    assert first.refusal == second.refusal == "the run is Completed at OPEN"
    assert not again.refusal
    assert all(request.is_answered for request in (first, again, second))
    assert machine.record().run_state == RunState.COMPLETED.value
    assert [refusal.request_id for refusal in machine.record().refused] == ["2", "3"]
    assert applied(machine) == ["1", "2", "3"]


async def test_a_run_shows_its_final_state_and_ends_when_nobody_waits_for_an_answer(
    temporal: Temporal,
) -> None:
    machine = begun()
    machine._has_search_attributes = True
    await machine._end(RunState.CANCELLED)
    assert temporal.shown == {
        "PumphouseForeignId": "order-1",
        "PumphouseStatus": "OPEN",
        "PumphouseRunState": "Cancelled",
    }
    assert temporal.awaited == [workflow.all_handlers_finished]


def test_a_record_as_a_step_gets_it_goes_without_the_applied_requests() -> None:
    machine = begun(MachineInput("order-1", {}, "OPEN", applied=["1"]))
    record: Record = machine._record
    assert record.applied == []


def test_a_run_begins_as_its_execution_does() -> None:
    record = begun().record()
    assert (record.run_id, record.created_at, record.updated_at) == ("run", STARTED, STARTED)


def test_signals_are_taken_in_the_order_in_which_they_came() -> None:
    machine = begun()
    for request_id in "123":
        machine.signal_status(StatusUpdate("PAID", request_id))
    assert [request.update.request_id for request in machine._inbox] == ["1", "2", "3"]


def test_so_many_signals_wear_an_execution_out() -> None:
    machine = begun()
    for number in range(MAX_SIGNALS):
        assert not machine._is_worn()
        machine.signal_status(StatusUpdate("PAID", str(number)))
    assert machine._is_worn()


def test_an_execution_that_temporal_finds_long_is_worn_out_from_the_next_signal_on(
    temporal: Temporal,
) -> None:
    machine = begun()
    temporal.is_long = True
    assert not machine._is_worn()
    machine.signal_status(StatusUpdate("PAID", "1"))
    temporal.is_long = False
    assert machine._is_worn()
