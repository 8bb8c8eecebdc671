"""A clock that nobody waits for, and the event loops of the processes that live by it."""

import asyncio
import heapq
from asyncio import Future, events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeAlias, TypeVar

from tests.simulation.choices import Choices
from tests.simulation.clock import CLOCK

MAX_STEPS = 12_000
"""Callbacks of one schedule; a healthy one has a few hundred."""
MAX_SECONDS = 60.0
MAX_CANCELLATIONS = 4
"""How often a dead task is cancelled; closing a source takes a second time."""
NEVER = MAX_STEPS + 1
TIES = 3
"""In how many ways messages and timers of one moment may follow each other."""
TIMER_TIE = 1

T = TypeVar("T")
Step: TypeAlias = tuple[Callable[..., object], tuple[Any, ...], Context | None]
"""A callback, its arguments, and the context to run it in."""


class Endless(Exception):
    """A schedule does not come to its end."""


class SimulatedHandle:
    """A callback that somebody may cancel before its turn, or its time, has come."""

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
        # What it holds must not live as long as the queue of the world does.
        self.callback = _nothing
        self.args = ()

    def run(self) -> None:
        if self.context is None:
            self.callback(*self.args)
        else:
            self.context.run(self.callback, *self.args)


class SimulatedTask(asyncio.Task[Any]):
    """A task whose place in a set depends on its number, and not on where it lies in memory."""

    __slots__ = ("number",)

    number: int

    def __hash__(self) -> int:
        return self.number


