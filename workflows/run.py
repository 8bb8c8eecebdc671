"""A run: one execution of a definition for one foreign ID, as users see it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Generic, TypeVar

from pydantic import BaseModel

ObjectT = TypeVar("ObjectT", bound=BaseModel)
StatusT = TypeVar("StatusT", bound=Enum)


class RunState(Enum):
    """How far a run has come, whatever its statuses mean."""

    INITIATED = "Initiated"  #: accepted by Temporal, not yet begun
    RUNNING = "Running"  #: at work, or waiting for its next change of status
    COMPLETED = "Completed"  #: reached a status that leads nowhere
    CANCELLED = "Cancelled"  #: ended before that; Temporal shows Canceled


@dataclass
class Run(Generic[ObjectT, StatusT]):
    """A run, at the moment it was read.

    A step may change `object` in place: what it leaves there is kept when the step answers.
    """

    foreign_id: str
    run_id: str
    """The first execution run ID of the Temporal chain: it stays when the run continues as new."""
    object: ObjectT
    status: StatusT
    run_state: RunState
    version: int
    """1 at the start, and one more with each change of status."""
    created_at: datetime
    updated_at: datetime
