"""The house rules that no linter knows: which folder may import which, and how they are packaged."""

import ast
import itertools
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "pumphouse"
# Each may import itself and the ones after it.
FOLDERS = ["worker", "activities", "workflows", "connectors"]
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
MAX_LINES = 400
DYNAMIC = {"__import__", "import_module", "exec", "eval", "spec_from_file_location", "run_path"}


def imports_in(source: str) -> Iterator[str]:
    """The full names that a module imports, wherever it does; a relative one begins with a dot."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # What is imported from a package may be a module of it.
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> set[str]:
    return set(imports_in(path.read_text(encoding="utf-8")))


def calls_in(source: str) -> set[str]:
    """The names of the functions that a module calls, without what they are called on."""
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {
        function.id if isinstance(function, ast.Name) else function.attr
        for function in called
        if isinstance(function, ast.Name | ast.Attribute)
    }


def folder_of(imported: str) -> str | None:
    package, _, rest = imported.partition(".")
    return rest.partition(".")[0] if package == PACKAGE else None


def module_path(imported: str) -> Path | None:
    """The module of ours that a full name stands for or lies in."""
    parts = imported.split(".")[1:] if folder_of(imported) else []
    for end in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:end])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def modules_behind(path: Path) -> set[str]:
    """The modules of ours that a module brings in, directly or not, itself left out."""
    found: dict[Path, None] = {}
    ahead = [path]
    while ahead:
        new = {module_path(imported) for imported in imports_of(ahead.pop())} - {None, path, *found}
        paths = [each for each in new if each is not None]
        found.update(dict.fromkeys(paths))
        ahead.extend(paths)
    return {str(each.relative_to(ROOT).with_suffix("")) for each in found}


def show(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import a.b, c as d", {"a.b", "c"}),
        ("from a.b import c, d as e", {"a.b.c", "a.b.d"}),
        ("from a import *", {"a.*"}),
        ("from . import a", {"..a"}),
        ("from ..a import b", {"..a.b"}),
        ("def f():\n    import a", {"a"}),
        ("if TYPE_CHECKING:\n    from a import b", {"a.b"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}),
        ("'import a'  # import b", set[str]()),
    ],
)
def test_every_form_of_import_is_seen(source: str, imported: set[str]) -> None:
    assert set(imports_in(source)) == imported


@pytest.mark.parametrize(
    ("imported", "path"),
    [
        ("pumphouse.workflows", "workflows/__init__.py"),
        ("pumphouse.workflows.machine", "workflows/machine.py"),
        ("pumphouse.workflows.machine.Machine", "workflows/machine.py"),
        ("pumphouse.workflows.Workflow", "workflows/__init__.py"),
    ],
)
def test_an_import_is_traced_to_its_module(imported: str, path: str) -> None:
    assert module_path(imported) == ROOT / path


def test_what_a_module_brings_in_is_followed_to_the_end() -> None:
    behind = modules_behind(ROOT / "worker/__init__.py")
    assert {"worker/plugin", "activities/pump", "workflows/definition", "connectors/event"} < behind
    assert "worker/__init__" not in behind


def test_the_folders_import_each_other_in_one_direction_only() -> None:
    arrows = {
        (folder, imported_folder): show(path)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for imported in imports_of(path)
        if (imported_folder := folder_of(imported)) not in {None, folder}
    }
    allowed = {(FOLDERS[i], FOLDERS[j]) for i in range(len(FOLDERS)) for j in range(i + 1, len(FOLDERS))}
    assert {arrow: where for arrow, where in arrows.items() if arrow not in allowed} == {}
    # Otherwise the folders were not read at all.
    assert set(itertools.pairwise(FOLDERS)) <= set(arrows)


def test_a_module_is_imported_by_its_whole_name() -> None:
    imported = {(show(path), name) for path in MODULES for name in imports_of(path)}
    assert {(path, name) for path, name in imported if name.partition(".")[0] in {"", *FOLDERS}} == set()
    ours = {(path, name) for path, name in imported if name.partition(".")[0] == PACKAGE}
    assert {(path, name) for path, name in ours if folder_of(name) not in FOLDERS} == set()


def test_connectors_know_nothing_of_temporal() -> None:
    modules = [path for path in MODULES if path.parent.name == "connectors"]
    assert modules
    imported = {(show(path), name) for path in modules for name in imports_of(path)}
    assert {(path, name) for path, name in imported if "temporal" in name.lower()} == set()


def test_a_module_is_no_longer_than_it_may_be() -> None:
    lines = {show(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}
    assert max(lines.values()) > MAX_LINES / 10


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_has_no_packages_inside(folder: str) -> None:
    inside = [path.name for path in (ROOT / folder).iterdir() if path.is_dir()]
    assert [name for name in inside if name != "__pycache__"] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_a_typed_package(folder: str) -> None:
    assert (ROOT / folder / "__init__.py").is_file()
    assert (ROOT / folder / "py.typed").is_file()


def test_no_folder_at_the_root_hides_the_package() -> None:
    assert not (ROOT / PACKAGE).exists()
    assert not (ROOT / f"{PACKAGE}.py").exists()


def test_the_packages_are_the_folders(pyproject: dict[str, Any]) -> None:
    at_root = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert at_root == set(FOLDERS)
    packages = {f"{PACKAGE}.{folder}": folder for folder in FOLDERS}
    assert pyproject["tool"]["setuptools"]["package-dir"] == packages
    assert sorted(pyproject["tool"]["setuptools"]["packages"]) == sorted(packages)


def test_every_folder_is_built_anew_checked_and_banned_under_its_bare_name(pyproject: dict[str, Any]) -> None:
    cached = {key["file"] for key in pyproject["tool"]["uv"]["cache-keys"]}
    assert {f"{folder}/**/*.py" for folder in FOLDERS} <= cached
    assert set(FOLDERS) <= set(pyproject["tool"]["pyright"]["include"])
    assert set(pyproject["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]) == set(FOLDERS)


def test_every_command_has_a_module(pyproject: dict[str, Any]) -> None:
    targets = [target.partition(":")[0] for target in pyproject["project"]["scripts"].values()]
    assert targets
    assert [target for target in targets if module_path(target) in {None, ROOT / "worker/__init__.py"}] == []


@pytest.mark.parametrize("workflow", ["machine", "supervisor"])
def test_what_temporal_replays_knows_no_definition(workflow: str) -> None:
    path = ROOT / "workflows" / f"{workflow}.py"
    # Plain data and names: nothing that holds a user's function, type or graph.
    assert modules_behind(path) <= {
        "workflows/names",
        "workflows/messages",
        "workflows/errors",
        "workflows/run",
        "connectors/errors",
    }


@pytest.mark.parametrize("workflow", ["machine", "supervisor"])
def test_what_temporal_replays_imports_nothing_but_temporal_ours_and_the_standard_library(
    workflow: str,
) -> None:
    path = ROOT / "workflows" / f"{workflow}.py"
    imported = {name.partition(".")[0] for name in imports_of(path)}
    assert imported - sys.stdlib_module_names == {"temporalio", PACKAGE}
    assert calls_in(path.read_text(encoding="utf-8")) & DYNAMIC == set()


@pytest.mark.parametrize("source", ["import_module('a')", "importlib.import_module('a')", "f(eval('a'))"])
def test_an_import_by_a_function_is_seen(source: str) -> None:
    assert calls_in(source) & DYNAMIC != set()
