import logging
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
    ListSearchAttributesResponse,
)
from temporalio.service import RPCError, RPCStatusCode

from pumphouse.worker.search_attributes import register_search_attributes

KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
TEXT = IndexedValueType.INDEXED_VALUE_TYPE_TEXT
ALL = ("PumphouseForeignId", "PumphouseStatus", "PumphouseRunState")


class Operator:
    """A server's operator service: some attributes, and perhaps no right to add others."""

    def __init__(self, known: dict[str, Any], *, refuses: bool = False) -> None:
        self.known = known
        self.refuses = refuses

    async def list_search_attributes(
        self, request: ListSearchAttributesRequest, *, retry: bool
    ) -> ListSearchAttributesResponse:
        return ListSearchAttributesResponse(custom_attributes=self.known)

    async def add_search_attributes(self, request: AddSearchAttributesRequest, *, retry: bool) -> None:
        if self.refuses:
            raise RPCError("not for you", RPCStatusCode.PERMISSION_DENIED, b"")
        self.known |= dict(request.search_attributes)


def client_of(operator: Operator) -> Any:
    return SimpleNamespace(operator_service=operator, namespace="shop")


async def test_missing_attributes_are_added() -> None:
    operator = Operator({"PumphouseStatus": KEYWORD, "Other": TEXT})

    assert await register_search_attributes(client_of(operator))
    assert {name: operator.known[name] for name in ALL} == dict.fromkeys(ALL, KEYWORD)


async def test_known_attributes_are_left_alone() -> None:
    assert await register_search_attributes(client_of(Operator(dict.fromkeys(ALL, KEYWORD), refuses=True)))


async def test_a_server_that_refuses_is_told_of_with_the_command_that_helps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        registered = await register_search_attributes(client_of(Operator({}, refuses=True)))

    assert not registered
    assert "not for you" in caplog.text
    assert "temporal operator search-attribute create --name PumphouseForeignId --type Keyword" in caplog.text


async def test_an_attribute_of_another_type_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    operator = Operator({**dict.fromkeys(ALL, KEYWORD), "PumphouseStatus": TEXT}, refuses=True)

    assert not await register_search_attributes(client_of(operator))
    assert "PumphouseStatus" in caplog.text
