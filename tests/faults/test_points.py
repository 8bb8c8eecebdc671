import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.journal import Journal, Note
from tests.faults.points import KillPoints, Point
from tests.faults.processes import ROOT

REACHING = """
import sys
from pathlib import Path
from tests.faults.journal import Journal
from tests.faults.points import KillPoints, Point
directory = Path(sys.argv[1])
KillPoints(directory, Journal(directory / "journal")).reach(Point.AFTER_CALL, "1-of-2", "7")
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def points(tmp_path: Path, journal: Journal) -> KillPoints:
    return KillPoints(tmp_path, journal)


def reach(directory: Path) -> int:
    return subprocess.run([sys.executable, "-c", REACHING, str(directory)], cwd=ROOT, check=False).returncode  # noqa: S603 - ours


def test_an_armed_point_kills_one_process_which_says_so_first(
    tmp_path: Path, points: KillPoints, journal: Journal
) -> None:
    points.arm(Point.AFTER_CALL)
    assert [reach(tmp_path), reach(tmp_path)] == [-signal.SIGKILL, 0]
    assert [(entry.note, entry.shard, entry.event_id) for entry in journal.read()] == [
        (Note.KILLED, "1-of-2", "7")
    ]
    assert not points.is_armed(Point.AFTER_CALL)


def test_other_points_and_disarmed_ones_do_nothing(tmp_path: Path, points: KillPoints) -> None:
    points.arm(Point.BEFORE_CALL)
    points.arm(Point.AFTER_CALL)
    assert points.disarm(Point.AFTER_CALL)
    assert not points.disarm(Point.AFTER_CALL)
    assert reach(tmp_path) == 0
    assert points.is_armed(Point.BEFORE_CALL)
