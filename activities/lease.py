"""How long a pump may take its shard for its own."""

import time
from datetime import timedelta

from pumphouse.connectors.errors import PumphouseError

LEASE_PER_TIMEOUT = 0.6
"""Of the heartbeat time-out. A heartbeat may be a fifth of it old when Temporal gets it; so the lease ends
before Temporal gives the shard to another pump."""


class LeaseLost(PumphouseError):
    """A pump was silent for so long that another one may have its shard."""

    def __init__(self, consumer_name: str) -> None:
        """Name the pump."""
        super().__init__(
            f"{consumer_name}: this process stood still for longer than the heartbeat time-out allows, so "
            "another may have its shard; the call is not made, and the event is delivered again"
        )


class Lease:
    """Fences off a process that was frozen: what it was about to do, another one may have done by now.

    The pump renews it as it heartbeats; once lost, it stays so.
    """

    def __init__(self, consumer_name: str, duration: timedelta) -> None:
        """Begin to count.

        Args:
            consumer_name: whose lease.
            duration: how long it lasts without being renewed.
        """
        self._consumer_name = consumer_name
        self._duration = duration.total_seconds()
        self._until = time.monotonic() + self._duration

    @property
    def is_lost(self) -> bool:
        """Whether it was not renewed in time."""
        if time.monotonic() > self._until:
            self._until = float("-inf")
        return self._until == float("-inf")

    def renew(self) -> bool:
        """Count anew; whether the lease still held."""
        if self.is_lost:
            return False
        self._until = time.monotonic() + self._duration
        return True

    def check(self) -> None:
        """Refuse to go on without it.

        Raises:
            LeaseLost: it is lost.
        """
        if self.is_lost:
            raise LeaseLost(self._consumer_name)
