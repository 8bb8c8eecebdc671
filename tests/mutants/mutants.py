"""The mutants of a run: what was changed, and whether a test saw it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from tests.mutants.tree import PACKAGE

TIMEOUT = "timeout"
_CAUGHT = {"killed", TIMEOUT}
"""A mutant that never ends is caught: its tests would not end either."""
_NOT_RUN = "not checked"


@dataclass(frozen=True)
class Change:
    """One small change of one function."""

    module: str
    """Its path from the root."""
    function: str
    """With its class, if it has one."""
    was: str
    """The lines that went, each without its indentation."""
    becomes: str
    """The lines that came."""


@dataclass(frozen=True)
class Mutant:
    """A change, and what came of it."""

    change: Change
    status: str

    @property
    def is_caught(self) -> bool:
        """Whether a test failed."""
        return self.status in _CAUGHT


def read_mutants(tree: Path, modules: list[str]) -> list[Mutant]:
    """The mutants that were run in a tree.

    Args:
        tree: where mutmut ran.
        modules: the changed modules, as paths in the tree.
    """
    with contextlib.chdir(tree):  # mutmut reads what lies below the current folder
        return [mutant for module in modules for mutant in _mutants_of(module)]


def _mutants_of(path: str) -> Iterator[Mutant]:
    data = SourceFileMutationData(path=path)
    data.load()
    for name, exit_code in data.exit_code_by_key.items():
        if (status := status_by_exit_code[exit_code]) != _NOT_RUN:
            yield Mutant(read_change(path, name, get_diff_for_mutant(name, path=path)), status)


def read_change(path: str, name: str, diff: str) -> Change:
    """The change that a mutant of mutmut's makes.

    Args:
        path: its module, as a path in the tree.
        name: mutmut's name of it.
        diff: a unified diff of the function.
    """
    function, of_class = orig_function_and_class_names_from_key(name)
    lines = diff.splitlines()[2:]  # behind the names of the files
    return Change(
        path.removeprefix(f"{PACKAGE}/"),
        f"{of_class}.{function}" if of_class else function,
        *("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"),
    )
