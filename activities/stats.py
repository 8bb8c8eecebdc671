"""How a pump stands: the details of its heartbeats, which Temporal's UI shows."""

import logging
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

logger = logging.getLogger(__name__)


@dataclass
class PumpStats:
    """The counters go on when the shard moves to another worker, as far as the last heartbeat knew them."""

    shard: str = ""
    """Which shard of the connector: `1-of-3`."""
    received: int = 0
    """Events taken from the source, redeliveries included."""
    delivered: int = 0
    """Events handled to the end."""
    skipped: int = 0
    """Events acked without being handled, since another shard has them."""
    retried: int = 0
    """Attempts after a failed one."""
    dead_lettered: int = 0
    """Events given up."""
    parked: int = 0
    """Events set aside in Temporal: given up, retried there, or waiting there in order."""
    acked: int = 0
    """Events that need no redelivery."""
    in_flight: int = 0
    """Events received and not yet acked."""
    lag_seconds: float = 0.0
    """The age of the oldest event in flight, or how long the source has been out of reach."""
    last_event_id: str = ""
    """The event received last."""
    source_error: str = ""
    """The type of the error that the source answered with last; empty while it answers well."""
    failing: list[str] = field(default_factory=list[str])
    """Some of the events that have failed and are tried again, each with its attempts and last error."""
    dry_run_calls: list[str] = field(default_factory=list[str])
    """The newest calls that a dry run has recorded instead of sending them, newest last."""


_STATS = TypeAdapter(PumpStats)


def read_stats(detail: object) -> PumpStats:
    """Read a heartbeat's detail, also that of another version: fields it lacks are as at a start.

    One that cannot be read at all counts as a start: it must not keep a shard from being pumped.
    """
    try:
        return _STATS.validate_python(detail)
    except ValidationError as error:
        logger.warning("the counters of an earlier pump cannot be read: %d errors", error.error_count())
        return PumpStats()
