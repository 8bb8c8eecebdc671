"""The pumps of all shards, as Temporal and its supervisor run them: started, lost, moved, stopped."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from pumphouse.activities.context import PumpContext
from pumphouse.activities.delivery import Delivery
from pumphouse.activities.parking import Parker
from pumphouse.activities.pump import Pump
from pumphouse.activities.shards import Shard, shards
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows import names
from tests.simulation.handlers import Handler, Runs
from tests.simulation.ledger import Ledger, Promise
from tests.simulation.loop import SimulatedLoop, World, make_process
from tests.simulation.network import TICK, Link
from tests.simulation.parking import CONNECTOR, DEFINITION, ParkingFrom, ParkingHouse
from tests.simulation.plan import HEARTBEAT_TIMEOUT, Plan
from tests.simulation.source import Source, SourceIn

DRAIN_TIMEOUT = timedelta(seconds=0.5)
BEATS_PER_TIMEOUT = 5
RETRY_AFTER = 2 * TICK
"""After which Temporal begins the next attempt."""


@dataclass(eq=False)
class Attempt:
    """One pump in one process: an attempt of the activity that pumps a shard."""

    process: SimulatedLoop
    context: PumpContext
    task: asyncio.Task[None] = field(init=False)
    heard_at: float = 0.0
    """When Temporal had the last heartbeat."""
    sent_at: float = -HEARTBEAT_TIMEOUT
    is_over: bool = False
    """Whether it has ended, as far as Temporal knows; a frozen one may go on."""
    is_cancelled: bool = False


@dataclass
class Models:
    """All that the pumps meet."""

    plan: Plan
    ledger: Ledger
    source: Source
    house: ParkingHouse
    runs: Runs
    calls: Link
    parking: Link


@dataclass
class Crew:
    """Keeps one pump a shard running."""

    world: World
    models: Models
    wanted: int
    """How many shards there are to be."""
    shard_count: int = 0
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    """All of them, the newest last."""
    is_ending: bool = False
    is_resharding: bool = False

    def begin(self) -> None:
        """Give the shards their positions, and start their pumps."""
        self.shard_count = self.wanted
        self.is_resharding = False
        self.world.note(f"there are {self.shard_count} shards")
        self.models.source.reshard([_consumer_name(shard) for shard in shards(self.shard_count)])
        for shard in shards(self.shard_count):
            self._start(shard)

    def reshard(self) -> None:
        """Let the pumps end, and then begin with another number of shards."""
        self.wanted = 3 - self.wanted
        self.is_resharding = True
        self._stop_all()

    def end(self) -> None:
        """Let the pumps end."""
        self.is_ending = True
        self._stop_all()

    def running(self, shard_index: int) -> Attempt | None:
        """The pump that has the shard."""
        return next(
            (each for each in self.attempts if not each.is_over and each.context.shard.index == shard_index),
            None,
        )

    @property
    def is_over(self) -> bool:
        """Whether no pump runs that could."""
        return all(each.task.done() or each.process.is_dead for each in self.attempts)

    def _stop_all(self) -> None:
        for attempt in self.attempts:
            if not attempt.is_over:
                self.stop(attempt)

    def stop(self, attempt: Attempt) -> None:
        """Tell a pump to stop."""
        self.world.send(TICK, attempt.process, attempt.context.stopping.set)

    def cancel(self, attempt: Attempt) -> None:
        """Cancel a pump's task, as a worker does whose time to shut down is over."""
        attempt.is_cancelled = True
        self.world.send(TICK, attempt.process, attempt.task.cancel)

    def _start(self, shard: Shard) -> None:
        process = make_process(self.world, f"pump-{len(self.attempts) + 1}[{shard}]")
        # Futures of the process may be made before it runs.
        context = PumpContext(DEFINITION, CONNECTOR, shard, self.models.plan.options)
        attempt = Attempt(process, context, heard_at=self.world.now)
        self.attempts.append(attempt)
        self.world.note(f"{process.name} starts")
        attempt.task = process.create_task(self._make_pump(attempt).run())
        attempt.task.add_done_callback(lambda task: self._note_end(attempt, task))
        self._watch(attempt)

    def _make_pump(self, attempt: Attempt) -> Pump:
        models, process, context = self.models, attempt.process, attempt.context
        shard = context.shard

        def check_fence() -> None:
            self._check_fence(attempt)

        handler = Handler(process, models.calls, models.runs, models.ledger, check_fence)

        async def handle(event: ConnectorEvent) -> None:
            models.ledger.note_handling(event.id, shard.index, shard.count)
            await handler(event)

        return Pump(
            context=context,
            constructor=SourceIn(models.source, process, shard),
            delivery=Delivery(context, handle),
            parker=Parker(context, ParkingFrom(models.house, process, models.parking, check_fence), _no),
            heartbeat=lambda _stats: self._beat(attempt),
            drain_timeout=DRAIN_TIMEOUT,
        )

    # Heartbeats

    def _beat(self, attempt: Attempt) -> None:
        """Send a heartbeat on, as soon as the worker's throttle lets it pass."""
        throttle = HEARTBEAT_TIMEOUT / BEATS_PER_TIMEOUT
        now = self.world.now
        wait = max(0.0, attempt.sent_at + throttle - now)
        attempt.sent_at = now + wait
        self.world.send(wait + TICK, None, self._hear, attempt)

    def _hear(self, attempt: Attempt) -> None:
        if attempt.is_over:
            # The answer tells the pump that it has no shard any more.
            self.stop(attempt)
        elif not attempt.process.is_frozen and not attempt.process.is_dead:
            attempt.heard_at = self.world.now

    def _watch(self, attempt: Attempt) -> None:
        """Move the shard when its pump has been silent for too long."""
        if attempt.is_over:
            return
        silent_at = attempt.heard_at + HEARTBEAT_TIMEOUT
        if self.world.now >= silent_at:
            self.world.note(f"{attempt.process.name} is given up for dead")
            self._move(attempt)
        else:
            self.world.send(silent_at - self.world.now, None, self._watch, attempt)

    def _note_end(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        """See how a pump has ended; this runs in its process."""
        if attempt.process.is_buried:
            return
        self.world.note(f"{attempt.process.name} has ended")
        error = None if task.cancelled() else task.exception()
        if error or (task.cancelled() and not attempt.is_cancelled):
            self.models.ledger.blame(Promise.ERRORS, f"{attempt.process.name} ended by {error!r}")
        self.world.send(TICK, None, self._move, attempt)

    def _move(self, attempt: Attempt) -> None:
        """Give the shard to another pump, or all of them, when the last one has ended."""
        if attempt.is_over:
            return
        attempt.is_over = True
        if self.is_ending:
            return
        if self.is_resharding:
            self._begin_if_over()
        else:
            self.world.send(RETRY_AFTER, None, self._restart, attempt.context.shard)

    def _restart(self, shard: Shard) -> None:
        if self.is_ending or self.running(shard.index):
            return
        if self.is_resharding:
            self._begin_if_over()
        else:
            self._start(shard)

    def _begin_if_over(self) -> None:
        if all(each.is_over for each in self.attempts):
            self.begin()

    def _check_fence(self, attempt: Attempt) -> None:
        """See that a pump sends nothing more when another one may have its shard."""
        if attempt.is_over and not attempt.process.is_dead and not attempt.task.done():
            self.models.ledger.blame(Promise.FENCE, f"{attempt.process.name} has sent something")


def _consumer_name(shard: Shard) -> str:
    return names.consumer_name(DEFINITION, CONNECTOR, str(shard))


def _no() -> bool:
    return False
