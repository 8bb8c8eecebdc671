"""The container files, as far as they can be judged without a container engine."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCKER_COMPOSE = Path(sys.executable).with_name("docker-compose")

EXACT_TAG = re.compile(
    r"^[a-z0-9./-]+:\d+\.\d+\.\d+$|^postgres:\d+\.\d+-[a-z]+$|^python:\d+\.\d+\.\d+-[a-z-]+$"
)


def docker_compose_config(*options: str, **environment: str) -> str:
    """Run `docker-compose config`, in no other environment than the one given."""
    # No .env file either: what somebody keeps there is not what is judged.
    command = [str(DOCKER_COMPOSE), "--env-file", os.devnull, "-f", "docker-compose.yml", "config", *options]
    result = subprocess.run(  # noqa: S603 - the venv's own program, and our arguments
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr, "compose warns"
    return result.stdout


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    config: dict[str, dict[str, dict[str, Any]]] = json.loads(docker_compose_config("--format", "json"))
    return config["services"]


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile and their arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def arguments_of(dockerfile: list[tuple[str, str]], instruction: str) -> list[str]:
    return [argument for name, argument in dockerfile if name == instruction]


def test_compose_accepts_the_file() -> None:
    docker_compose_config("-q")


@pytest.mark.parametrize(
    "image", ["postgres", "postgres:17", "postgres:latest", "temporalio/server:1.32", "python:3.12-slim"]
)
def test_a_tag_that_moves_is_not_exact(image: str) -> None:
    assert not EXACT_TAG.match(image)


def test_every_image_has_an_exact_tag(
    services: dict[str, dict[str, Any]], dockerfile: list[tuple[str, str]]
) -> None:
    pulled = {name: service["image"] for name, service in services.items() if "build" not in service}
    bases = [argument.partition(" AS ")[0] for argument in arguments_of(dockerfile, "FROM")]

    assert len(pulled) == len(services) - 1
    assert all(EXACT_TAG.match(image) for image in [*pulled.values(), *bases]), (pulled, bases)


def test_the_admin_tools_are_those_of_the_server(services: dict[str, dict[str, Any]]) -> None:
    tags = {
        service["image"].partition(":")[2]
        for service in services.values()
        if service.get("image", "").startswith(("temporalio/server:", "temporalio/admin-tools:"))
    }

    assert len(tags) == 1


def test_ports_are_open_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    addresses = {port["host_ip"] for service in services.values() for port in service.get("ports", [])}

    assert addresses == {"127.0.0.1"}


def test_services_wait_for_what_they_need(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed]
            else:
                assert how["condition"] == "service_completed_successfully"


def test_mounted_files_exist(services: dict[str, dict[str, Any]]) -> None:
    mounts = [
        mount
        for service in services.values()
        for mount in service.get("volumes", [])
        if mount["type"] == "bind"
    ]

    assert mounts
    assert all(Path(mount["source"]).is_file() and mount["read_only"] for mount in mounts)


def test_data_outlives_the_containers(services: dict[str, dict[str, Any]]) -> None:
    volumes = [mount["source"] for mount in services["postgres"]["volumes"] if mount["type"] == "volume"]

    assert volumes == ["postgres-data"]


def test_the_worker_has_the_time_to_drain(services: dict[str, dict[str, Any]]) -> None:
    seconds = re.fullmatch(r"(\d+)s", services["worker"]["stop_grace_period"])

    assert seconds
    assert int(seconds[1]) > 30  # a worker drains for 30 seconds, and compose's default is 10


def test_the_worker_runs_the_flights_or_what_it_is_told() -> None:
    def command(**environment: str) -> list[str]:
        config = json.loads(docker_compose_config("--format", "json", **environment))
        words: list[str] = config["services"]["worker"]["command"]
        return words

    assert command() == ["pumphouse", "worker", "examples.flights.flights:flights"]
    assert command(PUMPHOUSE_APP="shop:orders") == ["pumphouse", "worker", "shop:orders"]


def test_the_image_does_not_run_as_root(dockerfile: list[tuple[str, str]]) -> None:
    last_stage = max(index for index, (name, _) in enumerate(dockerfile) if name == "FROM")
    users = arguments_of(dockerfile[last_stage:], "USER")

    assert users
    assert int(users[-1].partition(":")[0]) > 0


def test_the_worker_gets_the_signal_to_stop(dockerfile: list[tuple[str, str]]) -> None:
    assert arguments_of(dockerfile, "STOPSIGNAL") == ["SIGTERM"]
    command: list[str] = json.loads(arguments_of(dockerfile, "CMD")[-1])  # a shell would keep the signal
    assert command[:2] == ["pumphouse", "worker"]


def test_the_image_takes_what_exists_and_is_not_ignored(dockerfile: list[tuple[str, str]]) -> None:
    ignore_file = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    let_in = {line.removeprefix("!") for line in ignore_file.splitlines() if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for argument in arguments_of(dockerfile, "COPY")
        if not argument.startswith("--from")
        for source in argument.split()[:-1]
    }

    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_installs_extras_that_exist(dockerfile: list[tuple[str, str]]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = {
        extra
        for argument in arguments_of(dockerfile, "RUN")
        for extra in re.findall(r"--extra (\S+)", argument)
    }

    assert installed == {"postgres", "cli", "otlp"}
    assert installed <= set(project["optional-dependencies"])
