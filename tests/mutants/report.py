"""Tells how many of the mutants were caught, and which were not."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.mutants.mutants import TIMEOUT, Change, Mutant

FLOOR = 0.9
"""The share that has to be caught of each module's mutants; it is never lowered."""


def share(mutants: Iterable[Mutant]) -> float:
    """How many of the mutants were caught, as a part of one."""
    caught = [mutant.is_caught for mutant in mutants]
    return sum(caught) / len(caught) if caught else 0.0


def by_module(mutants: Iterable[Mutant]) -> dict[str, list[Mutant]]:
    """The mutants of each module."""
    found: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        found.setdefault(mutant.change.module, []).append(mutant)
    return found


def complaints(mutants: list[Mutant], reasons: Mapping[Change, str]) -> list[str]:
    """What is wrong, if anything: too few are caught, or a survivor has no reason."""
    low = [
        f"{module}: {share(group):.1%} caught, at least {FLOOR:.0%} have to be"
        for module, group in by_module(mutants).items()
        if share(group) < FLOOR
    ]
    unexplained = [m for m in mutants if not m.is_caught and m.change not in reasons]
    if unexplained:
        low.append(f"{len(unexplained)} survivors are not explained in tests/mutants/survivors.toml")
    return low if mutants else ["there are no mutants"]


def print_report(console: Console, mutants: list[Mutant], reasons: Mapping[Change, str]) -> None:
    """Print the survivors with their reasons, the reasons that nothing needs any more, and the counts."""
    for mutant in mutants:
        if not mutant.is_caught:
            _print_survivor(console, mutant, reasons.get(mutant.change))
    for change in reasons.keys() - {mutant.change for mutant in mutants if not mutant.is_caught}:
        console.print(
            Text(f"explained, but did not survive: {change.module} {change.function}: {change.becomes}")
        )
    console.print(_table(mutants))


def _print_survivor(console: Console, mutant: Mutant, reason: str | None) -> None:
    change = mutant.change
    console.print(Text(f"{mutant.status}: {change.module} {change.function}"))
    for sign, lines in (("-", change.was), ("+", change.becomes)):
        for line in lines.splitlines():
            console.print(Text(f"  {sign} {line}"))
    console.print(Text(f"  {reason or 'NOT EXPLAINED'}\n"))


def _table(mutants: list[Mutant]) -> Table:
    table = Table("module", "mutants", "caught", "by time-out", "survivors", "share")
    table.columns[0].no_wrap = True
    for module, group in [*by_module(mutants).items(), ("all", mutants)]:
        caught = [mutant for mutant in group if mutant.is_caught]
        timed_out = sum(mutant.status == TIMEOUT for mutant in caught)
        counts = (len(group), len(caught), timed_out, len(group) - len(caught))
        table.add_row(module, *map(str, counts), f"{share(group):.1%}")
    return table
