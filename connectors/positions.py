"""Positions that are integers, and where a consumer name begins that has none yet."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumphouse.connectors.errors import InvalidPosition, PumphouseError

Start: TypeAlias = Literal["earliest", "latest"] | int
"""Before everything, behind everything there is by then, or the position of the first event to deliver."""

# As Python writes integers: each has one text only.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True)
class IntegerPositions:
    """The positions of a source that numbers its events."""

    source: str
    """The table or path, for errors."""
    meaning: str
    """What a number is in this source."""
    lowest: int
    highest: int

    def check(self, start: object) -> None:
        """Refuse a `start` setting without sense.

        Raises:
            PumphouseError: it is none of those that `Start` names, or out of range.
        """
        if isinstance(start, int) and not isinstance(start, bool):
            is_one = self.lowest <= start <= self.highest
        else:
            is_one = start in ("earliest", "latest")
        if not is_one:
            raise PumphouseError(f"start is {start!r}; it must be {self._accepted}")

    def read(self, position: str) -> Start:
        """Read a position that somebody has written.

        Raises:
            InvalidPosition: it is none.
        """
        match position:
            case "earliest" | "latest":
                return position
            case _ if (number := self.number(position)) is not None:
                return number
            case _:
                raise InvalidPosition(self.source, position, self._accepted)

    def number(self, text: str) -> int | None:
        """The number that a text stands for; None when it is no position of the source."""
        # Longer ones are out of any source's range, and Python takes long to read them.
        if len(text) > len(str(self.highest)) + 1 or not _INTEGER.fullmatch(text):
            return None
        number = int(text)
        return number if self.lowest <= number <= self.highest else None

    @property
    def _accepted(self) -> str:
        return f'"earliest", "latest" or {self.meaning}, an integer from {self.lowest} to {self.highest}'
