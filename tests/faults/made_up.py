"""Loads, histories and journals made by hand, for the tests of what reads them."""

from dataclasses import replace

from tests.faults.effects import effects_of, request_id
from tests.faults.graph import CLOSED, CLOSING, OPENED
from tests.faults.journal import Entry, Note
from tests.faults.ledger import Request, RunLedger
from tests.faults.load import MOVED, PlannedEvent

DEFINITION = "made-up"
ITEM = "item-1"


def opened(number: int, foreign_id: str = ITEM) -> PlannedEvent:
    """An event that triggers a run."""
    return PlannedEvent(number, foreign_id, OPENED)


def moved_to(number: int, *to: str, foreign_id: str = ITEM) -> PlannedEvent:
    """An event that updates a run to statuses."""
    return PlannedEvent(number, foreign_id, MOVED, to)


def requests_of(*events: PlannedEvent) -> tuple[Request, ...]:
    """What the events ask a run for."""
    return tuple(
        Request(effect.status, request_id(DEFINITION, event.foreign_id, effect))
        for event in events
        for effect in effects_of(event)
    )


def run_of(first: PlannedEvent, *others: PlannedEvent) -> RunLedger:
    """The run that events make when each is applied once, in the order given."""
    requests = requests_of(*others)
    entered = (OPENED, *(request.status for request in requests))
    ends = (CLOSED,) if CLOSING in entered else ()
    return RunLedger(first.foreign_id, f"run-{first.id}", str(first.id), requests, (*entered, *ends))


def without_request_ids(run: RunLedger) -> RunLedger:
    """The same run, by a library that derives no request IDs."""
    requests = (replace(request, request_id=f"random-{n}") for n, request in enumerate(run.requests))
    return replace(run, requests=tuple(requests))


def handling(event_id: int, shard: str, moment: float = 0.0, pid: int = 1) -> Entry:
    """The note of a handler."""
    return Entry(moment, pid, Note.HANDLING, shard, str(event_id))


def acked(moment: float, pid: int, shard: str = "1-of-2") -> Entry:
    """The note of an ack."""
    return Entry(moment, pid, Note.ACKED, shard, "1")
