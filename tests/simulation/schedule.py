"""One schedule, from its plan to the proof."""

from dataclasses import dataclass, field

from tests.simulation.choices import Choices
from tests.simulation.crew import Crew, Models
from tests.simulation.handlers import Handler, Runs
from tests.simulation.ledger import Ledger, Promise, Violation
from tests.simulation.loop import NEVER, Endless, SimulatedLoop, World
from tests.simulation.network import Fate, Link
from tests.simulation.parking import ParkingHouse
from tests.simulation.plan import Fault, Plan, PlannedFault, make_plan
from tests.simulation.source import Source

SOURCE_FATES = (Fate.LOST_REQUEST, Fate.LOST_ANSWER, Fate.SLOW)
CALL_FATES = (Fate.LOST_REQUEST, Fate.LOST_ANSWER, Fate.SLOW, Fate.SILENT, Fate.LATE)
PARKING_FATES = (Fate.LOST_REQUEST, Fate.LOST_ANSWER, Fate.SLOW)


@dataclass
class Schedule:
    """One run of the world: pumps, their faults, and the end."""

    world: World
    plan: Plan
    ledger: Ledger = field(init=False)
    house: ParkingHouse = field(init=False)
    crew: Crew = field(init=False)
    source: Source = field(init=False)

    def __post_init__(self) -> None:
        world, plan = self.world, self.plan
        self.ledger = ledger = Ledger(plan, self._was_parked, self._holds_up)
        runs = Runs(ledger)
        calls = Link(world, "runs", plan.rarity, CALL_FATES, plan.server_outage)

        def make_handler(process: SimulatedLoop) -> Handler:
            return Handler(process, calls, runs, ledger, _nothing)

        self.house = ParkingHouse(world, plan, make_handler, self._note_letter)
        self.source = Source(
            plan, Link(world, "source", plan.rarity, SOURCE_FATES, plan.source_outage), ledger
        )
        parking = Link(world, "parking", plan.rarity, PARKING_FATES, plan.server_outage)
        models = Models(plan, ledger, self.source, self.house, runs, calls, parking)
        self.crew = Crew(world, models, plan.shard_count)
        self._faults = [each for each in reversed(plan.faults) if not each.is_after_parking]
        world.on_fault = self._strike
        self._await_fault()

    def _was_parked(self, event_id: str) -> bool:
        return self.house.was_parked(event_id)

    def _holds_up(self, foreign_id: str) -> list[int]:
        return self.house.holds_up(foreign_id)

    def run(self) -> list[Violation]:
        """Let it all happen, and say which promises were broken."""
        try:
            self._pump()
            self._decide()
        except Endless:
            self.ledger.blame(Promise.END, "it goes on and on")
        self._check()
        self._bury()
        return self.ledger.violations

    def _pump(self) -> None:
        """Pump until every event is acked, and applied or dead; then stop."""
        self.crew.begin()
        self.world.run(self._is_pumped)
        if not self._is_pumped():
            self.ledger.blame(Promise.END, "nothing happens any more")
        self.world.note("all is pumped")
        self.crew.end()
        self.world.run(lambda: self.crew.is_over)

    def _is_pumped(self) -> bool:
        return self.source.is_acked and self.house.is_at_rest

    def _decide(self) -> None:
        """Discard what is dead, until nothing is parked any more."""
        house = self.house
        while house.open_letters:
            self.world.run(lambda: house.is_at_rest)
            if not house.discard(only_dead=True):
                if house.open_letters:
                    self.ledger.blame(Promise.END, "a parked event waits for nothing")
                return

    def _check(self) -> None:
        self.ledger.check_effects(self.house.excused())
        for attempt in self.crew.attempts:
            if attempt.task.done() and not attempt.process.is_dead and attempt.process.left:
                self.ledger.blame(Promise.TASKS, f"{attempt.process.name}: {attempt.process.left}")
        for error in self.world.errors:
            self.ledger.blame(Promise.ERRORS, error)

    def _bury(self) -> None:
        loops = [attempt.process for attempt in self.crew.attempts]
        loops += [execution.loop for past in self.house.host.executions.values() for execution in past]
        for loop in (*loops, *self.house.workers):
            if loop.left:
                loop.bury()
            loop.tasks.clear()

    # Faults

    def _await_fault(self) -> None:
        self.world.next_fault = self._faults[-1].step if self._faults else NEVER

    def _note_letter(self) -> None:
        """Plan the faults that come after the first parked event, now that there is one."""
        if len(self.house.letters) > 1:
            return
        now = self.world.steps
        self._faults += [
            each._replace(step=now + each.step) for each in self.plan.faults if each.is_after_parking
        ]
        self._faults.sort(key=lambda each: -each.step)
        self._await_fault()

    def _strike(self) -> None:
        if not self._faults:
            return
        planned = self._faults.pop()
        self._await_fault()
        self.world.note(f"FAULT {planned.fault.name}")
        match planned.fault:
            case Fault.RESHARD:
                if not self.crew.is_ending:
                    self.crew.reshard()
            case Fault.KILL_WORKER:
                self.house.restart_worker()
            case Fault.REDRIVE:
                self.world.send(0, None, self.house.redrive)
            case Fault.DISCARD:
                self.world.send(0, None, self.house.discard)
            case _:
                self._strike_pump(planned)

    def _strike_pump(self, planned: PlannedFault) -> None:
        attempt = self.crew.running(planned.shard % self.crew.shard_count)
        if attempt is None:
            return
        match planned.fault:
            case Fault.KILL:
                attempt.process.kill()
            case Fault.STOP:
                self.crew.stop(attempt)
            case Fault.CANCEL:
                self.crew.cancel(attempt)
            case _:
                attempt.process.is_frozen = True
                self.world.send(planned.seconds, None, attempt.process.thaw)


def simulate(choices: Choices, trace: list[str] | None = None) -> list[Violation]:
    """Run the schedule that the choices make.

    Args:
        choices: all chance of it.
        trace: gets a line for each thing that happens, if it is given.

    Returns:
        The promises that were broken.
    """
    world = World(choices, trace)
    plan = make_plan(choices)
    if trace is not None:
        trace += str(plan).splitlines()
    return Schedule(world, plan).run()


def _nothing() -> None:
    pass
