"""Connecting: a name resolved once, all of its answer checked, and one of exactly these addresses connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from ownkey.upstream.addresses import MAX_ADDRESSES, AddressGuard
from ownkey.upstream.connection import Connection
from ownkey.wire.client import Origin, tls_context

_NEXT_AFTER_S = 0.25
"""Where an address does not answer, when the next one is tried beside it: as RFC 8305 has it."""

AddressInfo = tuple[Any, ...]
"""As `socket.getaddrinfo` has it: family, kind, protocol, name, socket address."""


class Dialer:
    """Connects to origins that the policy admits; remembers a name's checked addresses for `dns_s` seconds."""

    def __init__(self, guard: AddressGuard, dns_s: float) -> None:
        self._guard = guard
        self._dns_s = dns_s
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[str, int], tuple[float, Sequence[AddressInfo]]] = {}

    async def connect(self, origin: Origin) -> Connection:
        """A connection; of TLS, to who has a certificate for the name.

        Raises:
            AddressRefused: the name does not lead to the public internet alone.
            OSError: nobody is there, or not who was asked for.
        """
        reached = await self._reached(await self._addresses(origin.host, origin.port))
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop),
                sock=reached,
                ssl=tls_context() if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            reached.close()
            raise
        return connection

    async def _addresses(self, host: str, port: int) -> Sequence[AddressInfo]:
        until_s, infos = self._known.get((host, port), (0.0, ()))
        if self._loop.time() < until_s:
            return infos
        infos = _literal(host, port) or await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._guard.admit(host, port, [str(info[4][0]) for info in infos])
        self._known[host, port] = self._loop.time() + self._dns_s, infos[:MAX_ADDRESSES]
        return infos[:MAX_ADDRESSES]

    async def _reached(self, infos: Sequence[AddressInfo]) -> socket.socket:
        """A socket connected to whichever answers first."""
        if len(infos) == 1:
            return await self._opened(infos[0])
        tries: set[asyncio.Task[socket.socket]] = set()
        waiting: set[asyncio.Task[socket.socket]] = set()
        remaining = list(infos)
        try:
            while remaining or waiting:
                if remaining:
                    waiting.add(asyncio.create_task(self._opened(remaining.pop(0))))
                    tries |= waiting
                patience_s = _NEXT_AFTER_S if remaining else None
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

    async def _opened(self, info: AddressInfo) -> socket.socket:
        opened = self._guard.socket(info)
        try:
            opened.setblocking(False)
            await self._loop.sock_connect(opened, info[4])
        except BaseException:
            opened.close()
            raise
        return opened


def _literal(host: str, port: int) -> Sequence[AddressInfo]:
    """An address needs no resolver."""
    try:
        version = ip_address(host).version
    except ValueError:
        return ()
    if version == 6:
        return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0))]
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]


def _dropped(attempt: asyncio.Task[socket.socket]) -> None:
    """Another address was faster."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
