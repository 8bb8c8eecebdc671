"""OpenTelemetry, as the standard `OTEL_*` settings say; without them nothing is set up."""

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from temporalio.client import Interceptor
from temporalio.contrib.opentelemetry import TracingInterceptor

from pumphouse.connectors.errors import MissingExtra, PumphouseError

_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


@contextmanager
def telemetry(environ: Mapping[str, str] = os.environ) -> Generator[list[Interceptor]]:
    """Set up what the environment asks for, and send what is left at the end of the block.

    Args:
        environ: the `OTEL_*` settings: an OTLP endpoint switches both signals on, and so does naming an
            exporter in `OTEL_TRACES_EXPORTER` or `OTEL_METRICS_EXPORTER`.

    Yields:
        The interceptors that the Temporal client needs for tracing.

    Raises:
        MissingExtra: the exporters of the `otlp` extra are not installed.
        PumphouseError: an exporter is not known.
    """
    resource = Resource.create({} if "OTEL_SERVICE_NAME" in environ else {SERVICE_NAME: "pumphouse"})
    interceptors: list[Interceptor] = []
    with ExitStack() as stack:
        if readers := [as_reader(make) for make in exporters_of("METRICS", environ)]:
            meter_provider = MeterProvider(metric_readers=readers, resource=resource)
            stack.callback(meter_provider.shutdown)
            metrics.set_meter_provider(meter_provider)
        if exporters := [make() for make in exporters_of("TRACES", environ)]:
            tracer_provider = TracerProvider(resource=resource)
            stack.callback(tracer_provider.shutdown)
            for exporter in exporters:
                tracer_provider.add_span_processor(BatchSpanProcessor(exporter))
            trace.set_tracer_provider(tracer_provider)
            interceptors.append(TracingInterceptor())
        yield interceptors


def as_reader(make: Callable[[], Any]) -> MetricReader:
    """What an entry point makes: a reader already (Prometheus), or an exporter to be called now and then."""
    made = make()
    return made if isinstance(made, MetricReader) else PeriodicExportingMetricReader(made)


def exporters_of(signal: str, environ: Mapping[str, str]) -> list[Callable[[], Any]]:
    """The exporters of a signal, as OpenTelemetry's packages register them."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    default = "otlp" if any(environ.get(name) for name in endpoints) else "none"
    wanted = environ.get(f"OTEL_{signal}_EXPORTER") or default
    exporter_names = [name.strip() for name in wanted.split(",")]
    return [_load(signal, name, environ) for name in exporter_names if name != "none"]


def _load(signal: str, name: str, environ: Mapping[str, str]) -> Callable[[], Any]:
    is_otlp = name == "otlp"
    if is_otlp:
        protocols = (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocol = next((environ[key] for key in protocols if environ.get(key)), "grpc")
        name = _PROTOCOLS.get(protocol, protocol)
    found = list(entry_points(group=f"opentelemetry_{signal.lower()}_exporter", name=name))
    if found:
        make: Callable[[], Any] = found[0].load()
        return make
    if is_otlp and name in _PROTOCOLS.values():
        raise MissingExtra("opentelemetry-exporter-otlp", "otlp")
    raise PumphouseError(f"OTEL_{signal}_EXPORTER: no installed package offers an exporter {name!r}")
