"""Makes a failing schedule smaller, as long as it breaks the same promise."""

from collections.abc import Callable, Iterator

from tests.simulation.choices import Choices
from tests.simulation.ledger import Promise
from tests.simulation.schedule import simulate

MAX_TRIES = 3_000


def shrink(made: list[int], promise: Promise, max_tries: int = MAX_TRIES) -> list[int]:
    """Find smaller choices that break the promise, too.

    Args:
        made: the choices of a schedule that breaks it.
        promise: what is to stay broken.
        max_tries: how many schedules are tried at the most.
    """
    return minimize(made, lambda choices: _breaks(choices, promise), max_tries)


def minimize(
    made: list[int], is_failing: Callable[[list[int]], bool], max_tries: int = MAX_TRIES
) -> list[int]:
    """Find a shorter list, with smaller numbers, that still fails."""
    tries = 0
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for smaller in _smaller(made):
            if tries >= max_tries:
                return made
            if smaller == made:
                continue
            tries += 1
            if is_failing(smaller):
                # The rest of this round would be about a list that is not the smallest any more.
                made, is_smaller = smaller, True
                break
    return made


def _smaller(made: list[int]) -> Iterator[list[int]]:
    """Simpler variants of a list, the boldest first."""
    while made and made[-1] == 0:
        made = made[:-1]
    yield made
    size = len(made)
    while size:
        for start in range(0, len(made), size):
            yield made[:start] + made[start + size :]
        for start in range(0, len(made), size):
            if any(made[start : start + size]):
                yield made[:start] + [0] * len(made[start : start + size]) + made[start + size :]
        size //= 2
    for index, number in enumerate(made):
        for lower in {number // 2, number - 1} - {0, number, -1}:
            yield [*made[:index], lower, *made[index + 1 :]]


def _breaks(made: list[int], promise: Promise) -> bool:
    return any(violation.promise is promise for violation in simulate(Choices(replayed=made)))
