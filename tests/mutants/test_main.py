from fnmatch import fnmatch

import pytest

from pumphouse.workflows.machine import Machine
from tests.mutants.main import MACHINE, RULES, modules_to_change, names_to_run
from tests.mutants.tree import PACKAGE, ROOT


def is_run(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in names_to_run([MACHINE, "pumphouse/activities/acks.py"]))


@pytest.mark.parametrize(
    "name",
    [
        "pumphouse.activities.acks.x__now__mutmut_1",
        "pumphouse.activities.acks.xǁAckWindowǁrun__mutmut_12",
        "pumphouse.workflows.machine.xǁMachineǁ_remember__mutmut_1",
    ],
)
def test_mutants_of_whole_modules_and_of_the_machines_rules_are_run(name: str) -> None:
    assert is_run(name)


@pytest.mark.parametrize(
    "name",
    [
        "pumphouse.workflows.machine.xǁMachineǁ_leave__mutmut_1",
        "pumphouse.activities.lanes.xǁLanesǁput__mutmut_1",
    ],
)
def test_mutants_of_the_rest_are_not_run(name: str) -> None:
    assert not is_run(name)


@pytest.mark.parametrize("rule", RULES)
def test_the_machine_has_each_of_its_rules(rule: str) -> None:
    assert callable(getattr(Machine, rule))


def test_the_modules_that_carry_the_promises_are_changed() -> None:
    modules = [module.removeprefix(f"{PACKAGE}/") for module in modules_to_change()]
    assert {
        *("activities/lanes.py", "activities/acks.py", "activities/shards.py"),
        *("workflows/requests.py", "workflows/graph.py", "workflows/machine.py"),
    } <= set(modules)
    assert all((ROOT / module).is_file() for module in modules)
