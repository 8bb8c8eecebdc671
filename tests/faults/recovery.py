"""How long shards stood still after their worker was killed or stopped, by the journal's acks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.faults.checker import Kind, Violation
from tests.faults.journal import Entry, Note

HELD_SECONDS = 3.0
"""Whoever acked a shard last, so short before, has held it."""


@dataclass(frozen=True)
class Recovery:
    """A shard that changed hands."""

    shard: str
    seconds: float | None
    """From the end of the one to the first ack of the other; None: there was none."""


def recoveries(entries: Sequence[Entry], pid: int, moment: float) -> list[Recovery]:
    """How long each shard of a process was without an ack of anybody else, after the process was struck.

    Args:
        entries: the journal.
        pid: the process.
        moment: when it was struck, in seconds of the system's clock.
    """
    acks = [entry for entry in entries if entry.note is Note.ACKED]
    return [Recovery(shard, _wait(acks, shard, pid, moment)) for shard in held(entries, pid, moment)]


def held(entries: Sequence[Entry], pid: int, moment: float) -> list[str]:
    """The shards that a process had at a moment: those whose last ack before it was its own."""
    last: dict[str, Entry] = {}
    for entry in entries:
        if entry.note is Note.ACKED and moment - HELD_SECONDS < entry.time <= moment:
            last[entry.shard] = entry
    return sorted(shard for shard, entry in last.items() if entry.pid == pid)


def late(found: Iterable[Recovery], limit: float) -> list[Violation]:
    """The shards that stood still for longer than a limit, in seconds."""
    return [
        Violation(
            Kind.RECOVERY, f"shard {recovery.shard} after {recovery.seconds} s, the limit is {limit:g} s"
        )
        for recovery in found
        if recovery.seconds is None or recovery.seconds > limit
    ]


def _wait(acks: Sequence[Entry], shard: str, pid: int, moment: float) -> float | None:
    later = (ack.time - moment for ack in acks if ack.shard == shard and ack.pid != pid)
    return min((seconds for seconds in later if seconds > 0), default=None)
