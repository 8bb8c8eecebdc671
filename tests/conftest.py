from collections.abc import AsyncGenerator

import pytest
from temporalio.client import Client

from pumphouse.worker.dev_server import DevServer, dev_server

# Cases that several modules share show what was compared, as those of a test module do.
pytest.register_assert_rewrite("tests.unit.connectors")


@pytest.fixture(scope="session")
async def server() -> AsyncGenerator[DevServer]:
    """One Temporal server for all tests; they keep apart by the names of their definitions."""
    async with dev_server() as running:
        yield running


@pytest.fixture
def client(server: DevServer) -> Client:
    return server.client
