"""Points at which a worker process can be made to kill itself."""

import os
import signal
from enum import StrEnum
from pathlib import Path

from tests.faults.journal import Journal, Note


class Point(StrEnum):
    """Where a process can be struck."""

    BEFORE_CALL = "before the call"  #: the handler has the event, and has called nothing
    BETWEEN_CALLS = "between two calls"  #: Temporal has accepted the first call of an event, not the second
    AFTER_CALL = "after the call"  #: Temporal has accepted every call, the handler has not returned
    BEFORE_ACK = "before the ack"  #: the pump calls the ack
    IN_COMMIT = "in the middle of a commit"  #: the position is written, the transaction is not committed


class KillPoints:
    """Lets one process strike the next other one that comes to a point.

    An armed point is a file. Who removes it is the one that dies: each arming kills one process.
    """

    def __init__(self, directory: Path, journal: Journal) -> None:
        """Begin with nothing armed by this object.

        Args:
            directory: shared by all processes; it exists.
            journal: is told of each death.
        """
        self._directory = directory
        self._journal = journal

    def arm(self, point: Point) -> None:
        """Strike the next process that comes to the point."""
        self._file(point).touch()

    def disarm(self, point: Point) -> bool:
        """Strike nobody any more; whether somebody would still have been."""
        try:
            self._file(point).unlink()
        except FileNotFoundError:
            return False
        return True

    def is_armed(self, point: Point) -> bool:
        """Whether nobody has come to the point yet."""
        return self._file(point).exists()

    def reach(self, point: Point, shard: str = "", event_id: str = "") -> None:
        """Come to a point; this process ends here if it is armed."""
        if self.disarm(point):
            self._journal.add(Note.KILLED, shard, event_id)
            os.kill(os.getpid(), signal.SIGKILL)

    def _file(self, point: Point) -> Path:
        return self._directory / point.name
