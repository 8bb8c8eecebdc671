"""What every SQL source promises about the rows that it reads."""

import asyncio
import itertools
import json
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pumphouse.connectors import ConnectorEvent, Findable, Positioned, sql
from pumphouse.connectors.sql import Columns, SqlConnector
from pumphouse.connectors.sql_rows import Row, Rows
from tests.unit.connectors.sql_database import (
    CREATED_AT,
    MOMENT,
    SOON,
    Database,
    connections,
    insert,
    next_id,
    only_event,
    opened,
    take,
)


class SqlReadingCases:
    """Rows become events, in order; a subclass gives the fixture `database`."""

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

    async def test_the_position_is_the_id_of_the_row_received_last(self, database: Database) -> None:
        await database.create()
        await database.add(-7, 40)

        async with opened(database.connector()) as consumer:
            assert isinstance(consumer, Positioned)
            assert consumer.position == ""
            for position in ("-7", "40"):
                await take(consumer, 1, ack=False)
                assert consumer.position == position

    async def test_an_event_is_found_by_its_id(self, database: Database) -> None:
        await database.create()
        await database.add(-7, 40, type="paid")
        connector = database.connector()
        assert isinstance(connector, Findable)

        found = await connector.find("-7")

        assert found == await only_event(connector)
        assert await connector.find("40") != found

    @pytest.mark.parametrize(
        "event_id", ["2", "", "x", "1.0", " 1", "+1", "01", "-0", "1_0", "²", "1;", str(2**63), "9" * 10_000]
    )
    async def test_an_event_that_is_not_there_is_not_found(self, database: Database, event_id: str) -> None:
        await database.create()
        await database.add(0, 1, 10)

        assert await database.connector().find(event_id) is None

    async def test_a_translated_event_is_found_when_it_has_the_id_of_its_row(
        self, database: Database
    ) -> None:
        await database.create()
        await database.add(1, 2)

        def translate(row: Mapping[str, object]) -> ConnectorEvent:
            event_id = "1" if row["id"] == 1 else "two"
            return ConnectorEvent(id=event_id, foreign_id="x", created_at=MOMENT)

        connector = database.connector(translate=translate)

        assert await connector.find("1") == translate({"id": 1})
        assert await connector.find("2") is None
        assert await connector.find("two") is None

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
