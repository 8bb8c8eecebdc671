"""What a connector has to do, and in which order it is asked to.

The life of a consumer, as the pump drives it:

1. `make` is called once for every shard, whenever a pump takes the shard over: after a start, a crash, or a
   move to another process. Two pumps of one shard may overlap for a moment, when one was given up for dead.
2. `recv` is called again and again, one call at a time, until the pump stops.
3. The acks come in the order in which `recv` returned their events, one at a time, from another task than
   the one in `recv`. An event whose ack was never called is delivered again by a later consumer of that name.
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
            InvalidEvent: the next event cannot be read; the same one is read again by the next call.
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
        group has, and the others are forgotten. Otherwise each keeps its position, and one that has none
        starts from the beginning. No consumer of the group is open during the call, and a repeated call
        changes nothing.

        Args:
            group: what the names of the group begin with; no name of another group does.
            names: the consumer names that are opened from now on.
        """
        ...
