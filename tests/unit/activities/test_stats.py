import dataclasses
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pumphouse.activities.stats import PumpStats, read_stats

counters = st.integers(0, 10**12)
all_stats = st.builds(
    PumpStats,
    received=counters,
    delivered=counters,
    acked=counters,
    lag_seconds=st.floats(0, 1e9),
    last_event_id=st.text(),
    source_error=st.text(),
)


def detail_of(stats: PumpStats) -> dict[str, Any]:
    """What the next pump gets as its heartbeat detail: the JSON that Temporal has kept."""
    return dict(json.loads(json.dumps(dataclasses.asdict(stats))))


@given(all_stats)
def test_stats_are_read_as_they_were_told(stats: PumpStats) -> None:
    assert read_stats(detail_of(stats)) == stats


@given(all_stats, st.sampled_from([field.name for field in dataclasses.fields(PumpStats)]))
def test_a_field_that_an_older_version_lacks_is_as_at_a_start(stats: PumpStats, missing: str) -> None:
    detail = detail_of(stats)
    del detail[missing]
    at_start = getattr(PumpStats(), missing)
    assert read_stats(detail) == dataclasses.replace(stats, **{missing: at_start})


def test_a_detail_without_any_field_is_a_start() -> None:
    assert read_stats({}) == PumpStats()


def test_a_field_that_only_a_newer_version_knows_is_left_out() -> None:
    detail = {"received": 7, "postponed": 3, "by_type": {"order.created": 1}}
    assert read_stats(detail) == PumpStats(received=7)
