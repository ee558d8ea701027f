"""Which addresses may be connected to, decided once for each name and pinned.

The host is resolved once; if any of its addresses is not public the whole name is refused, and the connection goes to
exactly the addresses that were checked. TLS still verifies the host name. Every socket is checked again as it is made,
so no path around the resolver exists, and no port but 443.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from ownkey.upstream.failures import UpstreamUnreachable

HTTPS_PORT = 443
MAX_ADDRESSES = 8
"""Of one name: whoever publishes a thousand addresses does not get a thousand connections made."""

_NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host: Linux takes 0.0.0.0 for the loopback address
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata service is 100.100.100.200
            "127.0.0.0/8",  # Lambda's Runtime API
            "168.63.129.16/32",  # Azure's host, from within Azure
            "169.254.0.0/16",  # link-local: metadata services, Lambda's own endpoints, the X-Ray daemon
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata service is 192.0.0.192
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays to 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is in use of IPv6's public space. Outside are loopback, link-local, site-local and unique local addresses,
multicast, and the forms that embed an IPv4 address: mapped, compatible, translated (NAT64)."""
_NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, among them Teredo, which embeds an IPv4 address
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which embeds an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)


class AddressRefused(UpstreamUnreachable):
    """The host resolves to an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an address is on the public internet and nothing else; one with a zone never is.

    By tables of our own, after IANA's registries of special-purpose addresses: `ipaddress` changes its mind with
    Python's version, and its `is_global` admits multicast and IPv6 forms that embed 127.0.0.1.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_V4)
    if parsed.scope_id is not None or parsed not in _GLOBAL_UNICAST:
        return False
    return not any(parsed in network for network in _NOT_PUBLIC_V6)


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

    def admit(self, host: str, port: int, addresses: Sequence[str]) -> None:
        """Checks everything a name resolved to.

        Raises:
            AddressRefused: one of them is not public, or there is none.
        """
        if (host, port) in self._exempt_hosts:
            self._exempt.update((address, port) for address in addresses)
        elif not addresses:
            raise AddressRefused("the host resolves to no address")
        elif not all(map(is_public, addresses)):
            raise AddressRefused("the host resolves to an address that is not public")

    def socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """Makes the socket for one address: the narrow waist of all connections.

        Raises:
            OSError: the address is not public, or the port is not 443.
        """
        family, kind, proto, _, (address, port, *_) = addr_info
        if (address, port) not in self._exempt and not (port == HTTPS_PORT and is_public(address)):
            raise OSError("address refused")
        return socket.socket(family, kind, proto)
