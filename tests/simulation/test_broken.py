"""The simulation's teeth: each way to break the pump is found out within a bounded number of schedules."""

import pytest

from tests.simulation.broken import BREAKS, Break
from tests.simulation.campaign import find

ENOUGH = 1_000


@pytest.mark.parametrize("how", BREAKS, ids=str)
def test_a_broken_pump_is_found_out(how: Break) -> None:
    with how.broken():
        seed = find(how.promise, range(ENOUGH))
    assert seed is not None, f"{how}: {ENOUGH} schedules have not shown it"
    print(f"{how}: found by seed {seed}")  # noqa: T201 - how sharp the teeth are
