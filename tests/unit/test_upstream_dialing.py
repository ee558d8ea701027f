"""A name with several addresses: the first that answers serves, and nobody waits for one that does not."""

from __future__ import annotations

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ownkey.upstream import (
    AddressRefused,
    Upstream,
    UpstreamRequest,
    UpstreamUnreachable,
    UrlPolicy,
    addresses,
)
from ownkey.wire import reaching
from tests.security.canary import Canary, listening

SILENT, DEAD, ALIVE, LATE = "93.184.215.1", "93.184.215.2", "93.184.215.3", "93.184.215.4"
NAME = "llm.example"


class Wire:
    """Addresses that play their names; every connection ends at the canary."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.found: list[str] = []
        self.tried: list[str] = []
        self.sockets: list[socket.socket] = []

    async def resolve(self, _loop: Any, _host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.found]

    async def connect(self, loop: Any, sock: socket.socket, address: tuple[str, int]) -> None:
        self.tried.append(address[0])
        self.sockets.append(sock)
        if address[0] == DEAD:
            raise ConnectionRefusedError
        if address[0] == SILENT:
            await asyncio.Event().wait()
        if address[0] == LATE:
            await asyncio.sleep(0.02)
        await CONNECT(loop, sock, ("127.0.0.1", self.port))


CONNECT = BaseSelectorEventLoop.sock_connect


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    async with listening() as canary:
        yield canary


@pytest.fixture
def wire(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire(canary.port)
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lambda loop, *a, **k: wire.resolve(loop, *a, **k))
    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", lambda loop, *a: wire.connect(loop, *a))
    monkeypatch.setattr(reaching, "NEXT_AFTER_S", 0.01)
    # The canary has no TLS: what plays the public network is plain HTTP.
    monkeypatch.setattr(UrlPolicy, "request_url", lambda _, url: url)
    return wire


async def asked(upstream: Upstream) -> int:
    async with await upstream.send(UpstreamRequest("POST", f"http://{NAME}:443/v1", {}, b"{}")) as response:
        await response.read(100)
    await upstream.close()
    await asyncio.sleep(0.01)
    return response.status


@pytest.mark.parametrize(
    ("found", "tried"),
    [
        ([ALIVE, SILENT], [ALIVE]),
        ([DEAD, ALIVE], [DEAD, ALIVE]),
        ([SILENT, ALIVE], [SILENT, ALIVE]),
        ([SILENT, DEAD, SILENT, ALIVE], [SILENT, DEAD, SILENT, ALIVE]),
        ([LATE, LATE], [LATE, LATE]),
    ],
)
async def test_the_first_that_answers_serves_and_the_others_are_let_go(
    wire: Wire, canary: Canary, found: list[str], tried: list[str]
) -> None:
    wire.found = found
    assert await asked(Upstream(UrlPolicy())) == 200
    assert wire.tried == tried
    assert canary.received.count(b"POST ") == 1
    assert [each.fileno() for each in wire.sockets] == [-1] * len(tried), "all are closed at the end"


async def test_where_nobody_answers_it_says_so(wire: Wire) -> None:
    wire.found = [DEAD, DEAD]
    with pytest.raises(UpstreamUnreachable):
        await asked(Upstream(UrlPolicy()))
    assert wire.tried == [DEAD, DEAD]


async def test_an_address_in_a_url_is_checked_without_a_resolver(wire: Wire) -> None:
    wire.found = [ALIVE]
    upstream = Upstream(UrlPolicy())
    for host in ("127.0.0.1", "[::1]", "169.254.169.254"):
        with pytest.raises(AddressRefused):
            await upstream.send(UpstreamRequest("POST", f"http://{host}:443/v1", {}, b"{}"))
    assert wire.tried == []


async def test_each_address_is_checked_again_where_its_socket_is_made(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses.AddressGuard, "admit", lambda *_: None)
    wire.found = ["10.0.0.1", "127.0.0.1"]
    with pytest.raises(UpstreamUnreachable):
        await asked(Upstream(UrlPolicy()))
    assert wire.tried == []
