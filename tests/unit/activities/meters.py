"""What was measured through OpenTelemetry."""

from dataclasses import dataclass

from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric, NumberDataPoint


@dataclass(frozen=True)
class Meters:
    """Reads what the instruments show."""

    reader: InMemoryMetricReader

    def read(self) -> dict[str, dict[frozenset[tuple[str, object]], float]]:
        """For each instrument the value of each set of attributes: a counter's or histogram's sum."""
        return {metric.name: _values(metric) for metric in self._metrics()}

    def read_one(self, name: str) -> float:
        """The value of an instrument that was used with one set of attributes."""
        (value,) = self.read()[name].values()
        return value

    def units(self) -> dict[str, str | None]:
        return {metric.name: metric.unit for metric in self._metrics()}

    def _metrics(self) -> list[Metric]:
        data = self.reader.get_metrics_data()
        assert data
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        assert {scope.scope.name for scope in scopes} == {"pumphouse"}
        return [metric for scope in scopes for metric in scope.metrics]


def _values(metric: Metric) -> dict[frozenset[tuple[str, object]], float]:
    values: dict[frozenset[tuple[str, object]], float] = {}
    for point in metric.data.data_points:
        assert isinstance(point, HistogramDataPoint | NumberDataPoint)
        value = point.sum if isinstance(point, HistogramDataPoint) else point.value
        values[frozenset((point.attributes or {}).items())] = value
    return values
