"""What travels between the API, the machine and the functions, and is therefore stored in histories.

Plain dataclasses, so that every data converter that can do JSON takes them. Fields may be added with a
default; none may be renamed or removed, since stored histories hold them. Statuses travel by their Enum
name, the user's object as opaque JSON, durations in seconds.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pumphouse.workflows.run import RunState

DEFAULT_REMEMBERED_REQUESTS = 1000
"""How many request IDs a run remembers whose definition, or whose history, does not say."""
MAX_REFUSALS = 50
"""How many refusals a run keeps, and how many of earlier runs."""


@dataclass(frozen=True)
class Refusal:
    """A change of status that the graph did not allow, as the run recorded it."""

    status: str
    at_status: str
    request_id: str
    time: datetime

    @property
    def reason(self) -> str:
        """Why, as the caller is told."""
        return f"from {self.at_status} no update leads to {self.status}"


@dataclass(frozen=True)
class StatusUpdate:
    """Asks a run to change its status; the argument of the signal and of the update."""

    status: str
    request_id: str


@dataclass
class Record:
    """A run as the machine knows it: its answer to the query, and its result."""

    foreign_id: str
    run_id: str
    object: Any
    status: str
    run_state: str
    version: int
    created_at: datetime
    updated_at: datetime
    visited: list[str] = field(default_factory=list[str])
    """Every status that the run has been at, in order of the first time."""
    refused: list[Refusal] = field(default_factory=list[Refusal])
    """The newest refusals; the oldest fall out."""
    refused_before: list[Refusal] = field(default_factory=list[Refusal])
    """The newest refusals of earlier runs of the foreign ID; what comes again is refused again."""
    applied: list[str] = field(default_factory=list[str])
    """The request IDs already answered, newest last, those of earlier runs among them; the oldest fall out.

    Told in the answer to the query and in the result only: steps and continuations go without.
    """


@dataclass
class Continuation:
    """What an execution hands to the next of its chain."""

    record: Record
    inbox: list[StatusUpdate] = field(default_factory=list[StatusUpdate])
    applied: list[str] = field(default_factory=list[str])
    """Request IDs already answered, oldest first."""


@dataclass(frozen=True)
class MachineInput:
    """The argument of a run; `continuation` is set from the second execution of the chain on."""

    foreign_id: str
    object: Any
    status: str
    continuation: Continuation | None = None
    applied: list[str] = field(default_factory=list[str])
    """The request IDs that earlier runs of the foreign ID have answered, newest last."""
    refused: list[Refusal] = field(default_factory=list[Refusal])
    """What those runs have refused."""
    remembered_requests: int = DEFAULT_REMEMBERED_REQUESTS

    def record(self, run_id: str, start_time: datetime) -> Record:
        """The run as it begins, or goes on, with this argument."""
        if self.continuation:
            return self.continuation.record
        return Record(
            foreign_id=self.foreign_id,
            run_id=run_id,
            object=self.object,
            status=self.status,
            run_state=RunState.RUNNING.value,
            version=1,
            created_at=start_time,
            updated_at=start_time,
            visited=[self.status],
            refused_before=self.refused,
        )


@dataclass(frozen=True)
class StepPlan:
    """The step of a status: which activity, and how Temporal is to retry it."""

    activity: str
    timeout_seconds: float
    backoff_seconds: float
    max_backoff_seconds: float
    heartbeat_seconds: float | None = None
    """Not told by histories of earlier versions."""


@dataclass(frozen=True)
class PlanRequest:
    """Asks what there is to do at a status."""

    definition: str
    status: str


@dataclass(frozen=True)
class Plan:
    """What there is to do at a status, as the graph said when the run entered it."""

    status: str
    terminal: bool
    search_attributes: bool
    """Whether the server knows the search attributes; an unknown one would stop the run."""
    step: StepPlan | None = None
    external: list[str] = field(default_factory=list[str])
    """The statuses that `update_status` may lead to."""


@dataclass(frozen=True)
class StepInput:
    """The argument of a step's activity."""

    record: Record


@dataclass(frozen=True)
class StepResult:
    """The answer of a step's activity: the next status, and the object as the step left it."""

    status: str
    object: Any


@dataclass(frozen=True)
class ConnectorSettings:
    """What the supervisor has to know of a connector's options."""

    shard_count: int
    heartbeat_timeout_seconds: float


@dataclass(frozen=True)
class SupervisorInput:
    """The argument of a supervisor; `settings` are those its pumps ran with last, if any did."""

    definition: str
    connector: str
    pump_task_queue: str
    settings: ConnectorSettings | None = None
    wanted: ConnectorSettings | None = None
    """The settings of the worker that started last; not set at the first execution of the chain."""


DRY_RUN_ON = "dry run on"
DRY_RUN_OFF = "dry run off"


class ConnectorState(StrEnum):
    """Whether a connector is pumped."""

    RUNNING = "running"  #: its pumps run
    PAUSED = "paused"  #: somebody has paused it: no pump runs, or those that do are ending
    STOPPED = "stopped"  #: the same, by a `stop`, which is answered when the pumps have ended


@dataclass(frozen=True)
class Change:
    """What somebody, or the machinery by itself, did to a connector or to a parked event."""

    what: str
    """`paused`, `resumed`, `stopped`, `seek POSITION`, `dry run on`, `dry run off`; or a `Standing`."""
    by: str
    time: datetime
    reason: str = ""


@dataclass(frozen=True)
class ConnectorRecord:
    """How a connector is to be pumped, and who said so; kept in the memo of its supervisor."""

    state: ConnectorState = ConnectorState.RUNNING
    dry_run: bool = False
    changes: list[Change] = field(default_factory=list[Change])
    """The newest changes, newest last; the oldest fall out."""

    @property
    def is_plain(self) -> bool:
        """Whether the connector runs as it does when nobody has touched it."""
        return self.state is ConnectorState.RUNNING and not self.dry_run


@dataclass(frozen=True)
class ControlRequest:
    """Asks a supervisor for a change; the argument of its updates."""

    by: str
    reason: str = ""


@dataclass(frozen=True)
class SeekRequest(ControlRequest):
    """Asks for the pumps to go on at a position."""

    position: str = ""


@dataclass(frozen=True)
class DryRunRequest(ControlRequest):
    """Asks for the dry run to begin or to end."""

    on: bool = False


@dataclass(frozen=True)
class ControlAnswer:
    """What became of a request to a supervisor."""

    record: ConnectorRecord
    """The connector as it stands after the request."""
    changed: bool
    """Whether the request has changed it; not, if it stood so already."""


@dataclass(frozen=True)
class PumpInput:
    """The argument of a pump: its shard of a connector."""

    definition: str
    connector: str
    shard_index: int
    shard_count: int
    dry_run: bool = False
    """Whether the handler's calls are recorded instead of sent, and nothing is acked."""


@dataclass(frozen=True)
class SeekInput:
    """The argument of the activity that sets the positions of a connector's shards."""

    definition: str
    connector: str
    shard_count: int
    position: str


@dataclass(frozen=True)
class ReshardInput:
    """The argument of the activity that moves the positions of a connector's shards."""

    definition: str
    connector: str
    shard_count: int
    previous_shard_count: int | None = None
