"""Pumps that are broken on purpose, so that the simulation can be seen to find it out."""

# pyright: reportPrivateUsage=false
# What is broken is private, mostly.

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from pumphouse.activities.acks import AckWindow, Failure, Receipt
from pumphouse.activities.delivery import Delivery
from pumphouse.activities.lanes import Lanes
from pumphouse.activities.lease import Lease
from pumphouse.activities.parking import Parker
from pumphouse.activities.pump import Pump
from pumphouse.activities.shards import Shard
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows.requests import RequestIDs
from tests.simulation.ledger import Promise


@dataclass(frozen=True)
class Break:
    """One thing that is done wrong."""

    name: str
    target: Any
    attribute: str
    wrong: Any
    promise: Promise
    """What is broken by it."""

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def broken(self) -> Generator[None]:
        """Do it wrong for a while."""
        with patch.object(self.target, self.attribute, self.wrong):
            yield


_add = AckWindow.add
_finish = AckWindow.finish
_takes = Shard.takes
_put_lane = Lanes.put
_attempt = Delivery._attempt
_park = Parker.park
_beating = Pump._beating


def _add_finished(window: AckWindow, receipt: Receipt) -> None:
    _add(window, receipt)
    window.finish(receipt)


def _ack_what_is_finished(window: AckWindow, receipt: Receipt) -> None:
    _finish(window, receipt)
    window._receipts = deque(sorted(window._receipts, key=lambda each: not each.is_finished))


def _take_the_next_too(shard: Shard, foreign_id: str) -> bool:
    return _takes(shard, foreign_id) or _takes(
        Shard((shard.index + 1) % shard.count, shard.count), foreign_id
    )


def _take_as_signed(shard: Shard, foreign_id: str) -> bool:
    return _takes(shard, foreign_id) and foreign_id != "b"


def _put_in_its_own_lane(lanes: Lanes, receipt: Receipt) -> None:
    lanes._tasks.create_task(_deliver_alone(lanes, receipt))


async def _deliver_alone(lanes: Lanes, receipt: Receipt) -> None:
    await lanes._deliver(receipt)


def _random_id(_ids: RequestIDs, _kind: str, _target: str) -> str:
    return uuid.uuid4().hex


async def _take_errors_for_answers(delivery: Delivery, event: ConnectorEvent) -> None:
    await _attempt(delivery, event)


async def _park_in_the_background(parker: Parker, receipt: Receipt, failure: Failure) -> None:
    asyncio.get_running_loop().create_task(_park(parker, receipt, failure))


async def _park_by_hope(parker: Parker, _what: str, call: Callable[[], Awaitable[Any]]) -> Any:
    with suppress(Exception):
        return await call()
    return set[str]()


async def _remember_nothing(_parker: Parker) -> None:
    pass


async def _never_behind(_parker: Parker, _receipt: Receipt) -> bool:
    return False


async def _never_park(_delivery: Delivery, _receipt: Receipt, _failure: Failure) -> bool:
    await asyncio.sleep(0.1)
    return False


async def _leave_the_wait(pump: Pump, wait: Coroutine[Any, Any, Any]) -> Any:
    asyncio.get_running_loop().create_task(_idle())
    return await _beating(pump, wait)


async def _idle() -> None:
    await asyncio.Event().wait()


_NO = property(lambda _: False)

BREAKS = (
    Break("it acks before the handler", AckWindow, "add", _add_finished, Promise.COMMITTED),
    Break("it acks out of order", AckWindow, "finish", _ack_what_is_finished, Promise.COMMITTED),
    Break("two shards take one event", Shard, "takes", _take_the_next_too, Promise.SHARDS),
    Break("no shard takes an event", Shard, "takes", _take_as_signed, Promise.LOST),
    Break("each event has a lane of its own", Lanes, "put", _put_in_its_own_lane, Promise.ORDER),
    Break("requests have random IDs", RequestIDs, "next", _random_id, Promise.TWICE),
    Break("it swallows the handler's errors", Delivery, "_attempt", _take_errors_for_answers, Promise.LOST),
    Break("it acks before it has parked", Parker, "park", _park_in_the_background, Promise.COMMITTED),
    Break("it parks only once", Parker, "_insist", _park_by_hope, Promise.COMMITTED),
    Break("it forgets what earlier pumps parked", Parker, "load", _remember_nothing, Promise.ORDER),
    Break("it parks nothing in order", Parker, "is_parked_behind", _never_behind, Promise.ORDER),
    Break(
        "a poison event keeps the window full", Delivery, "_is_parked_before_retry", _never_park, Promise.END
    ),
    Break("the window has no bound", AckWindow, "is_full", _NO, Promise.MEMORY),
    Break("the lease is never lost", Lease, "is_lost", _NO, Promise.FENCE),
    Break("it leaves tasks behind", Pump, "_beating", _leave_the_wait, Promise.TASKS),
)
