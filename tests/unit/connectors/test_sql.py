"""What a SQL consumer promises; `SqlCases` runs on PostgreSQL too: tests/integration/test_sql_postgres.py."""

import asyncio
import contextlib
import dataclasses
import importlib
import itertools
import json
import sqlite3
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql import quoted_name

from pumphouse.connectors import ConnectorEvent, InvalidEvent, MissingExtra, PumphouseError, Reshardable, sql
from pumphouse.connectors.sql import Columns, SqlConnector, SqlConsumer
from pumphouse.connectors.sql_cursors import Cursor, CursorTable
from pumphouse.connectors.sql_rows import Row, Rows

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


async def only_event(connector: SqlConnector) -> ConnectorEvent:
    async with opened(connector) as consumer:
        received, _ = await asyncio.wait_for(consumer.recv(), 10)
        return received


async def next_id(connector: SqlConnector, name: str = "pump") -> int:
    async with opened(connector, name) as consumer:
        return (await take(consumer, 1, ack=False))[0]


class Writes:
    """Counts the writes of cursor rows, and makes them fail on demand."""

    def __init__(self) -> None:
        self.count = 0
        self.seen = asyncio.Event()
        self.failing = False

    def see(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith('INSERT INTO "pumphouse_cursors"'):
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


class SqlCases:
    """Every supported database passes these; a subclass gives the fixture `database`."""

    async def test_rows_come_in_the_order_of_their_id_over_many_batches(self, database: Database) -> None:
        await database.create()
        await database.add(7, -3, 0, 5, 12, 2**40, -(2**40))

        async with opened(database.connector(batch_size=3)) as consumer:
            assert await take(consumer, 7) == [-(2**40), -3, 0, 5, 7, 12, 2**40]

    async def test_every_field_is_read(self, database: Database) -> None:
        await database.create()
        content: JsonValue = {"amount": 12.5, "tags": ["ä", None, True]}
        await database.add(1, type="order.paid", headers='{"source": "shop"}', data=json.dumps(content))

        assert await only_event(database.connector()) == ConnectorEvent(
            id="1",
            foreign_id="order-1",
            type="order.paid",
            headers={"source": "shop"},
            created_at=MOMENT,
            data=content,
        )

    async def test_null_is_read_as_the_default(self, database: Database) -> None:
        await database.create()
        await database.add(1)

        assert await only_event(database.connector()) == ConnectorEvent(
            id="1", foreign_id="order-1", created_at=MOMENT
        )

    async def test_a_time_without_an_offset_is_utc(self, database: Database) -> None:
        await database.create()
        await database.add(1, created_at="2013-02-08 17:30:00")

        assert (await only_event(database.connector())).created_at == MOMENT

    async def test_a_new_consumer_goes_on_behind_the_last_ack(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        async with opened(connector) as consumer:
            assert await take(consumer, 2) == [1, 2]

        assert await next_id(connector) == 3

    async def test_what_was_not_acked_is_delivered_again(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        async with opened(connector) as consumer:
            assert await take(consumer, 1) == [1]
            assert await take(consumer, 2, ack=False) == [2, 3]

        async with opened(connector) as consumer:
            assert await take(consumer, 2) == [2, 3]

    async def test_names_are_independent(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        async with opened(connector, "a") as a, opened(connector, "b") as b:
            assert await take(a, 2) == [1, 2]
            assert await take(b, 1) == [1]

        assert [await next_id(connector, name) for name in ("a", "b", "c")] == [3, 2, 1]

    async def test_recv_waits_for_what_a_writer_adds(self, database: Database) -> None:
        await database.create()
        writer = create_async_engine(database.url)

        async def write() -> None:
            for number in range(30):
                await database.add(number, engine=writer)

        async with opened(database.connector(batch_size=4)) as consumer:
            ids, _ = await asyncio.gather(take(consumer, 30), write())
        await writer.dispose()

        assert ids == list(range(30))

    @pytest.mark.parametrize(
        ("table", "columns"),
        [
            (
                "Order Events",
                Columns(id="Row ID", foreign_id="foreign-id", created_at="when?", data="select"),
            ),
            (
                'e"; DROP TABLE "keep"; --',
                Columns(id='i"d', foreign_id="f'id", created_at="50%", data=":d"),
            ),
            ("user", Columns(id="order", foreign_id="from", type="table", headers="group", data="%s ?")),
        ],
    )
    async def test_any_name_is_only_a_name(self, database: Database, table: str, columns: Columns) -> None:
        await database.run("CREATE TABLE keep (id INTEGER)")
        described = await database.create(table, columns)
        await insert(database.engine, described, 1, 2, data="[1]")
        connector = database.connector(table=table, columns=columns, cursor_table=f"{table} cursors")

        async with opened(connector, "it's; --") as consumer:
            assert await take(consumer, 1) == [1]

        assert await next_id(connector, "it's; --") == 2
        assert (await only_event(connector)).data == [1]
        assert await database.scalar("SELECT count(*) FROM keep") == 0

    async def test_columns_may_be_missing(self, database: Database) -> None:
        columns = Columns(type=None, headers=None, data=None)
        await insert(database.engine, await database.create(columns=columns), 1)

        assert await only_event(database.connector(columns=columns)) == ConnectorEvent(
            id="1", foreign_id="order-1", created_at=MOMENT
        )

    async def test_one_column_may_serve_two_fields(self, database: Database) -> None:
        await database.create()
        await database.add(1)

        received = await only_event(database.connector(columns=Columns(foreign_id="id", type="foreign_id")))

        assert (received.foreign_id, received.type) == ("1", "order-1")

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ({"foreign_id": None}, "foreign_id: missing"),
            ({"foreign_id": ""}, "foreign_id: string_too_short"),
            ({"headers": SECRET}, "headers: JSONDecodeError"),
            ({"headers": f'["{SECRET}"]'}, "headers: dict_type"),
            ({"headers": f'{{"{SECRET}": 1, "b": 2}}'}, "headers: string_type"),
            ({"created_at": None}, "created_at: missing"),
            ({"created_at": SECRET}, "created_at: ValueError"),
            ({"created_at": "0001-01-01T00:00:00+23:00"}, "created_at: value_error"),
            ({"data": f"{{{SECRET}"}, "data: JSONDecodeError"),
            ({"data": "NaN"}, "data: ValueError"),
            ({"data": "[" * 100_000}, "data: RecursionError"),
            ({"data": "[" * 500 + "]" * 500}, "data: recursion_"),
            ({"data": "9" * 5_000}, "data: ValueError"),
            ({"foreign_id": None, "headers": "[]"}, "foreign_id: missing, headers: dict_type"),
        ],
        ids=str,
    )
    async def test_an_unreadable_row_is_named_without_its_data(
        self, database: Database, row: Mapping[str, Any], reason: str
    ) -> None:
        await database.create()
        await database.add(17, **row)

        with pytest.raises(InvalidEvent) as refused:
            await only_event(database.connector())

        assert (refused.value.source, refused.value.position) == ("events", "17")
        assert f"not a readable event: {reason}" in str(refused.value)
        assert SECRET not in "".join(map(str, (refused.value, refused.value.__cause__)))

    async def test_recv_stays_at_an_unreadable_row_until_it_is_mended(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        await database.add(3, data="{")
        await database.add(4)

        async with opened(database.connector()) as consumer:
            assert await take(consumer, 2) == [1, 2]
            for _ in range(2):
                with pytest.raises(InvalidEvent):
                    await consumer.recv()
            await database.run("UPDATE events SET data = '{}' WHERE id = 3")
            assert await take(consumer, 2) == [3, 4]

    async def test_a_translator_gets_every_column(self, database: Database) -> None:
        await database.create()
        await database.run('ALTER TABLE events ADD COLUMN "Extra Column" INTEGER')
        await database.add(1, type="paid")
        await database.run('UPDATE events SET "Extra Column" = 5')
        seen: list[Mapping[str, object]] = []

        def translate(row: Mapping[str, object]) -> ConnectorEvent:
            seen.append(row)
            return ConnectorEvent(id="x", foreign_id="y", created_at=MOMENT)

        received = await only_event(database.connector(translate=translate))

        assert received.id == "x"
        assert seen == [
            {
                "id": 1,
                "foreign_id": "order-1",
                "type": "paid",
                "headers": None,
                "created_at": CREATED_AT,
                "data": None,
                "Extra Column": 5,
            }
        ]

    async def test_an_error_in_a_translator_keeps_the_row(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        errors = iter([KeyError(SECRET)])

        def translate(_: Mapping[str, object]) -> ConnectorEvent:
            for error in errors:
                raise error
            return ConnectorEvent(id="1", foreign_id="x", created_at=MOMENT)

        async with opened(database.connector(translate=translate)) as consumer:
            with pytest.raises(InvalidEvent, match="not a readable event: KeyError") as refused:
                await consumer.recv()
            assert isinstance(refused.value.__cause__, KeyError)
            assert SECRET not in str(refused.value)
            assert await take(consumer, 1) == [1]

    async def test_a_translator_must_return_an_event(self, database: Database) -> None:
        await database.create()
        await database.add(1)

        def translate(_: Mapping[str, object]) -> None:
            return None

        with pytest.raises(InvalidEvent, match="returned NoneType, not a ConnectorEvent"):
            await only_event(database.connector(translate=translate))

    async def test_a_cancelled_recv_loses_nothing(self, database: Database) -> None:
        await database.create()
        await database.add(*range(200))
        ids: list[int] = []

        async with opened(database.connector(batch_size=2)) as consumer:
            for turn in itertools.count():
                receiving = asyncio.create_task(consumer.recv())
                for _ in range(turn % 7):
                    await asyncio.sleep(0)
                await asyncio.sleep(turn % 5 * 0.000_3)
                receiving.cancel()
                (outcome,) = await asyncio.gather(receiving, return_exceptions=True)
                if isinstance(outcome, tuple):
                    ids.append(int(outcome[0].id))
                    await outcome[1]()
                if len(ids) == 200:
                    break

        assert ids == list(range(200))

    async def test_a_consumer_can_be_closed_in_the_midst_of_a_query(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        connector = SqlConnector(database.url, poll_interval=SOON)

        for turn in range(30):
            consumer = await connector.make("pump")
            receiving = asyncio.create_task(consumer.recv())
            await asyncio.sleep(turn * 0.000_2)
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            await consumer.close()

        assert await next_id(connector) == 1

    async def test_a_query_outlives_a_cancelled_recv(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await database.create()
        await database.add(1)
        read, answer = Rows.after, asyncio.Event()
        queries: list[int | None] = []

        async def slow(rows: Rows, position: int | None) -> list[Row]:
            queries.append(position)
            await answer.wait()
            return await read(rows, position)

        monkeypatch.setattr(Rows, "after", slow)
        async with opened(database.connector()) as consumer:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(consumer.recv(), 0.02)
            answer.set()
            assert await take(consumer, 1) == [1]

        assert queries == [None]

    async def test_close_waits_for_a_query_only_so_long(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cancelled: list[bool] = []

        async def endless(_rows: Rows, _position: int | None) -> list[Row]:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(True)
            return []

        monkeypatch.setattr(Rows, "after", endless)
        monkeypatch.setattr(sql, "CLOSE_PATIENCE", 0.05)
        async with opened(database.connector()) as consumer:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(consumer.recv(), 0.01)

        assert cancelled == [True]

    async def test_commits_are_gathered(self, database: Database) -> None:
        await database.create()
        await database.add(*range(1, 101))
        with watched(database.engine) as writes:
            async with opened(database.connector(batch_size=10)) as consumer:
                for done in range(0, 100, 10):
                    assert writes.count <= done / 10
                    await take(consumer, 10)
                assert writes.count <= 10

            assert writes.count <= 11
        assert await database.scalar("SELECT position FROM pumphouse_cursors") == 100

    async def test_gathered_acks_are_written_before_the_next_poll(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        with watched(database.engine) as writes:
            async with opened(database.connector()) as consumer:
                await take(consumer, 2)
                assert writes.count == 0
                receiving = asyncio.create_task(consumer.recv())
                await asyncio.wait_for(writes.seen.wait(), 10)
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)
                assert writes.count == 1

    async def test_many_acks_are_written_without_recv(self, database: Database) -> None:
        await database.create()
        await database.add(*range(8))
        async with opened(database.connector(batch_size=4)) as consumer:
            acks = [(await consumer.recv())[1] for _ in range(8)]
            with watched(database.engine) as writes:
                for ack in acks:
                    await ack()
                assert writes.count == 2

    async def test_close_stores_what_was_acked(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        async with opened(database.connector()) as consumer:
            await take(consumer, 1)

        assert await database.scalar("SELECT position FROM pumphouse_cursors") == 1

    async def test_a_repeated_ack_changes_nothing(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        async with opened(database.connector()) as consumer:
            _, first = await consumer.recv()
            _, second = await consumer.recv()
            for ack in (first, second, first):
                await ack()

        assert await database.scalar("SELECT position FROM pumphouse_cursors") == 2

    async def test_a_write_that_fails_in_recv_is_raised_and_repeated(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        with watched(database.engine) as writes:
            async with opened(database.connector()) as consumer:
                await take(consumer, 1)
                await database.add(2)
                writes.failing = True
                for _ in range(2):
                    with pytest.raises(WriteFailed):
                        await consumer.recv()
                writes.failing = False
                assert await take(consumer, 1, ack=False) == [2]
                assert writes.count == 1

    async def test_a_write_that_fails_in_ack_is_raised_and_repeated(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        with watched(database.engine) as writes:
            async with opened(database.connector(batch_size=1)) as consumer:
                _, ack = await consumer.recv()
                writes.failing = True
                for _ in range(2):
                    with pytest.raises(WriteFailed):
                        await ack()
                writes.failing = False
                await ack()
                assert writes.count == 1

    async def test_a_write_that_fails_in_close_is_raised_and_repeated(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        consumer = await database.connector().make("pump")
        await take(consumer, 1)
        with watched(database.engine) as writes:
            writes.failing = True
            with pytest.raises(WriteFailed):
                await consumer.close()
            writes.failing = False
            await consumer.close()
            assert writes.count == 1

    async def test_the_position_never_goes_backwards(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        async with opened(connector) as given_up, opened(connector) as successor:
            await take(given_up, 1)
            await take(successor, 3)
            await successor.close()

        assert await database.scalar("SELECT position FROM pumphouse_cursors") == 3

    async def test_writes_of_recv_and_ack_take_turns(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[int] = []
        at_once = 0

        async def advance(_table: CursorTable, _name: str, position: int) -> None:
            nonlocal at_once
            at_once += 1
            await asyncio.sleep(0.001)
            assert at_once == 1
            at_once -= 1
            written.append(position)

        monkeypatch.setattr(CursorTable, "advance", advance)
        cursor = Cursor(CursorTable(database.engine, "cursors"), "pump", None, gather=2)

        async def acks() -> None:
            for position in range(1, 51):
                await cursor.ack(position)

        async def recvs() -> None:
            for _ in range(40):
                await cursor.flush()
                await asyncio.sleep(0)

        await asyncio.gather(acks(), recvs())
        await cursor.flush()

        assert written == sorted(set(written))
        assert written[-1] == 50

    async def test_acks_during_a_write_are_left_for_the_next(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[int] = []
        go_on = asyncio.Event()

        async def advance(_table: CursorTable, _name: str, position: int) -> None:
            await go_on.wait()
            written.append(position)

        monkeypatch.setattr(CursorTable, "advance", advance)
        cursor = Cursor(CursorTable(database.engine, "cursors"), "pump", None, gather=3)
        await cursor.ack(1)
        flushing = asyncio.create_task(cursor.flush())
        await asyncio.sleep(0)
        await cursor.ack(2)
        go_on.set()
        await flushing
        assert written == [1]

        await cursor.ack(3)
        assert written == [1]
        await cursor.ack(4)
        assert written == [1, 4]

        await cursor.ack(5)
        go_on.clear()
        flushing = asyncio.create_task(cursor.flush())
        await asyncio.sleep(0)
        await cursor.ack(6)
        go_on.set()
        await flushing
        await cursor.flush()
        assert written == [1, 4, 5, 6]

    async def test_many_pumps_may_create_the_cursor_table_at_once(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        connector = SqlConnector(database.url)

        consumers = await asyncio.gather(*(connector.make(f"pump-{number}") for number in range(8)))

        assert [await take(consumer, 1) for consumer in consumers] == [[1]] * 8
        for consumer in consumers:
            await consumer.close()
        assert await database.scalar("SELECT count(*) FROM pumphouse_cursors") == 8

    async def test_a_missing_table_is_an_error_until_it_is_there(self, database: Database) -> None:
        async with opened(database.connector()) as consumer:
            for _ in range(2):
                with pytest.raises(SQLAlchemyError, match="events"):
                    await consumer.recv()
            await database.create()
            await database.add(1)
            assert await take(consumer, 1) == [1]

    async def test_a_consumer_disposes_of_an_engine_of_its_own(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[AsyncEngine] = []

        def make_engine(url: sa.URL) -> AsyncEngine:
            made.append(create_async_engine(url, poolclass=sa.AsyncAdaptedQueuePool))
            return made[-1]

        monkeypatch.setattr(sql, "create_async_engine", make_engine)
        await database.create()
        await database.add(1)
        connector = SqlConnector(database.url.render_as_string(hide_password=False))
        await connector.reshard("group/", ["group/a"])
        async with opened(connector) as consumer:
            await take(consumer, 1)
            assert connections(made[-1]) > 0

        assert [connections(engine) for engine in made] == [0, 0]

    async def test_an_engine_of_the_user_stays_open(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        connector = database.connector()
        await connector.reshard("group/", ["group/a"])
        assert await next_id(connector) == 1

        assert connections(database.engine) > 0

    async def test_reshard_starts_the_new_names_at_the_earliest_position(self, database: Database) -> None:
        await database.create()
        await database.add(*range(-4, 5))
        connector = database.connector()
        assert isinstance(connector, Reshardable)
        for name, count in (("g/1-of-2", 5), ("g/2-of-2", 3), ("G/1-of-2", 1), ("g_", 1)):
            async with opened(connector, name) as consumer:
                await take(consumer, count)

        await connector.reshard("g/", ["g/1-of-3", "g/2-of-3", "g/3-of-3"])

        assert [await next_id(connector, f"g/{number}-of-3") for number in (1, 2, 3)] == [-1, -1, -1]
        forgotten, others = ("g/1-of-2", "g/2-of-2"), ("G/1-of-2", "g_")
        assert [await next_id(connector, name) for name in forgotten] == [-4, -4]
        assert [await next_id(connector, name) for name in others] == [-3, -3]

    async def test_a_repeated_reshard_changes_nothing(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        async with opened(connector, "g/old") as consumer:
            await take(consumer, 1)
        await connector.reshard("g/", ["g/new"])
        async with opened(connector, "g/new") as consumer:
            await take(consumer, 1)

        await connector.reshard("g/", ["g/new"])

        assert await next_id(connector, "g/new") == 3

    async def test_reshard_leaves_the_start_to_a_name_that_has_acked_nothing(
        self, database: Database
    ) -> None:
        await database.create()
        await database.add(-5, 1, 2)
        connector = database.connector()
        await connector.reshard("g/", ["g/1-of-2", "g/2-of-2"])
        async with opened(connector, "g/2-of-2") as consumer:
            await take(consumer, 2)

        await connector.reshard("g/", ["g/1-of-2", "g/2-of-2"])
        assert await next_id(connector, "g/2-of-2") == 2
        await connector.reshard("g/", ["g/1-of-1"])

        # The start is a position as well: it is handed on, and acks move it.
        async with opened(connector, "g/1-of-1") as consumer:
            assert await take(consumer, 1) == [-5]
        assert await next_id(connector, "g/1-of-1") == 1

    async def test_reshard_takes_a_name_that_stays_back_to_the_earliest_too(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        for name, count in (("g/a", 2), ("g/b", 1)):
            async with opened(connector, name) as consumer:
                await take(consumer, count)

        await connector.reshard("g/", ["g/a", "g/c"])

        assert [await next_id(connector, name) for name in ("g/a", "g/c", "g/b")] == [2, 2, 1]

    async def test_reshard_to_no_names_forgets_the_group(self, database: Database) -> None:
        connector = database.connector()
        await connector.reshard("g/", ["g/1-of-1"])
        for _ in range(2):
            await connector.reshard("g/", [])

        assert await database.scalar("SELECT count(*) FROM pumphouse_cursors") == 0

    async def test_reshards_at_once_do_it_once(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        for name, count in (("g/1-of-2", 2), ("g/2-of-2", 1)):
            async with opened(connector, name) as consumer:
                await take(consumer, count)

        await asyncio.gather(*(connector.reshard("g/", ["g/1-of-1"]) for _ in range(4)))

        assert await next_id(connector, "g/1-of-1") == 2
        assert await database.scalar("SELECT count(*) FROM pumphouse_cursors") == 1

    # One function for two databases, and one empty table for each example: both are meant.
    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(data=st.data())
    async def test_a_new_consumer_goes_on_exactly_behind_any_acked_prefix(
        self, database: Database, data: st.DataObject
    ) -> None:
        table = event_table()
        ids = sorted(data.draw(st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12)))
        acked = data.draw(st.integers(0, len(ids)))
        received = data.draw(st.integers(acked, len(ids)))
        connector = database.connector(batch_size=data.draw(st.integers(1, 5)))
        async with database.engine.begin() as connection:
            await connection.run_sync(table.drop, checkfirst=True)
            await connection.execute(CreateTable(table))
        await database.add(*ids)
        name = f"pump-{next(_NUMBERS)}"

        async with opened(connector, name) as consumer:
            assert await take(consumer, acked) == ids[:acked]
            assert await take(consumer, received - acked, ack=False) == ids[acked:received]

        async with opened(connector, name) as consumer:
            assert await take(consumer, len(ids) - acked) == ids[acked:]


_NUMBERS = itertools.count()


def connections(engine: AsyncEngine) -> int:
    pool = engine.sync_engine.pool
    assert isinstance(pool, sa.AsyncAdaptedQueuePool)
    return pool.checkedin() + pool.checkedout()


class TestSqlite(SqlCases):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[Database]:
        url = sa.URL.create("sqlite+aiosqlite", database=str(tmp_path / "events.db"))
        engine = create_async_engine(url, poolclass=sa.AsyncAdaptedQueuePool)
        yield Database(url, engine)
        await engine.dispose()

    async def test_another_process_writes_the_same_file(self, database: Database) -> None:
        await database.create()
        program = (
            "import sqlite3, sys\n"
            "connection = sqlite3.connect(sys.argv[1], timeout=30)\n"
            "for number in range(100):\n"
            "    with connection:\n"
            "        connection.execute('INSERT INTO events (id, foreign_id, created_at) VALUES (?, ?, ?)',\n"
            "                           (number, 'order-1', '2013-02-08T17:30:00Z'))\n"
            "connection.close()\n"
        )
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(database.url.database)
        )

        async with opened(SqlConnector(database.url, batch_size=3, poll_interval=SOON)) as consumer:
            assert await take(consumer, 100) == list(range(100))
        assert await writer.wait() == 0

    async def test_a_write_waits_for_another_process(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        consumer = await SqlConnector(database.url, batch_size=1).make("pump")
        _, ack = await consumer.recv()
        holder = sqlite3.connect(str(database.url.database), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")

        acking = asyncio.ensure_future(ack())
        done, _ = await asyncio.wait([acking], timeout=0.2)
        assert not done
        holder.execute("COMMIT")
        holder.close()
        await acking
        await consumer.close()

        assert await database.scalar("SELECT position FROM pumphouse_cursors") == 1

    @pytest.mark.parametrize(("query", "milliseconds"), [({}, 30_000), ({"timeout": "7"}, 7_000)])
    async def test_a_url_may_say_how_long_a_write_waits(
        self, database: Database, query: Mapping[str, str], milliseconds: int
    ) -> None:
        engine = sql._make_engine(database.url.set(query=query))  # pyright: ignore[reportPrivateUsage]
        async with engine.connect() as connection:
            waits = await connection.exec_driver_sql("PRAGMA busy_timeout")
            assert waits.scalar() == milliseconds
        await engine.dispose()

    async def test_the_schema_may_be_named(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector(table="main.events", cursor_table="main.cursors")
        async with opened(connector) as consumer:
            await take(consumer, 1)

        assert await next_id(connector) == 2

    async def test_text_that_is_no_utf_8_is_an_unreadable_row(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        await database.run("UPDATE events SET data = CAST(x'68756e74657232ff' AS TEXT) WHERE id = 2")

        async with opened(SqlConnector(database.url)) as consumer:
            assert await take(consumer, 1) == [1]
            with pytest.raises(InvalidEvent, match="data: invalid-json-value") as refused:
                await consumer.recv()
            assert SECRET not in str(refused.value)
            await database.run("UPDATE events SET data = NULL WHERE id = 2")
            assert await take(consumer, 2) == [2, 3]

    async def test_an_id_must_be_an_integer(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        await database.run("INSERT INTO events (id, foreign_id) VALUES ('x1', 'a')")

        async with opened(database.connector()) as consumer:
            assert await take(consumer, 1) == [1]
            with pytest.raises(InvalidEvent, match=r"position x1: .* its ID is of type str, not an integer"):
                await consumer.recv()

    async def test_a_number_is_no_time(self, database: Database) -> None:
        await database.run("CREATE TABLE events (id INTEGER PRIMARY KEY, foreign_id, created_at)")
        await database.run("INSERT INTO events VALUES (1, 5, 1360344600)")
        columns = Columns(type=None, headers=None, data=None)

        with pytest.raises(InvalidEvent, match="created_at: TypeError"):
            await only_event(database.connector(columns=columns))

    @pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"])
    async def test_a_database_in_memory_is_refused(self, url: str) -> None:
        with pytest.raises(PumphouseError, match="in memory"):
            await SqlConnector(url).make("pump")

    async def test_a_database_that_cannot_be_opened_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(SQLAlchemyError, match="unable to open"):
            await SqlConnector(f"sqlite+aiosqlite:///{tmp_path}/none/events.db").make("pump")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"poll_interval": timedelta(0)}, "poll_interval is 0:00:00"),
        ({"table": ""}, "'' is neither"),
        ({"table": "a.b.c"}, "'a.b.c' is neither"),
        ({"cursor_table": ".b"}, "'.b' is neither"),
    ],
)
def test_a_setting_without_sense_is_refused(options: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(PumphouseError, match=problem):
        SqlConnector("sqlite+aiosqlite:///events.db", **options)


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(PumphouseError, match="mysql is not supported; use one of: postgresql, sqlite"):
        SqlConnector("mysql+aiomysql://localhost/shop")


def test_sqlalchemy_is_asked_for_when_exactly_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pumphouse.connectors.sql")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtra, match=r"sqlalchemy is not installed.*pumphouse\[sql\]"):
        importlib.import_module("pumphouse.connectors.sql")

    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "pumphouse.connectors.sql")
    monkeypatch.setitem(sys.modules, "pumphouse.connectors.sql_rows", None)
    with pytest.raises(ModuleNotFoundError, match="sql_rows"):
        importlib.import_module("pumphouse.connectors.sql")


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [
        ("sqlite+aiosqlite:///events.db", "aiosqlite", "sql"),
        ("postgresql+asyncpg://localhost/shop", "asyncpg", "postgres"),
    ],
)
async def test_a_missing_driver_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, url: str, driver: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(MissingExtra, match=rf"{driver} is not installed.*pumphouse\[{extra}\]"):
        await SqlConnector(url).make("pump")


async def test_another_driver_is_not_ours_to_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ModuleNotFoundError, match="psycopg"):
        await SqlConnector("postgresql+psycopg://localhost/shop").make("pump")
