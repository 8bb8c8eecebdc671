"""The event that every connector delivers."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StrictStr


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from error


class ConnectorEvent(BaseModel):
    """One event of a source, as a handler sees it.

    It is read-only: each attempt of a handler sees what the source has said. A handler reads the source's own
    content from `data`, or from `headers` where the source has nothing else.

    Raises:
        pydantic.ValidationError: a field is missing or wrong; the error names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: Annotated[StrictStr, Field(min_length=1)]
    """Unique within its source, and the same again when the source delivers the event again."""

    foreign_id: Annotated[StrictStr, Field(min_length=1)]
    """The ID of the outside thing that the event is about: an order, a flight, a customer."""

    type: StrictStr = ""
    """What happened, as the source names it: `payment.completed`."""

    headers: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    """Additional properties, strings only, as Kafka, HTTP and AMQP carry them."""

    created_at: Annotated[AwareDatetime, AfterValidator(_to_utc)]
    """When the event was made, with a time zone; kept as UTC."""

    data: JsonValue = None
    """The content, as JSON; None when the source has none."""
