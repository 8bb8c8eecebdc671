"""How the state of a connector is told."""

from datetime import UTC, datetime

import pytest

from pumphouse.worker.status import show
from pumphouse.workflows import Change, ConnectorRecord, ConnectorState

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PAUSED = Change("paused", "ann", NOON, "lunch")
PAUSED_AGAIN = Change("paused", "bob", NOON)
DRY = Change("dry run on", "eve", NOON, "a try")


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (ConnectorRecord(), "running"),
        (ConnectorRecord(changes=[PAUSED]), "running"),
        (
            ConnectorRecord(ConnectorState.PAUSED, changes=[PAUSED, DRY]),
            "paused by ann at 2026-11-23 12:00:00 UTC (lunch)",
        ),
        (
            ConnectorRecord(ConnectorState.PAUSED, changes=[PAUSED, PAUSED_AGAIN]),
            "paused by bob at 2026-11-23 12:00:00 UTC",
        ),
        (ConnectorRecord(ConnectorState.STOPPED, changes=[PAUSED]), "stopped"),
        (
            ConnectorRecord(ConnectorState.STOPPED, dry_run=True, changes=[DRY]),
            "stopped; dry run on by eve at 2026-11-23 12:00:00 UTC (a try)",
        ),
    ],
)
def test_a_state_is_told_with_its_author_as_far_as_the_changes_reach(
    record: ConnectorRecord, told: str
) -> None:
    assert show(record) == told


@pytest.mark.parametrize(
    ("record", "is_plain"),
    [
        (ConnectorRecord(changes=[PAUSED]), True),
        (ConnectorRecord(dry_run=True), False),
        (ConnectorRecord(ConnectorState.PAUSED), False),
        (ConnectorRecord(ConnectorState.STOPPED), False),
    ],
)
def test_only_a_connector_that_runs_and_sends_is_plain(record: ConnectorRecord, *, is_plain: bool) -> None:
    assert record.is_plain is is_plain
