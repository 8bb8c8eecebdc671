"""Where the worker connects to, and how it runs: from the environment."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from temporalio.client import Client, Interceptor
from temporalio.envconfig import ClientConfig

from pumphouse.connectors.errors import PumphouseError

CONNECT_TIMEOUT = timedelta(seconds=10)
DEFAULT_ADDRESS = "localhost:7233"


class NoServer(PumphouseError):
    """No Temporal server answers at the address."""

    def __init__(self, address: str, reason: object) -> None:
        """Say which address was tried, and how to start a server."""
        super().__init__(
            f"no Temporal server answers at {address} ({reason}). Start one with 'pumphouse dev' or "
            "'docker compose up', or set TEMPORAL_ADDRESS to where it is."
        )


def _read_seconds(value: object) -> object:
    """Read a plain number as seconds: the environment has but text, of which Pydantic makes no number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Duration = Annotated[timedelta, BeforeValidator(_read_seconds), Field(gt=timedelta(0))]


class WorkerSettings(BaseSettings):
    """How the worker process runs; each field from `PUMPHOUSE_` and its name in capitals.

    Durations are seconds or ISO 8601 (`PT30S`).
    """

    model_config = SettingsConfigDict(env_prefix="PUMPHOUSE_")

    drain_timeout: Duration = timedelta(seconds=10)
    """How long handlers and steps under way may take to end when the worker stops."""
    max_concurrent_steps: int = Field(default=100, ge=1)
    """How many steps run at once."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """From which level on the worker logs."""


async def connect(*interceptors: Interceptor) -> Client:
    """Connect to Temporal as its own settings say: `TEMPORAL_ADDRESS`, profiles, TLS, API key.

    Args:
        interceptors: of the client, and of workers made with it.

    Raises:
        NoServer: nothing answers there.
    """
    config = ClientConfig.load_client_connect_config()
    address = config.setdefault("target_host", DEFAULT_ADDRESS)
    try:
        return await Client.connect(**config, interceptors=interceptors, connect_timeout=CONNECT_TIMEOUT)
    except RuntimeError as error:
        raise NoServer(address, error) from error
