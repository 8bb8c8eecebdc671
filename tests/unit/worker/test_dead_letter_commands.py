"""How a parked event is shown."""

from dataclasses import fields, replace
from datetime import UTC, datetime

from pumphouse.worker.dead_letter_commands import describe_change, describe_letter
from pumphouse.workflows import Change
from pumphouse.workflows.parked import DeadLetterRecord, ParkedEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PARKED = ParkedEvent(
    definition="orders",
    connector="payments",
    event_id="17",
    foreign_id="order-\x1b[31m1",
    event={"id": "17", "headers": {"note": "\x9bä"}},
    received_at=NOON,
    parked_at=NOON,
    errors=["ValueError: no", "OSError: the\nnet"],
    attempts=3,
    position="42",
    size=13,
    digest="ab",
)
LETTER = DeadLetterRecord(PARKED, "dead", [Change("dead", "ann", NOON, "why\nnot")])


def test_all_of_a_parked_event_is_shown_and_none_of_it_drives_the_terminal() -> None:
    lines = list(describe_letter(LETTER))

    assert lines[0] == "standing      dead"
    assert r"foreign id    order-\x1b[31m1" in lines
    assert "parked at     2026-11-23 12:00:00 UTC" in lines
    assert "attempts      3" in lines
    assert lines[lines.index("errors") :] == [
        "errors",
        "  ValueError: no",
        r"  OSError: the\nnet",
        "changes",
        r"  2026-11-23 12:00:00 UTC  dead by ann (why\nnot)",
        "event",
        "  {",
        '    "id": "17",',
        '    "headers": {',
        r'      "note": "\x9bä"',
        "    }",
        "  }",
    ]


def test_no_field_of_a_parked_event_is_left_out() -> None:
    shown = {line.split("  ")[0] for line in describe_letter(LETTER)}
    assert {field.name.replace("_", " ") for field in fields(ParkedEvent)} <= shown


def test_an_event_that_temporal_does_not_hold_is_said_to_be_in_the_source() -> None:
    *_, last = describe_letter(replace(LETTER, parked=replace(PARKED, event=None)))
    assert last == "  Temporal does not hold it: it could not be read, or is too large; the source has it"


def test_a_change_without_a_reason_is_told_without_one() -> None:
    assert describe_change(Change("redriven", "bob", NOON)) == "2026-11-23 12:00:00 UTC  redriven by bob"
