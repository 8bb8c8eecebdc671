"""How steps and connectors behave; every duration is a `timedelta`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

DEFAULT_TASK_QUEUE = "pumphouse"


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How a step is run and retried.

    Raises:
        ValueError: a duration is not positive, or `max_backoff` is shorter than `error_backoff`.
    """

    timeout: timedelta = timedelta(minutes=10)
    """How long one attempt may take, before Temporal gives it up and makes another."""
    error_backoff: timedelta = timedelta(seconds=1)
    """The wait before the first retry; it doubles with each one."""
    max_backoff: timedelta = timedelta(minutes=5)
    """The longest wait between two attempts."""

    def __post_init__(self) -> None:
        """Refuse what Temporal would refuse later."""
        for name in ("timeout", "error_backoff", "max_backoff"):
            _require_positive(name, getattr(self, name))
        if self.max_backoff < self.error_backoff:
            raise ValueError(
                f"max_backoff must be at least error_backoff, {self.error_backoff}, not {self.max_backoff}"
            )


class ConnectorKeywords(TypedDict, total=False):
    """The keyword arguments of `Workflow.connector`: see `ConnectorOptions`, field by field."""

    parallel_count: int
    error_backoff: timedelta
    consume_lag: timedelta
    lag_alert: timedelta
    max_in_flight: int
    heartbeat_timeout: timedelta


@dataclass(frozen=True, kw_only=True)
class ConnectorOptions:
    """How the pumps of a connector behave.

    Raises:
        ValueError: a count or a duration is out of its range.
    """

    parallel_count: int = 1
    """How many shards, each with a pump of its own; every foreign ID belongs to exactly one."""
    error_backoff: timedelta = timedelta(seconds=1)
    """The wait before the same event is handled again, or the same source asked again, after an error."""
    consume_lag: timedelta = timedelta(0)
    """How old an event has to be before it is handled."""
    lag_alert: timedelta = timedelta(minutes=30)
    """How old the oldest unfinished event may grow before the lag alert is raised."""
    max_in_flight: int = 64
    """How many events a shard holds that it has not acked: the bound of its memory."""
    heartbeat_timeout: timedelta = timedelta(seconds=10)
    """How long Temporal waits for a sign of life before it moves the pump to another worker."""

    def __post_init__(self) -> None:
        """Refuse what could not work."""
        for name in ("parallel_count", "max_in_flight"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("error_backoff", "lag_alert", "heartbeat_timeout"):
            _require_positive(name, getattr(self, name))
        if self.consume_lag < timedelta(0):
            raise ValueError(f"consume_lag must not be negative, not {self.consume_lag}")


def _require_positive(name: str, duration: timedelta) -> None:
    if duration <= timedelta(0):
        raise ValueError(f"{name} must be longer than nothing, not {duration}")
