"""The commands on the events of a connector that are parked: `pumphouse dlq`."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from datetime import datetime
from typing import Annotated, NamedTuple

import typer
from rich.markup import escape
from rich.table import Table

from pumphouse.activities.failures import printable
from pumphouse.connectors.errors import PumphouseError
from pumphouse.worker.settings import connect
from pumphouse.worker.terminal import (
    Connector,
    ConnectorName,
    Reason,
    console,
    moment,
    parse_connector,
    run,
    user,
)
from pumphouse.workflows.controls import ConnectorControls
from pumphouse.workflows.dead_letters import DeadLetters
from pumphouse.workflows.errors import DeadLetterNotFound, DeadLetterRefused
from pumphouse.workflows.messages import Change
from pumphouse.workflows.parked import OPEN, DeadLetterRecord, ParkedEvent, Standing

app = typer.Typer(help="The events that are parked: list, show, redrive, discard.", no_args_is_help=True)

EventID = Annotated[str, typer.Argument(metavar="EVENT_ID", help="As the list shows it")]


@app.command("list")
def list_parked(connector: Connector) -> None:
    """List the parked events of a connector, in the order in which they were parked."""
    run(lambda: _list(connector))


@app.command("show")
def show_parked(connector: Connector, event_id: EventID) -> None:
    """Show all that is known of a parked event, its data among it."""
    run(lambda: _show(connector, event_id))


@app.command()
def redrive(
    connector: Connector,
    event_id: Annotated[str | None, typer.Argument(metavar="EVENT_ID", show_default=False)] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Each that is dead, as they were parked")] = False,
    reason: Reason = "",
) -> None:
    """Hand a dead letter, or each one, to the handler once more, and tell how that ended."""
    run(lambda: _redrive(connector, event_id, every=every, reason=reason))


@app.command()
def discard(connector: Connector, event_id: EventID, reason: Reason) -> None:
    """Give a parked event up for good; the reason stays in its history."""
    run(lambda: _discard(connector, event_id, reason))


@app.command()
def release(
    connector: Connector,
    foreign_id: Annotated[str, typer.Argument(metavar="FOREIGN_ID", help="Whose events wait")],
    event_id: EventID,
) -> None:
    """Let others follow an event whose dead letter was terminated by hand."""
    run(lambda: _release(connector, foreign_id, event_id))


class _Entry(NamedTuple):
    """A parked event, as far as the list shows it."""

    parked_at: datetime
    event_id: str
    foreign_id: str
    standing: str
    attempts: int
    first_error: str

    @property
    def cells(self) -> Iterator[str]:
        """What stands in the list's row."""
        shown = (self.event_id, self.foreign_id, self.standing, self.attempts, self.first_error)
        return (escape(printable(cell)) for cell in (*shown, moment(self.parked_at)))


async def _letters(name: ConnectorName) -> DeadLetters:
    return DeadLetters(await connect(), *name, by=user())


async def _list(connector: str) -> None:
    name = parse_connector(connector)
    letters = await _letters(name)
    entries = sorted([entry async for entry in _entries(letters)])
    if not entries:
        return await _tell_nothing(letters, name, "parked")
    table = Table("event ID", "foreign ID", "standing", "attempts", "first error", "parked at")
    for entry in entries:
        table.add_row(*entry.cells)
    console.print(table)
    return None


async def _tell_nothing(letters: DeadLetters, name: ConnectorName, what: str) -> None:
    # A name that is misspelt has nothing parked either.
    await ConnectorControls(letters.client, *name).state()
    typer.echo(f"{name}: nothing is {what}")


async def _entries(letters: DeadLetters) -> AsyncIterator[_Entry]:
    """What is parked; not the events themselves, of which memory may not hold so many."""
    async for event_id in letters.event_ids():
        try:
            record = await letters.get(event_id)
        except DeadLetterNotFound:
            continue  # it came to its end meanwhile
        if record.standing in OPEN:
            parked = record.parked
            error = parked.errors[0] if parked.errors else ""
            yield _Entry(
                *(parked.parked_at, event_id, parked.foreign_id),
                *(record.standing, parked.attempts, error),
            )


