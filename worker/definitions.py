"""Finds the definitions that a command names as `module:attribute`."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from pumphouse.connectors.errors import PumphouseError
from pumphouse.workflows.definition import Workflow


class NoDefinition(PumphouseError):
    """What a command names is not a definition."""

    def __init__(self, target: str, reason: str) -> None:
        """Name what was looked for."""
        super().__init__(f"{target!r}: {reason}; expected MODULE:ATTRIBUTE, the name of a Workflow or a list")


def load_definitions(target: str) -> list[Workflow[Any, Any]]:
    """Import the definitions that a target names; modules of the current directory are found too.

    Args:
        target: `module:attribute`, where the attribute is a `Workflow` or several.

    Raises:
        NoDefinition: there is no such module or attribute, or it holds something else.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise NoDefinition(target, "the form is wrong")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        # An import that fails inside the user's module is his to see, with its traceback.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise NoDefinition(target, f"there is no module {error.name!r}") from error
    except AttributeError as error:
        raise NoDefinition(target, str(error)) from error
    definitions = list(cast("Iterable[object]", found)) if isinstance(found, Iterable) else [found]
    if not definitions or not all(isinstance(definition, Workflow) for definition in definitions):
        raise NoDefinition(target, f"it is {found!r}")
    return cast("list[Workflow[Any, Any]]", definitions)
