"""What every SQL source promises about acks."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from pumphouse.connectors.sql import SqlConnector
from pumphouse.connectors.sql_cursors import Cursor, CursorTable
from tests.unit.connectors.sql_database import (
    Database,
    WriteFailed,
    event_table,
    next_id,
    opened,
    take,
    watched,
)


class SqlAckCases:
    """What is acked is stored, and what is not comes again; `database` is a fixture of the subclass."""

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

        async def advance(_table: CursorTable, _name: str, position: int, _last_seen: int | None) -> None:
            nonlocal at_once
            at_once += 1
            await asyncio.sleep(0.001)
            assert at_once == 1
            at_once -= 1
            written.append(position)

        monkeypatch.setattr(CursorTable, "advance", advance)
        cursor = Cursor(cursors(database), "pump", None, gather=2)

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

        async def advance(_table: CursorTable, _name: str, position: int, _last_seen: int | None) -> None:
            await go_on.wait()
            written.append(position)

        monkeypatch.setattr(CursorTable, "advance", advance)
        cursor = Cursor(cursors(database), "pump", None, gather=3)
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


def cursors(database: Database) -> CursorTable:
    async def start(_: AsyncConnection) -> None:
        return None

    return CursorTable(database.engine, "cursors", start)
