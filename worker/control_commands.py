"""The commands that pause, resume, stop and move a connector, and let it run dry."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated

import typer

from pumphouse.worker.settings import connect
from pumphouse.worker.status import show
from pumphouse.worker.terminal import Connector, Reason, parse_connector, run, user
from pumphouse.workflows.controls import ConnectorControls
from pumphouse.workflows.messages import ControlAnswer

app = typer.Typer()


class Switch(StrEnum):
    """What a thing can be turned to."""

    ON = "on"
    OFF = "off"


@app.command()
def pause(connector: Connector, reason: Reason = "") -> None:
    """Let the pumps of a connector end, until it is resumed."""
    run(lambda: _control(connector, lambda controls: controls.pause(reason)))


@app.command()
def resume(connector: Connector, reason: Reason = "") -> None:
    """Let the pumps of a connector run again."""
    run(lambda: _control(connector, lambda controls: controls.resume(reason)))


@app.command()
def stop(connector: Connector, reason: Reason = "") -> None:
    """Let the pumps of a connector end, until it is resumed, and wait until they have."""
    run(lambda: _control(connector, lambda controls: controls.stop(reason)))


@app.command()
def seek(
    connector: Connector,
    position: Annotated[str, typer.Argument(help="earliest, latest, or one of the source's own")],
    reason: Reason = "",
) -> None:
    """Let a connector go on at a position of its source, to deliver events again or to leave some out."""
    run(lambda: _control(connector, lambda controls: controls.seek(position, reason)))


@app.command()
def dry_run(
    connector: Connector,
    switch: Annotated[Switch, typer.Argument(help="Whether it begins or ends")],
    reason: Reason = "",
) -> None:
    """Let a connector's handlers run without sending their calls, and without acking an event."""
    run(lambda: _control(connector, lambda controls: controls.dry_run(on=switch is Switch.ON, reason=reason)))


async def _control(connector: str, ask: Callable[[ConnectorControls], Awaitable[ControlAnswer]]) -> None:
    name = parse_connector(connector)
    answer = await ask(ConnectorControls(await connect(), *name, by=user()))
    record = answer.record
    told = record.changes[-1].what if answer.changed else f"nothing to do: it is {show(record)}"
    typer.echo(f"{name}: {told}")
