"""The rows of an event table, and how a row becomes an event."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn, TypeAlias
from uuid import UUID

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import quoted_name

from pumphouse.connectors.errors import InvalidEvent, PumphouseError
from pumphouse.connectors.event import ConnectorEvent

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
    """Reads the table, a batch at a time."""

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
        self._batch: sa.Select[Any] = (
            sa.select(self._id.label("pumphouse_position"), *selected)
            .select_from(sa.table(name, *fields.values(), schema=schema))
            .order_by(self._id)
            .limit(batch_size)
        )

    async def after(self, position: int | None) -> list[Row]:
        """Read the next batch behind an ID; None stands before the first row, whatever its ID."""
        batch = self._batch if position is None else self._batch.where(self._id > position)
        async with self._engine.connect() as connection:
            result = await connection.execute(batch)
        _, *names = result.keys()
        return [Row(row[0], dict(zip(names, row[1:], strict=True))) for row in result]

    def event(self, row: Row) -> tuple[int, ConnectorEvent]:
        """Make the event of a row.

        Returns:
            The row's ID and its event.

        Raises:
            InvalidEvent: the row cannot be read; the error says which fields are wrong, never what they hold.
        """
        if not isinstance(row.id, int):
            self._refuse(row, f"its ID is of type {type(row.id).__name__}, not an integer")
        try:
            event = self._translate(row.values)
        except _Unreadable as error:
            self._refuse(row, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a translator meets, the row stays where it is
            self._refuse(row, type(error).__name__, error)
        if not isinstance(event, ConnectorEvent):
            self._refuse(row, f"the translator returned {type(event).__name__}, not a ConnectorEvent")
        return row.id, event

    def _refuse(self, row: Row, reason: str, cause: Exception | None = None) -> NoReturn:
        raise InvalidEvent(source=self._source, position=str(row.id), reason=reason) from cause


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
