import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.activities.retry import (
    backoff,
    error_of,
    in_time,
    is_any_set_within,
    is_hopeless,
    is_temporals,
)
from pumphouse.connectors import InvalidEvent
from pumphouse.workflows import RunInProgress, RunNotFound
from pumphouse.workflows.errors import InvalidForeignID, UnknownStatus
from pumphouse.workflows.options import ConnectorOptions
from tests.unit.activities.events import NO_TIME
from tests.unit.activities.records import GUARD
from tests.unit.activities.rigs import NEVER, SOON

OPTIONS = ConnectorOptions()
SECOND = timedelta(seconds=1)

durations = st.timedeltas(timedelta(microseconds=1), timedelta(days=1))
backed_off = st.builds(
    ConnectorOptions,
    error_backoff=durations,
    max_backoff=durations,
    backoff_factor=st.floats(1, 1e300),
    jitter=st.floats(0, 1),
)
steady = st.builds(
    ConnectorOptions,
    error_backoff=durations,
    max_backoff=durations,
    backoff_factor=st.floats(1, 1e300),
    jitter=st.just(0.0),
)
failures = st.integers(1, 10**9)


class Payment(BaseModel):
    amount: int


class TooPoor(LookupError):
    """An error of a user's own."""


def rpc_error(status: RPCStatusCode, message: str = "no") -> RPCError:
    return RPCError(message, status, b"")


def validation_error() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Payment.model_validate({})
    return caught.value


# Which errors come again with every attempt

HOPELESS_STATUSES = {RPCStatusCode.INVALID_ARGUMENT}


@pytest.mark.parametrize("status", RPCStatusCode, ids=lambda status: status.name)
def test_of_temporals_refusals_only_that_of_the_request_as_such_is_hopeless(status: RPCStatusCode) -> None:
    assert is_hopeless(rpc_error(status), OPTIONS) is (status in HOPELESS_STATUSES)


OUT_OF_REACH = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
}


@pytest.mark.parametrize("status", RPCStatusCode, ids=lambda status: status.name)
def test_some_of_temporals_errors_say_nothing_of_the_event(status: RPCStatusCode) -> None:
    assert is_temporals(rpc_error(status)) is (status in OUT_OF_REACH)


def test_so_does_a_call_that_temporal_did_not_answer_in_time() -> None:
    assert is_temporals(WorkflowUpdateRPCTimeoutOrCancelledError())
    assert not is_temporals(TimeoutError())


def test_a_request_larger_than_grpc_takes_is_hopeless() -> None:
    message = "grpc: received message larger than max (4194999 vs. 4194304)"
    assert is_hopeless(rpc_error(RPCStatusCode.RESOURCE_EXHAUSTED, message), OPTIONS)
    assert not is_hopeless(rpc_error(RPCStatusCode.UNAVAILABLE, message), OPTIONS)
    assert not is_temporals(rpc_error(RPCStatusCode.RESOURCE_EXHAUSTED, message))


