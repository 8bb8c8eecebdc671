"""The command that tells where an event is."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer
from temporalio.client import Client

from pumphouse.activities.failures import describe, printable
from pumphouse.connectors.contract import ConnectorConstructor, Findable
from pumphouse.connectors.errors import PumphouseError
from pumphouse.worker.dead_letter_commands import describe_change
from pumphouse.worker.definitions import load_definitions
from pumphouse.worker.settings import connect
from pumphouse.worker.status import pump_statuses
from pumphouse.worker.terminal import Connector, ConnectorName, moment, parse_connector, run
from pumphouse.workflows import names
from pumphouse.workflows.controls import ConnectorControls
from pumphouse.workflows.parked import DeadLetterRecord
from pumphouse.workflows.trace import Trace, TracedCall, Tracer

app = typer.Typer()

PATIENCE = timedelta(seconds=10)
"""How long a source may take to find an event."""


@app.command()
def trace(
    connector: Connector,
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="As the source has it")],
    foreign_id: Annotated[str | None, typer.Option(help="Whose runs to look through")] = None,
    app_target: Annotated[
        str | None,
        typer.Option(
            "--app",
            envvar="PUMPHOUSE_APP",
            metavar="MODULE:ATTRIBUTE",
            help="The definitions, whose source then tells the foreign ID",
        ),
    ] = None,
) -> None:
    """Tell where an event is: what its handling has called, and whether it is parked, or being tried."""
    run(lambda: _trace(parse_connector(connector), event_id, foreign_id, app_target))


@dataclass(frozen=True)
class _Found:
    """All that is known of an event."""

    trace: Trace
    tries: Sequence[str]
    """What the pumps say that have it in their hands after an error."""
    is_in_source: bool
    """Whether the source was asked, and has it."""

    @property
    def is_received(self) -> bool:
        return self.trace.is_known or bool(self.tries)


async def _trace(name: ConnectorName, event_id: str, foreign_id: str | None, app_target: str | None) -> None:
    client = await connect()
    found = await _find(client, name, event_id, foreign_id, app_target)
    for line in _describe(name, found):
        typer.echo(printable(line))
    if not found.is_received:
        # A name that is misspelt knows no event either.
        await ConnectorControls(client, *name).state()
        typer.echo(_what_not_known_means(found))
        raise typer.Exit(1)


async def _find(
    client: Client, name: ConnectorName, event_id: str, foreign_id: str | None, app_target: str | None
) -> _Found:
    tracer = Tracer(client, *name)
    trace, is_in_source = await tracer.trace(event_id, foreign_id), False
    if trace.foreign_id is None and app_target:
        source_foreign_id = await _ask_source(_constructor(app_target, name), event_id)
        if source_foreign_id is not None:
            trace, is_in_source = await tracer.trace(event_id, source_foreign_id), True
    return _Found(trace, await _tries(client, name, event_id), is_in_source)


def _constructor(app_target: str, name: ConnectorName) -> ConnectorConstructor:
    connectors: dict[str, ConnectorConstructor] = {
        f"{definition.name}/{connector.name}": connector.constructor
        for definition in load_definitions(app_target)
        for connector in definition.connectors
    }
    if constructor := connectors.get(str(name)):
        return constructor
    raise PumphouseError(f"{app_target} has no connector {name}; it has {', '.join(connectors) or 'none'}")


async def _ask_source(constructor: ConnectorConstructor, event_id: str) -> str | None:
    """The foreign ID of an event; None if the source has none of that ID, or cannot look one up."""
    if not isinstance(constructor, Findable):
        return None
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            event = await constructor.find(event_id)
    except PumphouseError:
        raise
    except Exception as error:
        source = type(constructor).__name__
        raise PumphouseError(
            f"{source} could not be asked for event {event_id!r}: {describe(error)}"
        ) from error
    return event.foreign_id if event else None


async def _tries(client: Client, name: ConnectorName, event_id: str) -> list[str]:
    pumps = await pump_statuses(client, names.supervisor_workflow_id(*name))
    failing = [line for pump in pumps for line in pump.stats.failing]
    return [line for line in failing if line.startswith(f"event {event_id}, ")]


def _describe(name: ConnectorName, found: _Found) -> Iterator[str]:
    trace = found.trace
    foreign_id = "" if trace.foreign_id is None else f", foreign ID {trace.foreign_id}"
    known = "received" if found.is_received else "not known to have been received"
    yield f"{name}, event {trace.event_id}{foreign_id}: {known}"
    yield from map(_describe_call, trace.calls)
    if trace.dead_letter:
        yield from _describe_parked(trace.dead_letter)
    yield from (f"  being tried: {line}" for line in found.tries)


def _describe_call(call: TracedCall) -> str:
    what = " ".join(filter(None, (call.kind, call.status)))
    return f"  {moment(call.at)}  {what}: {call.outcome}, {call.workflow_id}, run {call.run_id}"


def _describe_parked(letter: DeadLetterRecord) -> Iterator[str]:
    parked = letter.parked
    why = f": {parked.errors[0]}" if parked.errors else ""
    yield f"  {moment(parked.parked_at)}  parked, {letter.standing}, attempts {parked.attempts}{why}"
    yield from (f"    {describe_change(change)}" for change in letter.changes)


def _what_not_known_means(found: _Found) -> str:
    if found.is_in_source:
        where = "it is in the source, and its turn has not come"
    else:
        where = "it was never seen, or is still in the source"
    known = f"Either {where}, or its handling made no call about its foreign ID, or it is beyond retention."
    if found.trace.foreign_id:
        return known
    return f"{known} Without a foreign ID only parked and failing events are found: give --foreign-id."
