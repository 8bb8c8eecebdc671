"""Every Python block that users are shown runs, page by page, against the real server."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from pumphouse.worker.dev_server import DevServer

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if "```python" in path.read_text()
)

CONNECTED = """
import asyncio
import os

from temporalio.client import Client


async def connected():
    return await Client.connect(os.environ["TEMPORAL_ADDRESS"])
"""

# What is done with a page's blocks, behind them.
DRIVERS = {
    "README.md": """
import sqlite3

shop = sqlite3.connect("shop.db")
shop.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, foreign_id, type, headers, created_at, data)")
shop.executemany(
    "INSERT INTO events (foreign_id, type, created_at) VALUES ('order-2', ?, CURRENT_TIMESTAMP)",
    [("order.created",), ("payment.completed",)],
)
shop.commit()


async def drive():
    client = await connected()
    working = asyncio.create_task(work(client))
    assert (await buy(client)).object.parcel == "parcel for order-1"
    api = orders.bind(client)
    while not await api.exists("order-2"):
        await asyncio.sleep(0.05)
    await api.wait_for("order-2", OrderStatus.SHIPPED, timeout=timedelta(seconds=30))
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
""",
    "docs/definitions.md": """
from temporalio.worker import Worker

from pumphouse.worker import PumphousePlugin


async def drive():
    client = await connected()
    async with Worker(client, task_queue=loans.task_queue, plugins=[PumphousePlugin(loans)]):
        await ask(loans.bind(client))
""",
    "docs/pumps.md": """
async def drive():
    await pump(await connected())
""",
    "docs/operations.md": """
from enum import Enum

from pydantic import BaseModel
from temporalio.worker import Worker

from pumphouse.connectors.memory import MemoryConnector
from pumphouse.worker import PumphousePlugin
from pumphouse.workflows import ConnectorState, Workflow


class Status(Enum):
    OPEN = 1
    DONE = 2


class Order(BaseModel):
    pass


orders = Workflow("orders", Order, Status)
orders.allow(Status.OPEN, Status.DONE)


@orders.connector("payments", MemoryConnector([]))
async def on_payment(api, event):
    pass


async def drive():
    client = await connected()
    async with Worker(client, task_queue=orders.task_queue, plugins=[PumphousePlugin(orders)]):
        supervisor = "WorkflowId = 'pumphouse/connector/orders/payments'"
        while not [one async for one in client.list_workflows(supervisor)]:
            await asyncio.sleep(0.05)
        record = await close_for_maintenance(client)
    assert record.state is ConnectorState.RUNNING
    assert [change.what for change in record.changes] == ["stopped", "seek earliest", "resumed"]
    assert {change.by for change in record.changes} == {"ann"}
""",
    "docs/dead-letters.md": """
from temporalio.worker import Worker

from pumphouse.worker import PumphousePlugin


async def drive():
    client = await connected()
    letters = DeadLetters(client, "parcels", "scans")
    async with Worker(client, task_queue=parcels.task_queue, plugins=[PumphousePlugin(parcels)]):
        while not [event_id async for event_id in letters.event_ids()]:
            await asyncio.sleep(0.05)
        await clear_up(client)
        assert (await letters.get("1")).standing == "discarded"
""",
    "docs/connectors/sql.md": """
async def drive():
    event = translate({"seq": 1, "order_no": 7, "epoch_seconds": 0})
    assert (event.id, event.foreign_id, event.created_at.year) == ("1", "7", 1970)
""",
}


def python_blocks(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
async def test_the_blocks_of_a_page_run(page: Path, server: DevServer, tmp_path: Path) -> None:
    driver = DRIVERS[str(page.relative_to(ROOT))]
    # The Temporal SDK may crash when the interpreter is torn down (sdk-python issue 300).
    end = "\nasyncio.run(asyncio.wait_for(drive(), 60))\nprint('it ran', flush=True)\nos._exit(0)\n"
    script = tmp_path / "page.py"
    script.write_text(python_blocks(page) + CONNECTED + driver + end)

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", str(script)),
        cwd=tmp_path,
        env={**os.environ, "TEMPORAL_ADDRESS": server.address},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    assert output.decode().rstrip().endswith("it ran")


def test_every_link_to_a_file_leads_to_one() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    links = [
        (page, target.partition("#")[0])
        for page in pages
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if "://" not in target
    ]

    assert [str(page) for page, target in links if not (page.parent / target).exists()] == []
