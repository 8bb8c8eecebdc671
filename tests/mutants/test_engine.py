import shutil
from pathlib import Path

import pytest

from tests.mutants.engine import run_mutmut
from tests.mutants.mutants import read_mutants
from tests.mutants.tree import undecorate

MODULE = "pumphouse/toy/door.py"
CODE = """
class Door:
    def __init__(self):
        self.visits = []

    @property
    def was_used(self):
        return bool(self.visits)

    def enter(self, name):
        self.visits.append(name)

    def leave(self, name):
        self.visits.remove(name)
"""
TESTS = """
from pumphouse.toy.door import Door


def test_a_door_that_was_entered_by_was_used():
    door = Door()
    door.enter("a")
    assert door.was_used
    door.leave("a")
"""
SETTINGS = f"""
[tool.mutmut]
source_paths = ["pumphouse"]
only_mutate = ["{MODULE}"]
pytest_add_cli_args_test_selection = ["tests/test_door.py"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
pythonpath = ["."]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A toy, with the engine beside it."""
    (tmp_path / MODULE).parent.mkdir(parents=True)
    shutil.copytree(Path(__file__).parent, tmp_path / "tests/mutants")
    for path, text in [(MODULE, CODE), ("tests/test_door.py", TESTS), ("pyproject.toml", SETTINGS)]:
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_mutant_that_a_test_sees_is_caught_and_another_one_survives(tree: Path) -> None:
    undecorate(tree / MODULE)
    run_mutmut(tree, ["pumphouse.toy.door.x*"])
    caught = {
        (mutant.change.function, mutant.change.was, mutant.change.becomes): mutant.is_caught
        for mutant in read_mutants(tree, [MODULE])
    }
    assert caught["Door.__init__", "self.visits = []", "self.visits = None"]
    assert caught["Door.was_used", "return bool(self.visits)", "pass"]
    assert caught["Door.enter", "self.visits.append(name)", "pass"]
    assert not caught["Door.leave", "self.visits.remove(name)", "pass"]


def test_tests_that_fail_without_any_change_are_an_error(tree: Path) -> None:
    (tree / "tests/test_door.py").write_text("def test_a_door():\n    assert False\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="mutmut failed with exit status 1"):
        run_mutmut(tree, ["pumphouse.toy.door.x*"])
