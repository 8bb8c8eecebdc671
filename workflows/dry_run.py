"""A client that records what would change something in Temporal, instead of sending it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage
from temporalio.api.update.v1 import Outcome
from temporalio.api.workflowservice.v1 import (
    ExecuteMultiOperationRequest,
    ExecuteMultiOperationResponse,
    SignalWithStartWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
    UpdateWorkflowExecutionRequest,
    UpdateWorkflowExecutionResponse,
)
from temporalio.client import Client
from temporalio.converter import DataConverter

from pumphouse.workflows import names
from pumphouse.workflows.messages import MachineInput, StatusUpdate
from pumphouse.workflows.service import ForwardingService, ResponseT, through

RUN_ID = "dry-run"
"""The run ID of everything that a dry run starts."""

# What an RPC's name begins with if it only reads; any other changes something, also one of a later SDK.
_READS = ("get_", "list_", "describe_", "query_", "count_", "scan_", "poll_")
_HEALTH_CHECK = "check"

_STARTED: Mapping[str, Any] = {"run_id": RUN_ID, "started": True}
_COMPLETED: Mapping[str, Any] = {
    "stage": UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED,
    "outcome": Outcome(success=Payloads()),
}


@dataclass(frozen=True)
class RecordedCall:
    """A call to Temporal that a dry run has not made."""

    rpc: str
    """What would have been called: `start_workflow_execution`, `signal_workflow_execution`, ..."""
    workflow_id: str = ""
    """What it would have been called on; empty if that is no workflow."""
    name: str = ""
    """The type of the workflow that is started, or the name of the signal or update."""
    status: str = ""
    """For a call of `API`: the status that a run starts at or is to change to."""

    def __str__(self) -> str:
        """The call in one line."""
        return " ".join(filter(None, (self.rpc, self.workflow_id, self.name, self.status)))


def recording(client: Client, record: Callable[[RecordedCall], None]) -> Client:
    """The same client, which records what would change something in Temporal, and sends only what reads.

    Each recorded call is answered as if Temporal had done it: a start with the run ID `dry-run`, an update
    with an empty result. What is read afterwards is what was there before.

    Args:
        client: what reads go through.
        record: is told of each call, in its place; never of its data.
    """
    return through(client, _RecordingService(client, record))


class _RecordingService(ForwardingService):
    """Records and answers what is not to be sent."""

    def __init__(self, client: Client, record: Callable[[RecordedCall], None]) -> None:
        super().__init__(client.service_client)
        self._converter = client.data_converter
        self._record = record

    async def _on_call(self, rpc: str, req: Message, resp_type: type[ResponseT]) -> ResponseT | None:
        if is_read(rpc):
            return None
        for call in await _calls(rpc, req, self._converter):
            self._record(call)
        return _answer(req, resp_type)


def is_read(rpc: str) -> bool:
    """Whether an RPC changes nothing, by the rule of its name."""
    return rpc.startswith(_READS) or rpc == _HEALTH_CHECK


async def _calls(rpc: str, req: Message, converter: DataConverter) -> list[RecordedCall]:
    match req:
        case ExecuteMultiOperationRequest():
            inside = [getattr(each, each.WhichOneof("operation") or "") for each in req.operations]
            return [call for each in inside for call in await _calls(rpc, each, converter)]
        case StartWorkflowExecutionRequest() | SignalWithStartWorkflowExecutionRequest():
            status = await _started_at(req, converter)
            return [RecordedCall(rpc, req.workflow_id, req.workflow_type.name, status)]
        case SignalWorkflowExecutionRequest():
            status = await _updated_to(req.signal_name, req.input, converter)
            return [RecordedCall(rpc, req.workflow_execution.workflow_id, req.signal_name, status)]
        case UpdateWorkflowExecutionRequest():
            update = req.request.input
            status = await _updated_to(update.name, update.args, converter)
            return [RecordedCall(rpc, req.workflow_execution.workflow_id, update.name, status)]
        case _:
            return [RecordedCall(rpc, _workflow_id(req))]


def _workflow_id(req: Message) -> str:
    execution = getattr(req, "workflow_execution", None) or getattr(req, "execution", None)
    return str(getattr(execution or req, "workflow_id", ""))


async def _started_at(
    req: StartWorkflowExecutionRequest | SignalWithStartWorkflowExecutionRequest, converter: DataConverter
) -> str:
    if names.TRIGGERS_MEMO not in req.memo.fields:
        return ""
    start = await _first(req.input, MachineInput, converter)
    return start.status if isinstance(start, MachineInput) else ""


async def _updated_to(name: str, arguments: Payloads, converter: DataConverter) -> str:
    if name != names.UPDATE_STATUS:
        return ""
    update = await _first(arguments, StatusUpdate, converter)
    return update.status if isinstance(update, StatusUpdate) else ""


async def _first(arguments: Payloads, type_hint: type, converter: DataConverter) -> object:
    """The first argument of a call of `API`; None for a call of the same name on another's workflow."""
    try:
        values: list[object] = await converter.decode(arguments.payloads, [type_hint])
    except Exception:  # noqa: BLE001 - a converter may raise anything, and the record is without it then
        return None
    return values[0] if values else None


def _answer(req: Message, resp_type: type[ResponseT]) -> ResponseT:
    """What the server would have answered, as far as the client looks at it."""
    values = _COMPLETED if resp_type is UpdateWorkflowExecutionResponse else _STARTED
    fields = resp_type.DESCRIPTOR.fields_by_name
    answer = resp_type(**{name: value for name, value in values.items() if name in fields})
    if isinstance(answer, ExecuteMultiOperationResponse) and isinstance(req, ExecuteMultiOperationRequest):
        for operation in req.operations:
            _answer_operation(operation, answer.responses.add())
    return answer


def _answer_operation(
    operation: ExecuteMultiOperationRequest.Operation, answer: ExecuteMultiOperationResponse.Response
) -> None:
    if operation.HasField("start_workflow"):
        answer.start_workflow.CopyFrom(_answer(operation.start_workflow, StartWorkflowExecutionResponse))
    else:
        answer.update_workflow.CopyFrom(_answer(operation.update_workflow, UpdateWorkflowExecutionResponse))
