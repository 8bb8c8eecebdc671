"""A copy of the code and its tests that may be changed, laid out as mutmut needs it."""

import shutil
from pathlib import Path

import libcst as cst
from libcst import matchers as m

ROOT = Path(__file__).parents[2]
PACKAGE = "pumphouse"
FOLDERS = ("connectors", "workflows", "activities", "worker")

_IGNORED = shutil.ignore_patterns("__pycache__", "histories")
_UNDERSTOOD = m.Decorator(m.OneOf(m.Name("staticmethod"), m.Name("classmethod")))


def copy_tree(target: Path) -> None:
    """Copy what the unit tests need.

    The code lies in a folder `pumphouse` there, since mutmut takes a module's path for its name; and the
    editable install, which would lead back to the real code, comes behind it on the path.

    Args:
        target: an empty folder.
    """
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, target / PACKAGE / folder, ignore=_IGNORED)
    shutil.copytree(ROOT / "tests", target / "tests", ignore=_IGNORED)
    shutil.copy(ROOT / "pyproject.toml", target)


def undecorate(path: Path) -> None:
    """Write the module's decorators as calls behind their functions, which mutmut leaves alone otherwise."""
    module = cst.parse_module(path.read_text(encoding="utf-8"))
    path.write_text(module.visit(_Undecorator()).code, encoding="utf-8")


class _Undecorator(cst.CSTTransformer):
    def leave_FunctionDef(  # noqa: N802 - libcst's name
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.BaseStatement]:
        decorators = [each for each in updated_node.decorators if not m.matches(each, _UNDERSTOOD)]
        if not decorators:
            return updated_node
        decorated: cst.BaseExpression = updated_node.name
        for each in reversed(decorators):
            decorated = cst.Call(each.decorator, [cst.Arg(decorated)])
        assignment = cst.Assign([cst.AssignTarget(updated_node.name)], decorated)
        return cst.FlattenSentinel(
            [updated_node.with_changes(decorators=[]), cst.SimpleStatementLine([assignment])]
        )
