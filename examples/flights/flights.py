"""The runs of one day's flights: what becomes of each, from its place in the timetable on."""

import os
from datetime import date, timedelta
from enum import Enum

import sqlalchemy as sa
from pydantic import BaseModel, JsonValue, TypeAdapter
from sqlalchemy.ext.asyncio import create_async_engine

from examples.flights.table import EVENTS
from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.sql import SqlConnector
from pumphouse.workflows import API, Run, Workflow

DATABASE_URL = os.environ.get("FLIGHTS_DATABASE_URL", "sqlite+aiosqlite:///flights.db")


class FlightStatus(Enum):
    """Where a flight stands."""

    SCHEDULED = "scheduled"  #: in the timetable
    DEPARTED = "departed"  #: in the air
    LANDED = "landed"  #: at its destination
    SETTLED = "settled"  #: its delay is known
    DIVERTED = "diverted"  #: landed somewhere else
    CANCELLED = "cancelled"  #: never left
    REBOOKED = "rebooked"  #: its passengers have another flight


class Flight(BaseModel):
    """One flight, as its run carries it."""

    day: date
    carrier: str
    flight: int
    origin: str
    dest: str
    delay_minutes: int | None = None
    rebooked_to: date | None = None


_engine = create_async_engine(DATABASE_URL)

flights = Workflow("flights", Flight, FlightStatus)
flights.allow(FlightStatus.SCHEDULED, FlightStatus.DEPARTED, FlightStatus.CANCELLED)
flights.allow(FlightStatus.DEPARTED, FlightStatus.LANDED, FlightStatus.DIVERTED)


_TIMETABLE: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def scheduled_flight(event: ConnectorEvent) -> Flight:
    """The flight that an event has put into the timetable."""
    timetable = _TIMETABLE.validate_python(event.data)
    return Flight.model_validate({"day": event.foreign_id.partition("/")[0], **timetable})


@flights.step(FlightStatus.LANDED, to=[FlightStatus.SETTLED])
async def settle(run: Run[Flight, FlightStatus]) -> FlightStatus:
    """Look up how late the flight was."""
    landed = sa.select(EVENTS.c.data).where(
        EVENTS.c.foreign_id == run.foreign_id, EVENTS.c.type == "flight.landed"
    )
    async with _engine.connect() as connection:
        data = (await connection.execute(landed)).scalar_one()
    run.object.delay_minutes = data["arr_delay"]
    return FlightStatus.SETTLED


@flights.step(FlightStatus.CANCELLED, to=[FlightStatus.REBOOKED])
async def rebook(run: Run[Flight, FlightStatus]) -> FlightStatus:
    """Find the passengers a seat on the next day."""
    run.object.rebooked_to = run.object.day + timedelta(days=1)
    return FlightStatus.REBOOKED


@flights.connector(
    "timetable",
    SqlConnector(DATABASE_URL, EVENTS.name),
    heartbeat_timeout=timedelta(seconds=2),
)
async def on_flight_event(api: API[Flight, FlightStatus], event: ConnectorEvent) -> None:
    """Begin a run with the timetable, and move it on with what happens."""
    match event.type:
        case "flight.scheduled":
            await api.trigger(event.foreign_id, scheduled_flight(event))
        case "flight.departed":
            await api.update_status(event.foreign_id, FlightStatus.DEPARTED)
        case "flight.landed":
            await api.update_status(event.foreign_id, FlightStatus.LANDED)
        case "flight.diverted":
            await api.update_status(event.foreign_id, FlightStatus.DIVERTED)
        case "flight.cancelled":
            await api.update_status(event.foreign_id, FlightStatus.CANCELLED)
        case unknown:
            raise ValueError(f"no event of a flight is called {unknown!r}")
