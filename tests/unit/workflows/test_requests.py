"""The request IDs of a handler's calls: derived in a handling, random outside, and carried by the client."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, TypeAlias

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from temporalio.client import (
    Client,
    HeaderCodecBehavior,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowInput,
    WorkflowHandle,
)
from temporalio.common import QueryRejectCondition
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.plugin import SimplePlugin
from temporalio.service import ConnectConfig, ServiceClient

from pumphouse.workflows import Workflow
from pumphouse.workflows.requests import RequestIDs, deduplicated, handling, request_id

EVENT = ("orders", "payments", "1")
RPC_OPTIONS: dict[str, Any] = {"rpc_metadata": {"trace": "1"}, "rpc_timeout": timedelta(seconds=3)}

# Every event in flight would look new during an upgrade that changed one of these.
PROMISED = [
    (EVENT, [("trigger", "order-1", "763fc577af03436b247e99c48e2e4aa2")]),
    (EVENT, [("update_status", "order-1", "57de7bd324e39fac9af086272112f6ce")]),
    (EVENT, [("start", "orders/order-1", "2f5c71f31ea25b389fce19433e618cd6")]),
    (EVENT, [("signal", "orders/order-1", "4c0c6cd5c1d0d9e82b0932e132fc72ce")]),
    (EVENT, [("signal-with-start", "orders/order-1", "ca98bdab1ca4d0ca6477ad587ef534b0")]),
    (
        EVENT,
        [
            ("trigger", "order-1", "763fc577af03436b247e99c48e2e4aa2"),
            ("trigger", "order-1", "594a29ad7c7dfaeb0dd6e99638d13af0"),
        ],
    ),
    (
        ("Bestellungen", "zahlungen", "größe-\N{ROCKET}"),
        [("trigger", "auftrag-ä", "8b2df987ce9b000bc232f96c3cecdb93")],
    ),
    (("a/b", 'c"d', "e,f"), [("start", "g/h\n", "bd47d4254aca6c5603d26a7517bc764a")]),
    (("a", 'b/c"d', "e,f"), [("start", "g/h\n", "5cfbd92e91fca88f174fecfaf002c44f")]),
    (("orders", "payments", ""), [("signal", "", "877d95c9b3333abe18c6e4a3cb74de22")]),
]


@pytest.mark.parametrize(("event", "calls"), PROMISED)
def test_the_derivation_never_changes(event: tuple[str, str, str], calls: list[tuple[str, str, str]]) -> None:
    ids = RequestIDs(*event)
    assert [(kind, target, ids.next(kind, target)) for kind, target, _ in calls] == calls


def test_the_same_handling_repeats_the_same_sequence() -> None:
    calls = [("trigger", "a"), ("signal", "a"), ("trigger", "a"), ("signal", "b"), ("signal", "a")]
    first, again = RequestIDs(*EVENT), RequestIDs(*EVENT)
    sequence = [first.next(*call) for call in calls]
    assert [again.next(*call) for call in calls] == sequence
    assert len(set(sequence)) == len(calls)


@given(data=st.data())
def test_calls_in_another_order_repeat_themselves(data: st.DataObject) -> None:
    call = st.tuples(st.sampled_from(["trigger", "signal"]), st.sampled_from(["a", "b"]))
    calls = data.draw(st.lists(call, max_size=8))
    ids, reordered = RequestIDs(*EVENT), RequestIDs(*EVENT)
    made = sorted((each, ids.next(*each)) for each in calls)
    assert sorted((each, reordered.next(*each)) for each in data.draw(st.permutations(calls))) == made


def test_ordinals_count_only_calls_of_one_kind_for_one_target() -> None:
    alone, among_others = RequestIDs(*EVENT), RequestIDs(*EVENT)
    for kind, target in [
        ("signal", "b"),
        ("trigger", "a"),
        ("trigger", "a"),
        ("signals", "a"),
        ("sign", "ala"),
    ]:
        among_others.next(kind, target)
    assert among_others.next("signal", "a") == alone.next("signal", "a")


parts = st.tuples(*[st.text('a/,"\\é', max_size=3)] * 5)


@given(one=parts, other=parts)
def test_requests_that_differ_in_any_part_have_different_ids(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    one_id = RequestIDs(*one[:3]).next(*one[3:])
    assert (RequestIDs(*other[:3]).next(*other[3:]) == one_id) == (one == other)


@pytest.mark.parametrize("separator", ["", "/", ",", '"', '","', "\0", "\n"])
def test_parts_that_look_alike_when_put_together_have_different_ids(separator: str) -> None:
    split = [("a" + separator + "b", "c"), ("a", "b" + separator + "c")]
    assert len({RequestIDs(*pair, "e").next("k", "t") for pair in split}) == 2
    assert len({RequestIDs("d", *pair).next("k", "t") for pair in split}) == 2
    assert len({RequestIDs("d", "c", first).next(second, "t") for first, second in split}) == 2
    assert len({RequestIDs("d", "c", "e").next(*pair) for pair in split}) == 2


def test_an_ordinal_is_not_taken_for_the_end_of_a_target() -> None:
    ids = RequestIDs(*EVENT)
    ids.next("signal", "a")
    second = ids.next("signal", "a")
    assert second not in {RequestIDs(*EVENT).next("signal", target) for target in ("a1", "a,1", "1")}


def test_ids_in_a_handling_are_those_of_its_event() -> None:
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        made = [request_id("trigger", "a"), request_id("trigger", "a")]
    assert made == [ids.next("trigger", "a"), ids.next("trigger", "a")]


def test_ids_outside_a_handling_are_random() -> None:
    made = {request_id("trigger", "a") for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in made)


def test_ids_after_a_handling_are_random_again() -> None:
    with handling(*EVENT):
        request_id("trigger", "a")
    assert request_id("trigger", "a") != request_id("trigger", "a")


def test_a_handling_that_fails_ends_as_well() -> None:
    with contextlib.suppress(KeyError), handling(*EVENT):
        raise KeyError
    ids = RequestIDs(*EVENT)
    assert request_id("trigger", "a") != ids.next("trigger", "a")


def test_a_second_handling_of_an_event_begins_anew() -> None:
    made: list[str] = []
    for _ in range(2):
        with handling(*EVENT):
            made.append(request_id("trigger", "a"))
    assert made[0] == made[1]


def test_a_handling_inside_another_is_on_its_own_and_lets_the_outer_one_go_on() -> None:
    outer, inner = RequestIDs(*EVENT), RequestIDs("orders", "payments", "2")
    with handling(*EVENT):
        made = [request_id("trigger", "a")]
        with handling("orders", "payments", "2"):
            made.append(request_id("trigger", "a"))
        made.append(request_id("trigger", "a"))
    assert made == [outer.next("trigger", "a"), inner.next("trigger", "a"), outer.next("trigger", "a")]


async def make_id() -> str:
    await asyncio.sleep(0)
    return request_id("trigger", "a")


async def test_tasks_that_are_made_in_a_handling_share_it() -> None:
    ids = RequestIDs(*EVENT)
    with handling(*EVENT):
        tasks = [asyncio.create_task(make_id()) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            tasks.append(group.create_task(make_id()))
        made = {*await asyncio.gather(*tasks), await asyncio.to_thread(request_id, "trigger", "a")}
    assert made == {ids.next("trigger", "a") for _ in range(4)}


async def test_a_task_that_was_made_before_a_handling_has_no_part_in_it() -> None:
    task = asyncio.create_task(make_id())
    with handling(*EVENT):
        made = await task
    assert made != RequestIDs(*EVENT).next("trigger", "a")


async def test_handlings_side_by_side_do_not_mix() -> None:
    async def handle(event_id: str) -> list[str]:
        with handling("orders", "payments", event_id):
            return [await make_id(), await make_id()]

    made = [*await asyncio.gather(handle("1"), handle("2"))]
    expected = [RequestIDs("orders", "payments", event_id) for event_id in ("1", "2")]
    assert made == [[ids.next("trigger", "a"), ids.next("trigger", "a")] for ids in expected]


@dataclass
class Call:
    """A call as the server would get it."""

    rpc: str
    request: Any
    retry: bool
    metadata: Mapping[str, str | bytes]
    timeout: timedelta | None


class Service(ServiceClient):
    """Takes every call, keeps it, and answers with nothing in particular."""

    def __init__(self) -> None:
        super().__init__(ConnectConfig(target_host="nowhere", identity="test"))
        self.calls: list[Call] = []

    @property
    def worker_service_client(self) -> Any:
        raise NotImplementedError

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        raise NotImplementedError

    def update_api_key(self, api_key: str | None) -> None:
        raise NotImplementedError

    async def _rpc_call(
        self,
        rpc: str,
        req: Message,
        resp_type: type[Any],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,  # noqa: ASYNC109 - the SDK's signature
    ) -> Any:
        assert service == "workflow"
        sent = type(req)()
        sent.CopyFrom(req)
        self.calls.append(Call(rpc, sent, retry, metadata, timeout))
        return resp_type()

    @property
    def request_ids(self) -> list[str]:
        return [call.request.request_id for call in self.calls]


ClientCall: TypeAlias = Callable[[Client], Awaitable[object]]


async def start(client: Client) -> None:
    await client.start_workflow("shipping", "book", id="shipping/1", task_queue="eu", **RPC_OPTIONS)


async def signal(client: Client) -> None:
    await client.get_workflow_handle("shipping/1").signal("pack", "book", **RPC_OPTIONS)


async def signal_with_start(client: Client) -> None:
    await client.start_workflow(
        "shipping", "book", id="shipping/1", task_queue="eu", start_signal="pack", **RPC_OPTIONS
    )


CALLS: list[tuple[str, ClientCall]] = [
    ("start", start),
    ("signal", signal),
    ("signal-with-start", signal_with_start),
]
RPCS = {
    "start": "start_workflow_execution",
    "signal": "signal_workflow_execution",
    "signal-with-start": "signal_with_start_workflow_execution",
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


async def test_a_call_of_another_kind_passes_as_it_is(client: Client, service: Service) -> None:
    handle: WorkflowHandle[Any, Any] = deduplicated(client).get_workflow_handle("shipping/1")
    with handling(*EVENT):
        await handle.terminate()
        await handle.cancel()
    assert [call.rpc for call in service.calls] == [
        "terminate_workflow_execution",
        "request_cancel_workflow_execution",
    ]


async def test_calls_through_workflow_service_itself_carry_derived_ids_too(
    client: Client, service: Service
) -> None:
    with handling(*EVENT):
        await start(client)
        template = service.calls[0].request
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
    with handling(*EVENT):
        await start(twice)
    assert service.request_ids == [RequestIDs(*EVENT).next("start", "shipping/1")]


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


async def test_a_handler_that_runs_again_repeats_its_requests_to_the_byte(
    client: Client, service: Service
) -> None:
    orders = Workflow("orders", Order, Status)
    orders.allow(Status.CREATED, Status.PAID)
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
