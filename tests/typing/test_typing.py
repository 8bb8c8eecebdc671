"""mypy and pyright accept what is right, and find what is wrong, in the files beside this one."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

ROOT = Path(__file__).parents[2]
PYRIGHT = Path(sys.executable).with_name("pyright")
ACCEPTED, REFUSED = CHECKED = [Path(__file__).with_name(name) for name in ("accepted.py", "refused.py")]

Lines: TypeAlias = dict[str, dict[int, str]]
"""What is wrong, by the file's name and the line."""


def run(*command: str) -> str:
    """What a type checker prints; one that fails without finding an error fails the test."""
    result = subprocess.run(  # noqa: S603 - the venv's own programs, and our arguments
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode in {0, 1}, result.stderr
    return result.stdout


def mypy_errors(scratch: Path) -> Lines:
    cache = f"--cache-dir={scratch / 'mypy'}"
    errors: Lines = {path.name: {} for path in CHECKED}
    output = run(sys.executable, "-m", "mypy", "--strict", "--output=json", cache, *map(str, CHECKED))
    for line in output.splitlines():
        error: dict[str, Any] = json.loads(line)
        if error["severity"] == "error":
            errors[Path(error["file"]).name][error["line"]] = error["message"]
    return errors


def pyright_errors(scratch: Path) -> Lines:
    # A project of its own, so that what is excluded in the repo's does not matter.
    project = scratch / "pyrightconfig.json"
    project.write_text(json.dumps({"typeCheckingMode": "strict", "include": list(map(str, CHECKED))}))
    options = ["--outputjson", "--project", str(project), "--pythonpath", sys.executable]
    output = run(str(PYRIGHT), *options, *map(str, CHECKED))
    errors: Lines = {path.name: {} for path in CHECKED}
    report: dict[str, Any] = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == len(CHECKED), output
    for error in report["generalDiagnostics"]:
        errors[Path(error["file"]).name][error["range"]["start"]["line"] + 1] = error["message"]
    return errors


def marked_lines(path: Path) -> list[int]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if re.search(r"  # error: \w", line)]


@pytest.fixture(scope="module", params=[mypy_errors, pyright_errors], ids=["mypy", "pyright"])
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lines:
    check: Callable[[Path], Lines] = request.param
    return check(tmp_path_factory.mktemp("typing"))


def test_correct_usage_is_accepted(errors: Lines) -> None:
    assert errors[ACCEPTED.name] == {}


def test_correct_usage_works() -> None:
    names = runpy.run_path(str(ACCEPTED))
    names["orders"].validate()
    assert names["orders"].find_step("PAID").function is names["ship"]


def test_each_mistake_is_found_and_nothing_else(errors: Lines) -> None:
    found, marked = errors[REFUSED.name], marked_lines(REFUSED)
    assert len(marked) > 40
    assert {line: message for line, message in found.items() if line not in marked} == {}
    assert [line for line in marked if line not in found] == []
