"""Whether an event is worth another attempt, and when."""

import asyncio
import random
from collections.abc import Awaitable
from datetime import timedelta
from typing import cast

from pydantic import ValidationError
from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.activities.failures import is_cancelled
from pumphouse.connectors.errors import InvalidEvent
from pumphouse.workflows.errors import InvalidForeignID
from pumphouse.workflows.options import ConnectorOptions

_HOPELESS: tuple[type[Exception], ...] = (InvalidEvent, ValidationError, InvalidForeignID)
"""What the event itself is to blame for: it will be the same next time."""


_OUT_OF_REACH = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
}


class Stopped(Exception):
    """The pump was told to stop while something was waited for."""


def is_hopeless(error: BaseException, options: ConnectorOptions) -> bool:
    """Whether a handler's error would come again with every attempt.

    Of Temporal's own errors it is the refusal of a request as such (`INVALID_ARGUMENT`), and of one larger
    than gRPC takes. All others may pass: a server that is away or overloaded, a run that is not there yet,
    credentials that have expired.
    """
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return any(is_hopeless(each, options) for each in group.exceptions)
    if isinstance(error, RPCError):
        return error.status == RPCStatusCode.INVALID_ARGUMENT or _is_too_large(error)
    return isinstance(error, _HOPELESS + options.non_retryable)


def is_temporals(error: BaseException) -> bool:
    """Whether Temporal was out of reach, or let nobody in: such an attempt says nothing of the event."""
    if isinstance(error, RPCError):
        return error.status in _OUT_OF_REACH and not _is_too_large(error)
    return isinstance(error, RPCTimeoutOrCancelledError)


def _is_too_large(error: RPCError) -> bool:
    # grpc-go's message; RESOURCE_EXHAUSTED alone is also said by a server that is overloaded.
    return error.status == RPCStatusCode.RESOURCE_EXHAUSTED and "larger than max" in error.message


def backoff(options: ConnectorOptions, failures: int) -> timedelta:
    """The wait after so many errors in a row, the first one being 1."""
    longest = max(options.error_backoff, options.max_backoff)
    jitter = random.uniform(1 - options.jitter, 1 + options.jitter)  # noqa: S311 - no secret
    try:
        return min(options.error_backoff * options.backoff_factor ** (failures - 1) * jitter, longest)
    except OverflowError:
        return longest


async def error_of(attempt: Awaitable[object]) -> BaseException | None:
    """Await a handler's attempt; its error, for not even `SystemExit` may end everybody's worker.

    `GeneratorExit` alone passes through: by it Python closes a coroutine that nobody awaits any more.
    """
    try:
        await attempt
    except GeneratorExit:
        raise
    except BaseException as error:
        if is_cancelled():
            raise asyncio.CancelledError from error
        return error
    return None


async def in_time(attempt: Awaitable[object], timeout: timedelta | None) -> None:  # noqa: ASYNC109 - it names the option
    """Await a handler's attempt.

    Raises:
        TimeoutError: it took longer than `handler_timeout`, and was cancelled.
    """
    limit = asyncio.timeout(timeout.total_seconds() if timeout else None)
    try:
        async with limit:
            await attempt
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"longer than handler_timeout, {timeout}") from None


async def is_any_set_within(duration: timedelta, *events: asyncio.Event) -> bool:
    """Wait until one of the events is set, for so long at the most; whether one is set then."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=duration.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return any(event.is_set() for event in events)
