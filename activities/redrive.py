"""The Temporal activities of parked events: handing one to its handler, and telling the user's own sink."""

from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.activities.failures import chain, describe
from pumphouse.activities.functions import Activity
from pumphouse.activities.heartbeats import beating
from pumphouse.activities.retry import error_of, in_time, is_hopeless, is_temporals
from pumphouse.connectors.contract import Findable
from pumphouse.connectors.errors import PumphouseError
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.workflows import names
from pumphouse.workflows.controls import read_connector
from pumphouse.workflows.definition import Connector, Workflow
from pumphouse.workflows.options import DeadLetterSink
from pumphouse.workflows.parked import ParkedEvent, RedriveFailure, RedriveInput
from pumphouse.workflows.requests import deduplicated, handling

PAUSED_DELAY = timedelta(seconds=30)
"""How long after an attempt that was put off the next one comes."""

BEAT_INTERVAL = timedelta(seconds=2)
"""How often a redrive heartbeats; `pumphouse.workflows.dead_letter` has its time-out."""


class EventNotFound(PumphouseError):
    """A parked event is not held by Temporal, and the source does not find it."""

    def __init__(self, event: str) -> None:
        """Name the connector and the event."""
        super().__init__(
            f"{event}: Temporal does not hold this event, and the source does not find it by its ID; "
            "seek back to its position once it is mended, or discard it"
        )


def parked_activities(definition: Workflow[Any, Any], connector: Connector[Any, Any]) -> list[Activity]:
    """The activities of a connector's parked events."""
    activities = [_redrive_activity(definition, connector)]
    if sink := connector.options.on_dead_letter:
        activities.append(_sink_activity(definition, connector, sink))
    return activities


def _redrive_activity(definition: Workflow[Any, Any], connector: Connector[Any, Any]) -> Activity:
    @activity.defn(name=names.redrive_activity(definition.name, connector.name))
    async def redrive(request: RedriveInput) -> None:
        """Let the connector's handler try once, with the request IDs that the event has always had."""
        if not request.is_asked:
            await _require_running(definition.name, connector.name)
        attempt = _count_attempt()
        activity.heartbeat(attempt)  # at once: a worker that dies now has made an attempt
        error = await beating(_try(definition, connector, request.parked), BEAT_INTERVAL, attempt)
        if error is None:
            return
        if is_temporals(error):
            activity.heartbeat(attempt - 1)  # it says nothing of the event, and does not count
        is_final = isinstance(error, EventNotFound) or is_hopeless(error, connector.options)
        # Without the error as its cause: Temporal would keep its text, which may quote the event.
        raise ApplicationError(
            describe(error),
            RedriveFailure(chain(error), attempt),
            type="NotRedriven",
            non_retryable=is_final or (_is_last(attempt, request.max_attempts) and not is_temporals(error)),
        )

    return redrive


def _is_last(attempt: int, max_attempts: int | None) -> bool:
    # More than were allowed, if the worker died in the last one.
    return max_attempts is not None and attempt >= max_attempts


async def _try(
    definition: Workflow[Any, Any], connector: Connector[Any, Any], parked: ParkedEvent
) -> BaseException | None:
    """Let the handler try once; its error, if it has failed."""

    async def handle() -> None:
        event = await _event(connector, parked)
        api = definition.bind(deduplicated(activity.client()))
        with handling(definition.name, connector.name, event.id):
            await connector.handler(api, event)

    return await error_of(in_time(handle(), connector.options.handler_timeout))


async def _event(connector: Connector[Any, Any], parked: ParkedEvent) -> ConnectorEvent:
    """The event, from the dead letter; from the source if it could not be read then, or was too large."""
    if parked.event is not None:
        return ConnectorEvent.model_validate(parked.event)
    constructor = connector.constructor
    event = await constructor.find(parked.source_id) if isinstance(constructor, Findable) else None
    if event is None:
        raise EventNotFound(f"{connector.name}/{parked.event_id}")
    return event


async def _require_running(definition: str, connector: str) -> None:
    """Put the attempt off while the connector is paused, stopped or in a dry run."""
    supervisor = activity.client().get_workflow_handle(names.supervisor_workflow_id(definition, connector))
    try:
        record = await read_connector(await supervisor.describe())
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return  # nobody has ever paused it
    if not record.is_plain:
        raise ApplicationError(
            f"connector {definition}/{connector} is {'in a dry run' if record.dry_run else record.state}",
            type="NotRunning",
            next_retry_delay=PAUSED_DELAY,
            category=ApplicationErrorCategory.BENIGN,
        )


def _count_attempt() -> int:
    """The number of this attempt; the heartbeats carry the count, as one that was put off is none."""
    details = activity.info().heartbeat_details
    made: int = details[0] if details else 0
    return made + 1


def _sink_activity(
    definition: Workflow[Any, Any], connector: Connector[Any, Any], sink: DeadLetterSink
) -> Activity:
    @activity.defn(name=names.sink_activity(definition.name, connector.name))
    async def tell(parked: ParkedEvent) -> None:
        """Tell the user's own sink; it is repeated until it returns."""
        try:
            await sink(parked)
        except ApplicationError as error:
            # One that says it must not be retried would be the end of the dead letter.
            raise ApplicationError(error.message, *error.details, type=error.type) from error

    return tell
