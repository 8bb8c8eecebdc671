"""What an event is, and what is refused as one."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from pumphouse.connectors import ConnectorEvent

MOMENT = datetime(2013, 2, 8, 17, 30, tzinfo=UTC)
NEW_YORK = timezone(timedelta(hours=-5))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
events = st.builds(
    ConnectorEvent,
    id=st.text(min_size=1),
    foreign_id=st.text(min_size=1),
    type=st.text(),
    headers=st.dictionaries(st.text(), st.text(), max_size=4),
    created_at=st.datetimes(
        min_value=datetime(1, 1, 3),  # noqa: DTZ001 - Hypothesis adds the time zone
        max_value=datetime(9999, 12, 29),  # noqa: DTZ001
        timezones=st.timezones(),
    ),
    data=json_values,
)


def make(**fields: Any) -> ConnectorEvent:
    """An event with these fields, and with valid ones for what is not given."""
    valid: dict[str, Any] = {"id": "1", "foreign_id": "order-1", "created_at": MOMENT}
    return ConnectorEvent(**{**valid, **fields})


def refused_fields(refusal: pytest.ExceptionInfo[ValidationError]) -> set[object]:
    return {problem["loc"][0] for problem in refusal.value.errors()}


def test_only_ids_and_a_time_are_required() -> None:
    event = ConnectorEvent(id="1", foreign_id="order-1", created_at=MOMENT)
    assert (event.type, event.headers, event.data) == ("", {}, None)


@pytest.mark.parametrize("field", ["id", "foreign_id", "created_at"])
def test_a_missing_field_is_refused_by_its_name(field: str) -> None:
    fields: dict[str, Any] = {"id": "1", "foreign_id": "order-1", "created_at": MOMENT}
    del fields[field]
    with pytest.raises(ValidationError) as refusal:
        ConnectorEvent(**fields)
    assert refused_fields(refusal) == {field}


@pytest.mark.parametrize("field", ["id", "foreign_id"])
@pytest.mark.parametrize("value", ["", None, 1, b"1"])
def test_an_id_that_is_empty_or_no_string_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        make(**{field: value})
    assert refused_fields(refusal) == {field}


def test_an_event_lists_all_that_is_wrong_with_it() -> None:
    with pytest.raises(ValidationError) as refusal:
        make(id="", foreign_id="")
    assert refused_fields(refusal) == {"id", "foreign_id"}


@pytest.mark.parametrize("value", [None, 1, b"paid"])
def test_a_type_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        make(type=value)
    assert refused_fields(refusal) == {"type"}


@pytest.mark.parametrize(
    "naive", [datetime(2013, 2, 8, 12, 30), "2013-02-08T12:30:00", "2013-02-08"]  # noqa: DTZ001 - that is the case
)  # fmt: skip
def test_a_time_without_a_zone_is_refused(naive: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        make(created_at=naive)
    assert refused_fields(refusal) == {"created_at"}
    assert refusal.value.errors()[0]["type"] == "timezone_aware"


@pytest.mark.parametrize(
    "local", [datetime(2013, 2, 8, 12, 30, tzinfo=NEW_YORK), "2013-02-08T12:30:00-05:00"]
)
def test_a_time_is_kept_as_utc(local: object) -> None:
    created_at = make(created_at=local).created_at
    assert created_at == MOMENT
    assert created_at.tzinfo is UTC


@pytest.mark.parametrize("beyond", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"])
def test_a_time_that_utc_cannot_hold_is_refused(beyond: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        make(created_at=beyond)
    assert refused_fields(refusal) == {"created_at"}


@pytest.mark.parametrize("value", [1, b"bytes", None, True, ["list"]])
def test_a_header_value_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        make(headers={"good": "x", "trace": value})
    assert [problem["loc"] for problem in refusal.value.errors()] == [("headers", "trace")]


@pytest.mark.parametrize("key", [1, b"bytes", None])
def test_a_header_name_that_is_no_string_is_refused(key: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        make(headers={key: "x"})
    assert refused_fields(refusal) == {"headers"}


@pytest.mark.parametrize("field", list(ConnectorEvent.model_fields))
def test_an_event_never_changes(field: str) -> None:
    event = make()
    before = event.model_copy(deep=True)
    with pytest.raises(ValidationError) as refusal:
        setattr(event, field, getattr(event, field))
    assert refusal.value.errors()[0]["type"] == "frozen_instance"
    with pytest.raises(ValidationError):
        delattr(event, field)
    assert event == before


def test_an_event_does_not_change_with_what_it_was_made_from() -> None:
    headers, data = {"trace": "1"}, {"lines": [{"sku": "a"}]}
    event = make(headers=headers, data=data)
    headers["trace"] = "2"
    data["lines"][0]["sku"] = "b"
    assert (event.headers, event.data) == ({"trace": "1"}, {"lines": [{"sku": "a"}]})


def test_two_events_share_no_headers() -> None:
    one, other = make(), make()
    one.headers["trace"] = "1"
    assert other.headers == {}


def test_an_unknown_field_is_refused_by_its_name() -> None:
    with pytest.raises(ValidationError) as refusal:
        make(foreignId="order-1")
    assert refused_fields(refusal) == {"foreignId"}
    assert refusal.value.errors()[0]["type"] == "extra_forbidden"


@pytest.mark.parametrize(
    "value",
    [{1, 2}, object(), b"bytes", (1, 2), MOMENT, {"deep": [{"deeper": {1}}]}, {1: "a number as a key"}],
)
def test_data_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        make(data=value)
    assert refused_fields(refusal) == {"data"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_lacks_is_refused(value: float) -> None:
    with pytest.raises(ValidationError):
        make(data={"amount": [value]})


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "é", [], [None, [1]], {}, {"a": {"b": [1, "2"]}}])
def test_data_is_any_json_value(value: JsonValue) -> None:
    data = make(data=value).data
    assert data == value
    assert type(data) is type(value)


def test_the_json_of_an_event_is_its_fields() -> None:
    event = make(type="paid", headers={"trace": "ü"}, data={"amount": [1, 2.5]})
    assert json.loads(event.model_dump_json()) == {
        "id": "1",
        "foreign_id": "order-1",
        "type": "paid",
        "headers": {"trace": "ü"},
        "created_at": "2013-02-08T17:30:00Z",
        "data": {"amount": [1, 2.5]},
    }


@given(event=events)
def test_an_event_comes_back_from_json_as_it_was(event: ConnectorEvent) -> None:
    back = ConnectorEvent.model_validate_json(event.model_dump_json())
    assert back == event
    assert back.created_at.tzinfo is UTC


@given(event=events)
def test_an_event_comes_back_from_json_objects_as_it_was(event: ConnectorEvent) -> None:
    assert ConnectorEvent.model_validate(json.loads(json.dumps(event.model_dump(mode="json")))) == event
