"""Writes the day's events into their table, in the order in which they happened.

    python -m examples.flights.feeder

Started again, it goes on after what is there already.
"""

import asyncio
from datetime import UTC, datetime
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from examples.flights.events import read_events
from examples.flights.flights import DATABASE_URL
from examples.flights.table import EVENTS
from pumphouse.connectors import ConnectorEvent

ROWS_PER_COMMIT = 20


async def create_table(engine: AsyncEngine) -> None:
    """Create the table, unless it is there."""
    async with engine.begin() as connection:
        await connection.run_sync(EVENTS.metadata.create_all)


async def feed(engine: AsyncEngine) -> int:
    """Write the events that the table does not have yet.

    Args:
        engine: the database, with the table.

    Returns:
        How many were written.
    """
    async with engine.connect() as connection:
        count = sa.select(sa.func.count()).select_from(EVENTS)
        written: int = (await connection.execute(count)).scalar_one()
    events = islice(read_events(), written, None)
    total = 0
    while batch := list(islice(events, ROWS_PER_COMMIT)):
        async with engine.begin() as connection:
            await _write(connection, batch)
        total += len(batch)
    return total


async def _write(connection: AsyncConnection, batch: list[ConnectorEvent]) -> None:
    await connection.execute(EVENTS.insert(), [_row(event) for event in batch])


def _row(event: ConnectorEvent) -> dict[str, object]:
    # The day is replayed: the event is made now, and says when it really happened.
    return {
        "foreign_id": event.foreign_id,
        "type": event.type,
        "headers": {**event.headers, "happened_at": event.created_at.isoformat()},
        "created_at": datetime.now(UTC),
        "data": event.data,
    }


async def main() -> None:
    """Create the table if need be, and fill it."""
    engine = create_async_engine(DATABASE_URL)
    try:
        await create_table(engine)
        print(f"{await feed(engine)} events written")  # noqa: T201 - what this program says
    finally:
        await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
