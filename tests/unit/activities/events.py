"""The events that the tests of the activities are about."""

from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from pumphouse.activities.acks import Receipt
from pumphouse.connectors import ConnectorEvent

NO_TIME = timedelta(0)


def make_event(
    event_id: str = "1",
    foreign_id: str = "order-1",
    *,
    age: timedelta = NO_TIME,
    kind: str = "order.created",
    data: JsonValue = None,
    headers: dict[str, str] | None = None,
) -> ConnectorEvent:
    """An event that was created so long ago."""
    return ConnectorEvent(
        id=event_id,
        foreign_id=foreign_id,
        type=kind,
        headers=headers or {},
        created_at=datetime.now(UTC) - age,
        data=data,
    )


def events_of(*foreign_ids: str) -> list[ConnectorEvent]:
    """One event for each foreign ID given, with the IDs 1, 2, 3, ..."""
    return [make_event(str(number), foreign_id) for number, foreign_id in enumerate(foreign_ids, start=1)]


async def no_ack() -> None:
    """Acknowledge to nobody."""


def make_receipt(event_id: str = "1", foreign_id: str = "order-1") -> Receipt:
    """An event that was just received."""
    return Receipt(make_event(event_id, foreign_id), no_ack)
