"""The stored format of parked events: dead letters that are open for years hold these texts."""

import dataclasses
import inspect
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, PayloadConverter

from pumphouse.workflows import names, parked
from pumphouse.workflows.messages import Change
from pumphouse.workflows.parked import (
    DeadLetterInput,
    DeadLetterRecord,
    Decision,
    ParkedEvent,
    ParkingLotInput,
    PlaceRequest,
    QueuedEvent,
    RedriveFailure,
    RedriveInput,
    RedrivePolicy,
    Standing,
)

MOMENT = datetime(2013, 2, 8, 17, 30, tzinfo=UTC)
MOMENT_TEXT = "2013-02-08T17:30:00+00:00"
EVENT = ParkedEvent(
    definition="orders",
    connector="payments",
    event_id="17",
    foreign_id="order-1",
    event={"id": "17"},
    received_at=MOMENT,
    parked_at=MOMENT,
    errors=["ValueError: no"],
    attempts=3,
    position="17",
    source_id="17",
    size=13,
    digest="ab",
)
EVENT_TEXT = f"""
    {{"definition": "orders", "connector": "payments", "event_id": "17", "foreign_id": "order-1",
      "event": {{"id": "17"}}, "received_at": "{MOMENT_TEXT}", "parked_at": "{MOMENT_TEXT}",
      "errors": ["ValueError: no"], "attempts": 3, "position": "17", "source_id": "17",
      "size": 13, "digest": "ab"}}
"""
POLICY = RedrivePolicy(600.0, 1.0, 2.0, 60.0, 5)
POLICY_TEXT = """
    {"timeout_seconds": 600.0, "backoff_seconds": 1.0, "backoff_factor": 2.0, "max_backoff_seconds": 60.0,
     "max_attempts": 5}
"""
CHANGE = Change("dead", "pumphouse", MOMENT, "why")
CHANGE_TEXT = f'{{"what": "dead", "by": "pumphouse", "time": "{MOMENT_TEXT}", "reason": "why"}}'

STORED: list[tuple[Any, str]] = [
    (EVENT, EVENT_TEXT),
    (POLICY, POLICY_TEXT),
    (
        RedriveInput(EVENT, 5, is_asked=True),
        f'{{"parked": {EVENT_TEXT}, "max_attempts": 5, "is_asked": true}}',
    ),
    (RedriveFailure(["ValueError: no"], 2), '{"errors": ["ValueError: no"], "attempts": 2}'),
    (
        DeadLetterInput(
            EVENT, "dead", POLICY, in_order=True, strict=True, has_sink=True, search_attributes=True
        ),
        f"""{{"parked": {EVENT_TEXT}, "standing": "dead", "policy": {POLICY_TEXT}, "in_order": true,
              "strict": true, "has_sink": true, "search_attributes": true}}""",
    ),
    (
        DeadLetterRecord(EVENT, "dead", [CHANGE]),
        f'{{"parked": {EVENT_TEXT}, "standing": "dead", "changes": [{CHANGE_TEXT}]}}',
    ),
    (Decision("ada", "mended"), '{"by": "ada", "reason": "mended"}'),
    (
        PlaceRequest("order-1", "17", limit=10),
        '{"foreign_id": "order-1", "event_id": "17", "limit": 10}',
    ),
    (QueuedEvent("order-1", "17"), '{"foreign_id": "order-1", "event_id": "17"}'),
    (
        ParkingLotInput("orders", "payments", {"order-1": ["17"]}),
        '{"definition": "orders", "connector": "payments", "queues": {"order-1": ["17"]}}',
    ),
    (Standing.DEAD, '"dead"'),
]


@pytest.fixture(
    params=[DataConverter.default.payload_converter, pydantic_data_converter.payload_converter],
    ids=["default", "pydantic"],
)
def converter(request: pytest.FixtureRequest) -> PayloadConverter:
    found: PayloadConverter = request.param
    return found


def kind_of(value: object) -> type[Any]:
    return type(value)


def test_everything_that_travels_is_shown_here() -> None:
    defined = {
        kind for _, kind in inspect.getmembers(parked, inspect.isclass) if kind.__module__ == parked.__name__
    }
    assert {kind_of(value) for value, _ in STORED} == defined


@pytest.mark.parametrize(("value", "text"), STORED)
def test_it_is_stored_as_it_always_was(value: Any, text: str) -> None:
    payload = DataConverter.default.payload_converter.to_payload(value)
    assert json.loads(payload.data) == json.loads(text)


@pytest.mark.parametrize(("value", "text"), STORED)
def test_what_was_stored_is_read_as_it_was(converter: PayloadConverter, value: Any, text: str) -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=text.encode())
    assert converter.from_payload(payload, kind_of(value)) == value


@pytest.mark.parametrize("value", [value for value, _ in STORED if dataclasses.is_dataclass(value)])
def test_what_lacks_the_fields_with_a_default_is_read_all_the_same(
    converter: PayloadConverter, value: Any
) -> None:
    required = {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    text = json.loads(converter.to_payload(value).data)
    payload = Payload(
        metadata={"encoding": b"json/plain"},
        data=json.dumps({name: text[name] for name in required}).encode(),
    )
    assert converter.from_payload(payload, kind_of(value)) == kind_of(value)(**required)


def test_the_names_of_the_workflows_hold_no_foreign_id_and_fit_temporal() -> None:
    assert (
        names.dead_letter_workflow_id("orders", "payments", "17")
        == "pumphouse/dead-letter/orders/payments/17"
    )
    assert names.parking_lot_workflow_id("orders", "payments") == "pumphouse/parking-lot/orders/payments"
    fitting = "é" * ((names.MAX_WORKFLOW_ID_BYTES - len("pumphouse/dead-letter/orders/payments/")) // 2)
    assert names.dead_letter_workflow_id("orders", "payments", fitting).endswith(fitting)
    hashed = names.dead_letter_workflow_id("orders", "payments", fitting + "é")
    assert hashed.startswith("pumphouse/dead-letter/orders/payments/sha256:")
    event_id = hashed.removeprefix("pumphouse/dead-letter/orders/payments/")
    assert names.dead_letter_workflow_id("orders", "payments", event_id) == hashed
