"""A connection to a provider: nothing is lost, nothing is late, and it serves the next request."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from ownkey.upstream import (
    Timeouts,
    Upstream,
    UpstreamBroken,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
    UrlPolicy,
)

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
        transport = response._connection._transport
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
    packed = gzip.compress(body, mtime=0)

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


async def poured(response: UpstreamResponse, stop_at: bytes = b"") -> tuple[list[bytes], int]:
    """What `pour` hands on, and how often it was stopped: at each piece that is `stop_at`."""
    pieces: list[bytes] = []
    stops = 0

    def take(piece: bytes) -> bool:
        pieces.append(piece)
        return piece != stop_at

    while await response.pour(take):
        stops += 1
    return pieces, stops


async def test_what_is_poured_comes_in_the_wake_up_that_brought_it_and_stops_where_it_is_told_to() -> None:
    async def begin(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))

    async with provider(begin) as here, await here.send() as response:
        pouring = asyncio.create_task(poured(response, stop_at=b"stop"))
        await asyncio.sleep(0.01)
        protocol = response._connection._transport.get_protocol()
        loop = asyncio.get_running_loop()
        for data in (chunk(b"second"), chunk(b"stop"), chunk(b"third"), END):
            loop.call_soon(protocol.data_received, data)
        assert await pouring == ([b"first", b"second", b"stop", b"third"], 1)


async def test_whoever_pours_is_told_of_a_break_behind_what_came_before_it() -> None:
    async def half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))
        await asyncio.sleep(0.01)
        writer.write(chunk(b"second"))
        writer.close()

    async with provider(half) as here, await here.send() as response:
        pieces: list[bytes] = []
        with pytest.raises(UpstreamBroken):
            await response.pour(lambda piece: not pieces.append(piece))
    assert b"".join(pieces) == b"firstsecond"


async def test_what_the_taker_raises_reaches_whoever_pours() -> None:
    async def begin(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await asyncio.sleep(0.01)
        writer.write(chunk(b"bad"))

    def take(_: bytes) -> bool:
        raise LookupError("not as it should be")

    async with provider(begin) as here, await here.send() as response:
        with pytest.raises(LookupError):
            await response.pour(take)


async def test_silence_ends_what_is_poured() -> None:
    async def begin(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"first"))

    async with provider(begin) as here, await here.send(Timeouts(30, 30, 0.05)) as response:
        with pytest.raises(UpstreamTimeout, match="middle"):
            await poured(response)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", lambda body: zlib.compress(body, wbits=-zlib.MAX_WBITS)),
    ],
)
async def test_a_megabyte_in_a_kilobyte_comes_in_pieces_and_may_be_too_much(
    coding: bytes, pack: Callable[[bytes], bytes]
) -> None:
    body = b"\0" * 5_000_000
    packed = pack(body)

    async def compressed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(packed)))
        writer.write(packed)

    async with provider(compressed) as here:
        async with await here.send() as response:
            assert max(map(len, (pieces := (await poured(response))[0]))) <= 2**20
            assert b"".join(pieces) == body
        async with await here.send() as response:
            with pytest.raises(UpstreamTooLarge):
                await response.read(1_000_000)


@pytest.mark.parametrize(
    ("coding", "body"),
    [(b"br", b"abc"), (b"gzip", b"not gzip"), (b"gzip", gzip.compress(b"text" * 100, mtime=0)[:-20]), (b"gzip", b"")],
)
async def test_a_coding_that_is_unknown_or_untrue_breaks_the_answer(coding: bytes, body: bytes) -> None:
    async def compressed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)))
        writer.write(body)

    async with provider(compressed) as here, await here.send() as response:
        with pytest.raises(UpstreamBroken):
            await response.read(10_000)


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"


@pytest.mark.parametrize(("method", "requests"), [("GET", 3), ("POST", 2)])
async def test_a_kept_connection_that_ends_has_only_a_question_asked_again(method: str, requests: int) -> None:
    """What was asked for may have been done, and be paid for: only what asks for nothing is sent twice."""
    received = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        for answer in (WHOLE, b""):
            await reader.readuntil(b"\r\n\r\n")
            received += 1
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    upstream = Upstream(UrlPolicy([origin]))
    asked = UpstreamRequest(method, f"{origin}/v1", {})
    async with await upstream.send(asked) as response:
        assert await response.read(1) == b"a"
    if method == "GET":
        async with await upstream.send(asked) as response:
            assert await response.read(1) == b"a"
    else:
        with pytest.raises(UpstreamUnreachable):
            await upstream.send(asked)
    assert received == requests
    await upstream.close()
    server.close()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\n", b"a"])
@pytest.mark.parametrize("answer", [WHOLE, HEAD + chunk(b"a") + END])
@pytest.mark.parametrize("later", [True, False])
async def test_bytes_that_nobody_asked_for_are_never_the_next_answer(
    answer: bytes, surplus: bytes, later: bool
) -> None:
    async def generous(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer if later else answer + surplus)
        if later:
            await asyncio.sleep(0.01)
            writer.write(surplus)

    async with provider(generous) as here:
        for _ in range(2):
            async with await here.send() as response:
                assert await response.read(10) == b"a"
            await asyncio.sleep(0.03)
    assert here.connections == 2
