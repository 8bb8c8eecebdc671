"""What stands between a client and the server hands on what it has no answer to."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest, GetSystemInfoResponse
from temporalio.client import Client, Interceptor
from temporalio.service import ConnectConfig, ServiceClient

from pumphouse.workflows.service import ForwardingService, ResponseT, through


class Server(ServiceClient):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(ConnectConfig(target_host="nowhere", identity="test"))
        self.asked: list[Any] = []

    @property
    def worker_service_client(self) -> Any:
        return "what workers poll"

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        self.asked.append(metadata)

    def update_api_key(self, api_key: str | None) -> None:
        self.asked.append(api_key)

    async def _rpc_call(self, rpc: str, req: Message, resp_type: type[Any], **how: Any) -> Any:
        self.asked.append((rpc, req, how))
        return resp_type(server_version="the server's")


class Gate(ForwardingService):
    """Answers what it has an answer to."""

    def __init__(self, inner: ServiceClient, answer: Message | None = None) -> None:
        super().__init__(inner)
        self.answer = answer
        self.seen: list[str] = []

    async def _on_call(self, rpc: str, req: Message, resp_type: type[ResponseT]) -> ResponseT | None:
        self.seen.append(f"{rpc} {type(req).__name__}")
        assert self.answer is None or isinstance(self.answer, resp_type)
        return self.answer


@pytest.fixture
def server() -> Server:
    return Server()


async def ask(client: Client) -> str:
    answer = await client.workflow_service.get_system_info(
        GetSystemInfoRequest(), retry=True, metadata={"a": "b"}, timeout=timedelta(seconds=3)
    )
    return answer.server_version


async def test_a_call_without_an_answer_goes_on_as_it_was_made(server: Server) -> None:
    gate = Gate(server)

    assert await ask(through(Client(server), gate)) == "the server's"

    how = {"service": "workflow", "retry": True, "metadata": {"a": "b"}, "timeout": timedelta(seconds=3)}
    assert server.asked == [("get_system_info", GetSystemInfoRequest(), how)]
    assert gate.seen == ["get_system_info GetSystemInfoRequest"]


@pytest.mark.parametrize("version", ["the gate's", ""])
async def test_a_call_with_an_answer_goes_no_further_even_if_the_answer_is_empty(
    server: Server, version: str
) -> None:
    gate = Gate(server, GetSystemInfoResponse(server_version=version))

    assert await ask(through(Client(server), gate)) == version

    assert server.asked == []


def test_what_is_no_call_is_handed_on(server: Server) -> None:
    gate = Gate(server)

    gate.update_rpc_metadata({"a": "b"})
    gate.update_api_key("key")

    assert server.asked == [{"a": "b"}, "key"]
    assert gate.worker_service_client == "what workers poll"
    assert gate.config is server.config


async def test_the_client_itself_stays_as_it_is(server: Server) -> None:
    first, second = Interceptor(), Interceptor()
    client = Client(server, namespace="shop", interceptors=[first])
    gate = Gate(server)

    changed = through(client, gate, second)

    assert changed.namespace == "shop"
    assert changed.service_client is gate
    assert changed.config(active_config=True)["interceptors"] == [first, second]
    assert client.service_client is server
    assert client.config(active_config=True)["interceptors"] == [first]
