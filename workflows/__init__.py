"""Definitions of runs, and the calls on them."""

from pumphouse.workflows.api import API
from pumphouse.workflows.controls import ConnectorControls
from pumphouse.workflows.dead_letters import DeadLetters
from pumphouse.workflows.definition import Connector, Handler, Step, StepFunction, Workflow
from pumphouse.workflows.errors import (
    ConnectorNotFound,
    ControlError,
    ControlRefused,
    ControlTimeout,
    DeadLetterNotFound,
    DeadLetterRefused,
    DeadLetterTimeout,
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
from pumphouse.workflows.messages import Change, ConnectorRecord, ConnectorState, ControlAnswer
from pumphouse.workflows.options import ConnectorOptions, StepOptions
from pumphouse.workflows.run import Run, RunState
from pumphouse.workflows.trace import Trace, TracedCall, Tracer

__all__ = [
    "API",
    "Change",
    "Connector",
    "ConnectorControls",
    "ConnectorNotFound",
    "ConnectorOptions",
    "ConnectorRecord",
    "ConnectorState",
    "ControlAnswer",
    "ControlError",
    "ControlRefused",
    "ControlTimeout",
    "DeadLetterNotFound",
    "DeadLetterRefused",
    "DeadLetterTimeout",
    "DeadLetters",
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
    "Trace",
    "TracedCall",
    "Tracer",
    "UnknownStatus",
    "Workflow",
]