async def _show(connector: str, event_id: str) -> None:
    letters = await _letters(parse_connector(connector))
    for line in describe_letter(await letters.get(event_id)):
        typer.echo(line)


def describe_letter(record: DeadLetterRecord) -> Iterator[str]:
    """All of a parked event, line by line: how it stands, where it comes from, and the event itself."""
    yield _field("standing", record.standing)
    for field in fields(ParkedEvent):
        value = getattr(record.parked, field.name)
        if isinstance(value, str | int | datetime):
            yield _field(
                field.name.replace("_", " "), moment(value) if isinstance(value, datetime) else value
            )
    yield "errors"
    yield from (f"  {printable(error)}" for error in record.parked.errors)
    yield "changes"
    yield from (f"  {describe_change(change)}" for change in record.changes)
    yield "event"
    yield from _event(record.parked)


def describe_change(change: Change) -> str:
    """A change in one line: when, what, by whom, and why."""
    reason = f" ({change.reason})" if change.reason else ""
    return printable(f"{moment(change.time)}  {change.what} by {change.by}{reason}")


def _field(name: str, value: object) -> str:
    return f"{name:<12}  {printable(value)}"


def _event(parked: ParkedEvent) -> Iterator[str]:
    if parked.event is None:
        yield "  Temporal does not hold it: it could not be read, or is too large; the source has it"
        return
    text = json.dumps(parked.event, indent=2, ensure_ascii=False)
    yield from (f"  {printable(line)}" for line in text.split("\n"))


async def _redrive(connector: str, event_id: str | None, *, every: bool, reason: str) -> None:
    if every is (event_id is not None):
        raise PumphouseError("redrive takes the ID of an event, or --all")
    name = parse_connector(connector)
    letters = await _letters(name)
    event_ids = await _dead(letters) if event_id is None else [event_id]
    if not event_ids:
        return await _tell_nothing(letters, name, "dead")
    # One after the other: later events may depend on earlier ones.
    outcomes = [await _redrive_one(letters, name, each, reason, go_on=every) for each in event_ids]
    if not all(outcomes):
        raise typer.Exit(1)
    return None


async def _dead(letters: DeadLetters) -> list[str]:
    """The IDs of the events that are dead, in the order in which they were parked."""
    entries = sorted([entry async for entry in _entries(letters) if entry.standing == Standing.DEAD])
    return [entry.event_id for entry in entries]


async def _redrive_one(
    letters: DeadLetters, name: ConnectorName, event_id: str, reason: str, *, go_on: bool
) -> bool:
    """Redrive an event and tell how it ended; whether the handler took it."""
    try:
        record = await letters.redrive(event_id, reason)
    except (DeadLetterNotFound, DeadLetterRefused) as error:  # somebody else was quicker
        if not go_on:
            raise
        typer.echo(error)
        return False
    is_taken = record.standing == Standing.REDRIVEN
    errors = record.parked.errors
    why = f": {errors[0]}" if errors and not is_taken else ""
    typer.echo(printable(f"{name}, event {event_id}: {record.standing}{why}"))
    return is_taken


async def _discard(connector: str, event_id: str, reason: str) -> None:
    if not reason.strip():
        raise PumphouseError("discard needs a reason: it stays in the event's history")
    name = parse_connector(connector)
    record = await (await _letters(name)).discard(event_id, reason)
    typer.echo(printable(f"{name}, event {event_id}: {record.standing}"))


async def _release(connector: str, foreign_id: str, event_id: str) -> None:
    name = parse_connector(connector)
    await (await _letters(name)).release(foreign_id, event_id)
    typer.echo(printable(f"{name}, event {event_id}: nothing of foreign ID {foreign_id} waits behind it"))
