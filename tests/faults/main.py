"""Breaks everything that can break, again and again, and tells what came of it:

    make faults

First it measures how fast shards come back when workers are killed and stopped, and nothing else is the
matter; then comes everything at once. The environment decides: MINUTES (10), EVENTS (20000), SEED (random).
The exit status is 1 if a promise was broken.
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

from tests.faults.injections import FAULTS, KILL, STOP
from tests.faults.report import print_report
from tests.faults.trial import Plan, Trial, stage

FOREIGN_IDS = 500
RECOVERY_SHARE = 0.15
"""The part of the time in which recovery is measured."""
LOAD_SHARE = 0.7
"""The part in which events are written and all faults injected; the rest is for the settling."""
RECOVERY_EVENTS_PER_SECOND = 10
"""So few that no shard waits for its machine."""

console = Console(soft_wrap=True)


async def main() -> int:
    """Run one trial as the environment says, and print what came of it; the exit status."""
    minutes = float(os.environ.get("MINUTES") or 10)
    events = int(os.environ.get("EVENTS") or 20_000)
    seed = int(os.environ.get("SEED") or random.randrange(1_000_000))  # noqa: S311 - no secret
    console.print(f"MINUTES={minutes:g} EVENTS={events} SEED={seed}")
    directory = Path(tempfile.mkdtemp(prefix="pumphouse-faults-"))
    console.print(f"logs: {directory}")
    logging.basicConfig(
        filename=directory / "faults.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    begun = time.monotonic()
    _end_on_signals()
    violations = 0
    async with stage(directory) as servers:
        for plan in _recovery_plan(minutes, seed), _storm_plan(minutes, seed, events):
            report = await Trial(plan, servers).run()
            console.rule(plan.name)
            print_report(console, report)
            violations += len(report.violations)
    console.print(f"{(time.monotonic() - begun) / 60:.1f} minutes, {violations} violations in all")
    return 1 if violations else 0


def _recovery_plan(minutes: float, seed: int) -> Plan:
    duration = timedelta(minutes=minutes * RECOVERY_SHARE)
    events = round(duration.total_seconds() * RECOVERY_EVENTS_PER_SECOND)
    return Plan(
        name=f"recovery-{seed}",
        seed=seed,
        events=events,
        foreign_ids=max(events // 10, 1),
        duration=duration,
        faults=[KILL, STOP],
        storm_share=0.0,
        misdelivery_rate=0.0,
        poison_share=0.0,
        has_recovery_limits=True,
    )


def _storm_plan(minutes: float, seed: int, events: int) -> Plan:
    return Plan(
        name=f"faults-{seed}",
        seed=seed,
        events=events,
        foreign_ids=max(min(FOREIGN_IDS, events // 10), 1),
        duration=timedelta(minutes=minutes * LOAD_SHARE),
        faults=FAULTS,
    )


def _end_on_signals() -> None:
    """Let SIGTERM and SIGINT end the trials, and every process that they have started."""
    playing = asyncio.current_task()
    assert playing is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)


if __name__ == "__main__":
    status = asyncio.run(main())
    sys.stdout.flush()
    # The Temporal SDK may crash when the interpreter is torn down (sdk-python issue 300).
    os._exit(status)
