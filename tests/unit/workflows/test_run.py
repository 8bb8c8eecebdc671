"""What users see of a run."""

from datetime import UTC, datetime
from enum import Enum

from pydantic import BaseModel

from pumphouse.workflows.run import Run, RunState

MOMENT = datetime(2013, 2, 8, 17, 30, tzinfo=UTC)


class Order(BaseModel):
    lines: list[str] = []


class Status(Enum):
    CREATED = "created"


def test_run_states_are_spelled_as_records_and_search_attributes_hold_them() -> None:
    # Stored in histories and in searches that people have saved: to be added to, never to be changed.
    assert {state.name: state.value for state in RunState} == {
        "INITIATED": "Initiated",
        "RUNNING": "Running",
        "COMPLETED": "Completed",
        "CANCELLED": "Cancelled",
    }


def test_a_step_may_change_the_object_of_its_run() -> None:
    order = Order()
    run = Run("order-1", "run-1", order, Status.CREATED, RunState.RUNNING, 1, MOMENT, MOMENT)
    run.object.lines.append("book")
    assert order.lines == ["book"]
    run.object = Order(lines=["pen"])
    assert run.object.lines == ["pen"]
