import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from tests.faults.processes import free_port
from tests.faults.proxy import Proxy


@asynccontextmanager
async def echoing() -> AsyncGenerator[Proxy]:
    """A proxy in front of a server that sends every line back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[1]).running() as proxy:
        yield proxy


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a line; the answer, or nothing if the connection is broken."""
    try:
        writer.write(b"hello\n")
        return await reader.readline()
    except ConnectionError:
        return b""


async def ask_anew(proxy: Proxy) -> bytes:
    async with connected(proxy) as connection:
        return await ask(*connection)


async def test_what_is_sent_arrives_both_ways() -> None:
    async with echoing() as proxy:
        assert await ask_anew(proxy) == b"hello\n"


async def test_a_cut_breaks_connections_and_lets_no_new_one_through_until_it_is_over() -> None:
    async with echoing() as proxy, connected(proxy) as connection:
        assert await ask(*connection) == b"hello\n"
        cut = asyncio.create_task(proxy.cut(timedelta(seconds=0.3)))
        assert await connection[0].read() == b""
        assert await ask(*connection) == b""
        assert await ask_anew(proxy) == b""
        await cut
        assert await ask_anew(proxy) == b"hello\n"


async def test_a_delay_holds_up_either_way() -> None:
    async with echoing() as proxy:
        delay = asyncio.create_task(proxy.delay(timedelta(seconds=0.1), timedelta(seconds=1)))
        await asyncio.sleep(0)
        begun = time.monotonic()
        assert await ask_anew(proxy) == b"hello\n"
        assert time.monotonic() - begun >= 0.2
        await delay


async def test_a_target_that_is_away_ends_the_connection() -> None:
    async with Proxy(free_port()).running() as proxy:
        assert await ask_anew(proxy) == b""
