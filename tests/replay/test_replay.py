"""Stored histories replay against the machine of today, whatever became of their graph."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from pumphouse.workflows.dead_letter import DeadLetter
from pumphouse.workflows.machine import Machine
from pumphouse.workflows.parking_lot import ParkingLot
from pumphouse.workflows.supervisor import Supervisor

HISTORIES = sorted(Path(__file__).with_name("histories").glob("*.json"))


def replayer() -> Replayer:
    return Replayer(workflows=[Machine, Supervisor, DeadLetter, ParkingLot])


def test_there_is_a_history_of_a_closed_and_one_of_an_open_run_and_of_all_other_workflows() -> None:
    stored = {path.stem for path in HISTORIES}
    assert {"closed", "open", "supervisor", "supervisor-controlled"} <= stored
    assert {"dead-letter-1", "dead-letter-2", "dead-letter-3", "parking-lot"} <= stored


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(f"loans/{path.stem}", path.read_text())

    await replayer().replay_workflow(history)


@pytest.mark.parametrize(
    ("stem", "recorded", "altered"),
    [
        ("closed", "loans.step[GRANTED]", "loans.step[ASKED]"),
        ("supervisor", ".reshard[requests]", ".reshard[others]"),
        ("supervisor-controlled", ".seek[requests]", ".reshard[requests]"),
        ("dead-letter-1", ".redrive[requests]", ".seek[requests]"),
    ],
)
async def test_a_history_that_the_workflow_would_not_have_made_is_noticed(
    stem: str, recorded: str, altered: str
) -> None:
    text = next(path for path in HISTORIES if path.stem == stem).read_text()
    assert recorded in text
    history = WorkflowHistory.from_json(f"loans/{stem}", json.loads(text.replace(recorded, altered)))

    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(history)
