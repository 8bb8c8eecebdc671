from dataclasses import replace

import pytest
from rich.console import Console

from tests.mutants.mutants import Change, Mutant, read_change
from tests.mutants.report import complaints, print_report

CHANGE = Change("activities/acks.py", "AckWindow.run", "self._acked.set()", "pass")


def mutants(caught: int, survived: int, module: str = "activities/acks.py") -> list[Mutant]:
    change = replace(CHANGE, module=module)
    return [Mutant(change, "killed")] * caught + [Mutant(change, "survived")] * survived


def test_enough_caught_and_every_survivor_explained_is_right() -> None:
    assert complaints(mutants(9, 1), {CHANGE: "nobody waits"}) == []
    assert complaints(mutants(1, 0), {}) == []


def test_a_survivor_without_a_reason_is_wrong() -> None:
    (complaint,) = complaints(mutants(19, 1), {replace(CHANGE, becomes="return"): "another"})
    assert complaint.startswith("1 survivors are not explained")


def test_a_module_below_the_floor_is_wrong_however_well_the_others_do() -> None:
    other = mutants(100, 0, "activities/lanes.py")
    (complaint,) = complaints(mutants(89, 11) + other, {CHANGE: "nobody waits"})
    assert complaint == "activities/acks.py: 89.0% caught, at least 90% have to be"


@pytest.mark.parametrize("status", ["no tests", "suspicious", "segfault", "skipped"])
def test_whatever_is_not_seen_by_a_test_counts_as_survived(status: str) -> None:
    assert complaints([Mutant(CHANGE, "killed")] * 9 + [Mutant(CHANGE, status)], {}) != []


def test_a_mutant_that_never_ends_is_caught() -> None:
    assert complaints([Mutant(CHANGE, "timeout")], {}) == []


def test_no_mutants_at_all_is_wrong() -> None:
    assert complaints([], {}) == ["there are no mutants"]


def test_the_report_shows_each_survivor_with_its_reason_and_counts_the_rest() -> None:
    console = Console(width=120, record=True, quiet=False, force_terminal=False)
    stale = replace(CHANGE, becomes="return")
    with console.capture() as capture:
        print_report(console, mutants(9, 1), {CHANGE: "nobody waits", stale: "gone"})
    text = capture.get()
    assert (
        "survived: activities/acks.py AckWindow.run\n  - self._acked.set()\n  + pass\n  nobody waits\n"
    ) in text
    assert "explained, but did not survive: activities/acks.py AckWindow.run: return" in text
    assert [cell.strip() for cell in text.splitlines()[-2].split("│")[1:-1]] == [
        "all",
        "10",
        "9",
        "0",
        "1",
        "90.0%",
    ]


def test_a_survivor_without_a_reason_stands_out() -> None:
    console = Console(width=120)
    with console.capture() as capture:
        print_report(console, mutants(0, 1), {})
    assert "NOT EXPLAINED" in capture.get()


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("pumphouse.activities.acks.xǁAckWindowǁrun__mutmut_3", "AckWindow.run"),
        ("pumphouse.activities.acks.x__now__mutmut_1", "_now"),
    ],
)
def test_a_change_is_read_from_the_lines_that_differ(name: str, function: str) -> None:
    diff = "--- a\n+++ a\n@@ -1,3 +1,2 @@\n def run():\n-    self._acked.set(\n-        1)\n+    pass\n"
    change = read_change("pumphouse/activities/acks.py", name, diff)
    assert change == Change("activities/acks.py", function, "self._acked.set(\n1)", "pass")
