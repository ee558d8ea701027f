"""A canary on loopback that a key may be sent to by mistake, and the wire: lookups and connections."""

from __future__ import annotations

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

KEY = "sk-canary-W7pX2mQ9zR4tL8vB3nK6"
"""The key that the cases try to make travel."""
TLS_HANDSHAKE = b"\x16\x03"
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Canary:
    """A server that takes down who comes and what they bring, and answers as the test says."""

    answer: bytes = NOTHING
    hangs_up: bool = False
    """Whether it closes the connection behind its answer."""
    connections: int = 0
    received: bytes = b""
    port: int = 0

    @property
    def origin(self) -> str:
        """As a base URL has it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def saw_the_key(self) -> bool:
        """Whether anybody brought it."""
        return KEY.encode() in self.received

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while data := await reader.read(65_536):
                self.received += data
                if data.startswith(TLS_HANDSHAKE):
                    return
                if b"\r\n\r\n" in data:
                    writer.write(self.answer)
                    await writer.drain()
                    if self.hangs_up:
                        return
        except OSError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def listening(answer: bytes = NOTHING, *, hangs_up: bool = False) -> AsyncIterator[Canary]:
    """A canary on a port of its own."""
    canary = Canary(answer, hangs_up)
    server = await asyncio.start_server(canary.serve, "127.0.0.1", 0)
    canary.port = server.sockets[0].getsockname()[1]
    try:
        yield canary
    finally:
        server.close()
        await asyncio.sleep(0)


@dataclass
class Wire:
    """What went over it."""

    asked: list[str] = field(default_factory=list)
    """Names that were resolved."""
    connected: list[tuple[str, int]] = field(default_factory=list)
    """Addresses that a socket was connected to, or tried."""


def tap(
    monkeypatch: pytest.MonkeyPatch,
    resolve: Callable[[str], list[str]],
    *,
    divert_to: int | None = None,
    spare: int | None = None,
) -> Wire:
    """Answers every lookup, and takes down every connection.

    Args:
        resolve: Name → its addresses; an empty list is an empty answer.
        divert_to: A port on loopback to which all connections go instead, as an attacker's network would have it.
        spare: A port whose connections are left alone and not taken down: that of AWS.
    """
    wire = Wire()
    sock_connect = BaseSelectorEventLoop.sock_connect

    async def getaddrinfo(_self: Any, host: str, port: int, **_: object) -> list[Any]:
        wire.asked.append(host)
        return [_info(address, port) for address in resolve(host)]

    async def connect(self: Any, sock: socket.socket, address: Any) -> None:
        if address[1] == spare:
            return await sock_connect(self, sock, address)
        wire.connected.append(tuple(address[:2]))
        if divert_to is None:
            return await sock_connect(self, sock, address)
        if sock.family != socket.AF_INET:
            raise ConnectionRefusedError("the canary has no IPv6")
        return await sock_connect(self, sock, ("127.0.0.1", divert_to))

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", connect)
    return wire


def _info(address: str, port: int) -> Any:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
