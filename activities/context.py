"""What the parts of one pump share."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from pumphouse.activities.lease import LEASE_PER_TIMEOUT, Lease
from pumphouse.activities.metrics import PumpMetrics
from pumphouse.activities.shards import Shard
from pumphouse.activities.stats import PumpStats
from pumphouse.workflows import names
from pumphouse.workflows.options import ConnectorOptions


@dataclass
class PumpContext:
    """The shard that a pump drives, and how it stands."""

    definition: str
    connector: str
    shard: Shard
    options: ConnectorOptions
    stats: PumpStats = field(default_factory=PumpStats)
    """Where the counters go on from; an earlier pump of the shard may have counted before."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, from outside or when the lease is lost, to stop the pump."""
    lease_duration: timedelta | None = None
    """How long the pump may stand still; by default as the heartbeat time-out says."""
    metrics: PumpMetrics = field(init=False)
    lease: Lease = field(init=False)

    def __post_init__(self) -> None:
        """Begin to pump."""
        self.stats.shard = str(self.shard)
        self.metrics = PumpMetrics(self.definition, self.connector, str(self.shard))
        duration = self.lease_duration or self.options.heartbeat_timeout * LEASE_PER_TIMEOUT
        self.lease = Lease(self.consumer_name, duration)

    @property
    def consumer_name(self) -> str:
        """Under which the source knows the pump."""
        return names.consumer_name(self.definition, self.connector, str(self.shard))

    @property
    def is_stopped(self) -> bool:
        """Whether the pump is to begin nothing more."""
        return self.stopping.is_set() or self.lease.is_lost
