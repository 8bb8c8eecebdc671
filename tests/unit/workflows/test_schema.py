"""How the runs of a definition are named and written down."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, Json, JsonValue, RootModel, ValidationError, computed_field

from pumphouse.workflows import InvalidForeignID, RunState, UnknownStatus
from pumphouse.workflows.messages import Record
from pumphouse.workflows.names import MAX_WORKFLOW_ID_BYTES
from pumphouse.workflows.schema import RunSchema

MOMENT = datetime(2013, 2, 8, 17, 30, tzinfo=UTC)


class Status(Enum):
    CREATED = "created"
    SETTLED = "settled"
    PAID = "settled"  # noqa: PIE796 - the old name, kept as an alias


class Other(Enum):
    CREATED = "created"


class Line(BaseModel):
    sku: str = Field(alias="stockKeepingUnit")
    price: Decimal


class Order(BaseModel):
    number: int
    note: str = Field(default="", validation_alias="noteIn", serialization_alias="noteOut")
    lines: list[Line] = []
    placed_at: datetime | None = None


class StrictLine(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    quantity: int = Field(alias="count")
    price: Decimal


class StrictOrder(BaseModel):
    """Nothing of this would pass strict validation as Python objects that were read from JSON."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: UUID
    placed_at: datetime
    due: date
    patience: timedelta
    status: Status
    lines: tuple[StrictLine, ...]
    tags: frozenset[str]
    rates: dict[int, Decimal]


class OrderList(RootModel[list[Order]]):
    """A model that is no JSON object."""


class DoubledOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int

    @computed_field  # type: ignore[prop-decorator] # mypy issue 1362
    @property
    def doubled(self) -> int:
        return 2 * self.number


class EncodedOrder(BaseModel):
    lines: Json[list[int]]


class StrictBase(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int


class Special(StrictBase):
    discount: int = 0


ORDER = Order.model_validate(
    {
        "number": 1,
        "noteIn": "schön",
        "lines": [{"stockKeepingUnit": "a", "price": "10.10"}],
        "placed_at": "2013-02-08T12:30:00-05:00",
    }
)
STRICT_ORDER = StrictOrder(
    id=UUID(int=1),
    placed_at=MOMENT,
    due=date(2013, 2, 9),
    patience=timedelta(hours=36, microseconds=1),
    status=Status.PAID,
    lines=(StrictLine(count=2, price=Decimal("10.10")),),
    tags=frozenset({"new"}),
    rates={1: Decimal("0.10")},
)
RECORD = Record(
    foreign_id="order-1",
    run_id="run-1",
    object={"number": 7},
    status="CREATED",
    run_state="Running",
    version=3,
    created_at=MOMENT,
    updated_at=MOMENT + timedelta(hours=1),
)


def schema_of(object_type: type[Any], name: str = "orders") -> RunSchema[Any, Status]:
    return RunSchema(name, object_type, Status, "pumphouse")


SCHEMA = schema_of(Order)


def stored(value: JsonValue) -> Any:
    """The value after it has been through Temporal."""
    return json.loads(json.dumps(value))


def test_the_workflow_id_is_the_name_and_the_foreign_id() -> None:
    assert SCHEMA.workflow_id("order-1") == "orders/order-1"


@pytest.mark.parametrize("foreign_id", ["a/b", "a b", "ä", "\N{ROCKET}", "../x", " ", "\n"])
def test_the_foreign_id_is_taken_as_it_is(foreign_id: str) -> None:
    assert SCHEMA.workflow_id(foreign_id) == f"orders/{foreign_id}"


def test_an_empty_foreign_id_is_refused() -> None:
    with pytest.raises(InvalidForeignID, match=r"^foreign_id '': must not be empty$"):
        SCHEMA.workflow_id("")


def test_a_workflow_id_may_have_1000_bytes_with_the_name_and_the_slash() -> None:
    longest = "x" * (1000 - len("orders/"))
    assert len(SCHEMA.workflow_id(longest)) == MAX_WORKFLOW_ID_BYTES == 1000
    with pytest.raises(InvalidForeignID):
        SCHEMA.workflow_id(longest + "x")


def test_a_longer_name_leaves_less_to_the_foreign_id() -> None:
    foreign_id = "x" * (1000 - len("orders/"))
    with pytest.raises(InvalidForeignID):
        schema_of(Order, "orders2").workflow_id(foreign_id)


@pytest.mark.parametrize("character", ["é", "€", "\N{ROCKET}"])
def test_the_limit_counts_bytes_and_not_characters(character: str) -> None:
    size = len(character.encode())
    count = (1000 - len("orders/")) // size
    assert SCHEMA.workflow_id(character * count)
    with pytest.raises(InvalidForeignID):
        SCHEMA.workflow_id(character * (count + 1))


def test_a_foreign_id_that_is_too_long_is_refused_with_its_size_and_the_limit() -> None:
    with pytest.raises(
        InvalidForeignID,
        match=r"^foreign_id 'é{60}\.\.\.': makes a workflow ID of 1207 bytes, and Temporal takes 1000 at",
    ):
        SCHEMA.workflow_id("é" * 600)


def test_a_foreign_id_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(InvalidForeignID):
        SCHEMA.workflow_id("order-\ud800")


@given(foreign_id=st.text(min_size=1, max_size=1100))
def test_a_foreign_id_makes_an_id_of_its_own_within_the_limit_or_is_refused(foreign_id: str) -> None:
    fits = len(f"orders/{foreign_id}".encode()) <= 1000
    try:
        assert SCHEMA.workflow_id(foreign_id).removeprefix("orders/") == foreign_id
        assert fits
    except InvalidForeignID:
        assert not fits


def test_a_status_travels_by_its_name() -> None:
    assert SCHEMA.status_name(Status.CREATED) == "CREATED"


def test_an_alias_travels_by_the_name_of_its_status() -> None:
    assert SCHEMA.status_name(Status.PAID) == "SETTLED"


@pytest.mark.parametrize("status", [Other.CREATED, "CREATED", "created", None])
def test_what_is_no_member_of_the_enum_has_no_name(status: Any) -> None:
    with pytest.raises(UnknownStatus, match="it has CREATED, SETTLED"):
        SCHEMA.status_name(status)


def test_an_object_is_stored_under_the_names_of_its_fields() -> None:
    # Stored in histories: an alias may change, and another dump of the same object must look the same.
    assert SCHEMA.dump(ORDER) == {
        "number": 1,
        "note": "schön",
        "lines": [{"sku": "a", "price": "10.10"}],
        "placed_at": "2013-02-08T12:30:00-05:00",
    }


@pytest.mark.parametrize(
    "value",
    [ORDER, STRICT_ORDER, OrderList([ORDER]), Order.model_construct(number=1)],
    ids=["aliases", "strict", "root", "constructed"],
)
def test_an_object_comes_back_as_it_was(value: BaseModel) -> None:
    schema = schema_of(type(value))
    back = schema.load(stored(schema.dump(value)))
    assert back == value
    assert schema.dump(back) == schema.dump(value)


def test_a_decimal_comes_back_with_all_its_digits() -> None:
    price = Decimal("12345678901234567890.1000")
    order = Order(number=1, lines=[Line(stockKeepingUnit="a", price=price)])
    assert str(SCHEMA.load(stored(SCHEMA.dump(order))).lines[0].price) == "12345678901234567890.1000"


@pytest.mark.parametrize(
    "value", [DoubledOrder(number=1), EncodedOrder.model_validate({"lines": "[1]"})], ids=["computed", "Json"]
)
def test_an_object_with_fields_that_are_derived_or_encoded_comes_back_as_it_was(value: BaseModel) -> None:
    schema = schema_of(type(value))
    assert schema.load(stored(schema.dump(value))) == value


def test_an_object_of_a_subclass_is_refused_or_can_be_read_again() -> None:
    schema = schema_of(StrictBase)
    try:
        dumped = schema.dump(Special(number=1, discount=5))
    except TypeError:
        return
    assert schema.load(stored(dumped)).number == 1


@pytest.mark.parametrize("value", [Line(stockKeepingUnit="a", price=Decimal(1)), {"number": 1}, None, Order])
def test_an_object_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"^definition 'orders': the object is a {type(value).__name__}, not a Order$"
    ):
        SCHEMA.dump(value)


