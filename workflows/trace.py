"""Where an event is: what Temporal still knows of the calls that its handling has made."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHistoryEventFilterType,
)
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.workflows import names
from pumphouse.workflows.dead_letters import DeadLetters
from pumphouse.workflows.errors import DeadLetterNotFound
from pumphouse.workflows.messages import StatusUpdate
from pumphouse.workflows.parked import DeadLetterRecord
from pumphouse.workflows.records import read_record
from pumphouse.workflows.requests import RequestIDs
from pumphouse.workflows.triggers import past_triggers

MAX_ORDINAL = 16
"""So many equal calls of one handling are looked for."""
PATIENCE = timedelta(seconds=5)
"""How long a worker may take to tell what became of an open run's requests."""


@dataclass(frozen=True)
class TracedCall:
    """A call of the API that the handling of an event has made."""

    kind: str
    """`trigger` or `update_status`."""
    status: str
    """What `update_status` asked for."""
    outcome: str
    """`started`, `applied`, `refused`, or `accepted` as long as the run has not come to it."""
    workflow_id: str
    run_id: str
    """Of the execution that took it."""
    at: datetime


@dataclass(frozen=True)
class Trace:
    """What is known of an event."""

    event_id: str
    foreign_id: str | None
    calls: list[TracedCall]
    """In the order in which Temporal accepted them."""
    dead_letter: DeadLetterRecord | None
    """If it was parked."""

    @property
    def is_known(self) -> bool:
        """Whether a handling of it has left anything in Temporal."""
        return bool(self.calls or self.dead_letter)


@dataclass(frozen=True)
class Tracer:
    """Traces the events of one connector, as far as Temporal's retention and visibility store reach.

    Found are the calls of the API about the event's own foreign ID. What a handler did to others, or through
    a client of its own, carries the event's request IDs as well, but Temporal has no index by them.
    """

    client: Client
    definition: str
    connector: str

    async def trace(self, event_id: str, foreign_id: str | None = None) -> Trace:
        """Look an event up.

        Args:
            event_id: the event.
            foreign_id: whose runs to look through; known from the dead letter if the event was parked.

        Raises:
            temporalio.service.RPCError: Temporal is out of reach.
            DeadLetterTimeout: it is parked, and no worker is up to tell how it stands.
        """
        dead_letter = await self._dead_letter(event_id)
        if dead_letter and foreign_id is None:
            foreign_id = dead_letter.parked.foreign_id
        calls = [call async for call in self._calls(event_id, foreign_id)] if foreign_id else []
        return Trace(event_id, foreign_id, sorted(calls, key=lambda call: call.at), dead_letter)

    async def _dead_letter(self, event_id: str) -> DeadLetterRecord | None:
        with suppress(DeadLetterNotFound):
            return await DeadLetters(self.client, self.definition, self.connector).get(event_id)
        return None

    async def _calls(self, event_id: str, foreign_id: str) -> AsyncIterator[TracedCall]:
        workflow_id = f"{self.definition}/{foreign_id}"
        triggers = self._request_ids("trigger", event_id, foreign_id)
        updates = self._request_ids("update_status", event_id, foreign_id)
        async for trigger_id, run_id in past_triggers(self.client, workflow_id):
            executions = [each async for each in self._executions(workflow_id, run_id)]
            if executions and trigger_id in triggers:
                started = executions[0].start_time
                yield TracedCall("trigger", "", "started", workflow_id, run_id, started)
            for execution in executions:
                found = [each async for each in self._updates(execution) if each[0].request_id in updates]
                outcomes: Mapping[str, str] = await self._outcomes(executions[-1]) if found else {}
                for update, at in found:
                    outcome = outcomes.get(update.request_id, "accepted")
                    yield TracedCall("update_status", update.status, outcome, workflow_id, run_id, at)

    async def _executions(self, workflow_id: str, run_id: str) -> AsyncIterator[WorkflowExecutionDescription]:
        """The executions of a run, from its first one on, as far as retention has left them."""
        next_id = run_id
        while next_id:
            execution = self.client.get_workflow_handle(workflow_id, run_id=next_id)
            try:
                description = await execution.describe()
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                return
            yield description
            next_id = ""
            if description.status == WorkflowExecutionStatus.CONTINUED_AS_NEW:
                next_id = await self._next_execution(workflow_id, description.run_id)

    async def _next_execution(self, workflow_id: str, run_id: str) -> str:
        handle = self.client.get_workflow_handle(workflow_id, run_id=run_id)
        closing = handle.fetch_history_events(event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT)
        event = await anext(closing)
        return event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id

    async def _updates(
        self, execution: WorkflowExecutionDescription
    ) -> AsyncIterator[tuple[StatusUpdate, datetime]]:
        """The status updates that an execution has taken, and when."""
        handle = self.client.get_workflow_handle(execution.id, run_id=execution.run_id)
        async for event in handle.fetch_history_events():
            if update := await self._decode(_update_payloads(event)):
                yield update, event.event_time.ToDatetime(UTC)

    async def _decode(self, payloads: Sequence[Payload]) -> StatusUpdate | None:
        if payloads:
            with suppress(Exception):  # whoever signals by hand may send anything
                decoded: list[StatusUpdate] = await self.client.data_converter.decode(
                    payloads, [StatusUpdate]
                )
                return decoded[0]
        return None

    async def _outcomes(self, execution: WorkflowExecutionDescription) -> Mapping[str, str]:
        """What became of the requests that a run has answered; nothing if no worker is up to tell."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                record = await read_record(self.client, execution)
        except (RPCError, TimeoutError):
            return {}
        refused = {refusal.request_id for refusal in record.refused}
        return {each: "refused" if each in refused else "applied" for each in record.applied}

    def _request_ids(self, kind: str, event_id: str, foreign_id: str) -> set[str]:
        """Every ID that a call of that kind in a handling of the event may carry."""
        ids = RequestIDs(self.definition, self.connector, event_id)
        return {ids.next(kind, foreign_id) for _ in range(MAX_ORDINAL)}


def _update_payloads(event: HistoryEvent) -> Sequence[Payload]:
    """The arguments of the status update that an event tells of; none for any other event."""
    signal = event.workflow_execution_signaled_event_attributes
    if signal.signal_name == names.UPDATE_STATUS:
        return signal.input.payloads
    update = event.workflow_execution_update_accepted_event_attributes.accepted_request
    return update.input.args.payloads if update.input.name == names.UPDATE_STATUS else ()
