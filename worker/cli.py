"""The command `pumphouse`; its functions say what to do, the modules beside this one how."""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pumphouse.activities.failures import printable
from pumphouse.worker import control_commands, dead_letter_commands, trace_command
from pumphouse.worker.definitions import load_definitions
from pumphouse.worker.process import run_worker, stop_on_signals
from pumphouse.worker.settings import WorkerSettings, connect
from pumphouse.worker.status import PumpStatus, connector_status, supervisors
from pumphouse.worker.telemetry import telemetry
from pumphouse.worker.terminal import console, run

app = typer.Typer(
    help="Connects event streams to Temporal, whose address is in TEMPORAL_ADDRESS or Temporal's profiles.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(control_commands.app)
app.add_typer(dead_letter_commands.app, name="dlq")
app.add_typer(trace_command.app)


@app.command()
def worker(
    target: Annotated[str, typer.Argument(help="MODULE:ATTRIBUTE, a Workflow or a list of them")],
) -> None:
    """Execute the runs of definitions, and pump their connectors."""
    run(lambda: _worker(target))


@app.command()
def dev(
    database: Annotated[
        Path | None, typer.Option(help="The server's file; in your data directory by default")
    ] = None,
    port: Annotated[int, typer.Option(help="For workers and clients")] = 7233,
    ui_port: Annotated[int, typer.Option(help="For browsers")] = 8233,
) -> None:
    """Run the embedded Temporal server with its UI, for development."""
    run(lambda: _dev(database, port, ui_port))


@app.command()
def status() -> None:
    """Show how the pumps of every connector stand."""
    run(_status)


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
    found = [await connector_status(client, supervisor) async for supervisor in supervisors(client)]
    connectors = [connector for connector in found if connector]
    pumps = [pump for connector in connectors for pump in connector.pumps]
    controlled = [connector for connector in connectors if not connector.record.is_plain]
    if pumps:
        console.print(_status_table(pumps))
    for pump in pumps:
        for line in pump.stats.failing:
            typer.echo(printable(f"{pump.connector} {pump.stats.shard}: {line}"))
    for connector in controlled:
        typer.echo(printable(connector))
        for call in (call for pump in connector.pumps for call in pump.stats.dry_run_calls):
            typer.echo(printable(f"  not sent: {call}"))
    if not pumps and not controlled:
        typer.echo("no connector is being pumped in this namespace")


def _status_table(pumps: list[PumpStatus]) -> Table:
    counters = ("received", "delivered", "skipped", "retried", "parked", "acked", "in flight")
    table = Table("connector", "shard", *counters, "lag", "source", "worker")
    for pump in pumps:
        stats = pump.stats
        counts = (
            *(stats.received, stats.delivered, stats.skipped),
            *(stats.retried, stats.parked, stats.acked, stats.in_flight),
        )
        lag = str(timedelta(seconds=round(stats.lag_seconds)))
        source = stats.source_error or "well"
        row = (pump.connector, stats.shard, *counts, lag, source, pump.worker)
        table.add_row(*(escape(printable(cell)) for cell in row))
    return table
