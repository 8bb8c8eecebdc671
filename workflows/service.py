"""A client whose requests pass something of ours on their way to the server."""

from abc import abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from google.protobuf.message import Message
from temporalio.client import Client, Interceptor
from temporalio.service import ServiceClient

ResponseT = TypeVar("ResponseT", bound=Message)


class ForwardingService(ServiceClient):
    """Stands where every call to the server passes, whatever service and method it came from."""

    def __init__(self, inner: ServiceClient) -> None:
        """Stand before another service client."""
        super().__init__(inner.config)
        self._inner = inner

    @property
    def worker_service_client(self) -> Any:
        """What a worker would poll through; its calls do not pass here."""
        return self._inner.worker_service_client

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        """Let the calls carry other metadata from now on."""
        self._inner.update_rpc_metadata(metadata)

    def update_api_key(self, api_key: str | None) -> None:
        """Let the calls carry another API key from now on."""
        self._inner.update_api_key(api_key)

    async def _rpc_call(
        self,
        rpc: str,
        req: Message,
        resp_type: type[ResponseT],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,  # noqa: ASYNC109 - the SDK's signature
    ) -> ResponseT:
        answer = await self._on_call(rpc, req, resp_type)
        if answer is not None:
            return answer
        return await self._inner._rpc_call(  # noqa: SLF001 - every service client is made to be called so
            rpc, req, resp_type, service=service, retry=retry, metadata=metadata, timeout=timeout
        )

    @abstractmethod
    async def _on_call(self, rpc: str, req: Message, resp_type: type[ResponseT]) -> ResponseT | None:
        """Look at a call before it is sent; the request may be changed.

        Args:
            rpc: what is called: `start_workflow_execution`, ...
            req: its request.
            resp_type: what it is answered with.

        Returns:
            The answer of a call that is not to be sent; None lets it go on.
        """


def through(client: Client, service: ForwardingService, *interceptors: Interceptor) -> Client:
    """The same client, whose requests go through a service client of ours.

    Args:
        client: it stays as it is.
        service: what its requests go through.
        interceptors: stand behind those that the client has.
    """
    config = client.config(active_config=True)
    config["service_client"] = service
    config["interceptors"] = [*config["interceptors"], *interceptors]
    # What the plugins configured is in there already.
    config["plugins"] = []
    return Client(**config)
