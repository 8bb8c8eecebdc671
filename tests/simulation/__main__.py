"""`python -m tests.simulation SEED` tells what happens in a schedule, and shrinks it if it fails.

`python -m tests.simulation` looks for one that fails, for as long as `SECONDS` says (default 60).
"""

import os
import sys
import time

from tests.simulation.campaign import explain, run_side_by_side

PROCESSES = 2


def main() -> int:
    """Run the command."""
    if len(sys.argv) > 1:
        print(explain(int(sys.argv[1])))  # noqa: T201 - it is what the command is for
        return 0
    first = int(os.environ.get("SEED", "0"))
    begun = time.monotonic()
    count, failures = run_side_by_side(first, float(os.environ.get("SECONDS", "60")), 1 << 40, PROCESSES)
    rate = count / (time.monotonic() - begun) * 60
    print(f"{count} schedules from seed {first} on, {rate:,.0f} a minute, {len(failures)} failed")  # noqa: T201 - as above
    for failure in failures:
        print(failure)  # noqa: T201 - as above
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
