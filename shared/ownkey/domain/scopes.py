"""What a gateway key may be used for, and from where: patterns of models, networks, browser origins. Pure text.

Each part of a scope is a tuple that is never empty, or None: everything. What people write is brought into one
canonical form when it is saved, so that a request is compared with it as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

MAX_ADDRESSES = 50
"""Of one gateway key: each request compares them one by one."""

_MAPPED_BITS = 96
"""`::ffff:0:0/96` holds the IPv4 addresses: https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2."""
_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")


# ── Models


def model_pattern(text: str) -> str:
    """A model's name, or the beginning of names with a `*` behind it.

    Raises:
        ValueError: another `*`, or nothing before it.
    """
    if "*" in text.removesuffix("*"):
        raise ValueError("may have one `*`, at its end")
    if text == "*":
        raise ValueError("names all models: leave it out, or give null")
    return text


def model_names(provider_names: Iterable[str], model_id: str) -> set[str]:
    """What a provider's model is called: its id, and the id behind each of the provider's names."""
    return {model_id, *(f"{name}/{model_id}" for name in provider_names)}


def admits_model(patterns: Iterable[str], names: Iterable[str]) -> bool:
    """Whether one of a model's names is one of `patterns`, in any case of letters."""
    known = [name.casefold() for name in names]
    return any(_fits(pattern.casefold(), name) for pattern in patterns for name in known)


def _fits(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


# ── Addresses


def network(text: str) -> str:
    """An IPv4 or IPv6 address or network: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`.

    An IPv4 address within IPv6 (`::ffff:203.0.113.7`) is the IPv4 address.

    Raises:
        ValueError: it is neither, or an address with a network's length behind it.
    """
    _, slash, bits = text.partition("/")
    if (slash and not (bits.isascii() and bits.isdigit())) or "%" in text:
        raise ValueError("not a network in CIDR notation")
    read = _unmapped_network(ip_network(text))
    return str(read.network_address) if read.prefixlen == read.max_prefixlen else str(read)


def admits_address(networks: tuple[str, ...], address: str | None) -> bool:
    """Whether the address stands in one of the networks, which are as `network` gives them. None never does."""
    caller = _address(address)
    return caller is not None and any(caller in each for each in _networks(networks))


@lru_cache(256)
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _unmapped_network(read: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    mapped = read.network_address.ipv4_mapped if isinstance(read, IPv6Network) else None
    if mapped is None or read.prefixlen < _MAPPED_BITS:
        return read
    return IPv4Network((mapped, read.prefixlen - _MAPPED_BITS))


# ── Origins


def origin(text: str) -> str:
    """A web page's origin as browsers write it in `Origin`: `https://app.example`, `http://localhost:5173`.

    https://www.rfc-editor.org/rfc/rfc6454#section-6.2: scheme, host in lower case, the port unless it is the usual one.

    Raises:
        ValueError: no http or https origin, or more than an origin. `null` and patterns are none: they mean anybody.
    """
    if not text.isprintable():
        raise ValueError("not printable")  # urlsplit would leave line breaks out
    parts = urlsplit(text)
    usual = _DEFAULT_PORTS.get(parts.scheme)
    if usual is None or parts.path not in ("", "/") or parts.query or parts.fragment or text[-1] in "?#":
        raise ValueError("not an origin: scheme and host, and a port where it is unusual")
    if "@" in parts.netloc or parts.netloc.endswith(":"):
        raise ValueError("an origin has no user and no empty port")
    host = _host(parts.hostname or "")
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, usual) else "")


def _host(name: str) -> str:
    """As browsers send it: ASCII, in lower case, an IPv6 address in brackets."""
    if ":" in name:
        return f"[{IPv6Address(name)}]"
    try:
        host = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError as e:
        raise ValueError("no host that has an address") from e
    if not _HOST.fullmatch(host.lower()):
        raise ValueError("no host")
    return host.lower()
