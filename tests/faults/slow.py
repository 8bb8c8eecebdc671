"""A definition whose step never ends in the first process that runs it, for a test that kills it."""

import asyncio
import os
from datetime import timedelta
from enum import Enum
from pathlib import Path

from pydantic import BaseModel

from pumphouse.workflows import Run, Workflow

MARK = "SLOW_MARK"
"""The environment variable with the file that is there once the step has begun."""


class Status(Enum):
    """Where a job stands."""

    WAITING = "waiting"
    DONE = "done"


class Job(BaseModel):
    """What a run is about."""


jobs = Workflow("slow-jobs", Job, Status, task_queue="slow-jobs")


@jobs.step(Status.WAITING, to=[Status.DONE], heartbeat_timeout=timedelta(seconds=2))
async def work(_run: Run[Job, Status]) -> Status:
    """Stand still in the first attempt."""
    mark = Path(os.environ[MARK])
    if not mark.exists():
        mark.touch()
        await asyncio.Event().wait()
    return Status.DONE
