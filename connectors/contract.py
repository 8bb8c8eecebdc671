"""What a connector has to do, and in which order it is asked to.

The life of a consumer, as the pump drives it:

1. `make` is called once for every shard, whenever a pump takes the shard over: after a start, a crash, or a
   move to another process. Two pumps of one shard may overlap for a moment, when one was given up for dead.
2. `recv` is called again and again, one call at a time, until the pump stops.
3. The acks come in the order in which `recv` returned their events, one at a time, from another task than
   the one in `recv`. An event whose ack was never called is delivered again by a later consumer of that name.
   An unreadable event that came with an ack takes part in that order: it is acked once it is a dead letter.
4. `close` is called once, at the end, whatever happened before; no `recv` or ack is under way then.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from pumphouse.connectors.event import ConnectorEvent

Ack: TypeAlias = Callable[[], Awaitable[None]]
"""Tells the source that an event needs no redelivery.

It may return before the source has stored that, so that commits can be gathered, as long as `close` stores
what is left. An error means "not acknowledged": it is called again, after a back-off.
"""


class ConnectorConsumer(Protocol):
    """Reads events for one consumer name."""

    async def recv(self) -> tuple[ConnectorEvent, Ack]:
        """Wait for the next event, as long as it takes.

        A call that is cancelled must not lose an event: the next call returns it.

        Returns:
            The event, and the function that acknowledges it.

        Raises:
            InvalidEvent: the next event cannot be read. When the error carries an ack, the consumer has moved
                on, and the next call reads on behind it; otherwise the next call reads the same event again.
            Exception: the source is out of reach; the call is repeated after a back-off.
        """
        ...

    async def close(self) -> None:
        """Store the acks that are still to be stored, and let go of every connection and task."""
        ...


class ConnectorConstructor(Protocol):
    """Makes consumers of one source; it holds settings, and connects to nothing before `make`."""

    async def make(self, consumer_name: str) -> ConnectorConsumer:
        """Open a consumer that goes on where the last one of the same name had acked.

        Where a name begins that has no position yet is the connector's own setting; that position must be
        stored before the consumer is returned, so that a crash before the first ack begins there again.

        Args:
            consumer_name: stable across restarts; each name reads the source on its own.

        Raises:
            Exception: the source is out of reach; the call is repeated after a back-off.
        """
        ...


@runtime_checkable
class Reshardable(Protocol):
    """A connector whose consumers have positions of their own, which can be handed on.

    With it, the number of shards of a live connector can be changed: see `reshard`.
    """

    async def reshard(self, group: str, names: Sequence[str]) -> None:
        """Make the consumer names given the only ones of their group, without losing an event.

        When the group has other names, all of these start at the earliest position that any name of the
        group has, and the others are forgotten. Otherwise each keeps its position. One that has none, as
        every name of a new group, joins at one stored position: where the connector's settings say that a new
        name begins, or at the earliest position of the group where that comes first. No consumer of the
        group is open during the call, and a repeated call changes nothing.

        Args:
            group: what the names of the group begin with; no name of another group does.
            names: the consumer names that are opened from now on.
        """
        ...


@runtime_checkable
class Positioned(Protocol):
    """A consumer that can say where in its source an event stands."""

    @property
    def position(self) -> str:
        """Where the event that `recv` returned last, or set aside as unreadable, stands.

        It is in the source's own terms, as `Seekable.seek` takes it; empty before the first event.
        """
        ...


@runtime_checkable
class Seekable(Protocol):
    """A connector whose consumers can be sent to another position, to deliver again or to skip."""

    async def seek(self, names: Sequence[str], position: str) -> None:
        """Let consumer names go on at a position, whether or not they have one already.

        All names change in one transaction. No consumer of these names is open during the call; acks of one
        that was given up for dead must not undo it. A repeated call sets the same position, where "latest"
        is what is latest by then.

        Args:
            names: the consumer names to move; the others stay.
            position: "earliest", "latest" (behind everything there is now), or one of the source's own, which
                is the first to be delivered again.

        Raises:
            InvalidPosition: the source has no such position.
            Exception: the source is out of reach; nothing has changed.
        """
        ...


@runtime_checkable
class Findable(Protocol):
    """A connector that can look an event up."""

    async def find(self, event_id: str) -> ConnectorEvent | None:
        """Read the event of an ID, without moving any consumer.

        Returns:
            The event; None when the source has no such event, or has it no more.

        Raises:
            InvalidEvent: it is there, but cannot be read.
            Exception: the source is out of reach.
        """
        ...
