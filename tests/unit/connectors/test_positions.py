"""What counts as a position of a source that numbers its events."""

import pytest

from pumphouse.connectors import InvalidPosition, PumphouseError
from pumphouse.connectors.positions import IntegerPositions, Start

POSITIONS = IntegerPositions("payments", "the number of an event", -5, 100)
ACCEPTED = '"earliest", "latest" or the number of an event, an integer from -5 to 100'


@pytest.mark.parametrize("start", ["earliest", "latest", -5, 0, 100])
def test_a_start_is_a_word_or_a_number_in_range(start: Start) -> None:
    POSITIONS.check(start)


@pytest.mark.parametrize("start", ["", "first", "7", -6, 101, True, 1.0, None, [], b"latest"])
def test_any_other_start_is_refused_with_what_is_accepted(start: object) -> None:
    with pytest.raises(PumphouseError) as refused:
        POSITIONS.check(start)
    assert str(refused.value) == f"start is {start!r}; it must be {ACCEPTED}"


@pytest.mark.parametrize(
    ("text", "position"),
    [("earliest", "earliest"), ("latest", "latest"), ("0", 0), ("-5", -5), ("100", 100), ("7", 7)],
)
def test_a_written_position_is_read(text: str, position: Start) -> None:
    assert POSITIONS.read(text) == position


@pytest.mark.parametrize(
    "text", ["", "Earliest", "7.0", "+7", "07", "-0", " 7", "7\n", "1_0", "\u0667", "-6", "101", "9" * 5_000]
)
def test_any_other_text_is_refused_with_what_is_accepted(text: str) -> None:
    assert POSITIONS.number(text) is None
    with pytest.raises(InvalidPosition) as refused:
        POSITIONS.read(text)
    assert str(refused.value) == f"payments: {text!r} is not a position; use {ACCEPTED}"


@pytest.mark.parametrize("word", ["earliest", "latest"])
def test_a_word_is_no_number(word: str) -> None:
    assert POSITIONS.number(word) is None
