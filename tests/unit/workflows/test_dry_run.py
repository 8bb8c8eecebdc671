"""The client of a dry run: what changes something is recorded, and what reads passes."""

import typing
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter

from pumphouse.workflows import API, Workflow
from pumphouse.workflows.dry_run import RecordedCall, is_read, recording
from pumphouse.workflows.requests import deduplicated, handling
from tests.unit.workflows.services import StandIn

SERVICES = ("workflow", "operator", "cloud", "test", "health")


class Service(StandIn):
    """Tells which calls have reached it."""

    @property
    def called(self) -> list[str]:
        return [call.rpc for call in self.calls]


class Status(Enum):
    CREATED = "created"
    PAID = "paid"


class Order(BaseModel):
    total: int = 0
    card: str = ""


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def calls() -> list[RecordedCall]:
    return []


@pytest.fixture
def client(service: Service, calls: list[RecordedCall]) -> Client:
    return recording(Client(service), calls.append)


@pytest.fixture
def api(client: Client) -> API[Order, Status]:
    orders = Workflow("orders", Order, Status)
    orders.allow(Status.CREATED, Status.PAID)
    return orders.bind(client)


@pytest.mark.parametrize("kind", SERVICES)
async def test_no_rpc_of_any_service_is_sent_unless_it_reads(
    client: Client, service: Service, calls: list[RecordedCall], kind: str
) -> None:
    stub = getattr(client.service_client, f"{kind}_service")
    rpcs = [name for name in dir(stub) if not name.startswith("_")]
    assert rpcs
    for rpc in rpcs:
        method = getattr(stub, rpc)
        await method(typing.get_type_hints(method)["req"]())

    assert all(is_read(rpc) for rpc in service.called)
    assert sorted([*service.called, *(call.rpc for call in calls)]) == sorted(
        rpc
        for rpc in rpcs
        if rpc != "execute_multi_operation"  # an empty one asks for nothing
    )


@pytest.mark.parametrize(
    "rpc", ["start_workflow_execution", "getaway", "listen", "unheard_of", "", "checkout"]
)
def test_an_unknown_rpc_counts_as_one_that_changes_something(rpc: str) -> None:
    assert not is_read(rpc)


async def test_the_calls_of_the_api_return_and_are_recorded_with_their_status(
    api: API[Order, Status], service: Service, calls: list[RecordedCall]
) -> None:
    assert await api.trigger("o-1", Order(card="4711")) == "dry-run"
    await api.update_status("o-1", Status.PAID)
    await api.update_status("o-1", Status.PAID, wait=True)

    assert calls == [
        RecordedCall("start_workflow_execution", "orders/o-1", "orders", "CREATED"),
        RecordedCall("signal_workflow_execution", "orders/o-1", "update_status", "PAID"),
        RecordedCall("update_workflow_execution", "orders/o-1", "update_status", "PAID"),
    ]
    assert str(calls[2]) == "update_workflow_execution orders/o-1 update_status PAID"
    assert "4711" not in repr(calls)
    assert service.called == []


async def start(client: Client) -> None:
    handle: WorkflowHandle[Any, Any] = await client.start_workflow("ship", "4711", id="s/1", task_queue="eu")
    assert (handle.result_run_id, handle.first_execution_run_id) == ("dry-run", "dry-run")


async def signal_with_start(client: Client) -> None:
    await client.start_workflow("ship", "4711", id="s/1", task_queue="eu", start_signal="pack")


async def signal(client: Client) -> None:
    await client.get_workflow_handle("s/1").signal("pack", "4711")


async def signal_of_our_name(client: Client) -> None:
    await client.get_workflow_handle("s/1").signal("update_status", "4711")


async def update(client: Client) -> None:
    assert await client.get_workflow_handle("s/1").execute_update("pack", "4711") is None


