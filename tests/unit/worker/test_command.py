import builtins
import sys
from typing import Any

import pytest

from pumphouse.worker import command


class Left(Exception):
    """In place of the end of the process."""


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    statuses: list[int] = []

    def leave(status: int) -> None:
        statuses.append(status)
        raise Left

    monkeypatch.setattr("os._exit", leave)
    return statuses


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pumphouse", *arguments])
    with pytest.raises(Left):
        command.main()


def test_help_leaves_with_success(
    exits: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--help", monkeypatch=monkeypatch)

    assert exits == [0]
    controls = {"pause", "resume", "stop", "seek", "dry-run"}
    assert {"worker", "dev", "status", *controls, "dlq", "trace"} <= set(capsys.readouterr().out.split())


def test_the_commands_on_parked_events_are_below_dlq(
    exits: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("dlq", "--help", monkeypatch=monkeypatch)

    assert exits == [0]
    assert {"list", "show", "redrive", "discard", "release"} <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["pause", "orders"], "'orders' is no connector; expected DEFINITION/CONNECTOR"),
        (["dlq", "list", "a/b/c"], "'a/b/c' is no connector; expected DEFINITION/CONNECTOR"),
        (["trace", "/payments", "1"], "'/payments' is no connector; expected DEFINITION/CONNECTOR"),
        (["dlq", "redrive", "orders/payments"], "redrive takes the ID of an event, or --all"),
        (["dlq", "redrive", "orders/payments", "1", "--all"], "redrive takes the ID of an event, or --all"),
        (["dlq", "discard", "orders/payments", "1", "--reason", " "], "discard needs a reason"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_temporal_is_asked(
    exits: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    run(*arguments, monkeypatch=monkeypatch)

    assert exits == [1]
    assert capsys.readouterr().err.startswith(f"pumphouse: {complaint}")


def test_an_unknown_command_leaves_with_an_error(exits: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    run("dance", monkeypatch=monkeypatch)

    assert exits == [2]


def test_without_the_packages_of_the_command_line_the_extra_is_named(
    exits: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real_import = builtins.__import__

    def without_typer(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "typer":
            raise ModuleNotFoundError(name=name)
        return real_import(name, *arguments, **keywords)

    monkeypatch.delitem(sys.modules, "pumphouse.worker.cli", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_typer)
    run("worker", monkeypatch=monkeypatch)

    assert exits == [1]
    assert "pip install 'pumphouse[cli]'" in capsys.readouterr().err


def test_a_bug_leaves_with_an_error_and_its_traceback(
    exits: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(target: str) -> None:
        raise ZeroDivisionError(target)

    monkeypatch.setattr("pumphouse.worker.cli._worker", fail)
    run("worker", "a:b", monkeypatch=monkeypatch)

    assert exits == [1]
    assert "ZeroDivisionError: a:b" in capsys.readouterr().err
