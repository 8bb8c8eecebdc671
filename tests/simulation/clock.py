"""The one clock of all schedules, and what stands in for the library's view of it."""

from datetime import UTC, datetime, timedelta, tzinfo

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every schedule begins."""


class Clock:
    """How late it is in the schedule that runs, in seconds; in place of a module's `time`."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


CLOCK = Clock()


class Calendar:
    """In place of a module's `datetime`: the same clock, counted from the epoch."""

    def now(self, _zone: tzinfo) -> datetime:
        return EPOCH + timedelta(seconds=CLOCK.now)
