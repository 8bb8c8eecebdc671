from datetime import timedelta

import pytest

from pumphouse.activities.context import PumpContext
from pumphouse.activities.lease import LEASE_PER_TIMEOUT
from pumphouse.activities.shards import Shard
from pumphouse.activities.stats import PumpStats
from pumphouse.workflows.options import ConnectorOptions
from tests.unit.activities.clocks import Clock
from tests.unit.activities.meters import Meters
from tests.unit.activities.rigs import NEVER, make_context

SHARD = Shard(1, 3)
HEARTBEAT_TIMEOUT = timedelta(seconds=10)


def test_the_source_knows_a_pump_by_its_definition_connector_and_shard() -> None:
    assert make_context(shard=SHARD).consumer_name == "orders/payments/2-of-3"


def test_the_counters_of_an_earlier_pump_are_counted_on_for_this_shard() -> None:
    stats = PumpStats(shard="1-of-1", received=7)
    context = make_context(shard=SHARD, stats=stats)
    assert context.stats == PumpStats(shard="2-of-3", received=7)


def test_two_pumps_that_count_from_nothing_count_apart() -> None:
    first, second = (PumpContext("orders", "payments", SHARD, ConnectorOptions()) for _ in range(2))
    first.stats.received += 1
    first.stopping.set()
    assert second.stats.received == 0
    assert not second.is_stopped


def test_the_metrics_are_those_of_the_shard(meters: Meters) -> None:
    make_context(shard=SHARD).metrics.source_failed()
    (attributes,) = meters.read()["pumphouse.source.errors"]
    assert attributes == {("workflow", "orders"), ("connector", "payments"), ("shard", "2-of-3")}


def test_a_pump_is_stopped_once_it_is_told_so() -> None:
    context = make_context()
    assert not context.is_stopped
    context.stopping.set()
    assert context.is_stopped


def test_a_pump_is_stopped_once_its_lease_is_lost(clock: Clock) -> None:
    context = make_context(lease=NEVER)
    clock.pass_by(2 * NEVER)
    assert context.is_stopped
    assert not context.stopping.is_set()


@pytest.mark.parametrize(("part", "is_stopped"), [(0.9, False), (1.1, True)])
def test_a_lease_is_as_long_as_the_heartbeat_timeout_says(
    clock: Clock, part: float, *, is_stopped: bool
) -> None:
    options = ConnectorOptions(heartbeat_timeout=HEARTBEAT_TIMEOUT)
    context = PumpContext("orders", "payments", SHARD, options)
    clock.pass_by(part * LEASE_PER_TIMEOUT * HEARTBEAT_TIMEOUT)
    assert context.is_stopped is is_stopped
