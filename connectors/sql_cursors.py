"""How far each consumer name has acked an event table, kept in a table beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateTable

from pumphouse.connectors.errors import InvalidCursor
from pumphouse.connectors.sql_rows import split_name

Resolve: TypeAlias = Callable[[AsyncConnection], Awaitable[int | None]]
"""Finds the position that stands for "latest" and the like, within a transaction."""


class CursorTable:
    """The table of positions: one row for each consumer name.

    The position is the ID of the last row that is acked; NULL stands before all rows.
    """

    def __init__(self, engine: AsyncEngine, name: str, start: Resolve) -> None:
        """Describe the table; nothing is read or made yet.

        Args:
            engine: the database, PostgreSQL or SQLite.
            name: `name`, or `schema.name`.
            start: finds where a consumer name begins that has no position yet.
        """
        self._engine = engine
        self._full_name = name
        self._start = start
        schema, part = split_name(name)
        self._table = sa.Table(
            part,
            sa.MetaData(),
            sa.Column("consumer_name", sa.Text, primary_key=True),
            sa.Column("position", sa.BigInteger),
            sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
            schema=schema,
        )

    async def create(self, for_name: str) -> None:
        """Create the table where it is missing; any number of processes may do so at once.

        Args:
            for_name: whose sake it is for, for errors.

        Raises:
            InvalidCursor: the table is there, and lacks a column.
        """
        try:
            async with self._engine.begin() as connection:
                await connection.execute(CreateTable(self._table, if_not_exists=True))
        except DBAPIError:
            # PostgreSQL asks for the right to create even when there is nothing to do, and two sessions can
            # collide in spite of IF NOT EXISTS.
            if not await self._columns():
                raise
        if missing := set(self._table.columns.keys()) - await self._columns():
            raise self._invalid(
                for_name,
                f"the table has no column {', '.join(sorted(missing))}",
                "add it, or drop the table: then every consumer begins where a new one does",
            )

    async def enter(self, consumer_name: str) -> int | None:
        """Read how far a name has acked; one that has no position yet is given its start.

        Raises:
            InvalidCursor: what is stored is no position.
        """
        is_it = self._table.c.consumer_name == consumer_name
        async with self._engine.begin() as connection:
            known = await self._positions(connection, is_it)
            if not known:
                await self._add(connection, [consumer_name], await self._start(connection))
                # Another process may have come first.
                known = await self._positions(connection, is_it)
        return known[consumer_name]

    async def advance(self, consumer_name: str, position: int, last_seen: int | None) -> None:
        """Store how far a name has acked, unless what is stored is further.

        It is when another consumer of that name, of a pump given up for dead, has lived on for a moment.

        Args:
            consumer_name: whose position it is.
            position: the ID of the last row that is acked.
            last_seen: what was stored when this consumer looked last. Somebody who has set the position
                further back since then wants those rows again, and acks from before must not undo that.

        Raises:
            InvalidCursor: the position was taken away or set back meanwhile, or is none.
        """
        columns = self._table.c
        stored = columns.position
        update = (
            sa.update(self._table)
            .where(columns.consumer_name == consumer_name, stored.is_(None) | (stored < position))
            .values(position=position, updated_at=sa.func.current_timestamp())
        )
        if last_seen is not None:
            update = update.where(stored >= last_seen)
        async with self._engine.begin() as connection:
            if (await connection.execute(update)).rowcount == 0:
                await self._check_further(connection, consumer_name, last_seen)

    async def regroup(self, group: str, names: Sequence[str]) -> None:
        """Make the names the only ones that begin with `group`, without losing a row to any of them.

        Raises:
            InvalidCursor: what is stored for a name of the group is no position.
        """
        async with self._engine.begin() as connection:
            known = await self._group(connection, group)
            if known.keys() - set(names):
                delete = sa.delete(self._table).where(self._table.c.consumer_name.in_(known))
                await connection.execute(delete)
                await self._add(connection, names, _earliest(known.values()))
            elif new := set(names) - known.keys():
                # A name whose row somebody has deleted may have been anywhere: so no later than the others.
                await self._add(connection, new, _earliest([await self._start(connection), *known.values()]))

    async def seek(self, names: Sequence[str], resolve: Resolve) -> None:
        """Set the position of each name, whatever is stored for it."""
        async with self._engine.begin() as connection:
            await self._add(connection, names, await resolve(connection), replace=True)

    async def _group(self, connection: AsyncConnection, group: str) -> dict[str, int | None]:
        within = self._table.c.consumer_name.startswith(group, autoescape=True)
        return await self._positions(connection, within, group)

    async def _positions(
        self, connection: AsyncConnection, condition: sa.ColumnElement[bool], prefix: str = ""
    ) -> dict[str, int | None]:
        columns = self._table.c
        found = await connection.execute(sa.select(columns.consumer_name, columns.position).where(condition))
        positions: dict[str, int | None] = {}
        for name, value in found:
            if name.startswith(prefix):  # SQLite's LIKE takes a and A for the same.
                self._check(name, value, is_first=name not in positions)
                positions[name] = value
        return positions

    def _check(self, name: str, position: object, *, is_first: bool) -> None:
        # SQLite stores anything in any column.
        if position is not None and not isinstance(position, int):
            raise self._invalid(
                name,
                f"its position is of type {type(position).__name__}, not an integer",
                "set it to the ID of the last row that is done, or to NULL to begin before the first row",
            )
        if not is_first:
            raise self._invalid(
                name, "it has several rows", "delete all but one, and make consumer_name the primary key"
            )

    async def _add(
        self,
        connection: AsyncConnection,
        names: Iterable[str],
        position: int | None,
        *,
        replace: bool = False,
    ) -> None:
        # In one order, so that two that do this at once cannot wait for each other.
        if not (ordered := sorted(set(names))):
            return
        try:
            await connection.execute(self._insert(ordered, position, replace=replace))
        except IntegrityError as error:
            raise self._invalid(
                ordered[0],
                f"the table takes no row of it ({type(error.orig).__name__})",
                f"let a row hold no more than {', '.join(self._table.columns.keys())}: give other columns a "
                "default, or drop them",
            ) from error

    def _insert(
        self, names: Sequence[str], position: int | None, *, replace: bool
    ) -> postgresql.Insert | sqlite.Insert:
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        now = sa.func.current_timestamp()
        added = insert(self._table).values(
            [{"consumer_name": name, "position": position, "updated_at": now} for name in names]
        )
        if not replace:
            return added.on_conflict_do_nothing()
        return added.on_conflict_do_update(
            index_elements=[self._table.c.consumer_name],
            set_={"position": added.excluded.position, "updated_at": added.excluded.updated_at},
        )

    async def _check_further(
        self, connection: AsyncConnection, consumer_name: str, last_seen: int | None
    ) -> None:
        known = await self._positions(connection, self._table.c.consumer_name == consumer_name)
        if consumer_name not in known:
            raise self._invalid(
                consumer_name,
                "its row was deleted while the consumer was open",
                f"insert it again, with position {_text(last_seen)} to go on, or restart the worker to begin "
                "where a new consumer does",
            )
        stored = known[consumer_name]
        if last_seen is not None and (stored is None or stored < last_seen):
            raise self._invalid(
                consumer_name,
                f"its position was set back from {last_seen} to {_text(stored)} while the consumer was open",
                f"restart the worker to go on there, or set it to {last_seen} again",
            )

    def _invalid(self, consumer_name: str, problem: str, remedy: str) -> InvalidCursor:
        return InvalidCursor(self._full_name, consumer_name, problem, remedy)

    async def _columns(self) -> set[str]:
        """The names of the columns that the table has; none when there is no table."""
        name, schema = self._table.name, self._table.schema

        def look(connection: sa.Connection) -> set[str]:
            inspector: sa.Inspector = sa.inspect(connection)
            if not inspector.has_table(name, schema=schema):
                return set()
            return {column["name"] for column in inspector.get_columns(name, schema=schema)}

        async with self._engine.connect() as connection:
            return await connection.run_sync(look)


def _earliest(positions: Iterable[int | None]) -> int | None:
    """The smallest position; None, which stands before all rows, is smaller than any."""
    found = list(positions)
    return None if None in found else min(position for position in found if position is not None)


def _text(position: int | None) -> str:
    return "NULL" if position is None else str(position)


class Cursor:
    """The position of one consumer name; it gathers acks, so that not each of them is a write."""

    def __init__(self, table: CursorTable, consumer_name: str, position: int | None, gather: int) -> None:
        """Start at a stored position.

        Args:
            table: where the position is stored.
            consumer_name: whose position it is.
            position: what is stored now.
            gather: so many acks are written at the latest.
        """
        self._table = table
        self._name = consumer_name
        self._acked = self._stored = position
        self._gather = gather
        self._waiting = 0
        # Two writes at once could come to the database in either order.
        self._writing = asyncio.Lock()

    async def ack(self, position: int) -> None:
        """Note that everything up to a position is acked, and write when enough has been gathered."""
        if self._acked is None or position > self._acked:
            self._acked = position
            self._waiting += 1
        if self._waiting >= self._gather:
            await self.flush()

    async def flush(self) -> None:
        """Write what is not written yet; after an error it stays to be written by the next call."""
        async with self._writing:
            acked, waiting = self._acked, self._waiting
            if acked is None or acked == self._stored:
                return
            await self._table.advance(self._name, acked, self._stored)
            # Acks that came in meanwhile are still to be written.
            self._stored = acked
            self._waiting -= waiting
