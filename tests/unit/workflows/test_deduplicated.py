"""The client of a handler: whatever it calls carries a derived ID, and nothing else about it changes."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, TypeAlias

import pytest
from pydantic import BaseModel
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.update.v1 import Outcome
from temporalio.api.workflowservice.v1 import (
    ExecuteMultiOperationResponse,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
    UpdateWorkflowExecutionResponse,
)
from temporalio.client import (
    Client,
    HeaderCodecBehavior,
    Interceptor,
    OutboundInterceptor,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    StartWorkflowInput,
    WithStartWorkflowOperation,
    WorkflowHandle,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.plugin import SimplePlugin

from pumphouse.workflows import Workflow
from pumphouse.workflows.requests import RequestIDs, carrying, deduplicated, handling
from tests.unit.workflows.services import StandIn

EVENT = ("orders", "payments", "1")
RPC_OPTIONS: dict[str, Any] = {"rpc_metadata": {"trace": "1"}, "rpc_timeout": timedelta(seconds=3)}


class Service(StandIn):
    """Answers as far as the SDK looks at it."""

    def answer(self, kind: type[Any]) -> Any:
        """Temporal's: an update is durable at the second request only."""
        update = UpdateWorkflowExecutionResponse()
        if len(self.calls) % 2 == 0:
            stage = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
            update = UpdateWorkflowExecutionResponse(stage=stage, outcome=Outcome(success=Payloads()))
        if kind is UpdateWorkflowExecutionResponse:
            return update
        if kind is ExecuteMultiOperationResponse:
            both = ExecuteMultiOperationResponse.Response
            start = StartWorkflowExecutionResponse(run_id="run", started=True)
            return kind(responses=[both(start_workflow=start), both(update_workflow=update)])
        return kind()

    @property
    def request_ids(self) -> list[str]:
        return [call.request.request_id for call in self.calls if hasattr(call.request, "request_id")]

    @property
    def update_ids(self) -> list[str]:
        updates = [call.request for call in self.calls if call.rpc == "update_workflow_execution"]
        return [update.request.meta.update_id for update in updates]


ClientCall: TypeAlias = Callable[[Client], Awaitable[object]]


async def start(client: Client) -> None:
    await client.start_workflow("shipping", "book", id="shipping/1", task_queue="eu", **RPC_OPTIONS)


async def signal(client: Client) -> None:
    await client.get_workflow_handle("shipping/1").signal("pack", "book", **RPC_OPTIONS)


async def signal_with_start(client: Client) -> None:
    await client.start_workflow(
        "shipping", "book", id="shipping/1", task_queue="eu", start_signal="pack", **RPC_OPTIONS
    )


async def cancel(client: Client) -> None:
    await client.get_workflow_handle("shipping/1").cancel(**RPC_OPTIONS)


async def create_schedule(client: Client) -> None:
    action = ScheduleActionStartWorkflow("shipping", "book", id="shipping", task_queue="eu")
    await client.create_schedule("shipping/1", Schedule(action=action, spec=ScheduleSpec()), **RPC_OPTIONS)


async def update(client: Client, update_id: str | None = None) -> None:
    await client.get_workflow_handle("shipping/1").execute_update("pack", "book", id=update_id, **RPC_OPTIONS)


async def update_with_start(client: Client, update_id: str | None = None) -> None:
    operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "shipping",
        "book",
        id="shipping/1",
        task_queue="eu",
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    await client.execute_update_with_start_workflow(
        "pack", "book", id=update_id, start_workflow_operation=operation, **RPC_OPTIONS
    )


CALLS: list[tuple[str, ClientCall]] = [
    ("start", start),
    ("signal", signal),
    ("signal-with-start", signal_with_start),
    ("cancel", cancel),
    ("create_schedule", create_schedule),
]
RPCS = {
    "start": "start_workflow_execution",
    "signal": "signal_workflow_execution",
    "signal-with-start": "signal_with_start_workflow_execution",
    "cancel": "request_cancel_workflow_execution",
    "create_schedule": "create_schedule",
}


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service)


