from importlib.metadata import EntryPoint

import pytest
from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.trace import TracerProvider
from temporalio.contrib.opentelemetry import TracingInterceptor

from pumphouse.connectors import MissingExtra, PumphouseError
from pumphouse.worker import telemetry as telemetry_module
from pumphouse.worker.telemetry import as_reader, exporters_of, telemetry


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What was set up, in place of the global providers, which can be set once in a process."""
    found: dict[str, object] = {}

    def set_meter_provider(provider: MeterProvider) -> None:
        found["metrics"] = provider

    def set_tracer_provider(provider: TracerProvider) -> None:
        found["traces"] = provider

    monkeypatch.setattr(metrics, "set_meter_provider", set_meter_provider)
    monkeypatch.setattr(trace, "set_tracer_provider", set_tracer_provider)
    return found


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "shop"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_set_up_unless_it_is_asked_for(
    environ: dict[str, str], providers: dict[str, object]
) -> None:
    with telemetry(environ) as interceptors:
        assert interceptors == []
    assert providers == {}


def test_each_signal_has_the_exporters_that_are_named(providers: dict[str, object]) -> None:
    environ = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console, none"}

    with telemetry(environ) as interceptors:
        assert [type(interceptor) for interceptor in interceptors] == [TracingInterceptor]
    assert set(providers) == {"metrics", "traces"}


def test_an_endpoint_of_one_signal_switches_that_one_on(providers: dict[str, object]) -> None:
    with telemetry({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}) as interceptors:
        assert len(interceptors) == 1
    assert set(providers) == {"traces"}


@pytest.mark.parametrize(
    ("protocol", "module"),
    [("grpc", "otlp.proto.grpc"), ("http/protobuf", "otlp.proto.http")],
)
def test_the_protocol_chooses_the_otlp_exporter(protocol: str, module: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}

    (make,) = exporters_of("TRACES", environ)

    assert module in make.__module__


def test_an_exporter_that_nobody_offers_is_named() -> None:
    with pytest.raises(PumphouseError, match=r"OTEL_TRACES_EXPORTER.*'pigeon'"):
        exporters_of("TRACES", {"OTEL_TRACES_EXPORTER": "pigeon"})


def test_missing_otlp_exporters_are_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_installed(group: str, name: str) -> list[EntryPoint]:
        return []

    monkeypatch.setattr(telemetry_module, "entry_points", none_installed)

    with pytest.raises(MissingExtra, match="otlp"):
        exporters_of("METRICS", {"OTEL_METRICS_EXPORTER": "otlp"})


def test_a_reader_is_taken_as_it_is() -> None:
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter())

    assert as_reader(lambda: reader) is reader
    reader.shutdown()
