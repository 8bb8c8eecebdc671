"""The base of every error that pumphouse raises, and the errors of a source."""


class PumphouseError(Exception):
    """Something that pumphouse refuses or cannot do; every error of its own is one."""


class InvalidEvent(PumphouseError):
    """What stands in the source at a position cannot be read as an event.

    A consumer raises it from `recv` and stays where it is, so that nothing disappears: the next `recv`
    reads the same position again, after somebody has mended the data or the translator.
    """

    def __init__(self, source: str, position: str, reason: str) -> None:
        """Name what could not be read.

        Args:
            source: the topic, table or path.
            position: where in the source, in the source's own terms.
            reason: what is wrong with it, without the event's data.
        """
        super().__init__(
            f"{source}, position {position}: not a readable event: {reason}. It is read again after a "
            "back-off; mend the data or the connector's translator."
        )
        self.source = source
        self.position = position


class MissingExtra(PumphouseError, ImportError):
    """A connector or command needs a package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Say which extra brings the package."""
        super().__init__(f"{package} is not installed; install it with: pip install 'pumphouse[{extra}]'")