@pytest.mark.parametrize(("kind", "call"), CALLS)
async def test_a_call_in_a_handling_carries_the_derived_id(
    client: Client, service: Service, kind: str, call: ClientCall
) -> None:
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        await call(deduplicated(client))
        await call(deduplicated(client))
    assert [sent.rpc for sent in service.calls] == [RPCS[kind]] * 2
    assert service.request_ids == [ids.next(kind, "shipping/1"), ids.next(kind, "shipping/1")]


@pytest.mark.parametrize(("kind", "call"), CALLS)
async def test_a_call_outside_a_handling_carries_a_random_id(
    client: Client, service: Service, kind: str, call: ClientCall
) -> None:
    await call(deduplicated(client))
    await call(deduplicated(client))
    one, other = service.request_ids
    assert uuid.UUID(one) != uuid.UUID(other)
    assert RequestIDs(*EVENT).next(kind, "shipping/1") not in service.request_ids


@pytest.mark.parametrize(("kind", "call"), CALLS)
async def test_nothing_but_the_id_of_a_call_is_changed(
    client: Client, service: Service, kind: str, call: ClientCall
) -> None:
    with handling(*EVENT):
        await call(client)
        await call(deduplicated(client))
    plain, ours = service.calls
    assert plain.request.request_id != ours.request.request_id == RequestIDs(*EVENT).next(kind, "shipping/1")
    plain.request.request_id = ours.request.request_id
    assert ours == plain
    assert (ours.retry, ours.metadata, ours.timeout) == (True, {"trace": "1"}, timedelta(seconds=3))
    assert ours.service == "workflow"


async def test_a_call_that_has_no_id_passes_as_it_is(client: Client, service: Service) -> None:
    handle: WorkflowHandle[Any, Any] = deduplicated(client).get_workflow_handle("shipping/1")
    with handling(*EVENT):
        await handle.terminate()
        await deduplicated(client).count_workflows()
    assert [call.rpc for call in service.calls] == [
        "terminate_workflow_execution",
        "count_workflow_executions",
    ]


async def test_an_update_in_a_handling_has_the_derived_id_however_often_it_is_sent(
    client: Client, service: Service
) -> None:
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        await update(deduplicated(client))
        await update(deduplicated(client))
    one, other = ids.next("update", "shipping/1"), ids.next("update", "shipping/1")
    assert service.update_ids == [one, one, other, other]


async def test_an_update_with_start_has_two_derived_ids_however_often_it_is_sent(
    client: Client, service: Service
) -> None:
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        await update_with_start(deduplicated(client))
        await update_with_start(deduplicated(client))
    operations = [call.request.operations for call in service.calls]
    starts = [start.start_workflow.request_id for start, _ in operations]
    updates = [update.update_workflow.request.meta.update_id for _, update in operations]
    for made, kind in [(starts, "update-with-start"), (updates, "update")]:
        one, other = ids.next(kind, "shipping/1"), ids.next(kind, "shipping/1")
        assert made == [one, one, other, other], kind


@pytest.mark.parametrize("is_handling", [True, False])
async def test_the_id_that_the_caller_of_an_update_has_set_is_kept(
    client: Client, service: Service, *, is_handling: bool
) -> None:
    if is_handling:
        with handling(*EVENT):
            await update(deduplicated(client), "mine")
            await update_with_start(deduplicated(client), "mine")
    else:
        await update(deduplicated(client), "mine")
        await update_with_start(deduplicated(client), "mine")
    made = service.calls[-1].request.operations[1].update_workflow.request.meta.update_id
    assert [service.calls[0].request.request.meta.update_id, made] == ["mine", "mine"]


