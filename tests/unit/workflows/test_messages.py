"""The stored format: histories of older versions hold these texts, and must stay readable for ever."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, PayloadConverter

from pumphouse.workflows import messages
from pumphouse.workflows.messages import (
    Change,
    ConnectorRecord,
    ConnectorSettings,
    ConnectorState,
    Continuation,
    ControlAnswer,
    ControlRequest,
    DryRunRequest,
    MachineInput,
    Plan,
    PlanRequest,
    PumpInput,
    Record,
    Refusal,
    ReshardInput,
    SeekInput,
    SeekRequest,
    StatusUpdate,
    StepInput,
    StepPlan,
    StepResult,
    SupervisorInput,
)

MOMENT = datetime(2013, 2, 8, 17, 30, 0, 125000, tzinfo=UTC)

REFUSAL = Refusal("SHIPPED", "CREATED", "request-1", MOMENT)
REFUSAL_TEXT = """
    {"status": "SHIPPED", "at_status": "CREATED", "request_id": "request-1",
     "time": "2013-02-08T17:30:00.125000+00:00"}
"""
RECORD = Record(
    foreign_id="order-ä",
    run_id="run-1",
    object={"lines": [{"sku": "a", "price": "10.10"}], "note": None},
    status="PAID",
    run_state="Running",
    version=2,
    created_at=MOMENT,
    updated_at=MOMENT + timedelta(hours=1),
    visited=["CREATED", "PAID"],
    refused=[REFUSAL],
    refused_before=[dataclasses.replace(REFUSAL, request_id="request-0")],
    applied=["request-0", "request-1"],
)
RECORD_TEXT = f"""
    {{"foreign_id": "order-ä", "run_id": "run-1",
      "object": {{"lines": [{{"sku": "a", "price": "10.10"}}], "note": null}},
      "status": "PAID", "run_state": "Running", "version": 2,
      "created_at": "2013-02-08T17:30:00.125000+00:00", "updated_at": "2013-02-08T18:30:00.125000+00:00",
      "visited": ["CREATED", "PAID"], "refused": [{REFUSAL_TEXT}],
      "refused_before": [{REFUSAL_TEXT.replace("request-1", "request-0")}],
      "applied": ["request-0", "request-1"]}}
"""
STEP_PLAN = StepPlan("orders.step[PAID]", 600.0, 1.5, 300.0, 30.0)
STEP_PLAN_TEXT = """
    {"activity": "orders.step[PAID]", "timeout_seconds": 600.0, "backoff_seconds": 1.5,
     "max_backoff_seconds": 300.0, "heartbeat_seconds": 30.0}
"""

CHANGE = Change("paused", "ann@desk", MOMENT, "a flood")
CHANGE_TEXT = """
    {"what": "paused", "by": "ann@desk", "reason": "a flood", "time": "2013-02-08T17:30:00.125000+00:00"}
