"""What the errors of a source say, and what they can be caught as."""

import pytest

from pumphouse.connectors import InvalidCursor, InvalidEvent, InvalidPosition, MissingExtra, PumphouseError


def test_an_unreadable_event_is_named_by_its_source_and_position() -> None:
    error = InvalidEvent("payments", "partition 3, offset 42", "foreign_id is empty")
    assert (error.source, error.position) == ("payments", "partition 3, offset 42")
    assert str(error).startswith(
        "payments, position partition 3, offset 42: not a readable event: foreign_id is empty. "
    )


def test_an_unreadable_event_says_what_happens_next_and_what_to_do() -> None:
    assert str(InvalidEvent("payments", "42", "no JSON")).endswith(
        "It is read again after a back-off; mend the data or the connector's translator."
    )


async def test_an_unreadable_event_with_an_ack_says_that_it_is_set_aside() -> None:
    acks: list[str] = []

    async def ack() -> None:
        acks.append("42")

    error = InvalidEvent("payments", "42", "no JSON", ack=ack)

    assert str(error) == (
        "payments, position 42: not a readable event: no JSON. The consumer goes on behind it, and it is "
        "acknowledged once it is parked as a dead letter; mend the data or the connector's translator before "
        "it is delivered again."
    )
    assert error.ack
    await error.ack()
    assert acks == ["42"]


def test_an_unreadable_event_has_no_ack_by_default() -> None:
    assert InvalidEvent("payments", "42", "no JSON").ack is None


def test_a_position_that_is_none_is_named_with_what_is_accepted() -> None:
    error = InvalidPosition("payments", "yesterday", '"earliest" or "latest"')
    assert (error.source, error.position) == ("payments", "yesterday")
    assert str(error) == """payments: 'yesterday' is not a position; use "earliest" or "latest\""""


@pytest.mark.parametrize("kind", [PumphouseError, ValueError])
def test_a_position_that_is_none_is_caught_as_our_error_and_as_a_value_error(kind: type[Exception]) -> None:
    with pytest.raises(kind, match="yesterday"):
        raise InvalidPosition("payments", "yesterday", "earliest")


def test_a_stored_position_that_makes_no_sense_is_named_with_what_to_do() -> None:
    error = InvalidCursor("cursors", "orders/payments/1-of-1", "it is text", "make it a number")
    assert isinstance(error, PumphouseError)
    assert (error.table, error.consumer_name) == ("cursors", "orders/payments/1-of-1")
    assert str(error) == "cursors, consumer 'orders/payments/1-of-1': it is text; make it a number"


def test_a_missing_package_names_the_extra_that_brings_it() -> None:
    assert str(MissingExtra("sqlalchemy", "sql")) == (
        "sqlalchemy is not installed; install it with: pip install 'pumphouse[sql]'"
    )


@pytest.mark.parametrize("kind", [PumphouseError, ImportError])
def test_a_missing_package_is_caught_as_our_error_and_as_an_import_error(kind: type[Exception]) -> None:
    with pytest.raises(kind, match="sqlalchemy"):
        raise MissingExtra("sqlalchemy", "sql")


def test_an_unreadable_event_is_caught_as_our_error() -> None:
    with pytest.raises(PumphouseError, match="payments"):
        raise InvalidEvent("payments", "42", "no JSON")


def test_our_base_error_is_no_error_of_another_kind() -> None:
    # Whoever catches ValueError or OSError around a source must not catch all of ours with it.
    assert PumphouseError.__bases__ == (Exception,)
    assert InvalidEvent.__bases__ == (PumphouseError,)
