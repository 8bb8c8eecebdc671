"""A TCP proxy whose connections can be cut, refused and delayed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

CHUNK_BYTES = 65_536


class Proxy:
    """Passes connections on to one port of the loopback, as well as it is told to."""

    def __init__(self, target_port: int) -> None:
        """Begin with a network that works.

        Args:
            target_port: where connections go; nothing has to listen there yet.
        """
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._is_cut = False
        self.port = 0
        """Where the proxy listens, once it runs."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Proxy"]:
        """Take connections for the length of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._delay = 0.0
            self._abort()
            # They end with their connections; asyncio would log that one was cancelled.
            await asyncio.gather(*self._handlers)

    async def cut(self, duration: timedelta) -> None:
        """Break every connection in the middle of whatever it carries, and take none for a time."""
        self._is_cut = True
        self._abort()
        try:
            await asyncio.sleep(duration.total_seconds())
        finally:
            self._is_cut = False

    async def delay(self, by: timedelta, duration: timedelta) -> None:
        """Let everything that is sent arrive later, for a time."""
        self._delay = by.total_seconds()
        try:
            await asyncio.sleep(duration.total_seconds())
        finally:
            self._delay = 0.0

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        with suppress(OSError):
            async with self._open(writer):
                if not self._is_cut:
                    await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        async with self._open(target_writer), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass_on(reader, target_writer))
            tasks.create_task(self._pass_on(target_reader, writer))

    @asynccontextmanager
    async def _open(self, writer: asyncio.StreamWriter) -> AsyncGenerator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what one side sends, until it ends: then the other side is told so as well."""
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
        # Neither PostgreSQL nor gRPC goes on with half a connection.
        writer.transport.abort()
