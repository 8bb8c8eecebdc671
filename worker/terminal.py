"""What the commands share: how one is run, what it is told, and what it tells."""

import asyncio
import getpass
import os
import socket
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import ValidationError
from rich.console import Console
from temporalio.service import RPCError

from pumphouse.activities.failures import describe
from pumphouse.connectors.errors import PumphouseError

console = Console()

Connector = Annotated[str, typer.Argument(metavar="CONNECTOR", help="Such as orders/payments")]
Reason = Annotated[str, typer.Option(help="Kept with the change, your name and the time")]


class ConnectorName(NamedTuple):
    """A connector, by its definition's name and its own."""

    definition: str
    connector: str

    def __str__(self) -> str:
        """As the command line has it."""
        return "/".join(self)


def parse_connector(text: str) -> ConnectorName:
    """Read what the command line calls a connector.

    Raises:
        PumphouseError: it is not two names with a slash between them.
    """
    parts = text.split("/")
    if len(parts) != len(ConnectorName._fields) or not all(parts):
        raise PumphouseError(
            f"{text!r} is no connector; expected DEFINITION/CONNECTOR, such as orders/payments"
        )
    return ConnectorName(*parts)


def run(command: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a command; what the user can mend is one line, anything else a traceback."""
    try:
        asyncio.run(command())
    except (PumphouseError, ValidationError, RPCError) as error:
        typer.echo(f"pumphouse: {_complaint(error)}", err=True)
        raise typer.Exit(1) from error


def _complaint(error: PumphouseError | ValidationError | RPCError) -> str:
    match error:
        case ValidationError():
            return describe(error)
        case RPCError():
            return f"Temporal refused, or was out of reach: {error.status.name}: {error}"
        case _:
            return str(error)


def user() -> str:
    """Who runs the command, and where."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # as in a container whose user has no name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def moment(time: datetime) -> str:
    """A time, to the second, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