class World:
    """Time, and everything that is on its way: timers, and messages between processes."""

    def __init__(self, choices: Choices, trace: list[str] | None = None) -> None:
        self.choices = choices
        self.trace = trace
        self.steps = 0
        self.next_fault = NEVER
        self.on_fault: Callable[[], None] = _nothing
        self.errors: list[str] = []
        """What asyncio has told of: tasks whose error nobody took, and the like."""
        self._queue: list[
            tuple[float, int, int, SimulatedLoop | None, Callable[..., object], tuple[Any, ...]]
        ] = []
        self.tasks_made = 0
        self._pushed = 0
        self._busy: list[SimulatedLoop] = []
        self.entered: SimulatedLoop | None = None
        """The loop that runs, or ran last."""
        CLOCK.now = 0.0

    @property
    def now(self) -> float:
        return CLOCK.now

    def note(self, text: str) -> None:
        """Add a line to the trace, if somebody wants one."""
        if self.trace is not None:
            self.trace.append(f"{CLOCK.now:8.3f}  {text}")

    def send(
        self, delay: float, to: "SimulatedLoop | None", callback: Callable[..., object], *args: Any
    ) -> None:
        """Let something happen after a delay, at a process or outside of all."""
        self._pushed += 1
        tie = self.choices.draw(TIES)
        heapq.heappush(self._queue, (CLOCK.now + delay, tie, self._pushed, to, callback, args))

    def set_timer(self, delay: float, handle: SimulatedHandle, loop: "SimulatedLoop") -> None:
        """Let a callback of a process have its turn after a delay."""
        self._pushed += 1
        heapq.heappush(
            self._queue, (CLOCK.now + max(delay, 0.0), TIMER_TIE, self._pushed, loop, _ring, (handle,))
        )

    def wake(self, loop: "SimulatedLoop") -> None:
        """Let a process have its turn, since it has something to do."""
        self._busy.append(loop)

    def enter(self, loop: "SimulatedLoop | None") -> None:
        """Let asyncio know which loop runs; it is not told again and again of the same, as that is slow."""
        if self.entered is not loop:
            self.entered = loop
            events._set_running_loop(loop)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Let time go by, until it is over, or nothing is left to happen.

        Raises:
            Endless: it is never over.
        """
        try:
            while not is_over():
                if not (self._busy or self._advance()):
                    return
                self._run_processes()
                if self.steps > MAX_STEPS or CLOCK.now > MAX_SECONDS:
                    raise Endless
        finally:
            self.enter(None)

    def _run_processes(self) -> None:
        """Let the processes do all that they can at this moment."""
        while self._busy and self.steps <= MAX_STEPS:
            busy, self._busy = self._busy, []
            for loop in busy:
                loop.run_ready()

    def _advance(self) -> bool:
        """Go to the next moment at which something happens, and let all of it happen."""
        queue = self._queue
        while queue and queue[0][4] is _ring and queue[0][5][0].is_cancelled:
            heapq.heappop(queue)
        if not queue:
            return False
        CLOCK.now = now = queue[0][0]
        while queue and queue[0][0] <= now:
            _, _, _, loop, callback, args = heapq.heappop(queue)
            if loop is None:
                callback(*args)
            elif not (loop.is_dead or (callback is _ring and args[0].is_cancelled)):
                loop.receive(callback, args)
        return True


class SimulatedLoop(asyncio.AbstractEventLoop):
    """The event loop of one process. It may be killed or frozen between any two callbacks.

    Threads, sockets and the like are left out: whoever asks for them gets a `NotImplementedError`.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.is_dead = False
        self.is_frozen = False
        self.is_buried = False
        self.tasks: list[SimulatedTask] = []
        self._ready: deque[Step] = deque()
        self._is_awake = False

    # What happens to the process

    def kill(self) -> None:
        """Let nothing of this process run any more."""
        self.is_dead = True

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.is_frozen = False
        self._wake()

    def bury(self) -> None:
        """Take a dead process apart, so that no coroutine of it is left to the garbage collector."""
        self.is_buried = self._is_awake = True
        for _ in range(MAX_CANCELLATIONS):
            left = self.left
            for task in left:
                task.cancel()
            self._drain()

    @property
    def left(self) -> list[SimulatedTask]:
        """The tasks that are not done."""
        return [task for task in self.tasks if not task.done()]

    def receive(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Take in a callback whose time has come."""
        self._ready.append((callback, args, None))
        if not self._is_awake:
            self._wake()

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self.world.wake(self)

    def run_ready(self) -> None:
        """Run all that is ready, in its order."""
        ready, world = self._ready, self.world
        is_still = self.is_dead or self.is_frozen
        world.enter(self)
        try:
            while ready:
                # One comparison a callback: only a fault can kill or freeze the process in between.
                if world.steps >= world.next_fault:
                    world.on_fault()
                    is_still = self.is_dead or self.is_frozen or world.steps > MAX_STEPS
                if is_still:
                    break
                world.steps += 1
                callback, args, context = ready.popleft()
                if context is None:
                    callback(*args)
                else:
                    context.run(callback, *args)
        finally:
            self._is_awake = False

    def run_now(self) -> None:
        """Run all that is ready at once, as one step of the world; the loop is never woken by itself."""
        self._is_awake = True
        self._drain()

    def _drain(self) -> None:
        world, ready = self.world, self._ready
        outer = world.entered
        world.enter(self)
        try:
            while ready:
                callback, args, context = ready.popleft()
                if context is None:
                    callback(*args)
                else:
                    context.run(callback, *args)
        finally:
            world.enter(outer)

    # What asyncio asks for

    def time(self) -> float:
        return CLOCK.now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimulatedHandle | None:
        handle = None
        if context is None:
            handle = SimulatedHandle(callback, args, None)
            self._ready.append((handle.run, (), None))
        else:
            # Tasks and futures ask with a context, and keep no handle.
            self._ready.append((callback, args, context))
        if not self._is_awake:
            self._is_awake = True
            self.world.wake(self)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimulatedHandle:
        handle = SimulatedHandle(callback, args, context)
        self.world.set_timer(delay, handle, self)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimulatedHandle:
        return self.call_later(when - CLOCK.now, callback, *args, context=context)

    def create_future(self) -> Future[Any]:
        return Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        task = SimulatedTask(coro, loop=self, name=name or "", context=context)
        task.number = self.world.tasks_made = self.world.tasks_made + 1
        self.tasks.append(task)
        return task

    get_debug = staticmethod(bool)  # pyright: ignore[reportAssignmentType]  # it is called in the same way
    """Always false. Every future and task asks: a type of Python's own is called at half the cost."""

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        text = f": {type(error).__name__}: {error}" if error else ""
        self.world.errors.append(f"{self.name}: {context.get('message')}{text}")


def make_process(world: World, name: str) -> SimulatedLoop:
    """Begin a process."""
    return SimulatedLoop(world, name)  # type: ignore[abstract]  # what it leaves out is asked for by nobody


def _ring(timer: SimulatedHandle) -> None:
    """Call back what a process has asked for at this time."""
    timer.run()


def _nothing(*_: object) -> None:
    pass
