"""Fixtures of the tests of the activities."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from pumphouse.activities import lease
from tests.unit.activities.clocks import Clock
from tests.unit.activities.meters import Meters


@pytest.fixture
def meters(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meters]:
    """What was measured in this test; the global meter provider is left alone, as it can be set only once."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr("opentelemetry.metrics.get_meter", provider.get_meter)
    yield Meters(reader)
    provider.shutdown()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all leases."""
    chosen = Clock()
    monkeypatch.setattr(lease, "time", chosen)
    return chosen
