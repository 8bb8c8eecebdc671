"""How steps and connectors behave; every duration is a `timedelta`."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias, TypedDict, cast

from pumphouse.workflows.parked import ParkedEvent

DEFAULT_TASK_QUEUE = "pumphouse"
WORKFLOW_TASK_TIMEOUT = timedelta(seconds=5)
"""After how long a run whose worker was killed in the middle of a workflow task goes on elsewhere.

With the 10 s of Temporal's own, the events that wait for such a run would hold up their shard for longer than
it takes the pump to come back.
"""

Order: TypeAlias = Literal["relaxed", "strict"]
DeadLetterSink: TypeAlias = Callable[[ParkedEvent], Awaitable[None]]
"""Is told of an event that was given up; it is repeated until it returns."""


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How a step is run and retried.

    Raises:
        ValueError: a duration is not positive, or `max_backoff` is shorter than `error_backoff`.
    """

    timeout: timedelta = timedelta(minutes=10)
    """How long one attempt may take, before Temporal gives it up and makes another."""
    heartbeat_timeout: timedelta = timedelta(seconds=30)
    """How long Temporal waits for a sign of life of the worker, which gives them by itself, before it makes
    another attempt elsewhere: the worker is gone then, or a blocking call holds its event loop up."""
    error_backoff: timedelta = timedelta(seconds=1)
    """The wait before the first retry; it doubles with each one."""
    max_backoff: timedelta = timedelta(minutes=5)
    """The longest wait between two attempts."""

    def __post_init__(self) -> None:
        """Refuse what Temporal would refuse later."""
        for name in ("timeout", "heartbeat_timeout", "error_backoff", "max_backoff"):
            _require_positive(name, getattr(self, name))
        if self.max_backoff < self.error_backoff:
            raise ValueError(
                f"max_backoff must be at least error_backoff, {self.error_backoff}, not {self.max_backoff}"
            )


class ConnectorKeywords(TypedDict, total=False):
    """The keyword arguments of `Workflow.connector`: see `ConnectorOptions`, field by field."""

    parallel_count: int
    max_in_flight: int
    consume_lag: timedelta
    lag_alert: timedelta
    heartbeat_timeout: timedelta
    handler_timeout: timedelta | None
    error_backoff: timedelta
    backoff_factor: float
    max_backoff: timedelta
    jitter: float
    max_attempts: int | None
    non_retryable: tuple[type[Exception], ...]
    order: Order
    max_parked: int
    on_dead_letter: DeadLetterSink | None


@dataclass(frozen=True, kw_only=True)
class ConnectorOptions:
    """How the pumps of a connector behave.

    Raises:
        ValueError: an option is out of its range; the error names it.
    """

    parallel_count: int = 1
    """How many shards, each with a pump of its own; every foreign ID belongs to exactly one."""
    max_in_flight: int = 64
    """How many events a shard holds that it has not acked: the bound of its memory."""
    consume_lag: timedelta = timedelta(0)
    """How old an event has to be before it is handled."""
    lag_alert: timedelta = timedelta(minutes=30)
    """How old the oldest unfinished event may grow before the lag alert is raised."""
    heartbeat_timeout: timedelta = timedelta(seconds=10)
    """How long Temporal waits for a sign of life before it moves the pump to another worker."""
    handler_timeout: timedelta | None = None
    """How long one attempt of the handler may take, before it is cancelled and counts as failed."""
    error_backoff: timedelta = timedelta(seconds=1)
    """The wait before the same event is handled again, or the same source asked again, after an error."""
    backoff_factor: float = 2.0
    """By how much the wait grows with each further error in a row; 1 keeps it as it is."""
    max_backoff: timedelta = timedelta(minutes=1)
    """The longest wait, whatever the factor; the wait is `error_backoff` if that is longer."""
    jitter: float = 0.1
    """By which part of itself a wait may be longer or shorter, at random, from 0 to 1."""
    max_attempts: int | None = None
    """How often the handler tries an event before it is given up as a dead letter; without end if None."""
    non_retryable: tuple[type[Exception], ...] = ()
    """Errors of the handler, subclasses included, after which an event is given up at once."""
    order: Order = "relaxed"
    """Whether later events of a foreign ID go on past a dead letter, or (`strict`) wait behind it."""
    max_parked: int = 10_000
    """How many events may be parked in order at once; the connector's shards wait when there are more."""
    on_dead_letter: DeadLetterSink | None = None
    """Is told of each event that is given up, beside Temporal."""

    def __post_init__(self) -> None:
        """Refuse what could not work."""
        self._check_counts()
        self._check_durations()
        self._check_backoff()
        self._check_parking()

    def _check_counts(self) -> None:
        for name in ("parallel_count", "max_in_flight", "max_attempts", "max_parked"):
            count: int | None = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} must be at least 1, not {count}")

    def _check_durations(self) -> None:
        for name in ("error_backoff", "max_backoff", "lag_alert", "heartbeat_timeout", "handler_timeout"):
            duration: timedelta | None = getattr(self, name)
            if duration is not None:
                _require_positive(name, duration)
        if self.consume_lag < timedelta(0):
            raise ValueError(f"consume_lag must not be negative, not {self.consume_lag}")

    def _check_backoff(self) -> None:
        # Written so that NaN is refused, too.
        if not 1 <= self.backoff_factor < float("inf"):
            raise ValueError(f"backoff_factor must be at least 1, not {self.backoff_factor}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, not {self.jitter}")

    def _check_parking(self) -> None:
        if self.order not in ("relaxed", "strict"):
            raise ValueError(f"order must be 'relaxed' or 'strict', not {self.order!r}")
        if not _are_errors(self.non_retryable):
            raise ValueError(f"non_retryable must be a tuple of errors' classes, not {self.non_retryable!r}")
        if self.on_dead_letter and not is_async(self.on_dead_letter):
            raise ValueError(f"on_dead_letter must be an async function, not {self.on_dead_letter!r}")


def is_async(function: Callable[..., object]) -> bool:
    """Whether a function, or an object that is called like one, is declared with `async def`."""
    return any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))


def _are_errors(kinds: object) -> bool:
    return isinstance(kinds, tuple) and all(
        isinstance(kind, type) and issubclass(kind, Exception) for kind in cast("tuple[object, ...]", kinds)
    )


def _require_positive(name: str, duration: timedelta) -> None:
    if duration <= timedelta(0):
        raise ValueError(f"{name} must be longer than nothing, not {duration}")
