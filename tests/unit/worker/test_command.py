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
    assert {"worker", "dev", "status"} <= set(capsys.readouterr().out.split())


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
