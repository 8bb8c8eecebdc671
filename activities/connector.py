"""The Temporal activities of a connector: its pumps, and what prepares their shards."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from pumphouse.activities.delivery import Delivery
from pumphouse.activities.functions import Activity
from pumphouse.activities.metrics import PumpMetrics
from pumphouse.activities.pump import Pump
from pumphouse.activities.shards import Shard, shards
from pumphouse.activities.stats import PumpStats, read_stats
from pumphouse.connectors.contract import Reshardable
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows import names
from pumphouse.workflows.definition import Connector, Workflow
from pumphouse.workflows.messages import PumpInput, ReshardInput
from pumphouse.workflows.requests import deduplicated

HAND_OVER_DELAY = timedelta(milliseconds=1)
"""Temporal offers the shard to the other workers after it."""


@dataclass(frozen=True)
class ConnectorActivities:
    """The activities of one connector."""

    definition: Workflow[Any, Any]
    connector: Connector[Any, Any]
    client: Client
    drain_timeout: timedelta

    @property
    def activities(self) -> list[Activity]:
        """What a worker registers."""
        place = (self.definition.name, self.connector.name)
        return [
            activity.defn(name=names.pump_activity(*place))(self._bound_pump()),
            activity.defn(name=names.reshard_activity(*place))(self._bound_reshard()),
        ]

    def _bound_pump(self) -> Activity:
        async def pump(start: PumpInput) -> None:
            await self._run_pump(Shard(start.shard_index, start.shard_count))

        return pump

    def _bound_reshard(self) -> Activity:
        async def reshard(request: ReshardInput) -> None:
            await self._reshard(request)

        return reshard

    async def _run_pump(self, shard: Shard) -> None:
        """Pump until the activity is cancelled, or the worker shuts down: then the shard is handed over."""
        stopping = asyncio.Event()
        pumping = asyncio.create_task(self._pump(shard, stopping).run())
        shutdown = asyncio.create_task(activity.wait_for_worker_shutdown())
        try:
            await asyncio.wait({pumping, shutdown}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # After a cancellation too: the pump drains, and a second cancellation ends that.
            stopping.set()
            shutdown.cancel()
            await pumping
        raise ApplicationError(
            f"shard {shard} is handed over",
            type="HandOver",
            next_retry_delay=HAND_OVER_DELAY,
            category=ApplicationErrorCategory.BENIGN,
        )

    def _pump(self, shard: Shard, stopping: asyncio.Event) -> Pump:
        metrics = PumpMetrics(self.definition.name, self.connector.name, str(shard))
        stats = replace(_last_stats(), shard=str(shard))
        delivery = Delivery(
            definition=self.definition.name,
            connector=self.connector.name,
            options=self.connector.options,
            handle=self._handler(),
            stopping=stopping,
            stats=stats,
            metrics=metrics,
        )
        return Pump(
            constructor=self.connector.constructor,
            consumer_name=self._consumer_name(shard),
            shard=shard,
            options=self.connector.options,
            delivery=delivery,
            stats=stats,
            metrics=metrics,
            heartbeat=activity.heartbeat,
            stopping=stopping,
            drain_timeout=self.drain_timeout,
        )

    def _handler(self) -> Callable[[ConnectorEvent], Awaitable[None]]:
        api = self.definition.bind(deduplicated(self.client))

        async def handle(event: ConnectorEvent) -> None:
            await self.connector.handler(api, event)

        return handle

    async def _reshard(self, request: ReshardInput) -> None:
        """Give the shards their positions.

        Raises:
            ApplicationError: the connector cannot do that, and the number of shards has changed.
        """
        constructor = self.connector.constructor
        if isinstance(constructor, Reshardable):
            consumer_names = [self._consumer_name(shard) for shard in shards(request.shard_count)]
            await constructor.reshard(self._group, consumer_names)
        elif request.previous_shard_count not in (None, request.shard_count):
            raise ApplicationError(
                f"{type(constructor).__name__} has no reshard method, so the {request.previous_shard_count} "
                f"shards of connector {self.connector.name!r} cannot become {request.shard_count}",
                type="NotReshardable",
                non_retryable=True,
            )

    @property
    def _group(self) -> str:
        return f"{self.definition.name}/{self.connector.name}/"

    def _consumer_name(self, shard: Shard) -> str:
        return f"{self._group}{shard}"


def _last_stats() -> PumpStats:
    """The counters of the pump that had the shard before, as its last heartbeat told them."""
    details = activity.info().heartbeat_details
    return read_stats(details[0]) if details else PumpStats()
