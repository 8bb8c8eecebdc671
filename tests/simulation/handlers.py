"""The user's handler, with all the trouble that it may have, and the runs on the server that it calls."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from temporalio.service import RPCError, RPCStatusCode

from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows.requests import SIGNAL, request_id
from tests.simulation.ledger import Effect, Ledger
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import SLOW, Link
from tests.simulation.plan import PlannedEvent, Trouble


@dataclass
class Runs:
    """The server's side of a handler's calls: it drops the ones that it has seen."""

    ledger: Ledger
    _seen: set[str] = field(default_factory=set[str])

    def take(self, call_id: str, effect: Effect) -> None:
        if call_id not in self._seen:
            self._seen.add(call_id)
            self.ledger.note_effect(effect)


@dataclass(frozen=True)
class Handler:
    """Makes an event's calls, in an order that changes between the attempts."""

    process: SimulatedLoop
    link: Link
    runs: Runs
    ledger: Ledger
    note_send: Callable[[], None]
    """Is told of each call that leaves the process."""

    async def __call__(self, event: ConnectorEvent) -> None:
        ledger = self.ledger
        planned = ledger.planned[event.id]
        attempt = ledger.attempts[event.id] = ledger.attempts[event.id] + 1
        trouble = planned.trouble if self._is_troubled(planned, attempt) else Trouble.NONE
        world = self.process.world
        if world.trace is not None:
            world.note(f"{self.process.name}: attempt {attempt} of event {event.id}")
        calls = planned.calls
        if len(calls) > 1 and world.choices.draw(2):
            calls = calls[::-1]
        for number, target in enumerate(calls):
            if trouble is not Trouble.NONE and number == planned.fails_at:
                await _make_trouble(trouble)
            await self._call(Effect(event.id, target, calls[:number].count(target)))
        if trouble is not Trouble.NONE and planned.fails_at == len(calls):
            await _make_trouble(trouble)

    def _is_troubled(self, planned: PlannedEvent, attempt: int) -> bool:
        match planned.trouble:
            case Trouble.HOPELESS | Trouble.POISON | Trouble.SLOW:
                return True
            case Trouble.STUBBORN:
                return not self.ledger.are_others_settled(planned)
            case _:
                return attempt <= planned.failures

    async def _call(self, effect: Effect) -> None:
        call_id = request_id(SIGNAL, effect.target)
        self.note_send()
        await self.link.request(self.process, effect, lambda: self.runs.take(call_id, effect))


async def _make_trouble(trouble: Trouble) -> None:
    match trouble:
        case Trouble.SLOW:
            await asyncio.sleep(SLOW)
        case Trouble.HANGS:
            await asyncio.get_running_loop().create_future()
        case Trouble.EXITS:
            raise SystemExit
        case Trouble.HOPELESS:
            raise RPCError("refused", RPCStatusCode.INVALID_ARGUMENT, b"")
        case _:
            raise OSError("in trouble")
