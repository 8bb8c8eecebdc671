"""The command `pumphouse`; its functions say what to do, the modules beside this one how."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pumphouse.activities.failures import describe
from pumphouse.connectors.errors import PumphouseError
from pumphouse.worker.definitions import load_definitions
from pumphouse.worker.process import run_worker, stop_on_signals
from pumphouse.worker.settings import WorkerSettings, connect
from pumphouse.worker.status import PumpStatus, pump_statuses, supervisors
from pumphouse.worker.telemetry import telemetry

app = typer.Typer(
    help="Connects event streams to Temporal, whose address is in TEMPORAL_ADDRESS or Temporal's profiles.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()


@app.callback()
def _commands() -> None:
    """Keeps the commands' names, also while there is one alone."""


@app.command()
def worker(
    target: Annotated[str, typer.Argument(help="MODULE:ATTRIBUTE, a Workflow or a list of them")],
) -> None:
    """Execute the runs of definitions, and pump their connectors."""
    _run(lambda: _worker(target))


@app.command()
def dev(
    database: Annotated[
        Path | None, typer.Option(help="The server's file; in your data directory by default")
    ] = None,
    port: Annotated[int, typer.Option(help="For workers and clients")] = 7233,
    ui_port: Annotated[int, typer.Option(help="For browsers")] = 8233,
) -> None:
    """Run the embedded Temporal server with its UI, for development."""
    _run(lambda: _dev(database, port, ui_port))


@app.command()
def status() -> None:
    """Show how the pumps of every connector stand."""
    _run(_status)


def _run(command: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a command; what the user can mend is one line, anything else a traceback."""
    try:
        asyncio.run(command())
    except (PumphouseError, ValidationError) as error:
        typer.echo(f"pumphouse: {error if isinstance(error, PumphouseError) else describe(error)}", err=True)
        raise typer.Exit(1) from error


async def _worker(target: str) -> None:
    settings = WorkerSettings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    definitions = load_definitions(target)
    with telemetry() as interceptors:
        client = await connect(*interceptors)
        stop = stop_on_signals()
        names = ", ".join(definition.name for definition in definitions)
        address = client.service_client.config.target_host
        typer.echo(
            f"pumphouse: executing {names} at {address}, namespace {client.namespace}; stop with Ctrl-C"
        )
        await run_worker(client, definitions, settings, stop)


async def _dev(database: Path | None, port: int, ui_port: int) -> None:
    from pumphouse.worker.dev_server import default_database, dev_server  # noqa: PLC0415 - of an extra

    database = database or default_database()
    stop = stop_on_signals()
    async with dev_server(database, port=port, ui_port=ui_port) as server:
        typer.echo(f"Temporal server  {server.address}\nTemporal UI      {server.ui_url}")
        typer.echo(f"its data         {database}\nstop with Ctrl-C")
        await stop.wait()


async def _status() -> None:
    client = await connect()
    pumps = [
        pump async for supervisor in supervisors(client) for pump in await pump_statuses(client, supervisor)
    ]
    if pumps:
        console.print(_status_table(pumps))
    else:
        typer.echo("no connector is being pumped in this namespace")


def _status_table(pumps: list[PumpStatus]) -> Table:
    counters = ("received", "delivered", "skipped", "retried", "acked", "in flight")
    table = Table("connector", "shard", *counters, "lag", "source", "worker")
    for pump in pumps:
        stats = pump.stats
        counts = (
            *(stats.received, stats.delivered, stats.skipped),
            *(stats.retried, stats.acked, stats.in_flight),
        )
        lag = str(timedelta(seconds=round(stats.lag_seconds)))
        source = stats.source_error or "well"
        table.add_row(escape(pump.connector), stats.shard, *map(str, counts), lag, source, pump.worker)
    return table
