"""The tap on a provider's connection: nothing is lost, nothing is late, and the connection is left as it was."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from ownkey.upstream import Timeouts, Upstream, UpstreamBroken, UpstreamRequest, UpstreamResponse, UrlPolicy

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
PATIENT = Timeouts(30, 30, 30)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Provider:
    """Answers each request by the next handler; knows how many connections there were."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.connections = 0
        self.upstream = Upstream(UrlPolicy([origin]))

    async def send(self, timeouts: Timeouts = PATIENT) -> UpstreamResponse:
        return await self.upstream.send(UpstreamRequest("POST", f"{self.origin}/v1", {}, b"{}", timeouts))


@asynccontextmanager
async def provider(answer: Handler) -> AsyncIterator[Provider]:
    made: list[Provider] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made[0].connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n{}"):
                await answer(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    made.append(Provider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    try:
        yield made[0]
    finally:
        await made[0].upstream.close()
        server.close()
        await asyncio.sleep(0.01)


async def test_a_piece_is_read_in_the_wake_up_that_brought_it() -> None:
    async def begin(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))

    async with provider(begin) as here, await here.send() as response:
        pieces: list[bytes] = []

        async def read() -> None:
            async for piece in response.chunks():
                pieces.append(piece)

        reading = asyncio.create_task(read())
        while not pieces:
            await asyncio.sleep(0.001)
        transport = response._response.connection.transport
        read_by_return: list[int] = []

        def arrives(data: bytes) -> None:
            transport.get_protocol().data_received(data)
            read_by_return.append(len(pieces))

        loop = asyncio.get_running_loop()
        loop.call_soon(arrives, chunk(b"second"))
        loop.call_soon(arrives, chunk(b"third")[:4])
        loop.call_soon(arrives, chunk(b"third")[4:] + chunk(b"fourth"))
        loop.call_soon(arrives, END)
        await reading
    assert b"".join(pieces) == b"firstsecondthirdfourth"
    assert read_by_return[0] == 2
    assert pieces[:2] == [b"first", b"second"]
    assert here.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + chunk(b"a") + END,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_connection_serves_the_next_request(answer: bytes, at_once: bool) -> None:
    async def whole(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces = [answer] if at_once else [answer[at : at + 1] for at in range(len(answer))]
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)

    async with provider(whole) as here:
        bodies = []
        for _ in range(3):
            async with await here.send() as response:
                bodies.append(await response.read(10))
    assert len(set(bodies)) == 1
    assert here.connections == 1


async def test_a_body_larger_than_any_buffer_comes_whole_to_a_slow_reader() -> None:
    parts = [bytes([65 + index % 26]) * 40_000 for index in range(100)]

    async def large(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for part in parts:
            writer.write(chunk(part))
            await writer.drain()
        writer.write(END)

    async with provider(large) as here:
        for _ in range(2):
            body = bytearray()
            async with await here.send() as response:
                async for piece in response.chunks():
                    body += piece
                    await asyncio.sleep(0.001)
            assert body == b"".join(parts)
    assert here.connections == 1


async def test_a_compressed_body_is_read_as_ever() -> None:
    body = b"text " * 50_000
    packed = gzip.compress(body)

    async def compressed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(packed))
        for at in range(0, len(packed), 100):
            writer.write(packed[at : at + 100])
            await asyncio.sleep(0)

    async with provider(compressed) as here, await here.send() as response:
        assert await response.read(10**6) == body


async def test_whoever_waits_is_told_when_another_closes_the_answer() -> None:
    async def begin(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))

    async with provider(begin) as here:
        response = await here.send()
        chunks = response.chunks()
        assert await anext(chunks) == b"first"
        waiting = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        response.close()
        with pytest.raises(UpstreamBroken):
            await waiting


async def test_a_reader_that_is_cancelled_leaves_no_connection_behind() -> None:
    async def begin(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))

    async with provider(begin) as here:
        response = await here.send()

        async def read() -> None:
            async with response:
                async for _ in response.chunks():
                    continue

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with await here.send() as again:
            assert await anext(again.chunks()) == b"first"
    assert here.connections == 2


async def test_a_connection_that_ends_is_the_end_of_a_body_without_length() -> None:
    async def until_the_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall ")
        await asyncio.sleep(0.01)
        writer.write(b"of it")
        writer.close()

    async with provider(until_the_end) as here, await here.send() as response:
        assert await response.read(100) == b"all of it"
