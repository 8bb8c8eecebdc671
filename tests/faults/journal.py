"""What the worker processes note down of themselves, beside the library and its counters."""

import json
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

RECENT_BYTES = 500_000
"""A line has about 80 of them."""


class Note(StrEnum):
    """What there is to note."""

    HANDLING = "handling"  #: the handler was given an event
    ACKED = "acked"  #: the pump's ack has returned
    KILLED = "killed"  #: the process is about to kill itself at a point
    TWICE = "delivered twice"  #: the source delivers an event again
    LATE = "delivered late"  #: the source delivers an event behind later ones


class Entry(NamedTuple):
    """One line of the journal."""

    time: float
    """Seconds of the system's clock."""
    pid: int
    note: Note
    shard: str
    event_id: str


class Journal:
    """A file that many processes append to; a line is written at once, or, by a killed one, not at all."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it if it is missing."""
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, note: Note, shard: str = "", event_id: str = "") -> None:
        """Append an entry of this process, of now."""
        line = json.dumps([time.time(), os.getpid(), note, shard, event_id])
        os.write(self._file, f"{line}\n".encode())

    def read(self) -> list[Entry]:
        """Every entry of every process, in the order of writing."""
        return _parse(self._path.read_bytes())

    def recent(self) -> list[Entry]:
        """The entries of the last seconds, which can be had at once."""
        with self._path.open("rb") as file:
            if file.seek(0, os.SEEK_END) <= RECENT_BYTES:
                return self.read()
            file.seek(-RECENT_BYTES, os.SEEK_END)
            return _parse(file.read().partition(b"\n")[2])


def _parse(lines: bytes) -> list[Entry]:
    return [
        Entry(moment, pid, Note(note), shard, event_id)
        for moment, pid, note, shard, event_id in map(json.loads, lines.splitlines())
    ]
