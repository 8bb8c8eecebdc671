"""Breaks the library of this process on purpose, so that the checker can be seen to find it out."""

import uuid

from pumphouse.activities.acks import AckWindow, Receipt
from pumphouse.activities.shards import Shard
from pumphouse.workflows.requests import RequestIDs
from tests.faults.settings import Break


def break_library(how: Break | None) -> None:
    """Break one promise; None leaves the library whole."""
    match how:
        case Break.ACK_BEFORE_CALL:
            _ack_before_call()
        case Break.TWO_SHARDS:
            _give_events_to_two_shards()
        case Break.NO_DEDUPE:
            _forget_repeats()
        case None:
            pass


def _ack_before_call() -> None:
    add = AckWindow.add

    def add_finished(window: AckWindow, receipt: Receipt) -> None:
        add(window, receipt)
        window.finish(receipt)

    setattr(AckWindow, add.__name__, add_finished)


def _give_events_to_two_shards() -> None:
    takes = Shard.takes

    def takes_next_too(self: Shard, foreign_id: str) -> bool:
        neighbour = Shard((self.index + 1) % self.count, self.count)
        return takes(self, foreign_id) or takes(neighbour, foreign_id)

    setattr(Shard, takes.__name__, takes_next_too)


def _forget_repeats() -> None:
    def random_id(_ids: RequestIDs, _kind: str, _target: str) -> str:
        return uuid.uuid4().hex

    setattr(RequestIDs, RequestIDs.next.__name__, random_id)
