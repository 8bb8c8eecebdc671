import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pumphouse.worker.definitions import NoDefinition, load_definitions

MODULE = """
from enum import Enum
from pydantic import BaseModel
from pumphouse.workflows import Workflow

class Status(Enum):
    A = 1

class Thing(BaseModel):
    pass

one = Workflow("one", Thing, Status)
both = [one, Workflow("two", Thing, Status)]
mixed = [one, "two"]
nothing = []
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "definitions_of_a_user.py").write_text(MODULE)
    (tmp_path / "broken_module.py").write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("definitions_of_a_user", None)


def test_one_definition_or_a_list_of_them_is_found_in_the_current_directory() -> None:
    assert [found.name for found in load_definitions("definitions_of_a_user:one")] == ["one"]
    assert [found.name for found in load_definitions("definitions_of_a_user:both")] == ["one", "two"]


@pytest.mark.parametrize(
    "target",
    [
        *("definitions_of_a_user", ":one", "definitions_of_a_user:", "nowhere:one"),
        *("definitions_of_a_user:missing", "definitions_of_a_user:Thing"),
        *("definitions_of_a_user:mixed", "definitions_of_a_user:nothing"),
    ],
)
def test_anything_else_is_refused_by_its_name(target: str) -> None:
    with pytest.raises(NoDefinition, match="MODULE:ATTRIBUTE") as refused:
        load_definitions(target)
    assert repr(target) in str(refused.value)


def test_an_import_that_fails_inside_the_module_is_shown_as_it_is() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        load_definitions("broken_module:one")
