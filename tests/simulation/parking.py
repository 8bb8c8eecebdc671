"""Where events are parked: parking lot, dead letters, and the worker that hands them to the handler."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, FailureError, RetryState

from pumphouse.activities.failures import chain
from pumphouse.activities.retry import is_hopeless
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows import names
from pumphouse.workflows.dead_letter import DeadLetter
from pumphouse.workflows.parked import (
    DeadLetterInput,
    Decision,
    ParkingLotInput,
    PlaceRequest,
    RedriveFailure,
    RedriveInput,
    Standing,
)
from pumphouse.workflows.parking_lot import ParkingLot
from pumphouse.workflows.requests import handling
from tests.simulation.loop import SimulatedLoop, World, make_process
from tests.simulation.network import DELAYS, Link
from tests.simulation.plan import Plan
from tests.simulation.workflows import WORKFLOW, Activity, Execution, Host

DEFINITION, CONNECTOR = "orders", "payments"
LOT = names.parking_lot_workflow_id(DEFINITION, CONNECTOR)
MAX_PARKED = 100


@dataclass
class ParkingHouse:
    """The server's side of parking."""

    world: World
    plan: Plan
    make_handler: Callable[[SimulatedLoop], Callable[[ConnectorEvent], Awaitable[None]]]
    on_letter: Callable[[], None]
    """Is told of each dead letter that is made."""
    host: Host = field(init=False)
    given_up: set[str] = field(default_factory=set[str])
    """The IDs of the events that were dead (if that lets the later ones pass) or discarded at some time."""
    workers: list[SimulatedLoop] = field(default_factory=list[SimulatedLoop])

    def __post_init__(self) -> None:
        self.host = WORKFLOW.host = Host(self.world, self._start_redrive)
        self.restart_worker()

    # What pumps ask for

    def parked_foreign_ids(self) -> set[str]:
        lot = self.host.open_one(LOT)
        return set(lot.instance.parked()) if lot else set()

    def holds(self, foreign_id: str) -> bool:
        lot = self.host.open_one(LOT)
        return lot is not None and lot.instance.holds(foreign_id)

    def place(self, request: PlaceRequest) -> None:
        lot = self.host.open_one(LOT) or self.host.start(
            LOT, ParkingLot, ParkingLotInput(DEFINITION, CONNECTOR)
        )
        lot.update(lot.instance.place, lot.instance._has_room, request, lambda _error, _answer: None)

    def put(self, letter: DeadLetterInput) -> None:
        workflow_id = _letter_id(letter.parked.event_id)
        if not self.host.open_one(workflow_id):
            self.host.start(workflow_id, DeadLetter, letter)
            self.on_letter()

    # What is asked about it

    @property
    def letters(self) -> list[Execution]:
        """All dead letters, closed ones too."""
        return [
            execution
            for workflow_id, executions in self.host.executions.items()
            if workflow_id != LOT
            for execution in executions
        ]

    @property
    def open_letters(self) -> list[Execution]:
        return [letter for letter in self.letters if not letter.is_closed]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing goes on here before somebody decides."""
        if not self.host.executions:
            return True
        open_ones = self.open_letters
        if any(_standing(letter) == Standing.RETRYING or letter.instance._decision for letter in open_ones):
            return False
        dead = {_foreign_id(letter) for letter in open_ones if _standing(letter) == Standing.DEAD}
        return all(_standing(letter) == Standing.DEAD or _foreign_id(letter) in dead for letter in open_ones)

    def was_parked(self, event_id: str) -> bool:
        return _letter_id(event_id) in self.host.executions

    def holds_up(self, foreign_id: str) -> list[int]:
        """The numbers of the events that the later ones of their foreign ID wait for."""
        lot = self.host.open_one(LOT)
        queued = lot.instance._queues.get(foreign_id) if lot else None
        if not queued:
            return []
        excused = self.excused()
        return [
            int(event_id)
            for event_id in queued
            if event_id.isdigit() and event_id not in excused and self.host.open_one(_letter_id(event_id))
        ]

    def excused(self) -> set[str]:
        """The IDs of the events that need not be applied in order, or at all."""
        excuses = (
            {Standing.DISCARDED}
            if self.plan.options.order == "strict"
            else {Standing.DISCARDED, Standing.DEAD}
        )
        return {
            letter.instance.record().parked.event_id
            for letter in self.letters
            for standing in [letter.instance._start.standing, *_changes(letter)]
            if standing in excuses
        }

    # What somebody decides

    def redrive(self) -> None:
        """Redrive the first dead letter that may be redriven."""
        self._decide("redrive", lambda letter: (letter.instance.redrive, letter.instance._may_redrive))

    def discard(self, *, only_dead: bool = False) -> bool:
        """Discard a parked event; whether there was one."""
        return self._decide(
            "discard",
            lambda letter: (letter.instance.discard, letter.instance._may_discard),
            only_dead=only_dead,
        )

    def _decide(
        self,
        what: str,
        methods: Callable[[Execution], tuple[Callable[..., object], Callable[..., None]]],
        *,
        only_dead: bool = False,
    ) -> bool:
        for letter in self.open_letters:
            if only_dead and _standing(letter) != Standing.DEAD:
                continue
            try:
                letter.update(*methods(letter), Decision("somebody"))
            except ApplicationError:
                continue
            self.world.note(f"somebody: {what} {letter.workflow_id}")
            return True
        return False

    # The worker of parked events

    def restart_worker(self) -> None:
        """Kill the process that hands parked events to the handler, and begin another."""
        for worker in self.workers[-1:]:
            worker.kill()
        self.workers.append(make_process(self.world, f"redriver-{len(self.workers) + 1}"))

    def _start_redrive(
        self, execution: Execution, request: RedriveInput, timeout: timedelta, policy: RetryPolicy
    ) -> Activity:
        redrive = Redrive(self, execution, request, timeout.total_seconds(), policy)
        redrive.begin()
        return redrive.activity


@dataclass(eq=False)
class Redrive:
    """An activity that hands a parked event to the handler, tried by Temporal as its policy says."""

    house: ParkingHouse
    execution: Execution
    request: RedriveInput
    timeout: float
    policy: RetryPolicy
    attempt: int = 0
    ended: int = 0
    is_cancelled: bool = False
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.worker = self.house.workers[-1]
        self.activity = Activity(self.execution.loop.create_future(), self._cancel)

    def begin(self) -> None:
        """Begin an attempt."""
        if self.is_cancelled:
            return
        self.attempt += 1
        world = self.house.world
        attempt = self.attempt
        worker = self.worker = self.house.workers[-1]
        world.send(world.choices.pick(DELAYS), worker, self._run, worker, attempt)
        world.send(self.timeout, None, self._end, attempt, RedriveFailure(["timed out"], attempt), False)  # noqa: FBT003 - a callback's arguments

    def _run(self, worker: SimulatedLoop, attempt: int) -> None:
        self.task = worker.create_task(self._hand_over(worker, attempt))

    async def _hand_over(self, worker: SimulatedLoop, attempt: int) -> None:
        world, options = self.house.world, self.house.plan.options
        failure, is_final = None, False
        assert options.handler_timeout
        try:
            event = ConnectorEvent.model_validate(self.request.parked.event)
            with handling(DEFINITION, CONNECTOR, event.id):
                async with asyncio.timeout(options.handler_timeout.total_seconds()):
                    await self.house.make_handler(worker)(event)
        except asyncio.CancelledError:
            failure = RedriveFailure(["cancelled"], attempt)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a handler may raise anything
            failure, is_final = RedriveFailure(chain(error), attempt), is_hopeless(error, options)
        world.send(world.choices.pick(DELAYS), None, self._end, attempt, failure, is_final)

    def _end(self, attempt: int, failure: RedriveFailure | None, is_final: bool) -> None:  # noqa: FBT001 - a callback
        """Take an attempt's end, unless it has ended otherwise before."""
        if attempt != self.attempt or attempt == self.ended:
            return
        self.ended = attempt
        if failure is None:
            self.execution.activate(lambda: self.activity.future.set_result(None))
        elif self.is_cancelled or is_final or attempt >= (self.request.max_attempts or attempt + 1):
            self._fail(
                CancelledError() if self.is_cancelled else ApplicationError(failure.errors[0], failure)
            )
        else:
            self.house.world.send(self._backoff(), None, self.begin)

    def _fail(self, cause: FailureError) -> None:
        error = _activity_error(cause)
        self.execution.activate(lambda: self.activity.future.set_exception(error))

    def _backoff(self) -> float:
        policy = self.policy
        assert policy.maximum_interval
        wait = policy.initial_interval.total_seconds() * policy.backoff_coefficient ** (self.attempt - 1)
        return min(wait, policy.maximum_interval.total_seconds())

    def _cancel(self) -> None:
        """Ask the attempt to end; where none is under way, the activity ends at once."""
        if self.is_cancelled:
            return
        self.is_cancelled = True
        world = self.house.world
        world.send(world.choices.pick(DELAYS), None, self._deliver_cancellation)

    def _deliver_cancellation(self) -> None:
        if self.activity.done():
            return
        if self.attempt == self.ended:
            self._fail(CancelledError())
        elif self.task and not self.task.done():
            self.house.world.send(0, self.worker, self.task.cancel)