"""

STORED: list[tuple[Any, str]] = [
    (REFUSAL, REFUSAL_TEXT),
    (StatusUpdate("PAID", "request-1"), '{"status": "PAID", "request_id": "request-1"}'),
    (RECORD, RECORD_TEXT),
    (
        Continuation(RECORD, [StatusUpdate("PAID", "request-2")], ["request-0", "request-1"]),
        f"""{{"record": {RECORD_TEXT}, "inbox": [{{"status": "PAID", "request_id": "request-2"}}],
              "applied": ["request-0", "request-1"]}}""",
    ),
    (
        MachineInput("order-1", {"total": 3}, "CREATED"),
        """{"foreign_id": "order-1", "object": {"total": 3}, "status": "CREATED", "continuation": null,
            "applied": [], "refused": [], "remembered_requests": 1000}""",
    ),
    (
        MachineInput("order-1", {"total": 3}, "CREATED", None, ["request-1"], [REFUSAL], 5),
        f"""{{"foreign_id": "order-1", "object": {{"total": 3}}, "status": "CREATED", "continuation": null,
              "applied": ["request-1"], "refused": [{REFUSAL_TEXT}], "remembered_requests": 5}}""",
    ),
    (
        MachineInput("order-1", None, "PAID", Continuation(RECORD)),
        f"""{{"foreign_id": "order-1", "object": null, "status": "PAID",
              "continuation": {{"record": {RECORD_TEXT}, "inbox": [], "applied": []}},
              "applied": [], "refused": [], "remembered_requests": 1000}}""",
    ),
    (STEP_PLAN, STEP_PLAN_TEXT),
    (PlanRequest("orders", "PAID"), '{"definition": "orders", "status": "PAID"}'),
    (
        Plan("SHIPPED", terminal=True, search_attributes=False),
        """{"status": "SHIPPED", "terminal": true, "search_attributes": false, "step": null,
            "external": []}""",
    ),
    (
        Plan("PAID", terminal=False, search_attributes=True, step=STEP_PLAN, external=["SHIPPED"]),
        f"""{{"status": "PAID", "terminal": false, "search_attributes": true, "step": {STEP_PLAN_TEXT},
              "external": ["SHIPPED"]}}""",
    ),
    (StepInput(RECORD), f'{{"record": {RECORD_TEXT}}}'),
    (StepResult("SHIPPED", [1, None]), '{"status": "SHIPPED", "object": [1, null]}'),
    (ConnectorSettings(5, 10.0), '{"shard_count": 5, "heartbeat_timeout_seconds": 10.0}'),
    (
        SupervisorInput("orders", "payments", "eu/pumps"),
        """{"definition": "orders", "connector": "payments", "pump_task_queue": "eu/pumps",
            "settings": null, "wanted": null}""",
    ),
    (
        SupervisorInput(
            "orders", "payments", "eu/pumps", ConnectorSettings(5, 10.0), ConnectorSettings(3, 10.0)
        ),
        """{"definition": "orders", "connector": "payments", "pump_task_queue": "eu/pumps",
            "settings": {"shard_count": 5, "heartbeat_timeout_seconds": 10.0},
            "wanted": {"shard_count": 3, "heartbeat_timeout_seconds": 10.0}}""",
    ),
    (
        PumpInput("orders", "payments", 0, 5),
        """{"definition": "orders", "connector": "payments", "shard_index": 0, "shard_count": 5,
            "dry_run": false}""",
    ),
    (
        PumpInput("orders", "payments", 0, 5, dry_run=True),
        """{"definition": "orders", "connector": "payments", "shard_index": 0, "shard_count": 5,
            "dry_run": true}""",
    ),
    (CHANGE, CHANGE_TEXT),
    (
        ConnectorRecord(ConnectorState.PAUSED, dry_run=True, changes=[CHANGE]),
        f'{{"state": "paused", "dry_run": true, "changes": [{CHANGE_TEXT}]}}',
    ),
    (ControlRequest("ann@desk", "a flood"), '{"by": "ann@desk", "reason": "a flood"}'),
    (
        SeekRequest("ann@desk", "a flood", "latest"),
        '{"by": "ann@desk", "reason": "a flood", "position": "latest"}',
    ),
    (DryRunRequest("ann@desk", on=True), '{"by": "ann@desk", "reason": "", "on": true}'),
    (
        ControlAnswer(ConnectorRecord(), changed=False),
        '{"record": {"state": "running", "dry_run": false, "changes": []}, "changed": false}',
    ),
    (
        SeekInput("orders", "payments", 5, "earliest"),
        """{"definition": "orders", "connector": "payments", "shard_count": 5, "position": "earliest"}""",
    ),
    (
        ReshardInput("orders", "payments", 5),
        """{"definition": "orders", "connector": "payments", "shard_count": 5,
            "previous_shard_count": null}""",
    ),
    (
        ReshardInput("orders", "payments", 5, 3),
        '{"definition": "orders", "connector": "payments", "shard_count": 5, "previous_shard_count": 3}',
    ),
]

# What was stored before a field was added lacks it; then the field has this value.
ADDED_LATER: dict[type[Any], dict[str, Any]] = {
    Record: {"visited": [], "refused": [], "refused_before": [], "applied": []},
    Continuation: {"inbox": [], "applied": []},
    MachineInput: {"continuation": None, "applied": [], "refused": [], "remembered_requests": 1000},
    Plan: {"step": None, "external": []},
    StepPlan: {"heartbeat_seconds": None},
    SupervisorInput: {"settings": None, "wanted": None},
    PumpInput: {"dry_run": False},
    Change: {"reason": ""},
    ConnectorRecord: {"state": ConnectorState.RUNNING, "dry_run": False, "changes": []},
    ControlRequest: {"reason": ""},
    SeekRequest: {"reason": "", "position": ""},
    DryRunRequest: {"reason": "", "on": False},
    ReshardInput: {"previous_shard_count": None},
}

CONVERTERS = {
    "default": DataConverter.default.payload_converter,
    "pydantic": pydantic_data_converter.payload_converter,
}


def load(converter: PayloadConverter, kind: type[Any], fields: Mapping[str, Any]) -> Any:
    """What a worker makes of a stored text, which is a history's and not this version's."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(fields).encode())
    return converter.from_payload(payload, kind)


def kind_of(value: object) -> type[Any]:
    return type(value)


def name_of(value: object) -> str:
    return kind_of(value).__name__ if dataclasses.is_dataclass(value) else ""


@pytest.fixture(params=CONVERTERS.values(), ids=list(CONVERTERS))
def converter(request: pytest.FixtureRequest) -> PayloadConverter:
    found: PayloadConverter = request.param
    return found


def test_every_message_is_shown_here() -> None:
    defined = {
        kind
        for _, kind in inspect.getmembers(messages, inspect.isclass)
        if kind.__module__ == messages.__name__ and dataclasses.is_dataclass(kind)
    }
    assert {kind_of(value) for value, _ in STORED} == defined


