"""What may be said of an error in a log: never an event's data."""

import asyncio

from pydantic import ValidationError

from pumphouse.connectors.errors import InvalidEvent

MAX_CAUSES = 5


def is_cancelled() -> bool:
    """Whether somebody cancels the task that runs; a `CancelledError` of a library's own is but an error."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def describe(error: BaseException) -> str:
    """The error and its causes in one line, without the values that Pydantic quotes."""
    described = [_describe_one(error)]
    # The cause of an unreadable event is the translator's, and may quote the event.
    while (cause := error.__cause__) and not isinstance(error, InvalidEvent) and len(described) < MAX_CAUSES:
        described.append(_describe_one(cause))
        error = cause
    return ", caused by ".join(described)


def _describe_one(error: BaseException) -> str:
    name = type(error).__name__
    if not isinstance(error, ValidationError):
        return f"{name}: {text}" if (text := _text(error)) else name
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    # The messages of some types quote the value; the types themselves never do.
    fields = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['type']}" for problem in problems)
    return f"{name} of {error.title}: {fields}"


def _text(error: BaseException) -> str:
    """The error's own text, in one line."""
    try:
        return " ".join(str(error).split())
    except Exception as failure:  # noqa: BLE001 - a log line must not end the pump
        return f"(its text cannot be had: {type(failure).__name__})"
