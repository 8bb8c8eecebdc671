"""The base of every error that pumphouse raises, and the errors of a source."""

from collections.abc import Awaitable, Callable


class PumphouseError(Exception):
    """Something that pumphouse refuses or cannot do; every error of its own is one."""


class InvalidEvent(PumphouseError):
    """What stands in the source at a position cannot be read as an event.

    A consumer raises it from `recv`. With an `ack` the consumer has moved on: the next `recv` reads on behind
    that position, and the ack tells the source, in its turn, that the event has been parked as a dead letter.
    Without one it stays where it is, so that nothing disappears: the next `recv` reads the same position
    again, after somebody has mended the data or the translator.
    """

    def __init__(
        self, source: str, position: str, reason: str, *, ack: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Name what could not be read.

        Args:
            source: the topic, table or path.
            position: where in the source, in the source's own terms.
            reason: what is wrong with it, without the event's data.
            ack: acknowledges the position, as the `Ack` of an event does; None when the consumer stays there.
        """
        what_follows = (
            "It is read again after a back-off; mend the data or the connector's translator."
            if ack is None
            else "The consumer goes on behind it, and it is acknowledged once it is parked as a dead letter; "
            "mend the data or the connector's translator before it is delivered again."
        )
        super().__init__(f"{source}, position {position}: not a readable event: {reason}. {what_follows}")
        self.source = source
        self.position = position
        self.ack = ack


class InvalidPosition(PumphouseError, ValueError):
    """A source has no position of that kind, so that nothing was moved there."""

    def __init__(self, source: str, position: str, accepted: str) -> None:
        """Name the position, and say what the source accepts.

        Args:
            source: the topic, table or path.
            position: what was asked for.
            accepted: the positions that the source knows.
        """
        super().__init__(f"{source}: {position!r} is not a position; use {accepted}")
        self.source = source
        self.position = position


class InvalidCursor(PumphouseError):
    """What is stored as the position of a consumer name makes no sense, so somebody has to mend it.

    Nothing is read or acknowledged past it: the error comes again with every further try until then.
    """

    def __init__(self, table: str, consumer_name: str, problem: str, remedy: str) -> None:
        """Say where, what and what to do.

        Args:
            table: where the positions are stored.
            consumer_name: whose position it is.
            problem: what is wrong with it.
            remedy: what to do.
        """
        super().__init__(f"{table}, consumer {consumer_name!r}: {problem}; {remedy}")
        self.table = table
        self.consumer_name = consumer_name


class MissingExtra(PumphouseError, ImportError):
    """A connector or command needs a package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Say which extra brings the package."""
        super().__init__(f"{package} is not installed; install it with: pip install 'pumphouse[{extra}]'")
