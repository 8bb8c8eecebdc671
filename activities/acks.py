"""The events that a pump has received and not yet acked, in the order of their receipt."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pumphouse.activities.failures import is_cancelled
from pumphouse.connectors.contract import Ack
from pumphouse.connectors.event import ConnectorEvent


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Failure:
    """Why an event is not tried any more."""

    errors: list[str]
    """What the last attempt failed with, and the causes of that."""
    attempts: int
    """How often the handler has tried it; attempts at which Temporal was out of reach do not count."""
    is_final: bool = True
    """Whether the event is given up; otherwise somebody else is to go on with it."""

    @property
    def described(self) -> str:
        """The errors in one line."""
        return ", caused by ".join(self.errors)


@dataclass(eq=False)
class Receipt:
    """An event in flight."""

    event: ConnectorEvent
    ack: Ack
    position: str = ""
    """Where it stands in the source, if the source tells."""
    failure: Failure | None = None
    """Set from the start for what could not be read as an event."""
    received_at: datetime = field(default_factory=_now)
    holds_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no further event can be received before this one is acked."""
    is_finished: bool = False


class AckWindow:
    """Lets events finish in any order, and acks them in the order of their receipt.

    So the source can never be committed past an unfinished event, and its size bounds what a pump holds.
    """

    def __init__(self, limit: int, on_ack: Callable[[], None]) -> None:
        """Begin empty.

        Args:
            limit: how many events may be in flight.
            on_ack: called after each ack.
        """
        self._limit = limit
        self._on_ack = on_ack
        self._receipts: deque[Receipt] = deque()
        self._finished = asyncio.Event()
        self._acked = asyncio.Event()

    def __len__(self) -> int:
        """How many events are in flight."""
        return len(self._receipts)

    @property
    def is_full(self) -> bool:
        """Whether no further event may be received."""
        return len(self._receipts) >= self._limit

    @property
    def oldest(self) -> Receipt | None:
        """The event in flight that was received first."""
        return self._receipts[0] if self._receipts else None

    @property
    def is_ackable(self) -> bool:
        """Whether the next event to be acked has finished."""
        return bool(self._receipts) and self._receipts[0].is_finished

    def add(self, receipt: Receipt) -> None:
        """Take in an event that was just received."""
        self._receipts.append(receipt)

    def finish(self, receipt: Receipt) -> None:
        """Note that an event needs no redelivery."""
        receipt.is_finished = True
        self._finished.set()

    async def room(self) -> None:
        """Wait until a further event may be received."""
        while self.is_full:
            self._receipts[0].holds_up.set()
            await self.acked()

    async def acked(self) -> None:
        """Wait until an event has been acked."""
        self._acked.clear()
        await self._acked.wait()

    async def run(self, retry: Callable[[Receipt, BaseException], Awaitable[None]]) -> None:
        """Ack what is finished, one at a time, without end.

        Args:
            retry: is told of an ack that failed, and returns when to call it again.
        """
        while True:
            while self.is_ackable:
                await self._ack(self._receipts[0], retry)
                self._receipts.popleft()
                self._on_ack()
                self._acked.set()
                if is_cancelled():  # an ack may have swallowed it
                    raise asyncio.CancelledError
            self._finished.clear()
            await self._finished.wait()

    async def _ack(
        self, receipt: Receipt, retry: Callable[[Receipt, BaseException], Awaitable[None]]
    ) -> None:
        while True:
            try:
                await receipt.ack()
            except (Exception, asyncio.CancelledError) as error:  # a source may raise anything; retry logs it
                if is_cancelled():
                    raise asyncio.CancelledError from error
                await retry(receipt, error)
            else:
                return
