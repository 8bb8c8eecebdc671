"""What every SQL source promises about positions."""

import asyncio

import pytest
from sqlalchemy.exc import SQLAlchemyError

from pumphouse.connectors import InvalidCursor, InvalidPosition, Reshardable, Seekable
from pumphouse.connectors.positions import Start
from pumphouse.connectors.sql import SqlConsumer
from tests.unit.connectors.sql_database import (
    Database,
    next_id,
    opened,
    take,
)


class SqlPositionCases:
    """Where consumer names begin, and how they are moved; `database` is a fixture of the subclass."""

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

    async def test_a_name_without_a_row_joins_its_group_at_the_start(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        async with opened(connector, "g/1") as consumer:
            await take(consumer, 2)

        await connector.reshard("g/", ["g/1", "g/2"])

        assert [await next_id(connector, name) for name in ("g/1", "g/2")] == [3, 1]

    @pytest.mark.parametrize("start", ["latest", 3])
    async def test_a_name_without_a_row_joins_its_group_no_later_than_the_others(
        self, database: Database, start: Start
    ) -> None:
        await database.create()
        await database.add(1, 2, 3, 4)
        async with opened(database.connector(), "g/1") as consumer:
            await take(consumer, 1)
        connector = database.connector(start=start)

        await connector.reshard("g/", ["g/1", "g/2"])

        assert [await next_id(connector, name) for name in ("g/1", "g/2")] == [2, 2]

    @pytest.mark.parametrize(
        ("start", "first"),
        [("earliest", -9), ("latest", 99), (5, 5), (4, 5), (-9, -9), (7, 99), (-(2**63), -9), (100, 100)],
    )
    async def test_a_new_name_begins_at_the_start(self, database: Database, start: Start, first: int) -> None:
        await database.create()
        await database.add(-9, 5, 6)
        connector = database.connector(start=start)

        # Nothing is acked yet: a crash must not move the start.
        async with opened(connector) as consumer:
            await database.add(99, 100)
            assert await take(consumer, 1, ack=False) == [first]

        assert await next_id(connector) == first

    async def test_a_name_that_has_a_position_keeps_it_whatever_the_start(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        async with opened(database.connector()) as consumer:
            await take(consumer, 1)
        async with opened(database.connector(), "without an ack"):
            pass

        for start in ("latest", 3):
            assert await next_id(database.connector(start=start)) == 2
            assert await next_id(database.connector(start=start), "without an ack") == 1

    async def test_every_row_of_an_empty_table_is_behind_the_latest(self, database: Database) -> None:
        await database.create()
        connector = database.connector(start="latest")
        async with opened(connector):
            pass
        await database.add(-5, 1)

        assert await next_id(connector) == -5

    async def test_all_shards_begin_at_one_latest_position(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector(start="latest")
        names = [f"g/{number}-of-3" for number in (1, 2, 3)]

        await connector.reshard("g/", names)
        await database.add(3)
        await connector.reshard("g/", names)
        first = await next_id(connector, names[0])
        await database.add(4)

        assert first == 3
        assert [await next_id(connector, name) for name in names] == [3, 3, 3]

    async def test_consumers_made_at_once_begin_at_one_position(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        connector = database.connector(start="latest")

        async def make_amid_writes(number: int) -> SqlConsumer:
            await database.add(number)
            return await connector.make("pump")

        consumers = await asyncio.gather(*(make_amid_writes(number) for number in range(2, 10)))

        assert len({consumer._position for consumer in consumers}) == 1  # pyright: ignore[reportPrivateUsage]
        for consumer in consumers:
            await consumer.close()

    async def test_the_latest_of_a_missing_table_is_an_error_until_it_is_there(
        self, database: Database
    ) -> None:
        connector = database.connector(start="latest")
        for _ in range(2):
            with pytest.raises(SQLAlchemyError, match="events"):
                await connector.make("pump")
        await database.create()
        await database.add(1)
        async with opened(connector):
            await database.add(2)

        assert await next_id(connector) == 2

    @pytest.mark.parametrize(
        ("position", "first"),
        [
            ("earliest", -9),
            ("latest", 99),
            ("-9", -9),
            ("0", 5),
            ("5", 5),
            ("7", 99),
            (str(-(2**63)), -9),
            ("100", 100),
        ],
    )
    async def test_seek_sets_the_first_row_to_be_delivered(
        self, database: Database, position: str, first: int
    ) -> None:
        await database.create()
        await database.add(-9, 5, 6)
        connector = database.connector()
        assert isinstance(connector, Seekable)
        for name, count in (("g/1", 2), ("other", 1)):
            async with opened(connector, name) as consumer:
                await take(consumer, count)

        for _ in range(2):
            await connector.seek(["g/1", "g/2"], position)
        await database.add(99, 100)

        assert [await next_id(connector, name) for name in ("g/1", "g/2")] == [first, first]
        assert await next_id(connector, "other") == 5

    async def test_the_position_of_an_event_is_where_seek_delivers_it_again(self, database: Database) -> None:
        await database.create()
        await database.add(3, 5, 9)
        connector = database.connector()
        async with opened(connector) as consumer:
            await take(consumer, 2)
            position = consumer.position
            await take(consumer, 1)

        await connector.seek(["pump"], position)

        assert await next_id(connector) == 5

    async def test_acks_go_on_from_where_seek_has_set_them(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        async with opened(connector) as consumer:
            await take(consumer, 3)
        await connector.seek(["pump"], "1")
        async with opened(connector) as consumer:
            assert await take(consumer, 1) == [1]

        assert await next_id(connector) == 2

    @pytest.mark.parametrize(
        "position",
        ["", "last", "Latest", "1.5", " 1", "1_0", "٣", str(2**63), str(-(2**63) - 1), "9" * 5_000],
    )
    async def test_seek_refuses_what_is_no_position(self, database: Database, position: str) -> None:
        await database.create()
        await database.add(1, 2)
        connector = database.connector()
        async with opened(connector) as consumer:
            await take(consumer, 1)

        with pytest.raises(InvalidPosition, match='use "earliest", "latest" or the ID of a row') as refused:
            await connector.seek(["pump"], position)

        assert (refused.value.source, refused.value.position) == ("events", position)
        assert await next_id(connector) == 2

    async def test_seek_without_names_changes_nothing(self, database: Database) -> None:
        await database.connector().seek([], "5")

        assert await database.scalar("SELECT count(*) FROM pumphouse_cursors") == 0

    async def test_seek_moves_all_names_or_none(self, database: Database) -> None:
        connector = database.connector()
        names = ["a", "b", "c"]
        await connector.seek(names, "5")
        await database.run("CREATE UNIQUE INDEX only_one ON pumphouse_cursors (position) WHERE position = 6")

        with pytest.raises(InvalidCursor):
            await connector.seek(names, "7")

        assert await database.scalar("SELECT count(*) FROM pumphouse_cursors WHERE position = 4") == 3

    @pytest.mark.parametrize("position", ["earliest", "2"])
    async def test_an_ack_from_before_a_seek_does_not_undo_it(
        self, database: Database, position: str
    ) -> None:
        await database.create()
        await database.add(*range(1, 7))
        connector = database.connector()
        given_up = await connector.make("pump")
        await take(given_up, 3)
        async with opened(connector) as consumer:
            await take(consumer, 5)
        await given_up.close()
        frozen = await connector.make("pump")
        await take(frozen, 1)

        await connector.seek(["pump"], position)

        with pytest.raises(InvalidCursor, match=r"set back from 5 to (NULL|1) while .*; restart the worker"):
            await frozen.close()
        assert await next_id(connector) == (1 if position == "earliest" else 2)

    async def test_an_ack_under_a_forgotten_name_does_not_bring_it_back(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2, 3)
        connector = database.connector()
        frozen = await connector.make("g/1-of-1")
        await take(frozen, 1)

        await connector.reshard("g/", ["g/1-of-2", "g/2-of-2"])

        with pytest.raises(
            InvalidCursor, match=r"g/1-of-1.*: its row was deleted while the consumer was open"
        ):
            await frozen.close()
        assert await database.scalar("SELECT count(*) FROM pumphouse_cursors") == 2
