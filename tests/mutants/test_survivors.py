from pathlib import Path

import pytest

from tests.mutants.mutants import Change
from tests.mutants.survivors import read_survivors
from tests.mutants.tree import ROOT

ENTRY = """
[[survivor]]
module = "activities/acks.py"
function = "AckWindow.run"
was = "self._acked.set()"
becomes = "pass"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "survivors.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_survivor_has_its_reason(tmp_path: Path) -> None:
    path = written(tmp_path, f'{ENTRY}reason = "nobody waits"')
    change = Change("activities/acks.py", "AckWindow.run", "self._acked.set()", "pass")
    assert read_survivors(path) == {change: "nobody waits"}


@pytest.mark.parametrize("text", [ENTRY, f'{ENTRY}reason = " "', f'{ENTRY}reason = "a"{ENTRY}reason = "b"'])
def test_a_survivor_without_a_reason_or_with_two_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"survivors\.toml: Change\(.*has no reason, or two"):
        read_survivors(written(tmp_path, text))


def test_no_survivors_are_none(tmp_path: Path) -> None:
    assert read_survivors(written(tmp_path, "")) == {}


def test_the_code_still_has_every_line_that_is_explained() -> None:
    known = read_survivors()
    assert known
    for change in known:
        lines = [line.strip() for line in (ROOT / change.module).read_text(encoding="utf-8").splitlines()]
        assert set(change.was.splitlines()) <= set(lines), change
