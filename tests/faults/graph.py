"""The statuses that the harness's runs go through; the app, the load and the checker agree on them here."""

OPENED = "OPENED"
CLOSING = "CLOSING"
CLOSED = "CLOSED"

MAX_MOVES = 9
"""So many statuses lie between OPENED and CLOSING; each run is at each once, so a status names its place."""


def moved(place: int) -> str:
    """The status of a run after so many moves, from 1 on."""
    return f"MOVED_{place}"


MOVES = [moved(place) for place in range(1, MAX_MOVES + 1)]


def audits(count: int) -> list[str]:
    """The statuses that a version of the graph has between CLOSING and CLOSED; each version adds one."""
    return [f"AUDITED_{number}" for number in range(1, count + 1)]


def is_of_step(status: str) -> bool:
    """Whether a step has led to the status, rather than an event."""
    return status == CLOSED or status.startswith("AUDITED_")
