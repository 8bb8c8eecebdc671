"""Runs the library's own parking lot and dead letters, as Temporal does, without Temporal.

Their code is what it is in production; only the module `temporalio.workflow` has a stand-in. An activation (a
start, a signal, an update, an activity's end) runs as one step, until all of the workflow's code waits.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.workflow import ActivityCancellationType

from tests.simulation.clock import CLOCK, EPOCH
from tests.simulation.loop import SimulatedLoop, World, make_process
from tests.simulation.network import DELAYS

Answered = Callable[[BaseException | None, Any], None]


@dataclass(eq=False)
class Execution:
    """One execution of a workflow."""

    host: "Host"
    workflow_id: str
    instance: Any
    loop: SimulatedLoop
    is_closed: bool = False
    handlers_under_way: int = 0
    conditions: list[tuple[Callable[[], bool], asyncio.Future[None]]] = field(
        default_factory=list[tuple[Callable[[], bool], asyncio.Future[None]]]
    )

    def start(self, argument: object) -> None:
        self.activate(lambda: self._spawn(self._run(argument)))

    def signal(self, handler: Callable[..., Any], *arguments: object) -> None:
        """Run a signal's handler."""
        self.activate(lambda: self._handle(handler, arguments, _ignore))

    def update(
        self,
        handler: Callable[..., Any],
        validator: Callable[..., None] | None,
        argument: object,
        answered: Answered | None = None,
    ) -> None:
        """Run an update's handler, unless its validator refuses the update.

        Raises:
            ApplicationError: the update is refused.
        """
        if validator:
            validator(argument)
        self.activate(lambda: self._handle(handler, (argument,), answered or _ignore))

    def activate(self, job: Callable[[], object]) -> None:
        """Run a job, and all that follows from it at once."""
        outer, self.host.current = self.host.current, self
        try:
            self.loop.call_soon(job)
            self.loop.run_now()
            while self._meet_conditions():
                self.loop.run_now()
        finally:
            self.host.current = outer

    def _meet_conditions(self) -> bool:
        met = [waiting for waiting in self.conditions if waiting[0]()]
        if not met:
            return False
        self.conditions = [waiting for waiting in self.conditions if waiting not in met]
        for _, future in met:
            if not future.done():
                future.set_result(None)
        return True

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.loop.create_task(coroutine)

    async def _run(self, argument: object) -> None:
        try:
            await self.instance.run(argument)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a workflow of ours never fails
            self.host.world.errors.append(f"workflow {self.workflow_id}: {type(error).__name__}: {error}")
        self.is_closed = True
        self.host.world.note(f"workflow {self.workflow_id} has ended")

    def _handle(self, handler: Callable[..., Any], arguments: tuple[object, ...], answered: Answered) -> None:
        answer = handler(*arguments)
        if asyncio.iscoroutine(answer):
            self.handlers_under_way += 1
            self._spawn(self._finish(answer, answered))
        else:
            answered(None, answer)

    async def _finish(self, answer: Awaitable[object], answered: Answered) -> None:
        answered(None, await answer)
        self.handlers_under_way -= 1


@dataclass
class Activity:
    """The handle of an activity, as a workflow holds it."""

    future: asyncio.Future[None]
    on_cancel: Callable[[], None] = lambda: None

    def done(self) -> bool:
        return self.future.done()

    def cancel(self) -> None:
        self.on_cancel()

    def __await__(self) -> Any:
        return self.future.__await__()


@dataclass
class Host:
    """All executions of a namespace."""

    world: World
    start_activity: Callable[[Execution, Any, timedelta, Any], Activity]
    current: Execution | None = None
    executions: dict[str, list[Execution]] = field(default_factory=dict[str, list[Execution]])

    def open_one(self, workflow_id: str) -> Execution | None:
        """The execution of that ID that is not closed."""
        past = self.executions.get(workflow_id)
        return past[-1] if past and not past[-1].is_closed else None

    def start(self, workflow_id: str, kind: type, argument: object) -> Execution:
        """Begin an execution."""
        self.world.note(f"workflow {workflow_id} starts")
        loop = make_process(self.world, workflow_id)
        loop.run_now()
        execution = Execution(self, workflow_id, kind(argument), loop)
        self.executions.setdefault(workflow_id, []).append(execution)
        execution.start(argument)
        return execution

    def find_signal(self, execution: Execution, name: str) -> Callable[..., Any]:
        """The method that is the handler of a signal."""
        handler: Callable[..., Any] = _signal_handler(execution.instance, name)
        return partial(handler, execution.instance)


def _signal_handler(instance: object, name: str) -> Any:
    key = "__temporal_signal_definition"
    for each in vars(type(instance)).values():
        if getattr(each, key, None) is not None and getattr(each, key).name == name:
            return each
    raise LookupError(name)


class WorkflowStandIn:
    """In place of the module `temporalio.workflow`, for the workflows that the host of a schedule runs."""

    logger = logging.getLogger(__name__)
    ActivityCancellationType = ActivityCancellationType

    def __init__(self) -> None:
        self.host: Host | None = None

    @property
    def _current(self) -> Execution:
        assert self.host
        assert self.host.current
        return self.host.current

    async def wait_condition(self, condition: Callable[[], bool]) -> None:
        execution = self._current
        future: asyncio.Future[None] = execution.loop.create_future()
        execution.conditions.append((condition, future))
        await future

    def all_handlers_finished(self) -> bool:
        return self._current.handlers_under_way == 0

    def info(self) -> "WorkflowStandIn":
        return self

    def is_continue_as_new_suggested(self) -> bool:
        return False

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=CLOCK.now)

    def payload_converter(self) -> "WorkflowStandIn":
        return self

    def to_payload(self, value: object) -> object:
        return value

    def from_payload(self, value: object, _kind: type) -> object:
        return value

    def start_activity(
        self, _name: str, argument: Any, *, start_to_close_timeout: timedelta, retry_policy: Any, **_: object
    ) -> Activity:
        execution = self._current
        return execution.host.start_activity(execution, argument, start_to_close_timeout, retry_policy)

    def get_external_workflow_handle(self, workflow_id: str) -> "ExternalWorkflow":
        return ExternalWorkflow(self._current, workflow_id)


@dataclass(frozen=True)
class ExternalWorkflow:
    """Another workflow, as seen from one."""

    sender: Execution
    workflow_id: str

    async def signal(self, name: str, *arguments: object) -> None:
        """Send a signal.

        Raises:
            ApplicationError: there is no such workflow.
        """
        future: asyncio.Future[None] = self.sender.loop.create_future()
        world = self.sender.host.world
        world.send(world.choices.pick(DELAYS), None, self._arrive, name, arguments, future)
        await future

    def _arrive(self, name: str, arguments: tuple[object, ...], future: asyncio.Future[None]) -> None:
        host = self.sender.host
        target = host.open_one(self.workflow_id)
        host.world.note(
            f"{self.sender.workflow_id} -> {self.workflow_id}: {name}{'' if target else ' (gone)'}"
        )
        if target:
            target.signal(host.find_signal(target, name), *arguments)
        error = None if target else ApplicationError(f"there is no workflow {self.workflow_id}")
        world = host.world
        world.send(world.choices.pick(DELAYS), None, self.sender.activate, lambda: _resolve(future, error))


def _resolve(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(None)


def _ignore(*_: object) -> None:
    pass


WORKFLOW = WorkflowStandIn()
