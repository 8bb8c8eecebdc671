"""What the API and a definition refuse, each error naming the run or the definition it is about."""

from collections.abc import Iterable
from datetime import timedelta

from pumphouse.connectors.errors import PumphouseError


class InvalidDefinition(PumphouseError):
    """A definition cannot work as it was declared."""

    def __init__(self, definition: str, reason: str) -> None:
        """Name the definition and what to change."""
        super().__init__(f"definition {definition!r}: {reason}")


class InvalidForeignID(PumphouseError, ValueError):
    """A foreign ID cannot be a workflow ID."""

    def __init__(self, foreign_id: str, reason: str) -> None:
        """Name the ID, shortened, and the limit."""
        shown = foreign_id if len(foreign_id) <= 60 else f"{foreign_id[:60]}..."  # noqa: PLR2004 - a line's worth
        super().__init__(f"foreign_id {shown!r}: {reason}")


class UnknownStatus(PumphouseError, ValueError):
    """A status is none of the definition's."""

    def __init__(self, definition: str, status: object, known: Iterable[str]) -> None:
        """Name the status and the ones there are."""
        super().__init__(f"definition {definition!r} has no status {status!r}; it has {', '.join(known)}")


class RunError(PumphouseError):
    """A call about the run of one foreign ID could not be carried out."""

    def __init__(self, definition: str, foreign_id: str, reason: str) -> None:
        """Name the run and what stands in the way."""
        super().__init__(f"{definition}/{foreign_id}: {reason}")
        self.definition = definition
        self.foreign_id = foreign_id


class RunInProgress(RunError):
    """A trigger for a foreign ID whose last run has not finished."""

    def __init__(self, definition: str, foreign_id: str, run_id: str) -> None:
        """Name the run in progress."""
        super().__init__(definition, foreign_id, f"run {run_id} is still in progress")
        self.run_id = run_id


class RunNotFound(RunError):
    """There is no run of that foreign ID, or Temporal's retention has removed it."""

    def __init__(self, definition: str, foreign_id: str) -> None:
        """Name the foreign ID."""
        super().__init__(definition, foreign_id, "there is no run; trigger one first")


class RunFinished(RunError):
    """The last run of that foreign ID has finished and takes no more updates."""


class InvalidTransition(RunError):
    """The graph does not allow that change of status."""


class StatusNotReached(RunError):
    """The run has finished without ever being at the status that was waited for."""


class ControlError(PumphouseError):
    """A connector could not be controlled."""

    def __init__(self, definition: str, connector: str, reason: str) -> None:
        """Name the connector and what stands in the way."""
        super().__init__(f"{definition}/{connector}: {reason}")
        self.definition = definition
        self.connector = connector


class ConnectorNotFound(ControlError):
    """No worker has ever started a connector of that name, or its supervisor was ended by hand."""


class ControlRefused(ControlError):
    """The state of a connector, its source, or the request itself does not allow that."""


class ControlTimeout(ControlError, TimeoutError):
    """No worker has taken the request in time; it may still be carried out once one is up."""


class DeadLetterNotFound(PumphouseError):
    """No such event is parked."""

    def __init__(self, connector: str, event_id: str) -> None:
        """Name the connector and the event."""
        super().__init__(
            f"{connector}: event {event_id!r} is not parked; 'pumphouse dlq list {connector}' shows what is"
        )


class DeadLetterTimeout(PumphouseError, TimeoutError):
    """No worker has answered for a parked event in time."""

    def __init__(self, connector: str, event_id: str, patience: timedelta) -> None:
        """Name the connector, the event, and how long was waited."""
        super().__init__(
            f"{connector}: event {event_id!r}: no worker has answered within {patience}; is one up that "
            f"executes {connector.partition('/')[0]}? What was asked for may still be carried out once one is"
        )


class DeadLetterRefused(PumphouseError):
    """A parked event does not stand so that this could be done with it."""

    def __init__(self, connector: str, event_id: str, reason: str) -> None:
        """Name the connector, the event, and what stands in the way."""
        super().__init__(f"{connector}: event {event_id!r}: {reason}")
