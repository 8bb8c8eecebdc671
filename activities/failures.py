"""What may be said of an error in a log: never an event's data."""

import asyncio
from collections.abc import Sequence

from pydantic import ValidationError

from pumphouse.connectors.errors import InvalidEvent
from pumphouse.connectors.event import ConnectorEvent

MAX_CAUSES = 5
MAX_PROBLEMS = 10  # of a validation error
MAX_TEXT = 1000  # characters of an error's own text


def is_cancelled() -> bool:
    """Whether somebody cancels the task that runs; a `CancelledError` of a library's own is but an error."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def chain(error: BaseException) -> list[str]:
    """The error and its causes, a line each, without the values that Pydantic quotes."""
    lines = [_describe_one(error)]
    # The cause of an unreadable event is the translator's, and may quote the event.
    while (cause := error.__cause__) and not isinstance(error, InvalidEvent) and len(lines) < MAX_CAUSES:
        lines.append(_describe_one(cause))
        error = cause
    return lines


def name_event(event: ConnectorEvent) -> str:
    """An event, as log lines name it."""
    return f"event {printable(event.id)}, foreign ID {printable(event.foreign_id)}"


def describe(error: BaseException) -> str:
    """The same in one line."""
    return ", caused by ".join(chain(error))


def _describe_one(error: BaseException) -> str:
    name = type(error).__name__
    if not isinstance(error, ValidationError):
        return f"{name}: {text}" if (text := _text(error)) else name
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    # The messages of some types quote the value; the types themselves never do.
    fields = [f"{_place(problem['loc'])}: {problem['type']}" for problem in problems[:MAX_PROBLEMS]]
    more = [f"{len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
    return f"{name} of {error.title}: {'; '.join([*fields, *more])}"


def _place(location: Sequence[int | str]) -> str:
    """Where a problem is; below the field of the model, a name may be a key of the data."""
    field, *below = location or ("",)
    return ".".join([printable(field), *(str(part) if isinstance(part, int) else "*" for part in below)])


def printable(text: object) -> str:
    """A text of somebody else's in one line, that can forge no line of a log and drive no terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(text))


def _text(error: BaseException) -> str:
    """The error's own text, in one line, and cut off where it is long."""
    try:
        text = printable(" ".join(str(error).split()))
    except Exception as failure:  # noqa: BLE001 - a log line must not end the pump
        return f"(its text cannot be had: {type(failure).__name__})"
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."
