"""What a pump shows through OpenTelemetry; nothing leaves the process unless a meter provider is set."""

from collections.abc import Mapping
from typing import TypeAlias

from opentelemetry import metrics

from pumphouse.connectors.event import ConnectorEvent

Attributes: TypeAlias = Mapping[str, str]


class PumpMetrics:
    """The instruments of one pump, with the attributes workflow, connector and event type.

    The gauges have the shard in place of the event type.
    """

    def __init__(self, definition: str, connector: str, shard: str) -> None:
        """Take the instruments from the global meter provider."""
        meter = metrics.get_meter("pumphouse")
        self._base = {"workflow": definition, "connector": connector}
        self._shard = {**self._base, "shard": shard}
        self._received = meter.create_counter("pumphouse.events.received", "{event}", "Taken from the source")
        self._delivered = meter.create_counter("pumphouse.events.delivered", "{event}", "Handled to the end")
        self._retried = meter.create_counter("pumphouse.events.retried", "{attempt}", "Handled once more")
        self._skipped = meter.create_counter("pumphouse.events.skipped", "{event}", "Acked unhandled")
        self._dead_lettered = meter.create_counter("pumphouse.events.dead_lettered", "{event}", "Given up")
        self._parked = meter.create_counter("pumphouse.events.parked", "{event}", "Set aside in Temporal")
        self._successes = meter.create_counter("pumphouse.handler.successes", "{attempt}", "Without error")
        self._errors = meter.create_counter("pumphouse.handler.errors", "{attempt}", "With an error")
        self._duration = meter.create_histogram("pumphouse.handler.duration", "s", "Of one attempt")
        self._source_errors = meter.create_counter("pumphouse.source.errors", "{error}", "Of the source")
        self._lag = meter.create_gauge("pumphouse.lag", "s", "Age of the oldest unfinished event")
        self._lag_alert = meter.create_gauge("pumphouse.lag.alert", "1", "1 while the lag is above its limit")
        self._in_flight = meter.create_gauge("pumphouse.events.in_flight", "{event}", "Received, not acked")

    def received(self, event: ConnectorEvent) -> None:
        """An event came from the source."""
        self._received.add(1, self._of(event))

    def skipped(self, event: ConnectorEvent, reason: str) -> None:
        """An event is acked without being handled."""
        self._skipped.add(1, {**self._of(event), "reason": reason})

    def dead_lettered(self, event: ConnectorEvent) -> None:
        """An event was given up."""
        self._dead_lettered.add(1, self._of(event))

    def parked(self, event: ConnectorEvent, standing: str) -> None:
        """An event was set aside in Temporal."""
        self._parked.add(1, {**self._of(event), "standing": standing})

    def retried(self, event: ConnectorEvent) -> None:
        """An event is handled once more, after an error."""
        self._retried.add(1, self._of(event))

    def succeeded(self, event: ConnectorEvent, seconds: float) -> None:
        """An attempt ended well, and with it the event."""
        self._duration.record(seconds, self._of(event))
        self._successes.add(1, self._of(event))
        self._delivered.add(1, self._of(event))

    def failed(self, event: ConnectorEvent, seconds: float) -> None:
        """An attempt ended with an error."""
        self._duration.record(seconds, self._of(event))
        self._errors.add(1, self._of(event))

    def source_failed(self) -> None:
        """The source could not be read, or not be told of an ack."""
        self._source_errors.add(1, self._shard)

    def observe(self, *, in_flight: int, lag_seconds: float, is_alert: bool) -> None:
        """Show how the pump stands."""
        self._in_flight.set(in_flight, self._shard)
        self._lag.set(lag_seconds, self._shard)
        self._lag_alert.set(int(is_alert), self._shard)

    def _of(self, event: ConnectorEvent) -> Attributes:
        return {**self._base, "event_type": event.type}
