"""What stands for the server where only the requests are looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.message import Message
from temporalio.service import ConnectConfig, ServiceClient


@dataclass
class Call:
    """A call as the server would get it."""

    service: str
    rpc: str
    request: Any
    retry: bool
    metadata: Mapping[str, str | bytes]
    timeout: timedelta | None


class StandIn(ServiceClient):
    """Takes every call, keeps it, and answers with nothing in particular."""

    def __init__(self) -> None:
        super().__init__(ConnectConfig(target_host="nowhere", identity="test"))
        self.calls: list[Call] = []
        self.metadata: Mapping[str, str | bytes] = {}
        self.api_key: str | None = None

    @property
    def worker_service_client(self) -> Any:
        raise NotImplementedError("the connection of the worker")

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        self.metadata = metadata

    def update_api_key(self, api_key: str | None) -> None:
        self.api_key = api_key

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
        sent = type(req)()
        sent.CopyFrom(req)
        self.calls.append(Call(service, rpc, sent, retry, metadata, timeout))
        return self.answer(resp_type)

    def answer(self, kind: type[Any]) -> Any:
        """What a call is answered with."""
        return kind()
