"""The request IDs of the calls that a handler makes, so that Temporal and the machine know repeats.

While an event is handled, every ID follows from the event and the call alone; a handler that is run again
for the same event therefore repeats its requests instead of making new ones. Outside a handling, IDs are
random.

The derivation is a promise: a change would make every event that is in flight during an upgrade look new.
"""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import ExecuteMultiOperationRequest
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowUpdateHandle,
)

from pumphouse.workflows.service import ForwardingService, ResponseT, through

START = "start"
SIGNAL = "signal"
UPDATE = "update"
UPDATE_WITH_START = "update-with-start"

_KINDS = {
    "start_workflow_execution": START,
    "signal_workflow_execution": SIGNAL,
    "signal_with_start_workflow_execution": "signal-with-start",
    "request_cancel_workflow_execution": "cancel",
}
"""The kinds of calls that have a name of ours; every other one is called as Temporal calls it."""

_TARGETS = ("workflow_id", "schedule_id", "activity_id", "operation_id")
"""The fields that tell what a request is about, the first that is set."""

_FORMAT = "pumphouse-1"
_ID_LENGTH = 32  # hexadecimal digits of SHA-256: 128 bits

Check: TypeAlias = Callable[[], None]


class RequestIDs:
    """Derives the request IDs of one handling of one event."""

    def __init__(self, definition: str, connector: str, event_id: str, check: Check | None = None) -> None:
        """Begin a handling: the first equal call gets the ordinal 0, the next one 1."""
        self._event = (definition, connector, event_id)
        self._check = check
        self._made: Counter[tuple[str, str]] = Counter()
        self._given: set[str] = set()

    def next(self, kind: str, target: str) -> str:
        """The ID of the next call of that kind for that target.

        Args:
            kind: what is called: `start`, `signal`, `trigger`, ...
            target: what it is called on: a workflow ID, a foreign ID.
        """
        self.check()
        ordinal = self._made[kind, target]
        self._made[kind, target] += 1
        text = json.dumps([_FORMAT, *self._event, kind, target, ordinal], separators=(",", ":"))
        request_id = hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]
        self._given.add(request_id)
        return request_id

    def check(self) -> None:
        """Raise what the handling's check raises: then it may make no more calls."""
        if self._check:
            self._check()

    def sign(self, rpc: str, request: Message) -> None:
        """Put its ID into a request that has a place for one."""
        if isinstance(request, ExecuteMultiOperationRequest):
            for operation in request.operations:
                if operation.HasField("start_workflow"):
                    self._sign(UPDATE_WITH_START, operation.start_workflow)
        elif "request_id" in request.DESCRIPTOR.fields_by_name:
            self._sign(_KINDS.get(rpc, rpc), request)

    def _sign(self, kind: str, request: Any) -> None:
        # The SDK sends the same request again until an update is durable: its ID stays what it is.
        if request.request_id not in self._given:
            target = _target(request)
            request.request_id = _carried.get().get((kind, target)) or self.next(kind, target)


_current: ContextVar[RequestIDs | None] = ContextVar("pumphouse_request_ids", default=None)
_carried: ContextVar[Mapping[tuple[str, str], str]] = ContextVar("pumphouse_carried_ids", default={})  # noqa: B039 - it is only read


@contextmanager
def handling(
    definition: str, connector: str, event_id: str, *, check: Check | None = None
) -> Generator[None]:
    """Derive the request IDs of every call in this block, and in tasks begun in it, from the event.

    Args:
        definition: whose handler it is.
        connector: whose event it is.
        event_id: the event's.
        check: called before each ID is handed out, and again before each request of a `deduplicated` client
            leaves for the server; what it raises is the call's error, and nothing is sent.
    """
    token = _current.set(RequestIDs(definition, connector, event_id, check))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def carrying(kind: str, target: str, request_id: str) -> Generator[None]:
    """Let the calls of that kind for that target in this block carry this ID, and not one of their own.

    A call of the API is then one request under one ID, however often and by which kind of start it has to be
    sent.
    """
    token = _carried.set({**_carried.get(), (kind, target): request_id})
    try:
        yield
    finally:
        _carried.reset(token)


def request_id(kind: str, target: str) -> str:
    """The ID of a call: derived inside a handling, random outside."""
    current = _current.get()
    return current.next(kind, target) if current else uuid.uuid4().hex


def deduplicated(client: Client) -> Client:
    """The same client, whose calls carry derived request IDs inside a handling.

    The SDK sets a random request ID for each call and has no argument for it, so it is replaced where
    requests leave for the server, whatever call of the client they came from. The ID of an update is an
    argument that the caller may have set; only an interceptor sees whether that is so.
    """
    return through(client, _DeduplicatedService(client.service_client), _UpdateInterceptor())


class _DeduplicatedService(ForwardingService):
    """Puts the derived IDs into the requests."""

    async def _on_call(self, rpc: str, req: Message, resp_type: type[ResponseT]) -> ResponseT | None:  # noqa: ARG002 - the base has it so
        if current := _current.get():
            current.sign(rpc, req)
            current.check()
        return None


class _UpdateInterceptor(Interceptor):
    """Gives an ID to the updates whose caller has set none."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
        return _UpdateIDs(next)


class _UpdateIDs(OutboundInterceptor):
    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:  # noqa: A002 - the SDK's name
        input.update_id = input.update_id or _derived(UPDATE, input.id)
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self,
        input: StartWorkflowUpdateWithStartInput,  # noqa: A002 - the SDK's name
    ) -> WorkflowUpdateHandle[Any]:
        update = input.update_workflow_input
        update.update_id = update.update_id or _derived(UPDATE, input.start_workflow_input.id)
        return await super().start_update_with_start_workflow(input)


def _derived(kind: str, target: str) -> str | None:
    current = _current.get()
    return current.next(kind, target) if current else None


def _target(request: Any) -> str:
    """What a request is about: a workflow ID, mostly."""
    fields = request.DESCRIPTOR.fields_by_name
    for name in ("workflow_execution", "execution"):
        if name in fields:
            return str(getattr(request, name).workflow_id)
    return next((str(getattr(request, name)) for name in _TARGETS if getattr(request, name, "")), "")
