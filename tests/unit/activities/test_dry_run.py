"""What the heartbeat of a dry run shows."""

import logging

import pytest

from pumphouse.activities.dry_run import MAX_SHOWN, DryRun
from pumphouse.activities.stats import PumpStats
from pumphouse.workflows.dry_run import RecordedCall


def test_the_heartbeat_shows_the_newest_calls_and_the_log_all(caplog: pytest.LogCaptureFixture) -> None:
    stats = PumpStats()
    dry = DryRun("orders/payments/1-of-1", stats)
    with caplog.at_level(logging.INFO):
        for number in range(MAX_SHOWN + 2):
            dry.note(RecordedCall("signal_workflow_execution", f"orders/{number}", "update_status", "PAID"))

    calls = [
        f"signal_workflow_execution orders/{number} update_status PAID" for number in range(MAX_SHOWN + 2)
    ]
    assert stats.dry_run_calls == calls[2:]
    assert caplog.messages == [
        f"connector orders/payments/1-of-1, dry run, not sent: {call}" for call in calls
    ]


def test_a_heartbeat_that_was_made_is_not_changed_by_a_later_call() -> None:
    stats = PumpStats()
    dry = DryRun("orders/payments/1-of-1", stats)
    dry.note(RecordedCall("start_workflow_execution", "orders/1"))
    beat = stats.dry_run_calls
    dry.note(RecordedCall("start_workflow_execution", "orders/2"))

    assert beat == ["start_workflow_execution orders/1"]
