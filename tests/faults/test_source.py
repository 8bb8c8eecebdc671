import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from tests.faults.journal import Journal, Note
from tests.faults.points import KillPoints
from tests.faults.settings import AppSettings
from tests.faults.source import SHARD_HEADER, FaultyConsumer

NAME = "orders/moves/1-of-1"
EVENTS = [
    ConnectorEvent(id=str(number), foreign_id=f"item-{number % 7}", created_at=datetime.now(UTC))
    for number in range(1, 301)
]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


async def deliver(journal: Journal, directory: Path, source: MemoryConnector, seed: int) -> list[str]:
    """Receive until each event has come, ack each, and look meanwhile at what the inner source knows."""
    settings = AppSettings(name="orders", database_url="", directory=directory, twice_rate=0.1, late_rate=0.1)
    consumer = FaultyConsumer(
        await source.make(NAME),
        "1-of-1",
        settings,
        journal,
        points=KillPoints(directory, journal),
        chance=random.Random(seed),  # noqa: S311 - no secret
    )
    delivered: list[str] = []
    while len(set(delivered)) < len(EVENTS):
        event, ack = await consumer.recv()
        assert event.headers[SHARD_HEADER] == "1-of-1"
        delivered.append(event.id)
        await ack()
        missing = {each.id for each in EVENTS} - set(delivered)
        assert source.acked(NAME) < min(map(int, missing), default=len(EVENTS) + 1)
    await consumer.close()
    return delivered


@pytest.mark.parametrize("seed", range(5))
async def test_events_come_twice_and_late_in_the_order_of_their_foreign_id(
    journal: Journal, tmp_path: Path, seed: int
) -> None:
    source = MemoryConnector(EVENTS)
    delivered = await deliver(journal, tmp_path, source, seed)

    first_times = list(dict.fromkeys(delivered))
    for foreign_id in {event.foreign_id for event in EVENTS}:
        mine = [event.id for event in EVENTS if event.foreign_id == foreign_id]
        assert [event_id for event_id in first_times if event_id in mine] == mine
    assert len(delivered) > len(EVENTS)
    assert first_times != [event.id for event in EVENTS]
    assert {entry.note for entry in journal.read()} == {Note.ACKED, Note.TWICE, Note.LATE}
    assert source.acked(NAME) == len(EVENTS)
