"""The request IDs of the calls that a handler makes, so that Temporal and the machine know repeats.

While an event is handled, every ID follows from the event and the call alone; a handler that is run again
for the same event therefore repeats its requests instead of making new ones. Outside a handling, IDs are
random.

The derivation is a promise: a change would make every event that is in flight during an upgrade look new.
"""

import copy
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TypeAlias

from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    SignalWithStartWorkflowExecutionResponse,
    SignalWorkflowExecutionRequest,
    SignalWorkflowExecutionResponse,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
)
from temporalio.client import Client
from temporalio.service import WorkflowService

_FORMAT = "pumphouse-1"
_ID_LENGTH = 32  # hexadecimal digits of SHA-256: 128 bits

Metadata: TypeAlias = Mapping[str, str | bytes]


class RequestIDs:
    """Derives the request IDs of one handling of one event."""

    def __init__(self, definition: str, connector: str, event_id: str) -> None:
        """Begin a handling: the first equal call gets the ordinal 0, the next one 1."""
        self._event = (definition, connector, event_id)
        self._made: Counter[tuple[str, str]] = Counter()

    def next(self, kind: str, target: str) -> str:
        """The ID of the next call of that kind for that target.

        Args:
            kind: what is called: `start`, `signal`, `trigger`, ...
            target: what it is called on: a workflow ID, a foreign ID.
        """
        ordinal = self._made[kind, target]
        self._made[kind, target] += 1
        text = json.dumps([_FORMAT, *self._event, kind, target, ordinal], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]


_current: ContextVar[RequestIDs | None] = ContextVar("pumphouse_request_ids", default=None)


@contextmanager
def handling(definition: str, connector: str, event_id: str) -> Generator[None]:
    """Derive the request IDs of every call in this block, and in tasks begun in it, from the event."""
    token = _current.set(RequestIDs(definition, connector, event_id))
    try:
        yield
    finally:
        _current.reset(token)


def request_id(kind: str, target: str) -> str:
    """The ID of a call: derived inside a handling, random outside."""
    current = _current.get()
    return current.next(kind, target) if current else uuid.uuid4().hex


def deduplicated(client: Client) -> Client:
    """The same client, whose starts and signals carry derived request IDs inside a handling.

    The SDK sets a random request ID for each start and signal and has no argument for it, so it is
    replaced where requests leave for the server, whatever call of the client they came from.
    """
    service_client = copy.copy(client.service_client)
    service_client.workflow_service = _DeduplicatedService(client.service_client)
    config = client.config(active_config=True)
    config["service_client"] = service_client
    # What the plugins configured is in there already.
    config["plugins"] = []
    return Client(**config)


class _DeduplicatedService(WorkflowService):
    async def start_workflow_execution(
        self,
        req: StartWorkflowExecutionRequest,
        retry: bool = False,  # noqa: FBT001, FBT002 - the SDK's signature
        metadata: Metadata = {},  # noqa: B006 - the SDK's signature; it is only read
        timeout: timedelta | None = None,  # noqa: ASYNC109 - the SDK's signature
    ) -> StartWorkflowExecutionResponse:
        if current := _current.get():
            req.request_id = current.next("start", req.workflow_id)
        return await super().start_workflow_execution(req, retry, metadata, timeout)

    async def signal_workflow_execution(
        self,
        req: SignalWorkflowExecutionRequest,
        retry: bool = False,  # noqa: FBT001, FBT002 - the SDK's signature
        metadata: Metadata = {},  # noqa: B006 - the SDK's signature; it is only read
        timeout: timedelta | None = None,  # noqa: ASYNC109 - the SDK's signature
    ) -> SignalWorkflowExecutionResponse:
        if current := _current.get():
            req.request_id = current.next("signal", req.workflow_execution.workflow_id)
        return await super().signal_workflow_execution(req, retry, metadata, timeout)

    async def signal_with_start_workflow_execution(
        self,
        req: SignalWithStartWorkflowExecutionRequest,
        retry: bool = False,  # noqa: FBT001, FBT002 - the SDK's signature
        metadata: Metadata = {},  # noqa: B006 - the SDK's signature; it is only read
        timeout: timedelta | None = None,  # noqa: ASYNC109 - the SDK's signature
    ) -> SignalWithStartWorkflowExecutionResponse:
        if current := _current.get():
            req.request_id = current.next("signal-with-start", req.workflow_id)
        return await super().signal_with_start_workflow_execution(req, retry, metadata, timeout)
