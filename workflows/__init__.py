"""Definitions of runs, and the calls on them."""

from pumphouse.workflows.api import API
from pumphouse.workflows.definition import Connector, Handler, Step, StepFunction, Workflow
from pumphouse.workflows.errors import (
    InvalidDefinition,
    InvalidForeignID,
    InvalidTransition,
    RunError,
    RunFinished,
    RunInProgress,
    RunNotFound,
    StatusNotReached,
    UnknownStatus,
)
from pumphouse.workflows.options import ConnectorOptions, StepOptions
from pumphouse.workflows.run import Run, RunState

__all__ = [
    "API",
    "Connector",
    "ConnectorOptions",
    "Handler",
    "InvalidDefinition",
    "InvalidForeignID",
    "InvalidTransition",
    "Run",
    "RunError",
    "RunFinished",
    "RunInProgress",
    "RunNotFound",
    "RunState",
    "StatusNotReached",
    "Step",
    "StepFunction",
    "StepOptions",
    "UnknownStatus",
    "Workflow",
]
