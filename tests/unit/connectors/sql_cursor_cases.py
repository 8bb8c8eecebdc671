"""What every SQL source makes of a cursor table that somebody has edited."""

import asyncio

import pytest

from pumphouse.connectors import InvalidCursor
from tests.unit.connectors.sql_database import Database, next_id, opened, take


class SqlCursorCases:
    """An edit either works or is an error until it is mended; a subclass gives the fixture `database`."""

    @pytest.mark.parametrize(
        ("position", "first"), [("2", 3), ("-1", 1), ("0", 1), ("NULL", 1), (str(-(2**63)), 1)]
    )
    async def test_a_position_set_by_hand_is_gone_by(
        self, database: Database, position: str, first: int
    ) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        async with opened(connector) as consumer:
            await take(consumer, 1)

        await database.run(f"UPDATE pumphouse_cursors SET position = {position}")  # noqa: S608 - our own

        assert await next_id(connector) == first

    async def test_a_position_beyond_the_end_waits_for_later_rows(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        connector = database.connector()
        assert await next_id(connector) == 1

        await database.run("UPDATE pumphouse_cursors SET position = 50")

        async with opened(connector) as consumer:
            receiving = asyncio.ensure_future(take(consumer, 1))
            await database.add(2, 50, 51)
            assert await receiving == [51]

    async def test_a_row_deleted_by_hand_makes_the_name_a_new_one(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector(start=2)
        await connector.seek(["pump"], "1")
        assert await next_id(connector) == 1

        await database.run("DELETE FROM pumphouse_cursors")

        assert await next_id(connector) == 2

    async def test_a_row_deleted_under_an_open_consumer_is_an_error_until_it_is_there(
        self, database: Database
    ) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector(batch_size=1)
        async with opened(connector) as consumer:
            await take(consumer, 1)
            _, ack = await consumer.recv()
            await database.run("DELETE FROM pumphouse_cursors")
            for _ in range(2):
                with pytest.raises(InvalidCursor) as refused:
                    await ack()
                assert str(refused.value) == (
                    "pumphouse_cursors, consumer 'pump': its row was deleted while the consumer was open; "
                    "insert it again, with position 1 to go on, or restart the worker to begin where a new "
                    "consumer does"
                )
            await database.run(
                "INSERT INTO pumphouse_cursors (consumer_name, position, updated_at)"
                " VALUES ('pump', 1, CURRENT_TIMESTAMP)"
            )
            await ack()

        assert await next_id(connector) == 3

    async def test_a_position_set_back_under_an_open_consumer_is_an_error_until_it_is_restarted(
        self, database: Database
    ) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector(batch_size=1)
        consumer = await connector.make("pump")
        await take(consumer, 2)
        _, ack = await consumer.recv()
        await database.run("UPDATE pumphouse_cursors SET position = 1")

        for _ in range(2):
            with pytest.raises(InvalidCursor, match="'pump': its position was set back from 2 to 1 while"):
                await ack()
        with pytest.raises(InvalidCursor):
            await consumer.close()

        assert await next_id(connector) == 2

    async def test_a_position_set_forward_under_an_open_consumer_stays(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3, 4)
        connector = database.connector(batch_size=1)
        async with opened(connector) as consumer:
            await take(consumer, 1)
            await database.run("UPDATE pumphouse_cursors SET position = 3")
            await take(consumer, 1)

        assert await next_id(connector) == 4

    @pytest.mark.parametrize("column", ["position", "updated_at"])
    async def test_a_missing_column_is_an_error_until_it_is_there(
        self, database: Database, column: str
    ) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector()
        async with opened(connector) as consumer:
            await take(consumer, 1)

        await database.run(f"ALTER TABLE pumphouse_cursors RENAME COLUMN {column} TO mislaid")

        missing = rf"pumphouse_cursors, consumer '.*': the table has no column {column}; add it"
        for _ in range(2):
            with pytest.raises(InvalidCursor, match=missing) as refused:
                await connector.make("pump")
            assert (refused.value.table, refused.value.consumer_name) == ("pumphouse_cursors", "pump")
        with pytest.raises(InvalidCursor, match=missing):
            await connector.reshard("g/", ["g/1"])
        with pytest.raises(InvalidCursor, match=missing):
            await connector.seek(["pump"], "earliest")
        await database.run(f"ALTER TABLE pumphouse_cursors RENAME COLUMN mislaid TO {column}")
        assert await next_id(connector) == 2

    @pytest.mark.parametrize("kind", ["TEXT", "INTEGER NOT NULL DEFAULT 5"])
    async def test_an_extra_column_is_left_alone(self, database: Database, kind: str) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector()
        await connector.reshard("g/", ["g/1"])
        await database.run(f"ALTER TABLE pumphouse_cursors ADD COLUMN note {kind}")

        async with opened(connector) as consumer:
            await take(consumer, 1)
        await connector.reshard("g/", ["g/1", "g/2"])
        await connector.seek(["g/1", "g/3"], "2")

        assert await next_id(connector) == 2
        assert [await next_id(connector, name) for name in ("g/1", "g/2", "g/3")] == [2, 1, 2]

    async def test_an_extra_column_that_must_be_filled_is_an_error_for_a_new_name(
        self, database: Database
    ) -> None:
        await database.create()
        await database.add(1)
        await database.run(
            "CREATE TABLE pumphouse_cursors (consumer_name TEXT PRIMARY KEY, position BIGINT,"
            " updated_at TIMESTAMP WITH TIME ZONE NOT NULL, note TEXT NOT NULL)"
        )

        for _ in range(2):
            with pytest.raises(
                InvalidCursor, match=r"'pump': the table takes no row .*: give other columns a default"
            ):
                await database.connector().make("pump")

    async def test_a_table_without_a_key_that_holds_a_name_twice_is_an_error(
        self, database: Database
    ) -> None:
        await database.create()
        await database.add(1, 2)
        await database.run(
            "CREATE TABLE pumphouse_cursors (consumer_name TEXT, position BIGINT, updated_at TIMESTAMP)"
        )
        for position in (1, 2):
            await database.run(
                f"INSERT INTO pumphouse_cursors (consumer_name, position) VALUES ('g/1', {position})"  # noqa: S608 - our own
            )

        connector = database.connector()
        for attempt in (connector.make("g/1"), connector.reshard("g/", ["g/2"])):
            with pytest.raises(
                InvalidCursor, match="consumer 'g/1': it has several rows; delete all but one"
            ):
                await attempt
        await database.run("DELETE FROM pumphouse_cursors WHERE position = 2")
        assert await next_id(connector, "g/1") == 2