def test_every_default_is_shown_here() -> None:
    defaulted = {
        (kind_of(value), field.name)
        for value, _ in STORED
        for field in dataclasses.fields(value)
        if field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    }
    assert {(kind, name) for kind, names in ADDED_LATER.items() for name in names} == defaulted


@pytest.mark.parametrize(("value", "text"), STORED, ids=name_of)
def test_a_message_is_stored_as_it_always_was(value: Any, text: str) -> None:
    payload = DataConverter.default.payload_converter.to_payload(value)
    assert payload.metadata["encoding"] == b"json/plain"
    assert json.loads(payload.data) == json.loads(text)


@pytest.mark.parametrize(("value", "text"), STORED, ids=name_of)
def test_what_was_stored_is_read_as_it_was(converter: PayloadConverter, value: Any, text: str) -> None:
    assert load(converter, kind_of(value), json.loads(text)) == value


@pytest.mark.parametrize(("value", "text"), STORED, ids=name_of)
def test_a_message_comes_back_from_its_payload_as_it_was(
    converter: PayloadConverter, value: Any, text: str
) -> None:
    back: object = converter.from_payload(converter.to_payload(value), kind_of(value))
    assert back == value
    assert json.loads(converter.to_payload(back).data) == json.loads(converter.to_payload(value).data), text


def test_what_is_nested_comes_back_with_its_types(converter: PayloadConverter) -> None:
    start = MachineInput("order-1", None, "PAID", Continuation(RECORD, [StatusUpdate("PAID", "1")]))
    back: MachineInput = converter.from_payload(converter.to_payload(start), MachineInput)
    assert back.continuation is not None
    assert isinstance(back.continuation.inbox[0], StatusUpdate)
    assert isinstance(back.continuation.record, Record)
    assert isinstance(back.continuation.record.refused[0], Refusal)
    assert back.continuation.record.refused[0].time.utcoffset() == timedelta(0)


def test_a_run_begins_with_what_it_was_triggered_with() -> None:
    start = MachineInput("order-1", {"total": 3}, "CREATED")
    assert start.record("run-1", MOMENT) == Record(
        foreign_id="order-1",
        run_id="run-1",
        object={"total": 3},
        status="CREATED",
        run_state="Running",
        version=1,
        created_at=MOMENT,
        updated_at=MOMENT,
        visited=["CREATED"],
        refused=[],
    )


def test_a_run_behind_another_begins_with_its_refusals_apart_from_its_own() -> None:
    record = MachineInput("order-1", {}, "CREATED", refused=[REFUSAL]).record("run-2", MOMENT)
    assert (record.refused_before, record.refused) == ([REFUSAL], [])


def test_a_refusal_says_why() -> None:
    assert REFUSAL.reason == "from CREATED no update leads to SHIPPED"


def test_a_run_goes_on_as_the_execution_before_left_it() -> None:
    start = MachineInput("order-1", None, "CREATED", Continuation(RECORD))
    assert start.record("another run", MOMENT + timedelta(days=1)) is RECORD


def test_a_time_of_another_zone_stays_the_same_moment(converter: PayloadConverter) -> None:
    local = MOMENT.astimezone(timezone(timedelta(hours=-5)))
    refusal = dataclasses.replace(REFUSAL, time=local)
    assert converter.from_payload(converter.to_payload(refusal), Refusal) == refusal


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "", "ä", [], {}, [None, {"a": [1]}]])
def test_an_object_travels_as_the_json_that_it_is(converter: PayloadConverter, value: Any) -> None:
    back: StepResult = converter.from_payload(converter.to_payload(StepResult("PAID", value)), StepResult)
    assert back.object == value
    assert type(back.object) is kind_of(value)


@pytest.mark.parametrize(("value", "text"), STORED, ids=name_of)
def test_what_was_stored_before_a_field_was_added_is_read_with_its_default(
    converter: PayloadConverter, value: Any, text: str
) -> None:
    added = ADDED_LATER.get(kind_of(value), {})
    old = {name: content for name, content in json.loads(text).items() if name not in added}
    assert load(converter, kind_of(value), old) == dataclasses.replace(value, **added)


@pytest.mark.parametrize(("value", "text"), STORED, ids=name_of)
def test_what_a_newer_version_has_stored_is_read_without_its_new_fields(
    converter: PayloadConverter, value: Any, text: str
) -> None:
    assert load(converter, kind_of(value), {**json.loads(text), "added_later": {"a": 1}}) == value


@pytest.mark.parametrize("kind", ADDED_LATER)
def test_two_messages_share_no_default(kind: type[Any]) -> None:
    required = {
        field.name: RECORD if field.name == "record" else ""
        for field in dataclasses.fields(kind)
        if field.name not in ADDED_LATER[kind]
    }
    for name, default in ADDED_LATER[kind].items():
        first, second = getattr(kind(**required), name), getattr(kind(**required), name)
        assert first == second == default
        assert not isinstance(first, list) or first is not second
