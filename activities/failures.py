"""What may be said of an error in a log: never an event's data."""

from pydantic import ValidationError


def describe(error: BaseException) -> str:
    """The error and its causes in one line, without the values that Pydantic quotes."""
    described: list[str] = []
    current: BaseException | None = error
    while current is not None and len(described) < 5:  # noqa: PLR2004 - a line's worth
        described.append(_describe_one(current))
        current = current.__cause__
    return ", caused by ".join(described)


def _describe_one(error: BaseException) -> str:
    name = type(error).__name__
    if not isinstance(error, ValidationError):
        return f"{name}: {error}" if str(error) else name
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    fields = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
    return f"{name} of {error.title}: {fields}"
