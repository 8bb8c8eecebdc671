import pytest

from pumphouse.activities.metrics import PumpMetrics
from tests.unit.activities.events import make_event
from tests.unit.activities.meters import Meters

EVENT = make_event(kind="payment.completed")
OF_EVENT = frozenset({("workflow", "orders"), ("connector", "payments"), ("event_type", "payment.completed")})
OF_SHARD = frozenset({("workflow", "orders"), ("connector", "payments"), ("shard", "1-of-2")})


def make_metrics(shard: str = "1-of-2") -> PumpMetrics:
    return PumpMetrics("orders", "payments", shard)


def test_an_event_received_is_counted(meters: Meters) -> None:
    make_metrics().received(EVENT)
    assert meters.read() == {"pumphouse.events.received": {OF_EVENT: 1}}


def test_an_event_skipped_is_counted_with_the_reason(meters: Meters) -> None:
    make_metrics().skipped(EVENT, "shard")
    assert meters.read() == {"pumphouse.events.skipped": {OF_EVENT | {("reason", "shard")}: 1}}


def test_a_further_attempt_is_counted(meters: Meters) -> None:
    make_metrics().retried(EVENT)
    assert meters.read() == {"pumphouse.events.retried": {OF_EVENT: 1}}


def test_an_event_given_up_is_counted(meters: Meters) -> None:
    make_metrics().dead_lettered(EVENT)
    assert meters.read() == {"pumphouse.events.dead_lettered": {OF_EVENT: 1}}


def test_an_event_parked_is_counted_with_how_it_stands(meters: Meters) -> None:
    metrics = make_metrics()
    for standing in ("waiting", "dead", "dead"):
        metrics.parked(EVENT, standing)
    assert meters.read() == {
        "pumphouse.events.parked": {
            OF_EVENT | {("standing", "waiting")}: 1,
            OF_EVENT | {("standing", "dead")}: 2,
        }
    }


def test_an_attempt_that_went_well_is_a_success_and_a_delivery(meters: Meters) -> None:
    make_metrics().succeeded(EVENT, 0.25)
    assert meters.read() == {
        "pumphouse.handler.duration": {OF_EVENT: 0.25},
        "pumphouse.handler.successes": {OF_EVENT: 1},
        "pumphouse.events.delivered": {OF_EVENT: 1},
    }


def test_an_attempt_that_failed_is_an_error_and_no_delivery(meters: Meters) -> None:
    make_metrics().failed(EVENT, 0.5)
    assert meters.read() == {
        "pumphouse.handler.duration": {OF_EVENT: 0.5},
        "pumphouse.handler.errors": {OF_EVENT: 1},
    }


def test_an_error_of_the_source_is_counted_for_the_shard(meters: Meters) -> None:
    make_metrics().source_failed()
    assert meters.read() == {"pumphouse.source.errors": {OF_SHARD: 1}}


@pytest.mark.parametrize("is_alert", [False, True])
def test_the_gauges_show_how_the_shard_stands(meters: Meters, *, is_alert: bool) -> None:
    metrics = make_metrics()
    metrics.observe(in_flight=64, lag_seconds=99.0, is_alert=not is_alert)
    metrics.observe(in_flight=3, lag_seconds=12.5, is_alert=is_alert)
    assert meters.read() == {
        "pumphouse.events.in_flight": {OF_SHARD: 3},
        "pumphouse.lag": {OF_SHARD: 12.5},
        "pumphouse.lag.alert": {OF_SHARD: int(is_alert)},
    }


def test_durations_and_lag_are_in_seconds(meters: Meters) -> None:
    metrics = make_metrics()
    metrics.succeeded(EVENT, 1.0)
    metrics.observe(in_flight=0, lag_seconds=1.0, is_alert=False)
    assert meters.units()["pumphouse.handler.duration"] == "s"
    assert meters.units()["pumphouse.lag"] == "s"


def test_event_types_are_counted_apart(meters: Meters) -> None:
    metrics = make_metrics()
    for kind in ("payment.completed", "payment.failed", "payment.failed"):
        metrics.received(make_event(kind=kind))
    counted = meters.read()["pumphouse.events.received"]
    assert sorted(counted.values()) == [1, 2]


def test_two_pumps_of_a_process_share_their_instruments(
    meters: Meters, caplog: pytest.LogCaptureFixture
) -> None:
    make_metrics("1-of-2").source_failed()
    make_metrics("2-of-2").source_failed()
    assert list(meters.read()["pumphouse.source.errors"].values()) == [1, 1]
    assert not caplog.records
