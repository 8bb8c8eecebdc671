"""What the options of steps and connectors refuse."""

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from typing import Any

import pytest

from pumphouse.workflows.options import ConnectorOptions, Order, StepOptions
from pumphouse.workflows.parked import ParkedEvent

NOTHING = timedelta(0)
INSTANT = timedelta(microseconds=1)

POSITIVE_DURATIONS: list[tuple[Callable[..., Any], str]] = [
    (StepOptions, "timeout"),
    (StepOptions, "heartbeat_timeout"),
    (StepOptions, "error_backoff"),
    (StepOptions, "max_backoff"),
    (ConnectorOptions, "error_backoff"),
    (ConnectorOptions, "max_backoff"),
    (ConnectorOptions, "lag_alert"),
    (ConnectorOptions, "heartbeat_timeout"),
    (ConnectorOptions, "handler_timeout"),
]


def test_the_defaults_are_valid() -> None:
    assert StepOptions().timeout == timedelta(minutes=10)
    assert ConnectorOptions().parallel_count == 1


def test_every_option_is_held_to_its_range_here() -> None:
    shown = {
        *POSITIVE_DURATIONS,
        *((ConnectorOptions, name) for name in (*COUNTS, *OTHERS)),
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


COUNTS = ["parallel_count", "max_in_flight", "max_attempts", "max_parked"]
OTHERS = ["consume_lag", "backoff_factor", "jitter", "order", "non_retryable", "on_dead_letter"]


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


@pytest.mark.parametrize("factor", [0.99, 0, -1, math.inf, math.nan])
def test_a_factor_that_shortens_the_wait_or_is_no_number_is_refused_by_its_name(factor: float) -> None:
    with pytest.raises(ValueError, match=f"^backoff_factor must be at least 1, not {factor}$"):
        ConnectorOptions(backoff_factor=factor)


@pytest.mark.parametrize("factor", [1, 1.5, 1e300])
def test_a_factor_may_be_one_or_more(factor: float) -> None:
    assert ConnectorOptions(backoff_factor=factor).backoff_factor == factor


@pytest.mark.parametrize("jitter", [-0.01, 1.01, math.inf, math.nan])
def test_a_jitter_beyond_nothing_and_the_whole_wait_is_refused_by_its_name(jitter: float) -> None:
    with pytest.raises(ValueError, match=f"^jitter must be from 0 to 1, not {jitter}$"):
        ConnectorOptions(jitter=jitter)


@pytest.mark.parametrize("jitter", [0, 0.5, 1])
def test_a_jitter_may_be_nothing_or_the_whole_wait(jitter: float) -> None:
    assert ConnectorOptions(jitter=jitter).jitter == jitter


@pytest.mark.parametrize("order", ["loose", "STRICT", "", None])
def test_an_order_that_there_is_not_is_refused_by_its_name(order: Any) -> None:
    with pytest.raises(ValueError, match=f"^order must be 'relaxed' or 'strict', not {order!r}$"):
        ConnectorOptions(order=order)


@pytest.mark.parametrize("order", ["relaxed", "strict"])
def test_an_order_may_be_relaxed_or_strict(order: Order) -> None:
    assert ConnectorOptions(order=order).order == order


@pytest.mark.parametrize("errors", [(ValueError, "KeyError"), (7,), ValueError, [ValueError]])
def test_what_is_no_tuple_of_errors_is_refused_by_its_name(errors: Any) -> None:
    with pytest.raises(ValueError, match=r"^non_retryable "):
        ConnectorOptions(non_retryable=errors)


def test_a_sink_that_is_no_coroutine_function_is_refused_by_its_name() -> None:
    def sink(_parked: ParkedEvent) -> None:
        pass

    options: dict[str, Any] = {"on_dead_letter": sink}
    with pytest.raises(ValueError, match=r"^on_dead_letter "):
        ConnectorOptions(**options)


def test_errors_and_a_sink_may_be_given() -> None:
    async def sink(_parked: ParkedEvent) -> None:
        pass

    options = ConnectorOptions(non_retryable=(LookupError,), on_dead_letter=sink)
    assert (options.non_retryable, options.on_dead_letter) == ((LookupError,), sink)


def test_what_is_without_end_unless_it_is_limited() -> None:
    options = ConnectorOptions()
    assert (options.max_attempts, options.handler_timeout, options.on_dead_letter) == (None, None, None)


@pytest.mark.parametrize("options", [StepOptions(), ConnectorOptions()])
def test_options_never_change(options: StepOptions | ConnectorOptions) -> None:
    with pytest.raises(FrozenInstanceError):
        options.error_backoff = INSTANT  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
