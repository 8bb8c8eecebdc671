"""How far each consumer name has acked an event table, kept in a table beside it."""

import asyncio
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateTable

from pumphouse.connectors.sql_rows import split_name


class CursorTable:
    """The table of positions: one row for each consumer name, a NULL position standing before all rows."""

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        """Describe the table; nothing is read or made yet.

        Args:
            engine: the database, PostgreSQL or SQLite.
            name: `name`, or `schema.name`.
        """
        self._engine = engine
        schema, part = split_name(name)
        self._table = sa.Table(
            part,
            sa.MetaData(),
            sa.Column("consumer_name", sa.Text, primary_key=True),
            sa.Column("position", sa.BigInteger),
            sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
            schema=schema,
        )

    async def create(self) -> None:
        """Create the table where it is missing; any number of processes may do so at once."""
        try:
            async with self._engine.begin() as connection:
                await connection.execute(CreateTable(self._table, if_not_exists=True))
        except DBAPIError:
            # PostgreSQL asks for the right to create even when there is nothing to do, and two sessions can
            # collide in spite of IF NOT EXISTS.
            if not await self._exists():
                raise

    async def position(self, consumer_name: str) -> int | None:
        """Read how far a name has acked; None when it has not."""
        columns = self._table.c
        query = sa.select(columns.position).where(columns.consumer_name == consumer_name)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def advance(self, consumer_name: str, position: int) -> None:
        """Store how far a name has acked, unless what is stored is further.

        It is when another consumer of that name, of a pump given up for dead, has lived on for a moment.
        """
        upsert = self._insert([consumer_name], position)
        stored, new = self._table.c.position, upsert.excluded.position
        upsert = upsert.on_conflict_do_update(
            index_elements=[self._table.c.consumer_name],
            set_={"position": new, "updated_at": upsert.excluded.updated_at},
            where=stored.is_(None) | (stored < new),
        )
        async with self._engine.begin() as connection:
            await connection.execute(upsert)

    async def regroup(self, group: str, names: Sequence[str]) -> None:
        """Make the names the only ones that begin with `group`, at the earliest position of those."""
        async with self._engine.begin() as connection:
            known = await self._group(connection, group)
            position = None
            if others := known.keys() - set(names):
                delete = sa.delete(self._table).where(self._table.c.consumer_name.in_(known))
                await connection.execute(delete)
                position = _earliest(known.values())
            if names and (others or set(names) - known.keys()):
                # Names that were not deleted keep their positions.
                await connection.execute(self._insert(names, position).on_conflict_do_nothing())

    async def _group(self, connection: AsyncConnection, group: str) -> dict[str, int | None]:
        columns = self._table.c
        query = sa.select(columns.consumer_name, columns.position)
        found = await connection.execute(
            query.where(columns.consumer_name.startswith(group, autoescape=True))
        )
        # SQLite's LIKE takes a and A for the same.
        return {name: position for name, position in found if name.startswith(group)}

    def _insert(self, names: Iterable[str], position: int | None) -> postgresql.Insert | sqlite.Insert:
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        now = sa.func.current_timestamp()
        return insert(self._table).values(
            [{"consumer_name": name, "position": position, "updated_at": now} for name in names]
        )

    async def _exists(self) -> bool:
        def look(connection: sa.Connection) -> bool:
            return sa.inspect(connection).has_table(self._table.name, schema=self._table.schema)

        async with self._engine.connect() as connection:
            return await connection.run_sync(look)


def _earliest(positions: Iterable[int | None]) -> int | None:
    """The smallest position; None, which stands before all rows, is smaller than any."""
    found = list(positions)
    return None if None in found else min(position for position in found if position is not None)


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
            await self._table.advance(self._name, acked)
            # Acks that came in meanwhile are still to be written.
            self._stored = acked
            self._waiting -= waiting