def _activity_error(cause: FailureError) -> ActivityError:
    error = ActivityError(
        "failed",
        scheduled_event_id=1,
        started_event_id=1,
        identity="",
        activity_type="",
        activity_id="",
        retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
    )
    error.__cause__ = cause
    return error


@dataclass(frozen=True)
class ParkingFrom:
    """The parking house, as one pump's process sees it."""

    house: ParkingHouse
    process: SimulatedLoop
    link: Link
    note_send: Callable[[], None]

    async def foreign_ids(self) -> set[str]:
        return await self.link.request(self.process, "what is parked", self.house.parked_foreign_ids)

    async def holds(self, foreign_id: str) -> bool:
        what = f"is {foreign_id} parked"
        return await self.link.request(self.process, what, lambda: self.house.holds(foreign_id))

    async def put(self, letter: DeadLetterInput) -> None:
        self.note_send()
        what = f"put {letter.parked.event_id}, {letter.standing}"
        await self.link.request(self.process, what, lambda: self.house.put(letter))

    async def place(self, foreign_id: str, event_id: str) -> None:
        self.note_send()
        request = PlaceRequest(foreign_id, event_id, MAX_PARKED)
        await self.link.request(self.process, f"place for {event_id}", lambda: self.house.place(request))


@cache
def _letter_id(event_id: str) -> str:
    return names.dead_letter_workflow_id(DEFINITION, CONNECTOR, event_id)


def _standing(letter: Execution) -> str:
    standing: str = letter.instance._record.standing
    return standing


def _foreign_id(letter: Execution) -> str:
    foreign_id: str = letter.instance._record.parked.foreign_id
    return foreign_id


def _changes(letter: Execution) -> list[str]:
    return [change.what for change in letter.instance.record().changes]
