"""Events from a table of a SQL database."""

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import timedelta

from pumphouse.connectors.contract import Ack
from pumphouse.connectors.errors import InvalidEvent, MissingExtra, PumphouseError
from pumphouse.connectors.event import ConnectorEvent
from pumphouse.connectors.positions import IntegerPositions, Start

try:
    import sqlalchemy as sa
    from sqlalchemy import event
    from sqlalchemy.engine import AdaptedConnection
    from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

    from pumphouse.connectors.sql_cursors import Cursor, CursorTable
    from pumphouse.connectors.sql_rows import (
        HIGHEST_ID,
        LOWEST_ID,
        Columns,
        Row,
        Rows,
        Translate,
        split_name,
    )
except ModuleNotFoundError as error:
    if error.name != "sqlalchemy":
        raise
    raise MissingExtra("sqlalchemy", "sql") from error

__all__ = ["Columns", "SqlConnector", "SqlConsumer", "Translate"]

SQLITE_BUSY_TIMEOUT = 30
"""Seconds that SQLite waits while another process writes to the same file; its own default is 5."""

CLOSE_PATIENCE = 1.0
"""Seconds that `close` leaves a query to end by itself; a cancelled one costs its connection."""

_DATABASES = ("postgresql", "sqlite")
_DRIVER_EXTRAS = {"aiosqlite": "sql", "asyncpg": "postgres"}


