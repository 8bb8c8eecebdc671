"""What every SQL source promises about rows that cannot be read."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pumphouse.connectors import ConnectorEvent, InvalidEvent
from tests.unit.connectors.sql_database import (
    MOMENT,
    SECRET,
    Database,
    next_id,
    only_event,
    opened,
    take,
    unreadable,
)


class SqlUnreadableCases:
    """An unreadable row is named and set aside; a subclass gives the fixture `database`."""

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

    @pytest.mark.parametrize("batch_size", [1, 2, 10])
    async def test_recv_goes_on_behind_an_unreadable_row(self, database: Database, batch_size: int) -> None:
        await database.create()
        await database.add(1, 4)
        await database.add(2, 3, data="{")

        async with opened(database.connector(batch_size=batch_size)) as consumer:
            assert await take(consumer, 1) == [1]
            assert await unreadable(consumer, 2) == ["2", "3"]
            assert consumer.position == "3"
            assert await take(consumer, 1) == [4]

    async def test_the_ack_of_an_unreadable_row_stores_its_position(self, database: Database) -> None:
        await database.create()
        await database.add(1)
        await database.add(2, data="{")
        connector = database.connector()

        async with opened(connector) as consumer:
            await take(consumer, 1)
            with pytest.raises(InvalidEvent) as refused:
                await consumer.recv()
            assert refused.value.ack
            await refused.value.ack()
        await database.add(3)

        assert await next_id(connector) == 3

    async def test_an_unreadable_row_that_was_not_acked_is_read_again(self, database: Database) -> None:
        await database.create()
        await database.add(1, data="{")
        await database.add(2)
        connector = database.connector()
        for _ in range(2):
            async with opened(connector) as consumer:
                assert await unreadable(consumer, 1) == ["1"]
                assert await take(consumer, 1, ack=False) == [2]

        await database.run("UPDATE events SET data = '{}' WHERE id = 1")

        async with opened(connector) as consumer:
            assert await take(consumer, 2) == [1, 2]

    async def test_an_error_in_a_translator_makes_the_row_unreadable(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        errors = iter([KeyError(SECRET)])

        def translate(row: Mapping[str, object]) -> ConnectorEvent:
            for error in errors:
                raise error
            return ConnectorEvent(id=str(row["id"]), foreign_id="x", created_at=MOMENT)

        async with opened(database.connector(translate=translate)) as consumer:
            with pytest.raises(InvalidEvent, match="not a readable event: KeyError") as refused:
                await consumer.recv()
            assert isinstance(refused.value.__cause__, KeyError)
            assert SECRET not in str(refused.value)
            assert refused.value.ack
            assert await take(consumer, 1) == [2]

    async def test_a_translator_that_raises_no_exception_keeps_the_row(self, database: Database) -> None:
        await database.create()
        await database.add(1, 2)
        ends: Iterator[BaseException] = iter([asyncio.CancelledError(), GeneratorExit()])

        def translate(row: Mapping[str, object]) -> ConnectorEvent:
            for end in ends:
                raise end
            return ConnectorEvent(id=str(row["id"]), foreign_id="x", created_at=MOMENT)

        async with opened(database.connector(translate=translate)) as consumer:
            for end in (asyncio.CancelledError, GeneratorExit):
                with pytest.raises(end):
                    await consumer.recv()
            assert await take(consumer, 2) == [1, 2]

    async def test_a_translator_must_return_an_event(self, database: Database) -> None:
        await database.create()
        await database.add(1)

        def translate(_: Mapping[str, object]) -> None:
            return None

        with pytest.raises(InvalidEvent, match="returned NoneType, not a ConnectorEvent"):
            await only_event(database.connector(translate=translate))

    async def test_an_event_that_cannot_be_read_is_found_as_such(self, database: Database) -> None:
        await database.create()
        await database.add(3, data="{")

        with pytest.raises(InvalidEvent, match=r"position 3: .* data: JSONDecodeError") as refused:
            await database.connector().find("3")

        assert refused.value.ack is None
