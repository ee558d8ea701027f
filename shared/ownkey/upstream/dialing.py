"""Connecting: a name resolved once, all of its answer checked, and one of exactly these addresses connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ownkey.upstream.addresses import MAX_ADDRESSES, AddressGuard
from ownkey.upstream.connection import Connection
from ownkey.wire.client import Origin, tls_context
from ownkey.wire.reaching import AddressInfo, addresses_of, connected, reached


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
        over = await reached(self._loop, await self._addresses(origin.host, origin.port), self._guard.socket)
        tls = tls_context() if origin.tls else None
        return await connected(self._loop, over, Connection(self._loop), tls, origin.host)

    async def _addresses(self, host: str, port: int) -> Sequence[AddressInfo]:
        until_s, infos = self._known.get((host, port), (0.0, ()))
        if self._loop.time() < until_s:
            return infos
        infos = await addresses_of(self._loop, host, port)
        self._guard.admit(host, port, [str(info[4][0]) for info in infos])
        self._known[host, port] = self._loop.time() + self._dns_s, infos[:MAX_ADDRESSES]
        return infos[:MAX_ADDRESSES]
