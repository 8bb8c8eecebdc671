"""A server that wears executions out."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from pumphouse.worker.dev_server import server_binary


@asynccontextmanager
async def worn_after(events: int) -> AsyncGenerator[Client]:
    """Run a server that suggests to continue as new after so many events."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=server_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=[
            *("--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={events}"),
            *("--dynamic-config-value", f"history.suggestContinueAsNewCount={events}"),
        ],
    ) as environment:
        yield environment.client
