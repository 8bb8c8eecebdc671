"""Which event each change of each run comes from."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.faults.graph import OPENED, is_of_step
from tests.faults.ledger import Request, RunLedger
from tests.faults.load import PlannedEvent
from tests.faults.settings import CONNECTOR


@dataclass(frozen=True)
class Effect:
    """What one call of one event is to change."""

    event_id: int
    ordinal: int
    """The how-manieth call of its event."""
    status: str
    """What the run is at after it."""

    def __str__(self) -> str:
        """As violations name it."""
        return f"event {self.event_id} (call {self.ordinal}: {self.status})"


@dataclass(frozen=True)
class Attribution:
    """The changes of one run, each with the effect that it is."""

    effects: Sequence[Effect]
    """In the order in which the run made them."""
    strays: Sequence[str]
    """Changes that no event can have asked for."""


def effects_of(event: PlannedEvent) -> list[Effect]:
    """What an event is to change, in the order of its calls."""
    statuses = [OPENED] if event.type == OPENED else event.to
    return [Effect(event.id, ordinal, status) for ordinal, status in enumerate(statuses)]


def request_id(definition: str, foreign_id: str, effect: Effect) -> str:
    """The request ID of the update behind an effect, derived here anew from the documented format.

    The library's own function is not asked: it is what is looked at.
    """
    event = [definition, CONNECTOR, str(effect.event_id)]
    text = json.dumps(
        ["pumphouse-1", *event, "update_status", foreign_id, effect.ordinal], separators=(",", ":")
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Attributor:
    """Attributes the changes of one foreign ID's runs to its events."""

    def __init__(self, definition: str, foreign_id: str, events: Iterable[PlannedEvent]) -> None:
        """Derive what each event's requests look like.

        Args:
            definition: its name, which is in the request IDs.
            foreign_id: as well.
            events: every event of the foreign ID, in source order.
        """
        self._by_request: dict[str, Effect] = {}
        self._by_run: dict[int, dict[str, Effect]] = {}
        opened_by = 0
        for event in events:
            opened_by = event.id if event.type == OPENED else opened_by
            for effect in effects_of(event):
                self._by_run.setdefault(opened_by, {})[effect.status] = effect
                self._by_request[request_id(definition, foreign_id, effect)] = effect

    def attribute(self, run: RunLedger) -> Attribution:
        """Find the effects that a run's changes are.

        A request ID names its event exactly. Where it names none, as with a library that has forgotten how
        to derive it, the status does: a run is to be at each once.
        """
        own = self._by_run.get(int(run.opened_by), {})
        opened = own.get(OPENED)
        effects = [opened] if opened else []
        strays = [] if opened else [f"opened by event {run.opened_by}, which opens none"]
        mine = [
            request for request in run.requests if self._by_request.get(request.request_id) in own.values()
        ]
        applied = align(mine, run.entered) or align(run.requests, run.entered)
        if applied is None:
            return Attribution(effects, [*strays, f"went {' '.join(run.entered)}, and was not asked to"])
        for request in applied:
            effect = self._by_request.get(request.request_id)
            if effect is None:
                strays.append(f"took request {request.request_id} to {request.status}, which is of no event")
                effect = own.get(request.status)
            if effect:
                effects.append(effect)
        return Attribution(effects, strays)


def align(requests: Iterable[Request], entered: Iterable[str]) -> list[Request] | None:
    """Find the requests that the statuses come from; None if there are not enough of them.

    The graph allows every change, so a run takes its requests one by one and makes the change or drops it
    as a repeat: the next status entered belongs to the first request left that asks for it.
    """
    left = iter(requests)
    applied: list[Request] = []
    for status in entered:
        if is_of_step(status) or (status == OPENED and not applied):
            continue
        request = next((each for each in left if each.status == status), None)
        if request is None:
            return None
        applied.append(request)
    return applied
