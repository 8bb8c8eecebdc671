"""Stored histories replay against the machine of today, whatever became of their graph."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from pumphouse.workflows.machine import Machine
from pumphouse.workflows.supervisor import Supervisor

HISTORIES = sorted(Path(__file__).with_name("histories").glob("*.json"))


def replayer() -> Replayer:
    return Replayer(workflows=[Machine, Supervisor])


def test_there_is_a_history_of_a_closed_and_one_of_an_open_run() -> None:
    assert {"closed", "open"} <= {path.stem for path in HISTORIES}


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(f"loans/{path.stem}", path.read_text())

    await replayer().replay_workflow(history)


async def test_a_history_that_the_machine_would_not_have_made_is_noticed() -> None:
    path = next(path for path in HISTORIES if path.stem == "closed")
    altered = json.loads(path.read_text().replace("loans.step[GRANTED]", "loans.step[ASKED]"))

    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(WorkflowHistory.from_json("loans/closed", altered))
