"""The demo: a Temporal server, a database, a feeder and a worker, and what they make of a day's flights.

    python -m examples.flights.demo [--keep]

It exits 0 only if the totals are those of the real day.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.client import Client

from examples.flights.feeder import create_table
from examples.flights.flights import FlightStatus
from examples.flights.progress import ENDS, EVENTS_OF_THE_DAY, FLIGHTS_OF_THE_DAY, Progress, read_progress
from pumphouse.worker.dev_server import dev_server
from pumphouse.worker.process import stop_on_signals

PATIENCE = timedelta(minutes=1)
"""How long nothing may change before the demo gives up."""
GLANCE = timedelta(milliseconds=500)
"""How often it looks."""

console = Console()


@asynccontextmanager
async def running(
    *arguments: str, environ: Mapping[str, str], log: Path
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a Python program beside this one; at the end of the block it is told to stop, and awaited."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env={**os.environ, **environ}, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def watch(client: Client, engine: AsyncEngine, worker: asyncio.subprocess.Process) -> None:
    """Show how the day goes on, until it is over, or the worker is, or nothing moves any more."""
    begun = moved = time.monotonic()
    before: tuple[object, ...] = ()
    with Live(console=console, transient=True) as live:
        while worker.returncode is None and time.monotonic() - moved < PATIENCE.total_seconds():
            progress = await read_progress(client, engine)
            live.update(live_table(progress, time.monotonic() - begun))
            if not progress.differences:
                return
            now = (progress.written, progress.acked, progress.runs, progress.closed)
            if now != before:
                before, moved = now, time.monotonic()
            await asyncio.sleep(GLANCE.total_seconds())


def live_table(progress: Progress, seconds: float) -> Table:
    """What the demo shows while the day goes on."""
    pump = progress.pump
    table = Table("events", "", "runs", "")
    events = {
        "received": f"{pump.received} of {EVENTS_OF_THE_DAY}",
        "acked": str(progress.acked),
        "in flight": str(pump.in_flight),
        "lag": f"{pump.lag_seconds:.1f} s",
        "a second": f"{progress.acked / max(seconds, 1):.0f}",
    }
    runs = {status.name: str(count) for status, count in progress.runs.items()}
    rows = max(len(events), len(runs))
    for left, right in zip(padded(events, rows), padded(runs, rows), strict=True):
        table.add_row(*left, *right)
    return table


def padded(cells: Mapping[str, str], rows: int) -> list[tuple[str, str]]:
    """Pairs of cells, filled up with empty ones."""
    return [*cells.items(), *[("", "")] * (rows - len(cells))]


def totals_table(progress: Progress) -> Table:
    """What came of the day, beside what it was."""
    table = Table("", "here", "the real day", title="8 February 2013")
    table.add_row("events written", str(progress.written), str(EVENTS_OF_THE_DAY))
    table.add_row("events acked", str(progress.acked), str(EVENTS_OF_THE_DAY))
    table.add_row("runs ended", str(progress.closed), str(FLIGHTS_OF_THE_DAY))
    for status in FlightStatus:
        table.add_row(f"runs {status.name}", str(progress.runs[status]), str(ENDS.get(status, 0)))
    return table


async def play(directory: Path, client: Client, address: str) -> Progress:
    """Feed the day and pump it, and return where it stands when it is over."""
    url = f"sqlite+aiosqlite:///{directory / 'flights.db'}"
    environ = {"FLIGHTS_DATABASE_URL": url, "TEMPORAL_ADDRESS": address}
    engine = create_async_engine(url)
    try:
        await create_table(engine)
        feeder = running("-m", "examples.flights.feeder", environ=environ, log=directory / "feeder.log")
        worker_arguments = ("-m", "pumphouse.worker", "worker", "examples.flights.flights:flights")
        worker_log = directory / "worker.log"
        async with feeder, running(*worker_arguments, environ=environ, log=worker_log) as worker:
            await watch(client, engine, worker)
        # What counts is what is stored, now that nobody works on it.
        return await read_progress(client, engine)
    finally:
        await engine.dispose()


async def demo(*, keep: bool) -> int:
    """Play the day once.

    Args:
        keep: whether the server stays up afterwards, until Ctrl-C.

    Returns:
        The exit status.
    """
    stop = stop_on_signals()
    with tempfile.TemporaryDirectory(prefix="pumphouse-demo-") as name:
        directory = Path(name)
        async with dev_server(log_level="never") as server:
            console.print(f"Temporal server [bold]{server.address}[/], UI [bold]{server.ui_url}[/]")
            playing = asyncio.create_task(play(directory, server.client, server.address))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                playing.cancel()
            progress = (await asyncio.gather(playing))[0]
            console.print(totals_table(progress))
            for difference in progress.differences:
                console.print(f"[red]wrong: {difference}[/]")
            if progress.differences:
                console.print((directory / "worker.log").read_text()[-4000:], markup=False)
            if keep:
                console.print(f"the server stays up for a look at [bold]{server.ui_url}[/]; Ctrl-C ends it")
                await stop.wait()
            return 1 if progress.differences else 0


def main() -> None:
    """Play the demo, and leave with its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the server up afterwards, until Ctrl-C")
    status = asyncio.run(demo(keep=parser.parse_args().keep))
    sys.stdout.flush()
    # The Temporal SDK may crash when the interpreter is torn down (sdk-python issue 300).
    os._exit(status)


if __name__ == "__main__":
    main()
