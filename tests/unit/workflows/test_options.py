"""What the options of steps and connectors refuse."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from typing import Any

import pytest

from pumphouse.workflows.options import ConnectorOptions, StepOptions

NOTHING = timedelta(0)
INSTANT = timedelta(microseconds=1)

POSITIVE_DURATIONS: list[tuple[Callable[..., Any], str]] = [
    (StepOptions, "timeout"),
    (StepOptions, "error_backoff"),
    (StepOptions, "max_backoff"),
    (ConnectorOptions, "error_backoff"),
    (ConnectorOptions, "lag_alert"),
    (ConnectorOptions, "heartbeat_timeout"),
]


def test_the_defaults_are_valid() -> None:
    assert StepOptions().timeout == timedelta(minutes=10)
    assert ConnectorOptions().parallel_count == 1


def test_every_option_is_held_to_its_range_here() -> None:
    shown = {
        *POSITIVE_DURATIONS,
        *((ConnectorOptions, name) for name in COUNTS),
        (ConnectorOptions, "consume_lag"),
    }
    assert shown == {
        (options, field.name) for options in (StepOptions, ConnectorOptions) for field in fields(options)
    }


@pytest.mark.parametrize(("options", "name"), POSITIVE_DURATIONS)
@pytest.mark.parametrize("duration", [NOTHING, -INSTANT, timedelta(days=-1)])
def test_a_duration_that_is_not_positive_is_refused_by_its_name(
    options: Callable[..., Any], name: str, duration: timedelta
) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be longer than nothing, not {duration}$"):
        options(**{name: duration})


@pytest.mark.parametrize(
    ("options", "name"), [case for case in POSITIVE_DURATIONS if case != (StepOptions, "max_backoff")]
)
def test_a_duration_may_be_as_short_as_there_is(options: Callable[..., Any], name: str) -> None:
    assert getattr(options(**{name: INSTANT}), name) == INSTANT


COUNTS = ["parallel_count", "max_in_flight"]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_one_is_refused_by_its_name(name: str, count: int) -> None:
    options: dict[str, Any] = {name: count}
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, not {count}$"):
        ConnectorOptions(**options)


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_may_be_one(name: str) -> None:
    options: dict[str, Any] = {name: 1}
    assert getattr(ConnectorOptions(**options), name) == 1


def test_a_lag_may_be_nothing_and_not_less() -> None:
    assert ConnectorOptions(consume_lag=NOTHING).consume_lag == NOTHING
    with pytest.raises(ValueError, match=r"^consume_lag must not be negative, not -1 day"):
        ConnectorOptions(consume_lag=-INSTANT)


def test_a_first_wait_above_the_longest_wait_is_refused() -> None:
    with pytest.raises(ValueError, match="max_backoff"):
        StepOptions(error_backoff=timedelta(minutes=10))


@pytest.mark.parametrize("options", [StepOptions(), ConnectorOptions()])
def test_options_never_change(options: StepOptions | ConnectorOptions) -> None:
    with pytest.raises(FrozenInstanceError):
        options.error_backoff = INSTANT  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
