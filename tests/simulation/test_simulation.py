"""Runs schedules: `SCHEDULES` says how many, `SEED` where they begin.

`python -m tests.simulation SEED` tells what happens in one.
"""

import os
import time

from tests.simulation.campaign import explain, run_side_by_side

SCHEDULES = int(os.environ.get("SCHEDULES", "40000"))
SEED = int(os.environ.get("SEED", "0"))
SECONDS = 16.0 if "SCHEDULES" not in os.environ else 86_400.0
PROCESSES = 2


def test_every_schedule_keeps_the_promises() -> None:
    begun = time.monotonic()
    count, failures = run_side_by_side(SEED, SECONDS, SCHEDULES, PROCESSES)
    rate = count / (time.monotonic() - begun) * 60
    print(f"{count} schedules from seed {SEED} on, {rate:,.0f} a minute")  # noqa: T201 - how much it has proved
    assert count > 0
    assert not failures, f"{failures[0]}\n{explain(failures[0].seed)}"
