"""Connecting: the first of several addresses that answers, and TLS on it. Whoever stops waiting leaves nothing open.

asyncio's own way does at two moments: of addresses tried side by side it loses the one that has just answered, and of
TLS that has not yet begun what lies beneath it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

NEXT_AFTER_S = 0.25
"""Where an address does not answer, when the next one is tried beside it: as RFC 8305 has it."""

AddressInfo = tuple[Any, ...]
"""As `socket.getaddrinfo` has it: family, kind, protocol, name, socket address."""
MakeSocket = Callable[[AddressInfo], socket.socket]


P = TypeVar("P", bound=asyncio.Protocol)


async def addresses_of(loop: asyncio.AbstractEventLoop, host: str, port: int) -> Sequence[AddressInfo]:
    """Where a name leads; an address needs no resolver.

    Raises:
        OSError: nowhere.
    """
    try:
        version = ip_address(host).version
    except ValueError:
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if version == 6:
        return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0))]
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]


async def reached(
    loop: asyncio.AbstractEventLoop, infos: Sequence[AddressInfo], make_socket: MakeSocket
) -> socket.socket:
    """A socket, of those that `make_socket` makes, connected to whichever address answers first.

    Raises:
        OSError: none does.
    """
    if len(infos) == 1:
        return await _opened(loop, infos[0], make_socket)
    tries: set[asyncio.Task[socket.socket]] = set()
    waiting: set[asyncio.Task[socket.socket]] = set()
    remaining = list(infos)
    try:
        while remaining or waiting:
            if remaining:
                waiting.add(asyncio.create_task(_opened(loop, remaining.pop(0), make_socket)))
                tries |= waiting
            patience_s = NEXT_AFTER_S if remaining else None
            done, waiting = await asyncio.wait(waiting, timeout=patience_s, return_when="FIRST_COMPLETED")
            for each in done:
                if each.exception() is None:
                    tries.discard(each)
                    return each.result()
        raise ConnectionRefusedError("none of the addresses can be connected to")
    finally:
        for each in tries:
            each.add_done_callback(_dropped)
            each.cancel()


async def connected(
    loop: asyncio.AbstractEventLoop, over: socket.socket, protocol: P, tls: ssl.SSLContext | None, host: str
) -> P:
    """The protocol, with its connection made over a connected socket, which is its own from here on.

    Of TLS, to who has a certificate for the host: nothing is written before that, and nothing is read.

    Raises:
        OSError: nobody is there, or not who was asked for.
    """
    try:
        transport, _ = await loop.create_connection(lambda: protocol, sock=over)
    except BaseException:
        over.close()
        raise
    if tls is None:
        return protocol
    try:
        secured = await loop.start_tls(transport, protocol, tls, server_hostname=host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ConnectionResetError("the connection ended before TLS began")
    protocol.connection_made(secured)
    return protocol


async def _opened(loop: asyncio.AbstractEventLoop, info: AddressInfo, make_socket: MakeSocket) -> socket.socket:
    opened = make_socket(info)
    try:
        opened.setblocking(False)
        await loop.sock_connect(opened, info[4])
    except BaseException:
        opened.close()
        raise
    return opened


def _dropped(attempt: asyncio.Task[socket.socket]) -> None:
    """Another address was faster, or nobody waits any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
