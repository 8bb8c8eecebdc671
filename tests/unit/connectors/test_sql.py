"""What a SQL consumer promises, on SQLite; on PostgreSQL: tests/integration/test_sql_postgres.py."""

import asyncio
import importlib
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from pumphouse.connectors import InvalidCursor, InvalidEvent, MissingExtra, PumphouseError, sql
from pumphouse.connectors.sql import Columns, SqlConnector
from tests.unit.connectors.sql_cases import SqlCases
from tests.unit.connectors.sql_database import SECRET, SOON, Database, next_id, only_event, opened, take


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
            assert await take(consumer, 1) == [3]

    async def test_an_id_must_be_an_integer(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        await database.run("INSERT INTO events (id, foreign_id) VALUES ('x1', 'a')")

        async with opened(database.connector()) as consumer:
            assert await take(consumer, 1) == [1]
            for _ in range(2):
                with pytest.raises(
                    InvalidEvent, match=r"position x1: .* its ID is of type str, not an integer"
                ) as refused:
                    await consumer.recv()
                # Without a position there is nothing to ack: it is read again until it is mended.
                assert refused.value.ack is None
            await database.run("UPDATE events SET id = 2, created_at = '2013-02-08 17:30' WHERE id = 'x1'")
            assert await take(consumer, 1) == [2]

    @pytest.mark.parametrize(
        ("position", "kind"), [("'seven'", "str"), ("''", "str"), ("1.5", "float"), ("x'00'", "bytes")]
    )
    async def test_a_position_that_is_no_integer_is_an_error_until_it_is_mended(
        self, database: Database, position: str, kind: str
    ) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector()
        async with opened(connector, "g/1") as consumer:
            await take(consumer, 1)
        nonsense = f"UPDATE pumphouse_cursors SET position = {position}"  # noqa: S608 - our own
        await database.run(nonsense)

        for _ in range(2):
            with pytest.raises(InvalidCursor) as refused:
                await connector.make("g/1")
            assert str(refused.value) == (
                f"pumphouse_cursors, consumer 'g/1': its position is of type {kind}, not an integer; set "
                "it to the ID of the last row that is done, or to NULL to begin before the first row"
            )
        with pytest.raises(InvalidCursor, match=f"'g/1': its position is of type {kind}"):
            await connector.reshard("g/", ["g/1-of-2", "g/2-of-2"])
        await database.run("UPDATE pumphouse_cursors SET position = 1")
        assert await next_id(connector, "g/1") == 2

        await database.run(nonsense)
        await connector.seek(["g/1"], "1")
        assert await next_id(connector, "g/1") == 1

    async def test_a_position_of_text_under_an_open_consumer_is_an_error_until_it_is_mended(
        self, database: Database
    ) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector(batch_size=1)
        async with opened(connector) as consumer:
            _, ack = await consumer.recv()
            await database.run("UPDATE pumphouse_cursors SET position = 'seven'")
            for _ in range(2):
                with pytest.raises(InvalidCursor, match="position is of type str"):
                    await ack()
            await database.run("UPDATE pumphouse_cursors SET position = NULL")
            await ack()

        assert await next_id(connector) == 2

    async def test_a_number_written_as_text_is_one(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector()
        assert await next_id(connector) == 1

        await database.run("UPDATE pumphouse_cursors SET position = '1'")

        assert await next_id(connector) == 2

    async def test_the_latest_must_be_an_integer_too(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        await database.run("INSERT INTO events (id, foreign_id) VALUES ('x1', 'a')")

        with pytest.raises(InvalidEvent, match=r"position x1: .* its ID is of type str"):
            await database.connector(start="latest").make("pump")

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
        ({"start": "last"}, 'start is \'last\'; it must be "earliest", "latest" or the ID of a row'),
        ({"start": "17"}, "start is '17'"),
        ({"start": True}, "start is True"),
        ({"start": 1.0}, "start is 1.0"),
        ({"start": None}, "start is None"),
        ({"start": 2**63}, "start is 9223372036854775808"),
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
