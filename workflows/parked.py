"""What travels about an event that is parked: that a pump has set aside in Temporal, and acked.

As in `messages`, fields may be added with a default; none may be renamed or removed.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pumphouse.workflows.messages import Change


class Standing(StrEnum):
    """How a parked event stands."""

    WAITING = "waiting"  #: behind an earlier event of its foreign ID
    RETRYING = "retrying"  #: Temporal hands it to the handler, again and again
    DEAD = "dead"  #: given up: somebody has to redrive or discard it
    REDRIVEN = "redriven"  #: the handler took it after all
    DISCARDED = "discarded"  #: somebody decided that it needs no handling


OPEN = frozenset({Standing.WAITING, Standing.RETRYING, Standing.DEAD})
"""Where a parked event is not at its end."""


@dataclass(frozen=True)
class ParkedEvent:
    """An event that a pump has set aside, and why."""

    definition: str
    connector: str
    event_id: str
    foreign_id: str
    event: Any
    """The whole event as JSON; None if it cannot be read, or is too large for Temporal."""
    received_at: datetime
    parked_at: datetime
    errors: list[str] = field(default_factory=list[str])
    """What the last attempt failed with, and the causes of that; none if the event only waits in order."""
    attempts: int = 0
    """How often the handler has tried it, up to now."""
    position: str = ""
    """Where it stands in the source, in the source's own terms; empty if the source does not tell."""
    source_id: str = ""
    """By what the source finds it: its ID, or its position if it could not be read."""
    size: int = 0
    """Bytes of the event as JSON."""
    digest: str = ""
    """SHA-256 of the event as JSON, in hexadecimal digits."""


@dataclass(frozen=True)
class RedrivePolicy:
    """How Temporal hands a parked event to the handler."""

    timeout_seconds: float
    backoff_seconds: float
    backoff_factor: float
    max_backoff_seconds: float
    max_attempts: int | None = None


@dataclass(frozen=True)
class RedriveInput:
    """The argument of the activity that hands a parked event to the handler."""

    parked: ParkedEvent
    max_attempts: int | None = None
    """How often; without end if None."""
    is_asked: bool = False
    """Whether somebody asks for it: then it is done even while the connector is paused."""


@dataclass(frozen=True)
class RedriveFailure:
    """What the handing of a parked event to the handler ended with; the detail of the activity's failure."""

    errors: list[str]
    attempts: int


@dataclass(frozen=True)
class DeadLetterInput:
    """The argument of a dead letter's workflow."""

    parked: ParkedEvent
    standing: str
    policy: RedrivePolicy
    in_order: bool = False
    """Whether the parking lot holds the later events of its foreign ID behind it."""
    strict: bool = False
    """Whether it holds them also when it is dead."""
    has_sink: bool = False
    """Whether the connector has an `on_dead_letter`."""
    search_attributes: bool = False
    """Whether the server knows the search attributes; an unknown one would stop the workflow."""


@dataclass
class DeadLetterRecord:
    """A parked event as its workflow knows it: its answer to the query, and its result."""

    parked: ParkedEvent
    standing: str
    changes: list[Change] = field(default_factory=list[Change])
    """Who did what, oldest first."""


@dataclass(frozen=True)
class Decision:
    """Asks a dead letter to be redriven or discarded."""

    by: str
    reason: str = ""


@dataclass(frozen=True)
class PlaceRequest:
    """Asks the parking lot for a place in the queue of a foreign ID."""

    foreign_id: str
    event_id: str
    limit: int
    """How many events the lot may hold."""


@dataclass(frozen=True)
class QueuedEvent:
    """Names an event in a queue of the parking lot."""

    foreign_id: str
    event_id: str


@dataclass
class ParkingLotInput:
    """The argument of a parking lot: what it held before it continued as new."""

    definition: str
    connector: str
    queues: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
