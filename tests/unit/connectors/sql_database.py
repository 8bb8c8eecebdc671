"""A database of one test, and what the tests of SQL connectors do with it."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql import quoted_name

from pumphouse.connectors import ConnectorEvent, InvalidEvent
from pumphouse.connectors.sql import Columns, SqlConnector, SqlConsumer

SOON = timedelta(milliseconds=5)
SECRET = "hunter2"  # noqa: S105 - stands for an event's data
MOMENT = datetime(2013, 2, 8, 17, 30, tzinfo=UTC)
CREATED_AT = "2013-02-08T12:30:00-05:00"


@dataclasses.dataclass(frozen=True)
class Database:
    """A database of its own for one test."""

    url: sa.URL
    engine: AsyncEngine

    async def run(self, statement: str) -> None:
        async with self.engine.begin() as connection:
            await connection.exec_driver_sql(statement)

    async def scalar(self, statement: str) -> Any:
        async with self.engine.connect() as connection:
            return (await connection.exec_driver_sql(statement)).scalar()

    async def create(self, table: str = "events", columns: Columns | None = None) -> sa.Table:
        described = event_table(table, columns)
        async with self.engine.begin() as connection:
            await connection.execute(CreateTable(described))
        return described

    async def add(self, *ids: int, engine: AsyncEngine | None = None, **values: object) -> None:
        await insert(engine or self.engine, event_table(), *ids, **values)

    def connector(self, **options: Any) -> SqlConnector:
        chosen: dict[str, Any] = {"poll_interval": SOON, **options}
        return SqlConnector(self.engine, **chosen)


def event_table(name: str = "events", columns: Columns | None = None) -> sa.Table:
    """A table whose content is text, so that it can hold anything; its columns' keys are the fields."""
    names = dataclasses.asdict(columns or Columns())
    schema, _, table = name.rpartition(".")
    others = {field: each for field, each in names.items() if each is not None and field != "id"}
    return sa.Table(
        quoted_name(table, quote=True),
        sa.MetaData(),
        sa.Column(quoted_name(names["id"], quote=True), sa.BigInteger, key="id", primary_key=True),
        *(sa.Column(quoted_name(each, quote=True), sa.Text, key=field) for field, each in others.items()),
        schema=quoted_name(schema, quote=True) if schema else None,
    )


async def insert(engine: AsyncEngine, table: sa.Table, *ids: int, **values: object) -> None:
    row = {"foreign_id": "order-1", "created_at": CREATED_AT, **values}
    async with engine.begin() as connection:
        await connection.execute(table.insert(), [{"id": each, **row} for each in ids])


@contextlib.asynccontextmanager
async def opened(connector: SqlConnector, name: str = "pump") -> AsyncGenerator[SqlConsumer, None]:
    consumer = await connector.make(name)
    try:
        yield consumer
    finally:
        await consumer.close()


async def take(consumer: SqlConsumer, count: int, *, ack: bool = True) -> list[int]:
    ids: list[int] = []
    for _ in range(count):
        received, done = await asyncio.wait_for(consumer.recv(), 10)
        ids.append(int(received.id))
        if ack:
            await done()
    return ids


async def unreadable(consumer: SqlConsumer, count: int) -> list[str]:
    """The positions of the next rows, none of which can be read."""
    positions: list[str] = []
    for _ in range(count):
        with pytest.raises(InvalidEvent) as refused:
            await asyncio.wait_for(consumer.recv(), 10)
        positions.append(refused.value.position)
    return positions


async def only_event(connector: SqlConnector) -> ConnectorEvent:
    async with opened(connector) as consumer:
        received, _ = await asyncio.wait_for(consumer.recv(), 10)
        return received


async def next_id(connector: SqlConnector, name: str = "pump") -> int:
    async with opened(connector, name) as consumer:
        return (await take(consumer, 1, ack=False))[0]


class Writes:
    """Counts the writes of acks, and makes them fail on demand."""

    def __init__(self) -> None:
        self.count = 0
        self.seen = asyncio.Event()
        self.failing = False

    def see(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith('UPDATE "pumphouse_cursors"'):
            if self.failing:
                raise WriteFailed
            self.count += 1
            self.seen.set()


class WriteFailed(Exception):
    """The disk is full."""


@contextlib.contextmanager
def watched(engine: AsyncEngine) -> Generator[Writes, None, None]:
    writes = Writes()
    event.listen(engine.sync_engine, "before_cursor_execute", writes.see)
    yield writes
    event.remove(engine.sync_engine, "before_cursor_execute", writes.see)


def connections(engine: AsyncEngine) -> int:
    pool = engine.sync_engine.pool
    assert isinstance(pool, sa.AsyncAdaptedQueuePool)
    return pool.checkedin() + pool.checkedout()
