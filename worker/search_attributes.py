"""The search attributes that make runs findable: whether the server knows them, and telling it."""

import logging

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from pumphouse.workflows.names import SEARCH_ATTRIBUTES

logger = logging.getLogger(__name__)

_KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


async def register_search_attributes(client: Client) -> bool:
    """Make sure that the server knows the search attributes, where it lets itself be told.

    Returns:
        Whether it knows them all. Where it does not, runs go on without them; a log line says how to add
        them.
    """
    try:
        missing = await _missing(client)
        if missing:
            await _add(client, missing)
            missing = await _missing(client)
    except RPCError as error:
        missing = [key.name for key in SEARCH_ATTRIBUTES]
        logger.warning("the server takes no search attributes from a worker: %s", error.message)
    if missing:
        logger.warning(
            "namespace %s lacks the search attributes %s as Keyword, so runs cannot be listed by status; "
            "add them with: temporal operator search-attribute create %s (or in Temporal Cloud's settings), "
            "and restart the worker",
            client.namespace,
            ", ".join(missing),
            " ".join(f"--name {name} --type Keyword" for name in missing),
        )
    return not missing


async def _missing(client: Client) -> list[str]:
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), retry=True
    )
    return [key.name for key in SEARCH_ATTRIBUTES if known.custom_attributes.get(key.name) != _KEYWORD]


async def _add(client: Client, missing: list[str]) -> None:
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=client.namespace, search_attributes=dict.fromkeys(missing, _KEYWORD)
        ),
        retry=True,
    )
