# The worker, with the examples. Another project's worker: FROM this, or `pip install pumphouse` in its own.

FROM python:3.12.14-slim-trixie AS build

# uv, since pip refuses a local project beside constraints that carry hashes.
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/pumphouse
WORKDIR /src
RUN uv venv "$VIRTUAL_ENV"

# The dependencies in a layer of their own: a change of our code does not install them again.
COPY requirements/dev.txt requirements/
COPY pyproject.toml ./
RUN uv pip install --constraint requirements/dev.txt \
    --requirement pyproject.toml --extra postgres --extra cli --extra otlp

COPY LICENSE README.md ./
COPY connectors/ connectors/
COPY workflows/ workflows/
COPY activities/ activities/
COPY worker/ worker/
RUN uv pip install --no-deps .


FROM python:3.12.14-slim-trixie

RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin pumphouse
COPY --from=build /opt/pumphouse /opt/pumphouse
# Only the examples: the folders of the package, importable by their bare names, would be second modules.
WORKDIR /app
COPY examples/ examples/
ENV PATH=/opt/pumphouse/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1

# By number, so that Kubernetes can check `runAsNonRoot`.
USER 10001:10001
# What makes the worker drain: it must reach the worker itself, hence the exec form below.
STOPSIGNAL SIGTERM
CMD ["pumphouse", "worker", "examples.flights.flights:flights"]
