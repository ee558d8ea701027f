"""Servers that answer too early, hang up at the wrong moment, say too much, or speak an older HTTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream import (
    Timeouts,
    Upstream,
    UpstreamBroken,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamUnreachable,
    UrlPolicy,
    dialing,
    transport,
)
from ownkey.wire import client as client_module
from tests.security.canary import tap
from tests.security.test_ssrf_tls import Authority

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENT = Timeouts(30, 30, 30)
LARGE = b"x" * 8_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NAME = "llm.example"
PUBLIC = "93.184.215.14"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that the transport's own context believes."""
    authority = Authority(tmp_path)
    (tmp_path / "root.pem").write_text(authority.root())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    client_module.tls_context.cache_clear()
    monkeypatch.setattr(dialing, "tls_context", client_module.tls_context.__wrapped__)
    client_module.tls_context.cache_clear()
    return authority


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError, EOFError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.02)  # the loop closes the sockets, TLS a turn later


async def asked(
    upstream: Upstream, url: str, body: bytes = b"{}", timeouts: Timeouts = PATIENT, **headers: str
) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with await upstream.send(UpstreamRequest("POST", url, named, body, timeouts)) as response:
        return response.status, await response.read(10**7)


# ── Answers before all of the question was heard


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("told", [b"Content-Length: 9\r\n\r\ntoo large", b"\r\ntoo large"])
async def test_an_answer_before_the_body_was_heard_is_the_answer(
    tls: bool, told: bytes, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n" + told)
        if not tls:
            writer.write_eof()  # and hears no more
            await asyncio.Event().wait()

    async with serving(refuse, authority.server(NAME) if tls else None) as port:
        if tls:
            tap(monkeypatch, lambda _: [PUBLIC], divert_to=port)
        upstream = Upstream(UrlPolicy([f"http://127.0.0.1:{port}"]))
        url = f"https://{NAME}/v1" if tls else f"http://127.0.0.1:{port}/v1"
        assert await asked(upstream, url, LARGE) == (413, b"too large")
        await upstream.close()


async def test_one_that_closes_the_moment_it_has_answered_is_heard_too() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        writer.close()  # with the request unread: a reset follows

    async with serving(refuse) as port:
        upstream = Upstream(UrlPolicy([f"http://127.0.0.1:{port}"]))
        for _ in range(5):
            assert await asked(upstream, f"http://127.0.0.1:{port}/v1", LARGE) == (401, b"no")
        await upstream.close()


async def test_one_that_ends_without_an_answer_is_not_waited_for_until_it_has_heard_all() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        writer.write_eof()
        await asyncio.Event().wait()

    async with serving(deaf) as port:
        upstream = Upstream(UrlPolicy([f"http://127.0.0.1:{port}"]))
        with pytest.raises(UpstreamUnreachable):
            await asked(upstream, f"http://127.0.0.1:{port}/v1", LARGE)


# ── What is cut is told as cut


@pytest.mark.parametrize(
    "told", [b"Content-Length: 100\r\n\r\nbegun", b"Transfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"]
)
async def test_tls_that_ends_without_saying_so_is_a_break(
    told: bytes, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\n" + told)
        await writer.drain()
        writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    async with serving(cut, authority.server(NAME)) as port:
        tap(monkeypatch, lambda _: [PUBLIC], divert_to=port)
        upstream = Upstream(UrlPolicy())
        with pytest.raises(UpstreamBroken):
            await asked(upstream, f"https://{NAME}/v1")
        await upstream.close()


async def test_a_handshake_that_nobody_answers_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        upstream = Upstream(UrlPolicy([f"https://127.0.0.1:{port}"]))
        with pytest.raises(UpstreamUnreachable, match="in time"):
            await asked(upstream, f"https://127.0.0.1:{port}/v1", timeouts=Timeouts(0.05, 30, 30))


@pytest.mark.parametrize(("host", "sni"), [(NAME, NAME), (PUBLIC, None)])
async def test_tls_asks_for_the_name_and_for_http_1(
    host: str, sni: str | None, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        seen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.write(OK)

    context = authority.server(host)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = lambda _, name, __: seen.append(name)  # type: ignore[assignment]
    async with serving(answer, context) as port:
        tap(monkeypatch, lambda _: [PUBLIC], divert_to=port)
        upstream = Upstream(UrlPolicy())
        assert await asked(upstream, f"https://{host}/v1") == (200, b"ok")
        await upstream.close()
    assert seen == [sni, "http/1.1"]


# ── Connections that are kept


class Raw:
    """A server that acts between two turns of the client's loop."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1"
        self.upstream = Upstream(UrlPolicy([self.url.removesuffix("/v1")]))

    async def serve(self, answer: bytes = OK) -> socket.socket:
        """One connection, one answer."""
        loop = asyncio.get_running_loop()
        asking = asyncio.create_task(asked(self.upstream, self.url))
        connection, _ = await loop.sock_accept(self.listening)
        connection.setblocking(False)
        while not (await loop.sock_recv(connection, 65_536)).endswith(b"{}"):
            continue
        await loop.sock_sendall(connection, answer)
        assert await asking == (200, b"ok")
        return connection


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    raw = Raw()
    yield raw
    await raw.upstream.close()
    raw.listening.close()


@pytest.mark.parametrize("surplus", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
async def test_what_lies_unread_on_a_kept_connection_is_neither_an_answer_nor_the_loss_of_a_request(
    raw: Raw, surplus: bytes
) -> None:
    """It came while the loop was busy, or the function frozen: nothing is sent, so nothing is paid for twice."""
    first = await raw.serve()
    if surplus:
        first.send(surplus)
    else:
        first.shutdown(socket.SHUT_WR)
    second = await raw.serve()
    with suppress(ConnectionResetError):
        assert first.recv(1) == b"", "it was closed, and asked for nothing"
    for each in (first, second):
        each.close()


@pytest.mark.parametrize(
    ("stated", "after_s", "kept"),
    [
        ("timeout=5, max=100", 3.9, True),
        ("timeout=5", 4.5, False),
        ("timeout=600", 19, True),
        ("timeout=600", 21, False),
        ("max=5", 19, True),
        ("timeout=1", 0, False),
        ("timeout=0", 0, False),
    ],
)
async def test_a_connection_is_kept_no_longer_than_its_server_says(stated: str, after_s: float, kept: bool) -> None:
    now, connections = 1_000.0, 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"{}"):
            writer.write(OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: %b\r\n\r\n" % stated.encode()))

    async with serving(answer) as port:
        upstream = Upstream(UrlPolicy([f"http://127.0.0.1:{port}"]), clock=lambda: now)
        await asked(upstream, f"http://127.0.0.1:{port}/v1")
        now += after_s
        await asked(upstream, f"http://127.0.0.1:{port}/v1")
        await upstream.close()
    assert connections == (1 if kept else 2)


async def test_of_many_hosts_few_connections_lie_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_KEPT", 2)
    now, ended = 1_000.0, 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal ended
        await reader.readuntil(b"{}")
        writer.write(OK)
        await reader.read()
        ended += 1

    async with serving(answer) as port:
        names = [f"http://{name}.localhost:{port}" for name in "abcde"]
        upstream = Upstream(UrlPolicy(names), clock=lambda: now)
        tap(monkeypatch, lambda _: ["127.0.0.1"])
        for name in names:
            await asked(upstream, f"{name}/v1")
        await asyncio.sleep(0.02)
        assert ended == 3
        now += 15
        await asked(upstream, f"{names[0]}/v1")
        now += 15
        await asked(upstream, f"{names[1]}/v1")
        await asyncio.sleep(0.02)
        assert ended == 5, "what has lain idle for long is closed though nobody asks for its host again"
        await upstream.close()


# ── Older HTTP


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\n",
    ],
)
async def test_half_line_ends_and_folded_lines_are_read_but_the_connection_serves_nobody_else(head: bytes) -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"{}"):
            writer.write(head + b"ok")

    async with serving(answer) as port:
        upstream = Upstream(UrlPolicy([f"http://127.0.0.1:{port}"]))
        for _ in range(2):
            assert await asked(upstream, f"http://127.0.0.1:{port}/v1") == (200, b"ok")
        await upstream.close()
    assert connections == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "more than one"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "length"),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "no header"),
        (b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "characters"),
        (b"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no size"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", "too large"),
    ],
)
async def test_what_is_refused_is_said_to_be_the_providers_and_why(answer: bytes, why: str) -> None:
    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)
        await reader.read()

    async with serving(give) as port:
        upstream = Upstream(UrlPolicy([f"http://127.0.0.1:{port}"]))
        with pytest.raises(UpstreamFailure, match=f"the provider's answer cannot be read: .*{why}"):
            await asked(upstream, f"http://127.0.0.1:{port}/v1")


# ── What is sent


@pytest.mark.parametrize(
    "headers",
    [
        *({"authorization": f"Bearer a{char}b"} for char in ("\r\n", "\r", "\n", "\0", "\x1b", "\x7f", "\ud800")),
        *({name: "b"} for name in ("a b", "a:", "", "a\r\nb", "ä", "a\0")),
        *({name: "b"} for name in ("Content-Length", "transfer-encoding", "Expect", "connection", "Upgrade")),
    ],
)
async def test_a_header_that_would_be_more_than_one_is_not_sent(headers: dict[str, str]) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1

    async with serving(count) as port:
        upstream = Upstream(UrlPolicy([f"http://127.0.0.1:{port}"]))
        with pytest.raises(UpstreamUnreachable, match="the request could not be sent"):
            await upstream.send(UpstreamRequest("POST", f"http://127.0.0.1:{port}/v1", headers, b"{}"))
        with pytest.raises(UnsafeBaseUrl):
            await upstream.send(UpstreamRequest("POST", f"http://127.0.0.1:{port}/v1", {"HOST": "evil"}, b"{}"))
        await asyncio.sleep(0.01)
    assert connections == 0


async def test_a_request_says_who_asks_and_nothing_that_nobody_asked_it_to() -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heard.append(head)
            await reader.readexactly(2)
            writer.write(OK)

    async with serving(answer) as port:
        upstream = Upstream(UrlPolicy([f"http://127.0.0.1:{port}"]))
        await asked(upstream, f"http://127.0.0.1:{port}/v1/a%2Fb?c=%20", x_key="ä")
        await asked(upstream, f"http://127.0.0.1:{port}/v1", user_agent="someone", accept_encoding="gzip")
        await upstream.close()
    assert heard[0].decode() == (
        f"POST /v1/a%2Fb?c=%20 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: identity\r\n"
        "User-Agent: ownkey\r\nx-key: ä\r\ncontent-length: 2\r\n\r\n"
    )
    assert heard[1].lower().count(b"user-agent: someone") == heard[1].lower().count(b"user-agent") == 1
    assert heard[1].lower().count(b"accept-encoding") == 1
