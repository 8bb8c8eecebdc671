"""What the commands share."""

import getpass
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.activities.failures import printable
from pumphouse.connectors import PumphouseError
from pumphouse.worker import terminal
from pumphouse.worker.terminal import moment, parse_connector


class Point(BaseModel):
    x: int


def test_a_connector_is_named_by_its_definition_and_its_own_name() -> None:
    name = parse_connector("orders/payments")
    assert name == ("orders", "payments")
    assert str(name) == "orders/payments"


@pytest.mark.parametrize("text", ["", "orders", "/", "orders/", "/payments", "orders/payments/1"])
def test_what_is_no_connector_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        PumphouseError, match=r"expected DEFINITION/CONNECTOR, such as orders/payments"
    ) as raised:
        parse_connector(text)
    assert str(raised.value).startswith(repr(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bestellung 7 für 東京", "Bestellung 7 für 東京"),
        ("two\nlines\tand\x1b[31m red", r"two\nlines\tand\x1b[31m red"),
        ("\x9b2J", r"\x9b2J"),
        (7, "7"),
    ],
)
def test_a_text_of_somebody_else_cannot_drive_the_terminal(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_a_moment_is_told_in_utc() -> None:
    time = datetime(2026, 11, 23, 7, 30, 1, 999, tzinfo=timezone(timedelta(hours=-5)))
    assert moment(time) == "2026-11-23 12:30:01 UTC"


async def refuse() -> None:
    raise PumphouseError("the pump is dry")


async def misread() -> None:
    Point.model_validate({"x": "a secret"})


async def lose_the_server() -> None:
    raise RPCError("no route", RPCStatusCode.UNAVAILABLE, b"")


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (refuse, "pumphouse: the pump is dry\n"),
        (misread, "pumphouse: ValidationError of Point: x: int_parsing\n"),
        (lose_the_server, "pumphouse: Temporal refused, or was out of reach: UNAVAILABLE: no route\n"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    command: Callable[[], Coroutine[Any, Any, None]], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as raised:
        terminal.run(command)
    assert raised.value.exit_code == 1
    assert capsys.readouterr().err == line


def test_a_bug_is_no_line() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        terminal.run(fail)


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", unknown)
    monkeypatch.setattr("os.getuid", lambda: 1234)
    monkeypatch.setattr("socket.gethostname", lambda: "box")

    assert terminal.user() == "1234@box"
