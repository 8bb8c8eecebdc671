"""The clock that a lease looks at, and what a process sees of it that was frozen."""

import time
from datetime import timedelta


class Clock:
    """Stands in for the module `time` where a test says how it goes on."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def pass_by(self, duration: timedelta) -> None:
        """Let so much time go by at once, as for a process that was frozen."""
        self._ahead += duration.total_seconds()


class StoppedClock(Clock):
    """Goes on only when it is told to."""

    def monotonic(self) -> float:
        return self._ahead
