"""What the errors of runs and definitions say, and what they can be caught as."""

import inspect

import pytest

from pumphouse.connectors import PumphouseError
from pumphouse.workflows import errors
from pumphouse.workflows.errors import (
    InvalidDefinition,
    InvalidForeignID,
    InvalidTransition,
    RunError,
    RunFinished,
    RunInProgress,
    RunNotFound,
    StatusNotReached,
    UnknownStatus,
)

RUN_ERRORS = [
    RunFinished("orders", "order-1", "why"),
    RunInProgress("orders", "order-1", "run-1"),
    RunNotFound("orders", "order-1"),
    InvalidTransition("orders", "order-1", "why"),
    StatusNotReached("orders", "order-1", "why"),
]


def test_every_error_of_this_module_is_one_of_ours() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    assert {type(error) for error in RUN_ERRORS} < set(kinds)
    assert [kind for kind in kinds if not issubclass(kind, PumphouseError)] == []


@pytest.mark.parametrize("error", RUN_ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_about_a_run_names_it(error: RunError) -> None:
    assert (error.definition, error.foreign_id) == ("orders", "order-1")
    assert str(error).startswith("orders/order-1: ")


@pytest.mark.parametrize("error", RUN_ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_about_a_run_is_caught_as_such(error: RunError) -> None:
    with pytest.raises(RunError):
        raise error


@pytest.mark.parametrize("kind", [RunFinished, InvalidTransition, StatusNotReached])
def test_an_error_about_a_run_says_what_stands_in_the_way(kind: type[RunError]) -> None:
    assert str(kind("orders", "order-1", "why")) == "orders/order-1: why"


def test_a_trigger_during_a_run_tells_which_run_is_in_progress() -> None:
    error = RunInProgress("orders", "order-1", "run-1")
    assert error.run_id == "run-1"
    assert str(error) == "orders/order-1: run run-1 is still in progress"


def test_a_run_that_is_missing_is_answered_with_what_to_do() -> None:
    assert str(RunNotFound("orders", "order-1")) == "orders/order-1: there is no run; trigger one first"


def test_an_invalid_definition_is_named_with_what_is_wrong() -> None:
    assert str(InvalidDefinition("orders", "no start")) == "definition 'orders': no start"


def test_an_unknown_status_is_named_beside_the_known_ones() -> None:
    assert str(UnknownStatus("orders", "LOST", ["CREATED", "PAID"])) == (
        "definition 'orders' has no status 'LOST'; it has CREATED, PAID"
    )


@pytest.mark.parametrize(
    "error", [UnknownStatus("orders", "LOST", ["PAID"]), InvalidForeignID("", "must not be empty")]
)
def test_a_wrong_argument_is_caught_as_a_value_error_too(error: Exception) -> None:
    with pytest.raises(ValueError, match=r"has no status|must not be empty"):
        raise error


def test_a_foreign_id_of_a_line_is_shown_as_it_is() -> None:
    assert str(InvalidForeignID("é" * 60, "why")) == f"foreign_id '{'é' * 60}': why"


def test_a_longer_foreign_id_is_shown_by_its_beginning() -> None:
    assert str(InvalidForeignID("é" * 61, "why")) == f"foreign_id '{'é' * 60}...': why"
