"""Breaks everything that can break, again and again, and tells what came of it:

    make faults

The environment decides: MINUTES (10), EVENTS (20000), SEED (random). The exit status is 1 if a promise was
broken.
"""

import asyncio
import logging
import os
import random
import signal
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from tests.faults.injections import FAULTS
from tests.faults.report import print_report
from tests.faults.trial import Plan, Report, Trial, stage

FOREIGN_IDS = 500
LOAD_SHARE = 0.85
"""The part of the time in which events are written and faults injected; the rest is for the settling."""

console = Console(soft_wrap=True)


async def main() -> int:
    """Run one trial as the environment says, and print what came of it; the exit status."""
    minutes = float(os.environ.get("MINUTES") or 10)
    events = int(os.environ.get("EVENTS") or 20_000)
    seed = int(os.environ.get("SEED") or random.randrange(1_000_000))  # noqa: S311 - no secret
    console.print(f"MINUTES={minutes:g} EVENTS={events} SEED={seed}")
    plan = Plan(
        name=f"faults-{seed}",
        seed=seed,
        events=events,
        foreign_ids=min(FOREIGN_IDS, events // 10),
        duration=timedelta(minutes=minutes * LOAD_SHARE),
        faults=FAULTS,
    )
    directory = Path(tempfile.mkdtemp(prefix="pumphouse-faults-"))
    console.print(f"logs: {directory}")
    logging.basicConfig(
        filename=directory / "faults.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    begun = time.monotonic()
    report = await _play(plan, directory)
    print_report(console, report)
    console.print(f"{(time.monotonic() - begun) / 60:.1f} minutes")
    return 1 if report.violations else 0


async def _play(plan: Plan, directory: Path) -> Report:
    """Play the plan; SIGTERM and SIGINT end it, and every process that it has started."""
    playing = asyncio.current_task()
    assert playing is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    async with stage(directory) as servers:
        return await Trial(plan, servers).run()


if __name__ == "__main__":
    status = asyncio.run(main())
    sys.stdout.flush()
    # The Temporal SDK may crash when the interpreter is torn down (sdk-python issue 300).
    os._exit(status)
