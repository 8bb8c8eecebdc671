"""mutmut with our operators, in a process of its own: it forks, and leaves the process as it pleases."""

import subprocess
import sys
from pathlib import Path

from mutmut.__main__ import cli
from mutmut.mutation.mutators import mutation_operators

from tests.mutants.operators import OPERATORS


def run_mutmut(tree: Path, names: list[str]) -> None:
    """Make the mutants and run their tests.

    Args:
        tree: a folder with the code, its tests, this module, and a `pyproject.toml` that configures mutmut.
        names: patterns of mutmut's names for the mutants to run.

    Raises:
        RuntimeError: the tests fail without any change, or mutmut does.
    """
    command = [sys.executable, "-m", "tests.mutants.engine", "run", *names]
    is_watched = sys.stdout.isatty()  # mutmut's progress is a line that it writes over and over
    done = subprocess.run(command, cwd=tree, check=False, capture_output=not is_watched, text=True)  # noqa: S603 - our own module
    if done.returncode:
        raise RuntimeError(f"mutmut failed with exit status {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    # The list is mutmut's own, and there is no setting for it.
    mutation_operators.extend(OPERATORS)  # type: ignore[attr-defined]
    cli()