class SqlConnector:
    """Delivers the rows of a table, in the order of their integer ID.

    The position of each consumer name is kept in a second table of the same database. PostgreSQL and SQLite
    are supported.

    IDs must become visible in increasing order, as those of a single writer or of SQLite do: a row that is
    committed with a smaller ID than one already read is never delivered.
    """

    def __init__(
        self,
        engine_or_url: AsyncEngine | sa.URL | str,
        table: str = "events",
        *,
        columns: Columns = Columns(),  # noqa: B008 - it is frozen
        cursor_table: str = "pumphouse_cursors",
        batch_size: int = 500,
        poll_interval: timedelta = timedelta(seconds=0.2),
        translate: Translate | None = None,
        start: Start = "earliest",
    ) -> None:
        """Hold the settings; the database is not touched before `make`.

        Args:
            engine_or_url: a URL, of which each consumer makes an engine of its own and disposes of it; or an
                engine, which is never disposed of. The driver must be an async one: `sqlite+aiosqlite`,
                `postgresql+asyncpg`.
            table: the events, as `name` or `schema.name`, exactly as the database spells it.
            columns: what its columns are called; by default as `Columns` says.
            cursor_table: the positions, as `name` or `schema.name`; created when it is missing.
            batch_size: how many rows one query reads at most, and how many acks are gathered into one write.
            poll_interval: how long to wait after a query that found nothing.
            translate: makes the event of a row, in place of the built-in reading of `columns`. It gets every
                column of the table by name, with the values as the driver gives them. Whatever it raises
                becomes an `InvalidEvent`.
            start: where a consumer name begins that has no position yet: "earliest", at the first row;
                "latest", behind the last row that there is when the name is first used; or the ID of the
                first row to deliver. It is found out once, and stored.

        Raises:
            PumphouseError: the database is not supported, or a setting makes no sense.
            sqlalchemy.exc.ArgumentError: the URL cannot be read.
        """
        self._target = engine_or_url if isinstance(engine_or_url, AsyncEngine) else sa.make_url(engine_or_url)
        self._table = table
        self._columns = columns
        self._cursor_table = cursor_table
        self._batch_size = batch_size
        self._poll_interval = poll_interval
        self._translate = translate
        self._start: Start = start
        self._positions = IntegerPositions(table, "the ID of a row", LOWEST_ID, HIGHEST_ID)
        self._check()

    async def make(self, consumer_name: str) -> "SqlConsumer":
        """Open a consumer behind the last row acked under its name; a new name begins at `start`.

        Args:
            consumer_name: stable across restarts; each name reads the table on its own.

        Raises:
            MissingExtra: the driver that the URL names is not installed.
            PumphouseError: the database is SQLite in memory.
            InvalidCursor: what is stored for the name makes no sense.
            Exception: the database is out of reach or refuses: an error of SQLAlchemy or of the driver.
        """
        engine = self._open()
        rows = self._rows(engine)
        try:
            cursors = await self._cursors(engine, rows, consumer_name)
            position = await cursors.enter(consumer_name)
        except BaseException:
            await self._release(engine)
            raise
        return SqlConsumer(
            rows,
            Cursor(cursors, consumer_name, position, self._batch_size),
            position,
            self._poll_interval,
            functools.partial(self._release, engine),
        )

    async def reshard(self, group: str, names: Sequence[str]) -> None:
        """Make the names the only ones of their group, at its earliest position, in one transaction.

        All names of a new group begin at one position, which `start` says.

        Raises:
            Exception: as for `make`.
        """
        async with self._opened() as engine:
            cursors = await self._cursors(engine, self._rows(engine), group)
            await cursors.regroup(group, names)

    async def seek(self, names: Sequence[str], position: str) -> None:
        """Let names go on at "earliest", at "latest" or at the row of an ID, in one transaction.

        There need not be a row of that ID: the first one delivered is the next that has a greater ID.

        Raises:
            InvalidPosition: it is none of these.
            Exception: as for `make`.
        """
        start = self._positions.read(position)
        async with self._opened() as engine:
            rows = self._rows(engine)
            cursors = await self._cursors(engine, rows, ", ".join(names))
            await cursors.seek(names, functools.partial(rows.resolve, start))

    async def find(self, event_id: str) -> ConnectorEvent | None:
        """Look an event up by the ID of its row.

        With a translator that gives an event another ID than the row's, its events are not found.

        Raises:
            InvalidEvent: the row cannot be read.
            Exception: the database is out of reach, or lacks the table.
        """
        position = self._positions.number(event_id)
        if position is None:
            return None
        async with self._opened() as engine:
            rows = self._rows(engine)
            row = await rows.at(position)
        found = rows.event(row) if row else None
        return found if found and found.id == event_id else None

    def _check(self) -> None:
        url = self._target.url if isinstance(self._target, AsyncEngine) else self._target
        if url.get_backend_name() not in _DATABASES:
            raise PumphouseError(
                f"{url.get_backend_name()} is not supported; use one of: {', '.join(_DATABASES)}"
            )
        if self._batch_size < 1:
            raise PumphouseError(f"batch_size is {self._batch_size}; it must be at least 1")
        if self._poll_interval <= timedelta(0):
            raise PumphouseError(f"poll_interval is {self._poll_interval}; it must be longer than nothing")
        for table in (self._table, self._cursor_table):
            split_name(table)
        self._positions.check(self._start)

    def _rows(self, engine: AsyncEngine) -> Rows:
        return Rows(engine, self._table, self._columns, self._translate, self._batch_size)

    async def _cursors(self, engine: AsyncEngine, rows: Rows, for_name: str) -> CursorTable:
        table = CursorTable(engine, self._cursor_table, functools.partial(rows.resolve, self._start))
        await table.create(for_name)
        return table

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncGenerator[AsyncEngine, None]:
        engine = self._open()
        try:
            yield engine
        finally:
            await self._release(engine)

    def _open(self) -> AsyncEngine:
        engine = self._target if isinstance(self._target, AsyncEngine) else _make_engine(self._target)
        if isinstance(engine.pool, sa.StaticPool):
            # Everybody shares its one connection, so that one reader's end would roll back another's write.
            raise PumphouseError("SQLite in memory is not supported; use a file")
        return engine

    async def _release(self, engine: AsyncEngine) -> None:
        if engine is not self._target:
            await engine.dispose()


