"""What may be said of an error in a log: never an event's data."""

from pydantic import ValidationError

from pumphouse.connectors.errors import InvalidEvent

MAX_CAUSES = 5


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
        return f"{name}: {error}" if str(error) else name
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    fields = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
    return f"{name} of {error.title}: {fields}"
