"""Changes the modules that carry the promises in small ways, and counts the changes that no test sees:

    make mutants

Which modules, and which tests, `pyproject.toml` says under `tool.mutmut`. It all happens in a copy. The exit
status is 1 if too few mutants are caught, or one that is not has no reason in `survivors.toml`.
"""

import sys
import tempfile
import tomllib
from pathlib import Path

from rich.console import Console

from tests.mutants.engine import run_mutmut
from tests.mutants.mutants import Mutant, read_mutants
from tests.mutants.report import complaints, print_report
from tests.mutants.survivors import read_survivors
from tests.mutants.tree import ROOT, copy_tree, undecorate

MACHINE = "pumphouse/workflows/machine.py"
RULES = (
    "signal_status",
    "record",
    "_load",
    "_take_accepted",
    "_answer",
    "_is_repeat",
    "_remember",
    "_refuse",
    "_change",
    "_end",
)
"""Of the machine, only what decides on changes of status; the rest needs a server."""

console = Console(soft_wrap=True)


def main() -> int:
    """Make the mutants, run them, and print what came of it; the exit status."""
    reasons = read_survivors()
    with tempfile.TemporaryDirectory(prefix="pumphouse-mutants-") as folder:
        mutants = run(Path(folder), modules_to_change())
    print_report(console, mutants, reasons)
    wrong = complaints(mutants, reasons)
    for complaint in wrong:
        console.print(complaint, markup=False)
    return 1 if wrong else 0


def modules_to_change() -> list[str]:
    """The modules whose mutants are made, as paths in the copied tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[str] = project["tool"]["mutmut"]["only_mutate"]
    return found


def run(tree: Path, modules: list[str]) -> list[Mutant]:
    """Copy the code into an empty folder, and run the mutants of the modules there."""
    copy_tree(tree)
    for module in modules:
        undecorate(tree / module)
    run_mutmut(tree, names_to_run(modules))
    return read_mutants(tree, modules)


def names_to_run(modules: list[str]) -> list[str]:
    """Patterns of mutmut's names for the mutants to run: whole modules, but the rules only of the machine."""
    rest = [f"{name_of(module)}.x*" for module in modules if module != MACHINE]
    return rest + [f"{name_of(MACHINE)}.*ǁ{rule}__mutmut_*" for rule in RULES if MACHINE in modules]


def name_of(module: str) -> str:
    """The module that lies at a path."""
    return module.removesuffix(".py").replace("/", ".")


if __name__ == "__main__":
    sys.exit(main())
