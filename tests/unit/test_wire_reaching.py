"""Connecting may be given up at any moment, by a deadline or a client that leaves: no socket outlives it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio.selector_events import BaseSelectorEventLoop
from pathlib import Path
from typing import Any

import pytest

from ownkey.upstream import Upstream, UpstreamRequest, UrlPolicy, dialing
from ownkey.wire import client as client_module
from ownkey.wire.client import Client, Origin, Patience
from tests.security.test_ssrf_tls import Authority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENT = Patience(30, 30, 30)


async def ask_aws(origin: str) -> None:
    client = Client()
    await client.ask(Origin.of(origin), b"GET / HTTP/1.1\r\n\r\n", PATIENT)
    await client.close()


async def ask_a_provider(origin: str) -> None:
    upstream = Upstream(UrlPolicy([origin]))
    async with await upstream.send(UpstreamRequest("GET", f"{origin}/", {})) as response:
        await response.read(10)
    await upstream.close()


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("ask", [ask_aws, ask_a_provider])
async def test_whenever_it_is_given_up_every_socket_is_closed(
    ask: Any, tls: bool, several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[socket.socket] = []
    seen: list[asyncio.StreamReader] = []
    sock_connect = BaseSelectorEventLoop.sock_connect

    async def connect(self: Any, sock: socket.socket, address: Any) -> None:
        made.append(sock)
        await sock_connect(self, sock, ("127.0.0.1", port))

    async def getaddrinfo(*_: object, **__: object) -> list[Any]:
        info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        return [info, info] if several else [info]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(reader)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await reader.read()
        except (EOFError, OSError):
            pass
        writer.close()

    authority = Authority(tmp_path)
    trusting = ssl.create_default_context()
    trusting.load_verify_locations(cadata=authority.root())
    monkeypatch.setattr(dialing, "tls_context", lambda: trusting)
    monkeypatch.setattr(client_module, "tls_context", lambda: trusting)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=authority.server("llm.example") if tls else None)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", connect)

    turns, finished = 0, False
    while not finished:
        asking = asyncio.create_task(ask(f"{'https' if tls else 'http'}://llm.example:{port}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        finished = asking.done()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)
        assert [each.fileno() for each in made] == [-1] * len(made), f"given up after {turns} turns of the loop"
        made.clear()
        turns += 1
        assert turns < 200
    assert turns > 4
    server.close()
    await asyncio.sleep(0.02)


async def test_a_server_that_goes_away_during_the_handshake_is_an_error_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(OSError):
        await ask_aws(f"https://127.0.0.1:{port}")
    server.close()
