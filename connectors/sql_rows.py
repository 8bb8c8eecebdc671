"""The rows of an event table, and how a row becomes an event."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn, TypeAlias
from uuid import UUID

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql import quoted_name

from pumphouse.connectors.contract import Ack
from pumphouse.connectors.errors import InvalidEvent, PumphouseError
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.connectors.positions import Start

LOWEST_ID, HIGHEST_ID = -(2**63), 2**63 - 1
"""What a BIGINT holds."""

Translate: TypeAlias = Callable[[Mapping[str, object]], ConnectorEvent]
"""Makes an event of a row: the table's columns by name, with the values as the driver gives them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns of an event table are called, exactly as the database spells them.

    None says that the table has no such column; the event then has that field's default. NULL means the same.
    """

    id: str = "id"
    """An integer that is unique, never NULL, and greater for every later row: it gives the order."""

    foreign_id: str = "foreign_id"
    """Text; integers and UUIDs are turned into text."""

    type: str | None = "type"
    """Text."""

    headers: str | None = "headers"
    """A JSON object with text as its values, in a JSON or a text column."""

    created_at: str = "created_at"
    """A time, or ISO 8601 text; without an offset it is taken as UTC, as SQLite's CURRENT_TIMESTAMP is."""

    data: str | None = "data"
    """Any JSON, in a JSON or a text column."""


class Row(NamedTuple):
    """A row as it was read."""

    id: object
    values: Mapping[str, object]


class Rows:
    """Reads the table, a batch at a time or one row."""

    def __init__(
        self, engine: AsyncEngine, table: str, columns: Columns, translate: Translate | None, batch_size: int
    ) -> None:
        """Prepare the query; nothing is read yet.

        Args:
            engine: the database.
            table: `name`, or `schema.name`.
            columns: the columns' names; with a translator only that of the ID matters.
            translate: makes the events, from all columns; None reads `columns`.
            batch_size: the largest number of rows that one query reads.
        """
        self._engine = engine
        self._source = table
        # A translator is the user's: what it returns is looked at.
        self._translate: Callable[[Mapping[str, object]], object] = translate or _read_event
        fields = _describe(columns)
        schema, name = split_name(table)
        self._id = fields["id"]
        selected = [_selected(*each) for each in fields.items()] if translate is None else _every()
        described = sa.table(name, *fields.values(), schema=schema)
        self._row: sa.Select[Any] = sa.select(self._id.label("pumphouse_position"), *selected).select_from(
            described
        )
        self._batch = self._row.order_by(self._id).limit(batch_size)
        self._last_id = sa.select(sa.func.max(self._id)).select_from(described)

    async def after(self, position: int | None) -> list[Row]:
        """Read the next batch behind an ID; None stands before the first row, whatever its ID."""
        return await self._read(self._batch if position is None else self._batch.where(self._id > position))

    async def at(self, position: int) -> Row | None:
        """Read the row of an ID; None when there is none."""
        rows = await self._read(self._row.where(self._id == position))
        return rows[0] if rows else None

    async def resolve(self, start: Start, connection: AsyncConnection) -> int | None:
        """Find the position behind which reading begins, within a transaction.

        Raises:
            InvalidEvent: "latest" is asked for, and the last ID is not an integer.
        """
        if isinstance(start, int):
            return None if start == LOWEST_ID else start - 1
        if start == "earliest":
            return None
        last = (await connection.execute(self._last_id)).scalar()
        # Every row of an empty table is still to come.
        return None if last is None else self._checked_id(last)

    def position(self, row: Row) -> int:
        """The position of a row, which is its ID.

        Raises:
            InvalidEvent: it is no integer.
        """
        return self._checked_id(row.id)

    def event(self, row: Row, ack: Ack | None = None) -> ConnectorEvent:
        """Make the event of a row.

        Args:
            row: what was read.
            ack: for the error.

        Raises:
            InvalidEvent: the row cannot be read; the error says which fields are wrong, never what they hold.
        """
        try:
            event = self._translate(row.values)
        except _Unreadable as error:
            self._refuse(row.id, str(error), ack)
        except Exception as error:  # noqa: BLE001 - whatever a translator meets, the row is named
            self._refuse(row.id, type(error).__name__, ack, error)
        if not isinstance(event, ConnectorEvent):
            self._refuse(row.id, f"the translator returned {type(event).__name__}, not a ConnectorEvent", ack)
        return event

    async def _read(self, query: sa.Select[Any]) -> list[Row]:
        async with self._engine.connect() as connection:
            result = await connection.execute(query)
        _, *names = result.keys()
        return [Row(row[0], dict(zip(names, row[1:], strict=True))) for row in result]

    def _checked_id(self, value: object) -> int:
        if not isinstance(value, int):
            self._refuse(value, f"its ID is of type {type(value).__name__}, not an integer")
        return value

    def _refuse(
        self, row_id: object, reason: str, ack: Ack | None = None, cause: Exception | None = None
    ) -> NoReturn:
        raise InvalidEvent(source=self._source, position=str(row_id), reason=reason, ack=ack) from cause


def split_name(name: str) -> tuple[quoted_name | None, quoted_name]:
    """Split `schema.name` or `name` into its parts.

    Raises:
        PumphouseError: a part is empty, or there are more than two.
    """
    *schemas, part = (quoted_name(each, quote=True) for each in name.split("."))
    if len(schemas) > 1 or not all([part, *schemas]):
        raise PumphouseError(f"{name!r} is neither a table's name nor schema.name")
    return (schemas[0] if schemas else None), part


def _describe(columns: Columns) -> dict[str, sa.ColumnClause[Any]]:
    return {
        field: sa.column(quoted_name(name, quote=True), sa.BigInteger() if field == "id" else None)
        for field, name in dataclasses.asdict(columns).items()
        if name is not None
    }


def _selected(field: str, column: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]:
    # A driver may decode JSON columns, and then the string "1" of one looks like the text of another.
    value = sa.cast(column, sa.Text) if field in {"headers", "data"} else column
    return value.label(field)  # Since two fields may come from one column.


def _every() -> list[sa.ColumnElement[Any]]:
    return [sa.literal_column("*")]


class _Unreadable(Exception):
    """What is wrong with a row: names of fields and of errors, none of its values."""


def _read_event(row: Mapping[str, object]) -> ConnectorEvent:
    fields = {name: _read_field(name, value) for name, value in row.items() if value is not None}
    try:
        return ConnectorEvent.model_validate(fields)
    except ValidationError as error:
        # Pydantic's own text quotes the input, and the rest of a location may be a key of it.
        problems = (
            f"{problem['loc'][0]}: {problem['type']}" for problem in error.errors(include_input=False)
        )
        raise _Unreadable(", ".join(dict.fromkeys(problems))) from None


def _read_field(name: str, value: object) -> object:
    try:
        return _READERS[name](value)
    except (TypeError, ValueError, RecursionError) as error:
        raise _Unreadable(f"{name}: {type(error).__name__}") from None


def _read_id(value: object) -> object:
    return str(value) if isinstance(value, int | UUID) else value


def _read_text(value: object) -> object:
    return value


def _read_json(value: object) -> object:
    return json.loads(value, parse_constant=_refuse_constant) if isinstance(value, str) else value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and the infinities: Python reads them, JSON (RFC 8259) has none.


def _read_moment(value: object) -> object:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise TypeError  # Pydantic would guess whether a number counts seconds or milliseconds.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_READERS: Mapping[str, Callable[[object], object]] = {
    "id": _read_id,
    "foreign_id": _read_id,
    "type": _read_text,
    "headers": _read_json,
    "created_at": _read_moment,
    "data": _read_json,
}