async def test_an_update_outside_a_handling_has_a_random_id(client: Client, service: Service) -> None:
    await update(deduplicated(client))
    await update(deduplicated(client))
    assert uuid.UUID(service.update_ids[0]) != uuid.UUID(service.update_ids[2])


async def test_only_the_call_that_is_meant_carries_an_id_of_its_own(client: Client, service: Service) -> None:
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        with carrying("start", "shipping/1", "mine"), carrying("signal", "shipping/2", "not here"):
            await signal(deduplicated(client))
            await start(deduplicated(client))
            await start(deduplicated(client))
        await start(deduplicated(client))
    expected = [ids.next("signal", "shipping/1"), "mine", "mine", ids.next("start", "shipping/1")]
    assert service.request_ids == expected


class Overtaken(Exception):
    pass


@pytest.mark.parametrize("call", [*[call for _, call in CALLS], update, update_with_start])
async def test_a_check_that_fails_lets_no_call_through(
    client: Client, service: Service, call: ClientCall
) -> None:
    def fail() -> None:
        raise Overtaken

    with handling(*EVENT, check=fail), pytest.raises(Overtaken):
        await call(deduplicated(client))
    assert not service.calls


@pytest.mark.parametrize("call", [start, cancel, update])
async def test_a_check_that_fails_behind_the_derivation_lets_no_call_through(
    client: Client, service: Service, call: ClientCall
) -> None:
    checks = iter([None])

    def fail_later() -> None:
        if next(checks, Overtaken) is not None:
            raise Overtaken

    with handling(*EVENT, check=fail_later), pytest.raises(Overtaken):
        await call(deduplicated(client))
    assert not service.calls


async def test_a_call_without_an_id_is_checked_too(client: Client, service: Service) -> None:
    def fail() -> None:
        raise Overtaken

    handle: WorkflowHandle[Any, Any] = deduplicated(client).get_workflow_handle("shipping/1")
    with handling(*EVENT, check=fail), pytest.raises(Overtaken):
        await handle.terminate()
    assert not service.calls


async def test_other_services_and_the_settings_of_the_connection_are_those_of_the_client(
    client: Client, service: Service
) -> None:
    ours = deduplicated(client)
    with handling(*EVENT):
        await ours.service_client.check_health()
    ours.rpc_metadata, ours.api_key = {"trace": "2"}, "key"
    assert [call.rpc for call in service.calls] == ["check"]
    assert (service.metadata, service.api_key) == ({"trace": "2"}, "key")


async def test_calls_through_workflow_service_itself_carry_derived_ids_too(
    client: Client, service: Service
) -> None:
    with handling(*EVENT):
        await start(client)
        template: StartWorkflowExecutionRequest = service.calls[0].request
        await deduplicated(client).workflow_service.start_workflow_execution(template)
    assert service.request_ids[1] == RequestIDs(*EVENT).next("start", "shipping/1")


@pytest.mark.parametrize(("kind", "call"), CALLS)
async def test_the_original_client_is_untouched(
    client: Client, service: Service, kind: str, call: ClientCall
) -> None:
    workflow_service, config = service.workflow_service, client.config(active_config=True)
    deduplicated(client)
    assert client.service_client is service
    assert service.workflow_service is client.workflow_service is workflow_service
    assert client.config(active_config=True) == config
    with handling(*EVENT):
        await call(client)
        await call(client)
    one, other = service.request_ids
    assert uuid.UUID(one) != uuid.UUID(other)
    assert RequestIDs(*EVENT).next(kind, "shipping/1") not in service.request_ids


async def test_a_client_that_is_deduplicated_twice_counts_a_call_once(
    client: Client, service: Service
) -> None:
    twice = deduplicated(deduplicated(client))
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        await start(twice)
        await start(twice)
        await update(twice)
    assert service.request_ids == [ids.next("start", "shipping/1"), ids.next("start", "shipping/1")]
    assert set(service.update_ids) == {ids.next("update", "shipping/1")}