async def accepted_update(client: Client) -> None:
    handle = await client.get_workflow_handle("s/1").start_update(
        "pack", "4711", wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    assert await handle.result() is None


async def cancel(client: Client) -> None:
    await client.get_workflow_handle("s/1").cancel()


async def terminate(client: Client) -> None:
    await client.get_workflow_handle("s/1").terminate("4711")


PLAIN: list[tuple[Callable[[Client], Awaitable[None]], str, str]] = [
    (start, "start_workflow_execution", "ship"),
    (signal_with_start, "signal_with_start_workflow_execution", "ship"),
    (signal, "signal_workflow_execution", "pack"),
    (signal_of_our_name, "signal_workflow_execution", "update_status"),
    (update, "update_workflow_execution", "pack"),
    (accepted_update, "update_workflow_execution", "pack"),
    (cancel, "request_cancel_workflow_execution", ""),
    (terminate, "terminate_workflow_execution", ""),
]


@pytest.mark.parametrize(("call", "rpc", "name"), PLAIN)
async def test_a_call_of_a_plain_client_is_recorded_without_its_data(
    client: Client,
    service: Service,
    calls: list[RecordedCall],
    *,
    call: Callable[[Client], Awaitable[None]],
    rpc: str,
    name: str,
) -> None:
    await call(client)

    assert calls == [RecordedCall(rpc, "s/1", name)]
    assert service.called == []


async def test_an_update_with_start_is_recorded_as_both(
    client: Client, service: Service, calls: list[RecordedCall]
) -> None:
    starting: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "ship", "4711", id="s/1", task_queue="eu", id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
    )
    await client.execute_update_with_start_workflow("pack", "4711", start_workflow_operation=starting)

    assert (await starting.workflow_handle()).result_run_id == "dry-run"
    rpc = "execute_multi_operation"
    assert calls == [RecordedCall(rpc, "s/1", "ship"), RecordedCall(rpc, "s/1", "pack")]
    assert service.called == []


async def test_what_is_no_workflow_is_recorded_too(
    client: Client, service: Service, calls: list[RecordedCall]
) -> None:
    await client.create_schedule(
        "nightly",
        Schedule(action=ScheduleActionStartWorkflow("ship", id="s/1", task_queue="eu"), spec=ScheduleSpec()),
    )

    assert [call.rpc for call in calls] == ["create_schedule"]
    assert service.called == []


async def test_what_reads_passes(client: Client, service: Service, calls: list[RecordedCall]) -> None:
    await client.get_workflow_handle("s/1").describe()
    await client.count_workflows()
    await client.service_client.check_health()

    assert service.called == ["describe_workflow_execution", "count_workflow_executions", "check"]
    assert calls == []


async def test_the_request_ids_of_a_handling_do_not_make_a_call_slip_through(
    client: Client, service: Service, calls: list[RecordedCall]
) -> None:
    for both in (deduplicated(client), recording(deduplicated(Client(service)), calls.append)):
        with handling("orders", "payments", "1"):
            for call, _, _ in PLAIN:
                await call(both)

    assert [call.rpc for call in calls] == [rpc for _, rpc, _ in PLAIN] * 2
    assert service.called == []


async def test_the_original_client_still_sends(service: Service, calls: list[RecordedCall]) -> None:
    original = Client(service)
    recording(original, calls.append)
    await signal(original)

    assert service.called == ["signal_workflow_execution"]
    assert calls == []


async def test_the_configuration_of_the_client_is_kept(service: Service, calls: list[RecordedCall]) -> None:
    class Passing(Interceptor):
        def __init__(self) -> None:
            self.passed = 0

        def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
            self.passed += 1
            return next

    passing = Passing()
    original = Client(service, namespace="eu", data_converter=pydantic_data_converter, interceptors=[passing])
    client = recording(original, calls.append)

    assert (client.namespace, client.identity, passing.passed) == ("eu", "test", 2)
    assert client.data_converter is pydantic_data_converter
