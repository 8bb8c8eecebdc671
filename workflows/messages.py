"""What travels between the API, the machine and the functions, and is therefore stored in histories.

Plain dataclasses, so that every data converter that can do JSON takes them. Fields may be added with a
default; none may be renamed or removed, since stored histories hold them. Statuses travel by their Enum
name, the user's object as opaque JSON, durations in seconds.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pumphouse.workflows.run import RunState


@dataclass(frozen=True)
class Refusal:
    """A change of status that the graph did not allow, as the run recorded it."""

    status: str
    at_status: str
    request_id: str
    time: datetime


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
        )


@dataclass(frozen=True)
class StepPlan:
    """The step of a status: which activity, and how Temporal is to retry it."""

    activity: str
    timeout_seconds: float
    backoff_seconds: float
    max_backoff_seconds: float


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


@dataclass(frozen=True)
class PumpInput:
    """The argument of a pump: its shard of a connector."""

    definition: str
    connector: str
    shard_index: int
    shard_count: int


@dataclass(frozen=True)
class ReshardInput:
    """The argument of the activity that moves the positions of a connector's shards."""

    definition: str
    connector: str
    shard_count: int
    previous_shard_count: int | None = None
