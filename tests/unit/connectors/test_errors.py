"""What the errors of a source say, and what they can be caught as."""

import pytest

from pumphouse.connectors import InvalidEvent, MissingExtra, PumphouseError


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
