"""The Temporal activities of a connector: its pumps, and what prepares their shards."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from pumphouse.activities.context import PumpContext
from pumphouse.activities.delivery import Delivery
from pumphouse.activities.dry_run import DryRun
from pumphouse.activities.functions import Activity
from pumphouse.activities.parking import Parker
from pumphouse.activities.pump import Pump
from pumphouse.activities.shards import Shard, shards
from pumphouse.activities.stats import PumpStats, read_stats
from pumphouse.connectors.contract import Reshardable, Seekable
from pumphouse.connectors.errors import InvalidPosition
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows import names
from pumphouse.workflows.definition import Connector, Workflow
from pumphouse.workflows.dry_run import recording
from pumphouse.workflows.messages import PumpInput, ReshardInput, SeekInput
from pumphouse.workflows.parking import Parking
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
    has_search_attributes: Callable[[], bool]
    """Whether the server knows them; asked for each event that is parked."""

    @property
    def activities(self) -> list[Activity]:
        """What a worker registers."""
        place = (self.definition.name, self.connector.name)
        return [
            activity.defn(name=names.pump_activity(*place))(self._bound_pump()),
            activity.defn(name=names.reshard_activity(*place))(self._bound_reshard()),
            activity.defn(name=names.seek_activity(*place))(self._bound_seek()),
        ]

    def _bound_pump(self) -> Activity:
        async def pump(start: PumpInput) -> None:
            await self._run_pump(Shard(start.shard_index, start.shard_count), dry_run=start.dry_run)

        return pump

    def _bound_reshard(self) -> Activity:
        async def reshard(request: ReshardInput) -> None:
            await self._reshard(request)

        return reshard

    def _bound_seek(self) -> Activity:
        async def seek(request: SeekInput) -> None:
            await self._seek(request)

        return seek

    async def _run_pump(self, shard: Shard, *, dry_run: bool) -> None:
        """Pump until the activity is cancelled, or the worker shuts down: then the shard is handed over."""
        stopping = asyncio.Event()
        pumping = asyncio.create_task(self._pump(shard, stopping, dry_run=dry_run).run())
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

    def _pump(self, shard: Shard, stopping: asyncio.Event, *, dry_run: bool) -> Pump:
        context = PumpContext(
            self.definition.name,
            self.connector.name,
            shard,
            self.connector.options,
            stats=_last_stats(),
            stopping=stopping,
        )
        dry = DryRun(context.consumer_name, context.stats) if dry_run else None
        return Pump(
            context=context,
            constructor=self.connector.constructor,
            delivery=Delivery(context, self._handler(dry)),
            parker=Parker(context, dry or self._parking(), self.has_search_attributes),
            heartbeat=activity.heartbeat,
            drain_timeout=self.drain_timeout,
            is_dry_run=dry_run,
        )

    def _parking(self) -> Parking:
        return Parking(
            self.client,
            self.definition.name,
            self.connector.name,
            self.definition.task_queue,
            limit=self.connector.options.max_parked,
        )

    def _handler(self, dry: DryRun | None) -> Callable[[ConnectorEvent], Awaitable[None]]:
        client = recording(self.client, dry.note) if dry else self.client
        api = self.definition.bind(deduplicated(client))

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

    async def _seek(self, request: SeekInput) -> None:
        """Set the positions of all shards.

        Raises:
            ApplicationError: the connector cannot do that, or its source has no such position.
        """
        constructor = self.connector.constructor
        if not isinstance(constructor, Seekable):
            raise ApplicationError(
                f"{type(constructor).__name__} has no seek method, so nothing has changed",
                type="NotSeekable",
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )
        consumer_names = [self._consumer_name(shard) for shard in shards(request.shard_count)]
        try:
            await constructor.seek(consumer_names, request.position)
        except InvalidPosition as error:
            raise ApplicationError(
                str(error),
                type=InvalidPosition.__name__,
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            ) from error

    @property
    def _group(self) -> str:
        return names.consumer_group(self.definition.name, self.connector.name)

    def _consumer_name(self, shard: Shard) -> str:
        return names.consumer_name(self.definition.name, self.connector.name, str(shard))


def _last_stats() -> PumpStats:
    """The counters of the pump that had the shard before, as its last heartbeat told them."""
    details = activity.info().heartbeat_details
    return read_stats(details[0]) if details else PumpStats()