class SqlConsumer:
    """Reads a `SqlConnector` under one consumer name."""

    def __init__(
        self,
        table: Rows,
        cursor: Cursor,
        position: int | None,
        poll_interval: timedelta,
        release: Callable[[], Awaitable[None]],
    ) -> None:
        """Start at the position that is stored; `SqlConnector.make` does this."""
        self._table = table
        self._cursor = cursor
        self._position = position
        self._poll_interval = poll_interval.total_seconds()
        self._release = release
        self._received = ""
        self._batch: deque[Row] = deque()
        self._reading: asyncio.Task[list[Row]] | None = None

    @property
    def position(self) -> str:
        """The ID of the row received last."""
        return self._received

    async def recv(self) -> tuple[ConnectorEvent, Ack]:
        """Wait for the next row, and make its event.

        Acks that have been gathered are stored before another batch is read.

        Raises:
            InvalidEvent: the row cannot be read. The error carries an ack, and the next call goes on behind
                it; but a row whose ID is no integer is read from the table again.
            Exception: the database is out of reach, or lacks the table: an error of SQLAlchemy or of the
                driver.
        """
        position, row = await self._next_row()
        ack = functools.partial(self._cursor.ack, position)
        try:
            event = self._table.event(row, ack)
        except InvalidEvent:
            self._pass(position)
            raise
        self._pass(position)
        return event, ack

    async def close(self) -> None:
        """Store the acks that are still to be stored, and let go of the connections.

        Raises:
            Exception: the acks could not be stored: an error of SQLAlchemy or of the driver. Another call
                tries again.
        """
        try:
            await self._stop_reading()
            await self._cursor.flush()
        finally:
            await self._release()

    async def _next_row(self) -> tuple[int, Row]:
        """The row to be delivered; it stays in the batch until it is passed."""
        while not self._batch:
            self._batch.extend(await self._read())
            if not self._batch:
                await asyncio.sleep(self._poll_interval)
        row = self._batch[0]
        try:
            return self._table.position(row), row
        except InvalidEvent:
            # Read from the table again next time: somebody may have mended the row.
            self._batch.clear()
            raise

    def _pass(self, position: int) -> None:
        self._batch.popleft()
        self._position = position
        self._received = str(position)

    async def _read(self) -> list[Row]:
        # In a task that outlives a cancelled recv: a query slower than the pump's patience would otherwise
        # start again for ever, and each cancelled query costs its connection.
        if self._reading is None:
            self._reading = asyncio.create_task(self._store_and_read())
        await asyncio.wait([self._reading])
        reading, self._reading = self._reading, None
        return reading.result()

    async def _store_and_read(self) -> list[Row]:
        await self._cursor.flush()
        return await self._table.after(self._position)

    async def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is None:
            return
        try:
            await asyncio.wait([reading], timeout=CLOSE_PATIENCE)
        finally:
            reading.cancel()
        # Nobody needs its error: what it was reading is read again, and close writes what it was writing.
        await asyncio.gather(reading, return_exceptions=True)


def _make_engine(url: sa.URL) -> AsyncEngine:
    lite = url.get_backend_name() == "sqlite"
    if lite:
        url = url.set(query={"timeout": str(SQLITE_BUSY_TIMEOUT), **url.query})
    try:
        engine = create_async_engine(url)
    except ModuleNotFoundError as error:
        if error.name not in _DRIVER_EXTRAS:
            raise
        raise MissingExtra(error.name, _DRIVER_EXTRAS[error.name]) from error
    if lite:
        event.listen(engine.sync_engine, "connect", _accept_any_text)
    return engine


def _accept_any_text(connection: AdaptedConnection, _record: object) -> None:
    # SQLite stores any bytes as text. Its driver would fail for the whole batch, and quote the text.
    connection.driver_connection.text_factory = _decode


def _decode(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text  # Which no event takes as text.