class Counting(Interceptor):
    """Counts the starts that pass."""

    def __init__(self) -> None:
        self.starts = 0

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
        counting = self

        class Outbound(OutboundInterceptor):
            async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002
                counting.starts += 1
                return await super().start_workflow(input)

        return Outbound(next)


async def test_interceptors_converter_and_namespace_are_kept(service: Service) -> None:
    counting = Counting()
    original = Client(
        service, namespace="eu", data_converter=pydantic_data_converter, interceptors=[counting]
    )
    client = deduplicated(original)
    with handling(*EVENT):
        await start(client)
    assert counting.starts == 1
    assert client.data_converter is pydantic_data_converter
    assert client.namespace == service.calls[0].request.namespace == "eu"
    assert client.identity == service.calls[0].request.identity == "test"


async def test_whatever_a_client_is_configured_with_is_kept(service: Service) -> None:
    options: dict[str, Any] = {
        "namespace": "eu",
        "data_converter": pydantic_data_converter,
        "interceptors": [Counting()],
        "default_workflow_query_reject_condition": QueryRejectCondition.NOT_OPEN,
        "header_codec_behavior": HeaderCodecBehavior.CODEC,
    }
    config: Mapping[str, Any] = deduplicated(Client(service, **options)).config(active_config=True)
    # Ours stands last: it sees what theirs have made of a call.
    config = {**config, "interceptors": list(config["interceptors"])[:-1]}
    assert {key: config[key] for key in options} == options
    # A new option of the SDK has to be looked at here.
    assert set(config) - set(options) == {"service_client", "plugins"}


async def test_what_a_plugin_has_configured_is_kept_and_not_done_twice(service: Service) -> None:
    counting = Counting()
    plugin = SimplePlugin("counting", interceptors=[counting], data_converter=pydantic_data_converter)
    client = deduplicated(Client(service, plugins=[plugin]))
    await start(client)
    assert counting.starts == 1
    assert client.data_converter is pydantic_data_converter


class Status(Enum):
    CREATED = "created"
    PAID = "paid"


class Order(BaseModel):
    total: int = 0


@pytest.fixture
def orders() -> Workflow[Order, Status]:
    orders = Workflow("orders", Order, Status)
    orders.allow(Status.CREATED, Status.PAID)
    return orders


async def test_a_handler_that_runs_again_repeats_its_requests_to_the_byte(
    client: Client, service: Service, orders: Workflow[Order, Status]
) -> None:
    api = orders.bind(deduplicated(client))
    for _ in range(2):
        with handling(*EVENT):
            await api.trigger("order-1", Order(total=3))
            await api.update_status("order-1", Status.PAID)
            await api.update_status("order-1", Status.PAID)
    first, again = service.calls[:3], service.calls[3:]
    assert again == first
    assert len(set(service.request_ids)) == 3
    payloads = [bytes(call.request.input.payloads[0].data) for call in first[1:]]
    assert payloads[0] != payloads[1], "the machine must tell two updates of one handling from a repeated one"


async def test_calls_of_the_api_go_under_one_id_that_no_other_call_shifts(
    client: Client, service: Service, orders: Workflow[Order, Status]
) -> None:
    ours = deduplicated(client)
    api, ids = orders.bind(ours), RequestIDs(*EVENT)
    with handling(*EVENT):
        await ours.get_workflow_handle("orders/order-1").signal("by hand")
        await api.update_status("order-1", Status.PAID)
        await api.trigger("order-1", Order())
    assert service.request_ids == [
        ids.next("signal", "orders/order-1"),
        ids.next("update_status", "order-1"),
        ids.next("trigger", "order-1"),
    ]


def test_a_worker_has_the_connection_of_the_original_client(client: Client) -> None:
    with pytest.raises(NotImplementedError, match="of the worker"):
        _ = deduplicated(client).service_client.worker_service_client