@pytest.mark.parametrize("value", [None, [], {}, {"number": "x"}, "text"])
def test_json_that_does_not_fit_the_type_is_refused(value: JsonValue) -> None:
    with pytest.raises(ValidationError):
        SCHEMA.load(value)


def test_json_under_aliases_is_not_what_dump_has_written() -> None:
    assert SCHEMA.load({"number": 1, "noteIn": "lost"}).note == ""


def test_a_record_becomes_a_run_with_the_types_of_the_definition() -> None:
    run = SCHEMA.run(RECORD)
    assert (run.foreign_id, run.run_id, run.version) == ("order-1", "run-1", 3)
    assert (run.object, run.status, run.run_state) == (Order(number=7), Status.CREATED, RunState.RUNNING)
    assert (run.created_at, run.updated_at) == (MOMENT, MOMENT + timedelta(hours=1))


@pytest.mark.parametrize("state", RunState)
def test_a_run_state_comes_back_from_its_value(state: RunState) -> None:
    assert SCHEMA.run(replace(RECORD, run_state=state.value)).run_state is state


@pytest.mark.parametrize("status", ["LOST", "created", ""])
def test_a_record_at_an_unknown_status_is_refused_with_the_known_ones(status: str) -> None:
    with pytest.raises(UnknownStatus, match=rf"'orders' has no status '{status}'; it has CREATED, SETTLED"):
        SCHEMA.run(replace(RECORD, status=status))


def test_a_record_under_the_old_name_of_a_status_is_at_the_new_one() -> None:
    assert SCHEMA.run(replace(RECORD, status="PAID")).status is Status.SETTLED


def test_a_record_whose_object_does_not_fit_any_more_is_refused() -> None:
    with pytest.raises(ValidationError, match="number"):
        SCHEMA.run(replace(RECORD, object={}))
