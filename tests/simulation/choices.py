"""All chance of a schedule, drawn from a seed, or played back from a list."""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Draws numbers, and keeps a list of them; the same list makes the same schedule.

    Zero is always the plain case: no fault, the shortest way, the first in line. So a list gets simpler as
    its numbers get smaller, and is filled up with zeros.
    """

    def __init__(self, seed: int | None = None, replayed: Sequence[int] = ()) -> None:
        self.made: list[int] = []
        self.draw = _player(replayed, self.made) if seed is None else _drawer(seed, self.made)
        """Gives one of the numbers from 0 up to, and without, that one."""

    def happens(self, rarity: int) -> bool:
        """Whether something happens that does so once in `rarity` times; never, if that is 0."""
        return rarity > 0 and self.draw(rarity) == rarity - 1

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, the plainest being the first."""
        return options[self.draw(len(options))]


# Closures, since nothing in a schedule is called more often.


def _drawer(seed: int, made: list[int]) -> Callable[[int], int]:
    chance, keep = random.Random(seed).random, made.append  # noqa: S311 - no secret

    def draw(count: int) -> int:
        number = int(chance() * count)
        keep(number)
        return number

    return draw


def _player(replayed: Sequence[int], made: list[int]) -> Callable[[int], int]:
    def draw(count: int) -> int:
        index = len(made)
        number = replayed[index] % count if index < len(replayed) else 0
        made.append(number)
        return number

    return draw
