"""Which addresses may be connected to, decided once for each name and pinned.

The host is resolved once; if any of its addresses is not public the whole name is refused, and the connection goes to
exactly the addresses that were checked. TLS still verifies the host name. Every socket is checked again as it is made,
so no path around the resolver exists.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from ownkey.upstream.failures import UpstreamUnreachable

_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Inside 2000::/3, but they embed or tunnel to other addresses, or lead nowhere: Teredo and protocol assignments,
# documentation, 6to4, documentation again (RFC 9637).
_SPECIAL = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


class AddressRefused(UpstreamUnreachable):
    """The host resolves to an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an address is on the public internet and nothing else.

    `ipaddress` alone does not answer that: `is_global` admits multicast and IPv6 forms that embed 127.0.0.1.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, IPv4Address):
        return parsed.is_global and not parsed.is_multicast
    return parsed in _GLOBAL_UNICAST and parsed.is_global and not any(parsed in network for network in _SPECIAL)


class AddressGuard:
    """Decides on (address, port) pairs; knows those of the allowed local origins."""

    def __init__(self, allowed_origins: Iterable[str] = ()) -> None:
        self._exempt_hosts: set[tuple[str, int]] = set()
        self._exempt: set[tuple[str, int]] = set()
        for origin in allowed_origins:
            parts = urlsplit(origin)
            at = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            self._exempt_hosts.add(at)
            self._exempt.add(at)

    def admit(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """Checks everything a name resolved to.

        Raises:
            AddressRefused: one of them is not public.
        """
        if (host, port) in self._exempt_hosts:
            self._exempt.update((address, port) for address in addresses)
        elif not all(map(is_public, addresses)):
            raise AddressRefused("the host resolves to an address that is not public")

    def socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """Makes the socket for one address: the narrow waist of all connections.

        Raises:
            OSError: the address is not public.
        """
        family, kind, proto, _, sockaddr = addr_info
        if not is_public(sockaddr[0]) and (sockaddr[0], sockaddr[1]) not in self._exempt:
            raise OSError("address refused")
        return socket.socket(family, kind, proto)


class CheckingResolver(AbstractResolver):
    """Resolves through the system and admits all of the answer or nothing."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The checked addresses of a host, for aiohttp's connector, which connects to exactly these."""
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        self._guard.admit(host, port, [str(info[4][0]) for info in infos])
        return [
            ResolveResult(
                hostname=host,
                host=str(sockaddr[0]),
                port=int(sockaddr[1]),
                family=info_family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for info_family, _, proto, _, sockaddr in infos
        ]

    async def close(self) -> None:
        """Nothing to close."""
