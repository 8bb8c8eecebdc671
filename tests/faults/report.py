"""Tells what came of a trial."""

import statistics
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.faults.checker import Violation
from tests.faults.injector import KILL_LIMIT_SECONDS, STOP_LIMIT_SECONDS
from tests.faults.journal import Note
from tests.faults.recovery import Recovery
from tests.faults.trial import Report

MAX_SHOWN = 40
CLOCK_JUMPED = "created_at jumped"
NONE_OF_THEM = "none of them: see the list"


def counts(report: Report) -> Counter[str]:
    """How often each fault came about."""
    found = Counter(injection.fault for injection in report.injections)
    for note in (Note.TWICE, Note.LATE):
        found[note] = sum(entry.note is note for entry in report.entries)
    found[CLOCK_JUMPED] = report.clock_jumps
    return found


def implicated(report: Report, violation: Violation) -> set[str]:
    """The faults that were under way when the event of a violation was handled."""
    mine = [entry for entry in report.entries if violation.event_id and entry.event_id == violation.event_id]
    during = {
        injection.fault
        for injection in report.injections
        for entry in mine
        if injection.begun <= entry.time <= injection.ended
    }
    return during | {entry.note for entry in mine if entry.note in (Note.TWICE, Note.LATE)} or {NONE_OF_THEM}


def print_report(console: Console, report: Report) -> None:
    """Print the tables: faults, what is wrong, and recovery times."""
    plan = report.plan
    console.print(
        f"{plan.events} events of {plan.foreign_ids} foreign IDs made {report.runs} runs; "
        f"{report.parked} were parked, {report.dead} of them dead letters; "
        f"all was settled {report.settled_after:.1f} s after the last event"
    )
    console.print(_faults_table(report))
    console.print(_recoveries_table(report))
    ends = ", ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items()))
    console.print(f"worker processes by exit status (negative: the signal that ended them): {ends}")
    for violation in report.violations[:MAX_SHOWN]:
        console.print(f"[red]{violation}[/]", highlight=False)
    console.print(f"{len(report.violations)} violations, seed {plan.seed}")


def _faults_table(report: Report) -> Table:
    found = counts(report)
    violations = Counter(fault for violation in report.violations for fault in implicated(report, violation))
    table = Table("fault", "count", "violations")
    for name in [*(fault.name for fault in report.plan.faults), Note.TWICE, Note.LATE, CLOCK_JUMPED]:
        table.add_row(name, str(found[name]), str(violations[name]))
    if violations[NONE_OF_THEM]:
        table.add_row(NONE_OF_THEM, "", str(violations[NONE_OF_THEM]))
    return table


def _recoveries_table(report: Report) -> Table:
    table = Table("a shard's next ack after", "samples", "median", "worst", "limit")
    table.add_row("SIGKILL", *_summary(report.after_kill), f"{KILL_LIMIT_SECONDS:g} s")
    table.add_row("SIGTERM", *_summary(report.after_stop), f"{STOP_LIMIT_SECONDS:g} s")
    return table


def _summary(found: Sequence[Recovery]) -> tuple[str, str, str]:
    seconds = [float("inf") if recovery.seconds is None else recovery.seconds for recovery in found]
    if not seconds:
        return "0", "-", "-"
    return str(len(seconds)), f"{statistics.median(seconds):.2f} s", f"{max(seconds):.2f} s"
