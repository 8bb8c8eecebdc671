import asyncio
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, ValidationError

from pumphouse.activities.failures import chain, describe
from pumphouse.connectors import ConnectorEvent, InvalidEvent

SECRET = "hunter2"  # noqa: S105 - stands for an event's data


class Payment(BaseModel):
    amount: int
    iban: Annotated[str, Field(max_length=3)] = ""


class Order(BaseModel):
    payments: list[Payment]


def validation_error(model: type[BaseModel], data: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return caught.value


def chain_of(length: int) -> Exception:
    """An error `E1`, caused by `E2`, and so on."""
    first = error = ValueError("E1")
    for number in range(2, length + 1):
        error.__cause__ = error = ValueError(f"E{number}")
    return first


def test_an_error_is_its_type_and_its_text() -> None:
    assert describe(ConnectionError("the broker is away")) == "ConnectionError: the broker is away"


@pytest.mark.parametrize("error", [TimeoutError(), SystemExit(), asyncio.CancelledError()])
def test_an_error_without_text_is_its_type(error: BaseException) -> None:
    assert describe(error) == type(error).__name__


def test_an_error_is_told_with_its_causes() -> None:
    assert describe(chain_of(3)) == "ValueError: E1, caused by ValueError: E2, caused by ValueError: E3"


def test_a_long_chain_of_causes_ends_after_five() -> None:
    assert describe(chain_of(9)) == describe(chain_of(5))


def test_an_error_that_causes_itself_is_told_all_the_same() -> None:
    error = chain_of(2)
    assert error.__cause__
    error.__cause__.__cause__ = error
    assert describe(error).startswith("ValueError: E1, caused by ValueError: E2")


def test_a_validation_error_names_the_model_and_the_fields() -> None:
    error = validation_error(Order, {"payments": [{"amount": "none"}]})
    assert describe(error) == "ValidationError of Order: payments.0.*: int_parsing"


def test_a_validation_error_names_each_field_that_is_wrong() -> None:
    described = describe(validation_error(Payment, {"iban": "long"}))
    assert "amount: missing" in described
    assert "iban: string_too_long" in described


@pytest.mark.parametrize(
    "data",
    [
        SECRET,
        {"payments": SECRET},
        {"payments": [{"amount": SECRET, "iban": SECRET}]},
        {"payments": [{"iban": SECRET}]},
    ],
)
def test_a_validation_error_keeps_the_values_to_itself(data: object) -> None:
    error = validation_error(Order, data)
    assert SECRET in str(error)
    assert SECRET not in describe(error)


def test_a_validation_error_that_is_a_cause_keeps_the_values_to_itself() -> None:
    error = ValueError("the payment cannot be read")
    error.__cause__ = validation_error(Payment, {"amount": SECRET})
    assert describe(error).startswith("ValueError: the payment cannot be read, caused by ValidationError")
    assert SECRET not in describe(error)


def test_an_event_that_cannot_be_read_is_told_without_its_cause_which_may_quote_it() -> None:
    error = InvalidEvent("payments", "7", "the amount is missing")
    error.__cause__ = KeyError(SECRET)
    assert describe(error).startswith("InvalidEvent: payments, position 7: ")
    assert "the amount is missing" in describe(error)
    assert SECRET not in describe(error)


def test_an_event_that_cannot_be_made_keeps_its_data_to_itself() -> None:
    error = validation_error(ConnectorEvent, {"id": "1", "data": {SECRET}})
    assert SECRET not in describe(error)


def test_a_text_of_several_lines_is_told_in_one() -> None:
    assert describe(ValueError("first\n  second")) == "ValueError: first second"


def test_an_error_is_told_with_its_causes_a_line_each() -> None:
    assert chain(chain_of(3)) == ["ValueError: E1", "ValueError: E2", "ValueError: E3"]


def test_no_line_of_a_chain_is_more_than_one() -> None:
    error = ValueError("first\nsecond")
    error.__cause__ = KeyError("third\r\nfourth\u2028fifth")
    assert all(len(line.splitlines()) == 1 for line in chain(error))


class Prices(BaseModel):
    by_card: dict[str, int]


@pytest.mark.parametrize("key", [SECRET, "first\nsecond"])
def test_a_validation_error_keeps_the_keys_of_the_data_to_itself(key: str) -> None:
    described = describe(validation_error(Prices, {"by_card": {key: "none"}}))
    assert SECRET not in described
    assert described.isprintable()


def test_an_error_is_told_without_control_characters() -> None:
    assert describe(ValueError("\x1b[2J\x00")).isprintable()


def test_the_text_of_an_error_has_a_limit() -> None:
    assert len(describe(ValueError("x" * 1_000_000))) < 10_000


def test_the_problems_of_a_validation_error_have_a_limit() -> None:
    payments: list[dict[str, int]] = [{}] * 10_000
    error = validation_error(Order, {"payments": payments})
    assert len(describe(error)) < 10_000
