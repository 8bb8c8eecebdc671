"""What the harness tells its worker processes, by their environment."""

from enum import StrEnum
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

CONNECTOR = "moves"
EVENTS_TABLE = "{name}_events"
CURSORS_TABLE = "{name}_cursors"
HEARTBEAT_SECONDS = 3.0


class Break(StrEnum):
    """How a pump can be broken on purpose, for the checker to find it out."""

    ACK_BEFORE_CALL = "ack-before-call"  #: an event is acked as soon as it is received
    TWO_SHARDS = "two-shards"  #: every event is taken by the shard beside its own, too
    NO_DEDUPE = "no-dedupe"  #: request IDs are random, within a handling too


class AppSettings(BaseSettings):
    """The settings of `tests.faults.app`; each field from `FAULTS_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="FAULTS_")

    name: str
    """Of the definition and its task queue; the tables' names begin with it."""
    database_url: str
    directory: Path
    """Where the journal and the armed points lie."""
    seed: int = 0
    shard_count: int = 2
    audits: int = 0
    """How many statuses this version of the graph has between CLOSING and CLOSED."""
    twice_rate: float = 0.0
    """The share of events that the source delivers twice."""
    late_rate: float = 0.0
    """The share of events that the source delivers late."""
    broken: Break | None = None

    @property
    def events_table(self) -> str:
        """The table that the source reads."""
        return EVENTS_TABLE.format(name=self.name)

    @property
    def cursors_table(self) -> str:
        """The table of the positions."""
        return CURSORS_TABLE.format(name=self.name)

    def environ(self) -> dict[str, str]:
        """The environment that makes these settings."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {f"FAULTS_{field.upper()}": str(value) for field, value in values.items()}
