"""Many schedules, in as many processes as are wanted, and what became of them."""

import gc
import multiprocessing
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.simulation.choices import Choices
from tests.simulation.ledger import Promise, Violation
from tests.simulation.schedule import simulate
from tests.simulation.shrink import shrink
from tests.simulation.virtual import virtual

MAX_SHOWN = 400  # lines of a trace
BETWEEN_COLLECTIONS = 8
"""Schedules: fewer cost time, and more as well, as memory that is used again soon is the fastest."""


@dataclass(frozen=True)
class Failure:
    """A seed whose schedule breaks promises."""

    seed: int
    violations: tuple[Violation, ...]

    def __str__(self) -> str:
        return "\n".join(f"seed {self.seed}: {violation}" for violation in self.violations)


def run_seeds(seeds: Iterable[int], max_failures: int = 1) -> tuple[int, list[Failure]]:
    """Run the schedules of these seeds until so many have failed; how many that were, and the failures."""
    count, failures = 0, list[Failure]()
    with _collecting_between():
        for seed in seeds:
            count += 1
            if violations := simulate(Choices(seed)):
                failures.append(Failure(seed, tuple(violations)))
                if len(failures) >= max_failures:
                    break
            _collect_after(count)
    return count, failures


def run_for(
    first_seed: int, seconds: float, stride: int = 1, max_count: int = 1 << 60
) -> tuple[int, list[Failure]]:
    """Run one schedule after the other for so long, or until one fails."""
    deadline = time.monotonic() + seconds

    def seeds() -> Iterator[int]:
        for number in range(max_count):
            if time.monotonic() > deadline:
                return
            yield first_seed + number * stride

    return run_seeds(seeds())


def run_side_by_side(
    first_seed: int, seconds: float, count: int, processes: int
) -> tuple[int, list[Failure]]:
    """The same in several processes, which share the seeds between them.

    Args:
        first_seed: the lowest seed.
        seconds: how long they may take.
        count: how many schedules they run at the most, all together.
        processes: how many processes there are.
    """
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawning) as pool:
        runs = [
            pool.submit(run_for, first_seed + number, seconds, processes, -(-count // processes))
            for number in range(processes)
        ]
        answers = [run.result() for run in runs]
    return sum(ran for ran, _ in answers), [failure for _, failures in answers for failure in failures]


def explain(seed: int) -> str:
    """Run a seed again, and tell what happens in it, and in the smallest schedule that fails alike."""
    choices, trace = Choices(seed), list[str]()
    with _collecting_between():
        violations = simulate(choices, trace)
        if not violations:
            return "\n".join([*trace, f"seed {seed} keeps all promises"])
        smaller = shrink(choices.made, violations[0].promise)
    parts = [*trace[:MAX_SHOWN], *map(str, violations), "", f"seed {seed}, made smaller:", replay(smaller)]
    return "\n".join(parts)


def replay(made: list[int]) -> str:
    """Tell what happens in the schedule of a list of choices."""
    trace = list[str]()
    with _collecting_between():
        violations = simulate(Choices(replayed=made), trace)
    return "\n".join([*trace[:MAX_SHOWN], *map(str, violations), f"choices: {made}"])


def find(promise: Promise, seeds: Iterable[int]) -> int | None:
    """The first of the seeds whose schedule breaks the promise."""
    with _collecting_between():
        for count, seed in enumerate(seeds, 1):
            if any(violation.promise is promise for violation in simulate(Choices(seed))):
                return seed
            _collect_after(count)
    return None


def _collect_after(count: int) -> None:
    """Collect garbage now and then, and never within a schedule, as that would not replay exactly."""
    if count % BETWEEN_COLLECTIONS == 0:
        gc.collect()


@contextmanager
def _collecting_between() -> Generator[None]:
    with virtual():
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
            gc.collect()
