from pathlib import Path
from typing import Any

import pytest

from tests.mutants.tree import FOLDERS, copy_tree, undecorate


def undecorated(folder: Path, source: str) -> str:
    path = folder / "module.py"
    path.write_text(source, encoding="utf-8")
    undecorate(path)
    return path.read_text(encoding="utf-8")


def test_a_decorator_is_called_behind_its_function(tmp_path: Path) -> None:
    source = "class Window:\n    @property\n    def is_full(self) -> bool:\n        return True\n"
    assert undecorated(tmp_path, source) == (
        "class Window:\n"
        "    def is_full(self) -> bool:\n"
        "        return True\n"
        "    is_full = property(is_full)\n"
    )


def test_decorators_are_called_from_the_inside_out(tmp_path: Path) -> None:
    source = "@outer(1)\n@inner\ndef run():\n    pass\n"
    assert undecorated(tmp_path, source) == "def run():\n    pass\nrun = outer(1)(inner(run))\n"


@pytest.mark.parametrize("decorator", ["staticmethod", "classmethod"])
def test_decorators_that_mutmut_understands_stay(tmp_path: Path, decorator: str) -> None:
    source = f"class Window:\n    @{decorator}\n    def make(cls):\n        pass\n"
    assert undecorated(tmp_path, source) == source


def test_an_undecorated_module_does_the_same(tmp_path: Path) -> None:
    source = (
        "from contextlib import contextmanager\n"
        "@contextmanager\n"
        "def opened(log):\n"
        "    log.append('open')\n"
        "    yield log\n"
        "    log.append('closed')\n"
    )
    scope: dict[str, Any] = {}
    exec(undecorated(tmp_path, source), scope)  # noqa: S102 - the module that was just written
    with scope["opened"]([]) as log:
        assert log == ["open"]
    assert log == ["open", "closed"]


def test_the_copy_is_one_package_with_its_tests(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    assert {path.name for path in (tmp_path / "pumphouse").iterdir()} == set(FOLDERS)
    assert (tmp_path / "pumphouse/activities/acks.py").is_file()
    assert (tmp_path / "tests/unit/activities/test_acks.py").is_file()
    assert (tmp_path / "pyproject.toml").is_file()
