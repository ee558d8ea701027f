"""Which base URLs a key may be sent to, by their text alone.

What is refused is in the code of `UrlPolicy.check`; the cases that peers were broken by are tests. Addresses behind a
host name are the transport's to check, at the moment of connecting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream.addresses import is_public

# A last label that begins with a letter: `2130706433` and `0x7f.1` are addresses to the resolver.
_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:-]+)*")
_ESCAPE = re.compile(r"%(2F|3A)")
_ESCAPED = {"2F": "/", "3A": ":"}
_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
# Names that public DNS does not have: whoever answers them is on the inside. RFC 6761 and 6762, IANA's special-use
# names, ICANN's .internal, and what private networks are called by habit.
_PRIVATE_SUFFIXES = (
    *(".alt", ".arpa", ".corp", ".home", ".internal", ".intranet", ".invalid", ".lan", ".local", ".localdomain"),
    *(".localhost", ".onion", ".private", ".svc", ".test"),
)
_MAX_CHARS = 2_000


class UrlPolicy:
    """Checks base URLs. `allowed_origins` (`http://127.0.0.1:9000`) are exempt: for the local stack alone."""

    def __init__(self, allowed_origins: Iterable[str] = ()) -> None:
        self.allowed_origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self.check = lru_cache(maxsize=1_024)(self._check)

    def request_url(self, url: str) -> str:
        """The URL of a request, put together anew from what was checked: the transport reads exactly this.

        Unlike a base URL's, its path may have `@`, and `/` and `:` escaped within a segment, as `%2F` and `%3A`: names
        of models have them. Read plainly it must be admitted all the same, since servers differ in when they unescape.

        Raises:
            UnsafeBaseUrl: as `check`; or the query has characters that none needs.
        """
        base, mark, query = url.partition("?")
        if not _QUERY.fullmatch(query):
            raise UnsafeBaseUrl("The URL's query has characters that are not allowed in one.")
        end = "/" if base.endswith("/") else ""
        if "%" not in base and "@" not in base:
            return self.check(base) + end + mark + query
        origin, path = _at_path(base)
        # Behind the authority `@` is a letter like others.
        self.check(origin + _ESCAPE.sub(lambda escape: _ESCAPED[escape[1]], path).replace("@", "~"))
        return self.check(origin) + path.removesuffix("/") + end + mark + query

    def _check(self, url: str) -> str:
        """The canonical base URL: lower-case host, no default port, no trailing slash.

        Raises:
            UnsafeBaseUrl: not an https URL on port 443 of a public host, or dressed up to look like one.
        """
        parts = _split(url)
        origin = f"{parts.scheme}://{parts.netloc.lower()}"
        path = parts.path.removesuffix("/")
        if not _PATH.fullmatch(path) or any(segment in (".", "..") for segment in path.split("/")):
            raise UnsafeBaseUrl("The base URL's path has characters or segments that are not allowed.")
        if origin in self.allowed_origins:
            return origin + path
        if parts.scheme != "https":
            raise UnsafeBaseUrl("The base URL is not https.")
        return f"https://{_public_host(parts)}{path}"


def _at_path(url: str) -> tuple[str, str]:
    """Scheme and authority, and what follows them."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority}", slash + path


def _split(url: str) -> SplitResult:
    # Before any parser sees it: parsers differ in what they drop (tabs), turn around (backslashes) or decode.
    if len(url) > _MAX_CHARS or not url.isascii() or not url.isprintable() or any(c in url for c in " \\%?#@"):
        raise UnsafeBaseUrl("The base URL has characters that are not allowed in one.")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises on a port that is none
    except ValueError:
        raise UnsafeBaseUrl("The base URL cannot be read.") from None
    if not parts.scheme or not parts.hostname:
        raise UnsafeBaseUrl("The base URL has no scheme or no host.")
    return parts


def _public_host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    stated = f"[{host}]" if ":" in host else host
    if parts.netloc.lower() not in (stated, f"{stated}:443"):
        raise UnsafeBaseUrl("The base URL names a port other than 443, or more than a host.")
    try:
        address = ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host) or host.endswith(_PRIVATE_SUFFIXES):
            raise UnsafeBaseUrl("The base URL's host is not a public host name.") from None
        return host
    if not is_public(str(address)):
        raise UnsafeBaseUrl("The base URL's address is not public.")
    return f"[{address}]" if address.version == 6 else str(address)
