from datetime import timedelta

import pytest

from pumphouse.activities import lease as lease_module
from pumphouse.activities.lease import LEASE_PER_TIMEOUT, Lease, LeaseLost
from pumphouse.activities.pump import BEATS_PER_TIMEOUT
from tests.unit.activities.clocks import StoppedClock

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    stopped = StoppedClock()
    monkeypatch.setattr(lease_module, "time", stopped)
    return stopped


def test_a_lease_holds_for_its_duration_and_no_longer(clock: StoppedClock) -> None:
    lease = Lease("orders/payments/1-of-1", 6 * SECOND)
    assert not lease.is_lost
    clock.pass_by(6 * SECOND)
    assert not lease.is_lost
    lease.check()
    clock.pass_by(timedelta(milliseconds=1))
    assert lease.is_lost


def test_a_lease_that_is_renewed_holds_on(clock: StoppedClock) -> None:
    lease = Lease("orders/payments/1-of-1", 6 * SECOND)
    for _ in range(5):
        clock.pass_by(4 * SECOND)
        assert lease.renew()
    clock.pass_by(6 * SECOND)
    assert not lease.is_lost


def test_a_lease_that_was_lost_stays_so(clock: StoppedClock) -> None:
    lease = Lease("orders/payments/1-of-1", 6 * SECOND)
    clock.pass_by(7 * SECOND)
    assert not lease.renew()
    assert lease.is_lost
    clock.pass_by(-7 * SECOND)
    assert lease.is_lost
    assert not lease.renew()


def test_a_lease_that_is_lost_refuses_by_the_name_of_its_consumer(clock: StoppedClock) -> None:
    lease = Lease("orders/payments/1-of-1", 6 * SECOND)
    lease.check()
    clock.pass_by(7 * SECOND)
    with pytest.raises(LeaseLost, match=r"^orders/payments/1-of-1: this process stood still for longer"):
        lease.check()


def test_a_lease_ends_before_temporal_gives_the_shard_away() -> None:
    # A heartbeat is renewed with each beat, and may lie for a beat's interval before it is sent.
    assert LEASE_PER_TIMEOUT + 1 / BEATS_PER_TIMEOUT < 1


def test_a_lease_outlasts_a_heartbeat_that_comes_late() -> None:
    assert LEASE_PER_TIMEOUT > 2 / BEATS_PER_TIMEOUT


def test_a_lost_lease_says_what_happened_and_what_comes_of_it() -> None:
    assert str(LeaseLost("orders/payments/1-of-1")) == (
        "orders/payments/1-of-1: this process stood still for longer than the heartbeat time-out allows, so "
        "another may have its shard; the call is not made, and the event is delivered again"
    )
