"""A definition: the statuses, the functions and the connectors of one kind of run, as data."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeAlias, Unpack

from temporalio.client import Client

from pumphouse.connectors.contract import ConnectorConstructor
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows.api import API
from pumphouse.workflows.errors import InvalidDefinition
from pumphouse.workflows.graph import EdgeKind, Graph
from pumphouse.workflows.messages import DEFAULT_REMEMBERED_REQUESTS
from pumphouse.workflows.options import (
    DEFAULT_TASK_QUEUE,
    ConnectorKeywords,
    ConnectorOptions,
    StepOptions,
    is_async,
)
from pumphouse.workflows.run import ObjectT, Run, StatusT
from pumphouse.workflows.schema import RunSchema

StepFunction: TypeAlias = Callable[[Run[ObjectT, StatusT]], Awaitable[StatusT]]
"""Does the work of a status, and answers with the next one."""

Handler: TypeAlias = Callable[[API[ObjectT, StatusT], ConnectorEvent], Awaitable[None]]
"""Handles an event of a connector: triggers or updates runs."""


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Step(Generic[ObjectT, StatusT]):
    """The step of a status."""

    status: StatusT
    function: StepFunction[ObjectT, StatusT]
    to: Sequence[StatusT]
    options: StepOptions


@dataclass(frozen=True)
class Connector(Generic[ObjectT, StatusT]):
    """A connector of a definition, with its handler."""

    name: str
    constructor: ConnectorConstructor
    handler: Handler[ObjectT, StatusT]
    options: ConnectorOptions


class Workflow(Generic[ObjectT, StatusT]):
    """A definition of runs, each of which takes an object from status to status.

    A run begins at the start status and ends at one that nothing leads on from.
    """

    def __init__(
        self,
        name: str,
        object_type: type[ObjectT],
        status_type: type[StatusT],
        *,
        start_at: StatusT | None = None,
        task_queue: str = DEFAULT_TASK_QUEUE,
        remembered_requests: int = DEFAULT_REMEMBERED_REQUESTS,
    ) -> None:
        """Declare a definition; its steps, transitions and connectors follow.

        Args:
            name: the workflow type in Temporal, and the first part of every workflow ID.
            object_type: the Pydantic model that a run carries.
            status_type: the Enum of the statuses; Temporal sees its members' names.
            start_at: where runs begin; the first member of the Enum if not given.
            task_queue: the Temporal task queue whose workers execute the runs.
            remembered_requests: how many status updates a run remembers, those of earlier runs of its
                foreign ID among them, so that one which is delivered again is known; 35 bytes each in the
                run's input and result, which Temporal limits to 2 MB. It holds for runs that are triggered
                from now on.

        Raises:
            InvalidDefinition: the name cannot be one, there is no starting status, or nothing is remembered.
        """
        if not _NAME.fullmatch(name) or name == "pumphouse" or name.startswith("pumphouse."):
            raise InvalidDefinition(
                name,
                "the name must consist of letters, digits, '.', '_' and '-', and pumphouse itself is taken",
            )
        if not len(status_type):
            raise InvalidDefinition(name, f"no starting status: {status_type.__name__} has no members")
        if remembered_requests < 1:
            raise InvalidDefinition(
                name, f"remembered_requests must be at least 1, not {remembered_requests}"
            )
        self._schema = RunSchema(name, object_type, status_type, task_queue, remembered_requests)
        self._start = next(iter(status_type)) if start_at is None else start_at
        self._graph = Graph([status.name for status in status_type], self._schema.status_name(self._start))
        self._steps: dict[str, Step[ObjectT, StatusT]] = {}
        self._connectors: dict[str, Connector[ObjectT, StatusT]] = {}

    @property
    def name(self) -> str:
        """The name, which is the workflow type in Temporal."""
        return self._schema.name

    @property
    def task_queue(self) -> str:
        """The Temporal task queue whose workers execute the runs."""
        return self._schema.task_queue

    @property
    def schema(self) -> RunSchema[ObjectT, StatusT]:
        """The types of the runs, and how they are written as JSON."""
        return self._schema

    @property
    def graph(self) -> Graph:
        """The statuses and the changes between them."""
        return self._graph

    @property
    def steps(self) -> Sequence[Step[ObjectT, StatusT]]:
        """The steps, in order of declaration."""
        return tuple(self._steps.values())

    @property
    def connectors(self) -> Sequence[Connector[ObjectT, StatusT]]:
        """The connectors, in order of declaration."""
        return tuple(self._connectors.values())

    def step(
        self,
        status: StatusT,
        to: Sequence[StatusT],
        *,
        timeout: timedelta = StepOptions.timeout,
        heartbeat_timeout: timedelta = StepOptions.heartbeat_timeout,
        error_backoff: timedelta = StepOptions.error_backoff,
        max_backoff: timedelta = StepOptions.max_backoff,
    ) -> Callable[[StepFunction[ObjectT, StatusT]], StepFunction[ObjectT, StatusT]]:
        """Declare the decorated function as the step of a status; see `add_step`."""
        options = StepOptions(
            timeout=timeout,
            heartbeat_timeout=heartbeat_timeout,
            error_backoff=error_backoff,
            max_backoff=max_backoff,
        )

        def decorate(function: StepFunction[ObjectT, StatusT]) -> StepFunction[ObjectT, StatusT]:
            self.add_step(status, function, to, options)
            return function

        return decorate

    def add_step(
        self,
        status: StatusT,
        function: StepFunction[ObjectT, StatusT],
        to: Sequence[StatusT],
        options: StepOptions | None = None,
    ) -> None:
        """Declare the step of a status: what is done there, as a Temporal activity.

        It is repeated, after a back-off, until it answers with one of the statuses in `to`.

        Args:
            status: where it is done.
            function: the coroutine function that does it.
            to: the statuses that it may answer with.
            options: its time-out and back-off.

        Raises:
            InvalidDefinition: the status has a step already, or `to` is empty, or it is not async.
            UnknownStatus: a status is none of the definition's.
        """
        name = self._schema.status_name(status)
        if name in self._steps:
            raise InvalidDefinition(self.name, f"status {name} has a step already")
        self._require_coroutine(function, f"the step of {name}")
        self._add_edges(EdgeKind.STEP, status, to)
        self._steps[name] = Step(status, function, tuple(to), options or StepOptions())

    def allow(self, status: StatusT, *to: StatusT) -> None:
        """Allow the changes that `update_status` makes from a status.

        Args:
            status: from where.
            to: where each change leads.

        Raises:
            InvalidDefinition: no target is given.
            UnknownStatus: a status is none of the definition's.
        """
        self._add_edges(EdgeKind.EXTERNAL, status, to)

    def connector(
        self, name: str, constructor: ConnectorConstructor, **options: Unpack[ConnectorKeywords]
    ) -> Callable[[Handler[ObjectT, StatusT]], Handler[ObjectT, StatusT]]:
        """Declare the decorated function as the handler of a connector; see `add_connector`."""
        connector_options = ConnectorOptions(**options)

        def decorate(handler: Handler[ObjectT, StatusT]) -> Handler[ObjectT, StatusT]:
            self.add_connector(name, constructor, handler, connector_options)
            return handler

        return decorate

    def add_connector(
        self,
        name: str,
        constructor: ConnectorConstructor,
        handler: Handler[ObjectT, StatusT],
        options: ConnectorOptions | None = None,
    ) -> None:
        """Let a connector deliver its events to a handler.

        The name is part of the consumer name in the source, and of every request ID: a new name reads the
        source anew.

        Args:
            name: unique in the definition.
            constructor: makes the consumers.
            handler: the coroutine function that handles an event; its error means "again, after a back-off".
            options: how its pumps behave.

        Raises:
            InvalidDefinition: the name is used twice or cannot be one, or the handler is not async.
        """
        if not _NAME.fullmatch(name):
            raise InvalidDefinition(
                self.name, f"connector name {name!r} must consist of letters, digits, '.', '_' and '-'"
            )
        if name in self._connectors:
            raise InvalidDefinition(self.name, f"connector {name!r} is declared twice")
        self._require_coroutine(handler, f"the handler of connector {name!r}")
        self._connectors[name] = Connector(name, constructor, handler, options or ConnectorOptions())

    def find_step(self, status_name: str) -> Step[ObjectT, StatusT] | None:
        """The step of the status with that name, if it has one."""
        return self._steps.get(status_name)

    def validate(self) -> None:
        """Check the graph as a whole; `bind` and the worker do it.

        Raises:
            InvalidDefinition: nothing leads on from the start, or a status cannot be reached.
        """
        if self._graph.is_terminal(self._graph.start):
            raise InvalidDefinition(
                self.name, f"nothing leads on from the starting status {self._graph.start}"
            )
        if unreachable := self._graph.unreachable():
            raise InvalidDefinition(
                self.name,
                f"no path leads from {self._graph.start} to {', '.join(unreachable)}: "
                "declare a step or a transition (allow) that does, or remove the status",
            )

    def bind(self, client: Client) -> API[ObjectT, StatusT]:
        """The calls on this definition's runs, over a Temporal client.

        Raises:
            InvalidDefinition: the graph is not whole; see `validate`.
        """
        self.validate()
        return API(self._schema, self._start, client)

    def _add_edges(self, kind: EdgeKind, status: StatusT, to: Sequence[StatusT]) -> None:
        origin = self._schema.status_name(status)
        if not to:
            raise InvalidDefinition(self.name, f"{kind.value} transition from {origin} leads nowhere")
        self._graph.add(kind, origin, [self._schema.status_name(target) for target in to])

    def _require_coroutine(self, function: Callable[..., Any], what: str) -> None:
        if not is_async(function):
            raise InvalidDefinition(self.name, f"{what} must be an async function, not {function!r}")