@pytest.mark.parametrize(
    "error",
    [
        InvalidEvent("payments", "7", "no amount"),
        InvalidForeignID("a\nb", "no"),
        validation_error(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_event_is_to_blame_for_is_hopeless(error: Exception) -> None:
    assert is_hopeless(error, OPTIONS)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        TimeoutError(),
        ConnectionError(),
        RunNotFound("orders", "1"),
        RunInProgress("orders", "1", "run-1"),
        UnknownStatus("orders", "PAYED", ["PAID"]),
        ApplicationError("no"),
        asyncio.CancelledError(),
        SystemExit(1),
        KeyboardInterrupt(),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_other_error_may_pass(error: BaseException) -> None:
    assert not is_hopeless(error, OPTIONS)


def test_what_the_user_has_listed_is_hopeless_and_so_are_its_subclasses() -> None:
    options = ConnectorOptions(non_retryable=(LookupError, ZeroDivisionError))
    assert is_hopeless(TooPoor(), options)
    assert is_hopeless(LookupError(), options)
    assert is_hopeless(ZeroDivisionError(), options)
    assert not is_hopeless(ArithmeticError(), options)
    assert not is_hopeless(TooPoor(), ConnectorOptions(non_retryable=(KeyError,)))


def test_what_the_user_has_listed_comes_on_top_of_what_is_hopeless_anyway() -> None:
    options = ConnectorOptions(non_retryable=(TooPoor,))
    assert is_hopeless(validation_error(), options)
    assert is_hopeless(rpc_error(RPCStatusCode.INVALID_ARGUMENT), options)


def test_a_group_is_hopeless_if_one_of_its_errors_is_however_deep() -> None:
    deep = ExceptionGroup("inner", [TimeoutError(), validation_error()])
    assert is_hopeless(ExceptionGroup("outer", [ConnectionError(), deep]), OPTIONS)
    assert is_hopeless(BaseExceptionGroup("outer", [SystemExit(1), deep]), OPTIONS)
    assert not is_hopeless(ExceptionGroup("outer", [ConnectionError(), TimeoutError()]), OPTIONS)


def test_an_error_that_was_only_caused_by_a_hopeless_one_may_pass() -> None:
    error = RuntimeError("not a payment")
    error.__cause__ = validation_error()
    assert not is_hopeless(error, OPTIONS)


# The back-off


def test_the_wait_doubles_with_each_failure_up_to_the_longest() -> None:
    options = ConnectorOptions(error_backoff=SECOND, max_backoff=10 * SECOND, jitter=0)
    waits = [backoff(options, number) / SECOND for number in range(1, 8)]
    assert waits == [1, 2, 4, 8, 10, 10, 10]


def test_a_factor_of_one_keeps_the_wait() -> None:
    options = ConnectorOptions(error_backoff=SECOND, backoff_factor=1, jitter=0)
    assert {backoff(options, number) for number in (1, 2, 1000)} == {SECOND}


def test_a_first_wait_above_the_longest_stays_what_it_is() -> None:
    options = ConnectorOptions(error_backoff=NEVER, max_backoff=SECOND, jitter=0)
    assert [backoff(options, number) for number in (1, 2, 50)] == [NEVER] * 3


@given(steady, failures)
def test_the_wait_never_shrinks_and_stays_between_the_first_and_the_longest(
    options: ConnectorOptions, number: int
) -> None:
    longest = max(options.error_backoff, options.max_backoff)
    assert options.error_backoff <= backoff(options, number) <= backoff(options, number + 1) <= longest


@given(backed_off, failures)
def test_jitter_changes_the_wait_by_its_part_at_most(options: ConnectorOptions, number: int) -> None:
    rounding = timedelta(microseconds=1)
    without = backoff(replace(options, jitter=0), number)
    wait = backoff(options, number)
    assert wait >= NO_TIME
    assert without * (1 - options.jitter) - rounding <= wait <= without * (1 + options.jitter) + rounding


def test_jitter_spreads_the_waits_to_both_sides() -> None:
    options = ConnectorOptions(error_backoff=SECOND, jitter=0.5)
    waits = [backoff(options, 1) for _ in range(200)]
    assert min(waits) < 0.75 * SECOND
    assert max(waits) > 1.25 * SECOND
    assert len(set(waits)) > 100


# Waiting


@pytest.mark.parametrize("duration", [NO_TIME, NEVER])
async def test_a_wait_ends_at_once_when_one_of_its_events_is_set(duration: timedelta) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    second.set()
    async with asyncio.timeout(GUARD):
        assert await is_any_set_within(duration, first, second)


@pytest.mark.parametrize("duration", [NO_TIME, SOON])
async def test_a_wait_for_events_that_are_not_set_ends_after_its_time(duration: timedelta) -> None:
    begun = asyncio.get_running_loop().time()
    assert not await is_any_set_within(duration, asyncio.Event(), asyncio.Event())
    clock_resolution = 0.001
    assert asyncio.get_running_loop().time() - begun >= duration.total_seconds() - clock_resolution


async def test_a_wait_wakes_when_one_of_its_events_is_set_and_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.timeout(GUARD):
        assert await is_any_set_within(NEVER, asyncio.Event(), event)
    assert asyncio.all_tasks() == before


async def test_a_wait_that_is_cancelled_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(is_any_set_within(NEVER, asyncio.Event()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == before


def test_the_wait_is_multiplied_by_what_chance_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", max)
    options = ConnectorOptions(error_backoff=SECOND, jitter=0.5)
    assert backoff(options, 1) == 1.5 * SECOND


async def fail_with(error: BaseException) -> None:
    raise error


async def test_an_attempt_that_takes_too_long_says_what_its_limit_was() -> None:
    limit = timedelta(milliseconds=1)
    with pytest.raises(TimeoutError, match=r"^longer than handler_timeout, 0:00:00\.001000$"):
        await in_time(asyncio.Event().wait(), limit)


@pytest.mark.parametrize("limit", [None, NEVER])
async def test_a_time_out_of_the_attempts_own_stays_what_it_is(limit: timedelta | None) -> None:
    with pytest.raises(TimeoutError, match=r"^the bank's$"):
        await in_time(fail_with(TimeoutError("the bank's")), limit)


async def test_a_coroutine_that_is_closed_is_not_taken_for_a_handlers_error() -> None:
    with pytest.raises(GeneratorExit):
        await error_of(fail_with(GeneratorExit()))
