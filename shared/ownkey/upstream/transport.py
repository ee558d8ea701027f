"""`Upstream.send`: one request to a provider over a pooled, guarded connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO

import aiohttp
from yarl import URL

from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream.addresses import AddressGuard, AddressRefused, CheckingResolver
from ownkey.upstream.failures import UpstreamBroken, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable
from ownkey.upstream.policy import UrlPolicy
from ownkey.upstream.tap import BodyTap

_IDLE_POOL_S = 20.0
_CONNECTIONS = 64
_DNS_S = 30
_LARGE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds: for the connection, for the answer's head, between two pieces of its body."""

    connect_s: float = 3.0
    first_byte_s: float = 120.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What goes to the provider. `url` begins with a base URL the policy admits; `headers` hold the key."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    timeouts: Timeouts = Timeouts()


class UpstreamResponse:
    """A provider's answer: status and headers at once, the body as it comes. Use it as a context manager."""

    def __init__(self, response: aiohttp.ClientResponse, timeouts: Timeouts, on_close: Callable[[], None]) -> None:
        self._response = response
        self._on_close: Callable[[], None] | None = on_close
        self._timeouts = timeouts
        self._tap: BodyTap | None = None
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in the pieces in which it arrives.

        Raises:
            UpstreamTimeout: silent for `idle_s`.
            UpstreamBroken: it stopped before its end.
        """
        if self._tap is None:
            self._tap = BodyTap(self._response)
        tap = self._tap
        idle = _IdleWatch(tap, self._timeouts.idle_s, self._drop)
        try:
            while piece := await tap.next():
                yield piece
        except (aiohttp.ClientError, OSError):
            if idle.expired:
                raise UpstreamTimeout("the provider fell silent in the middle of its answer") from None
            raise UpstreamBroken("the provider's answer stopped before its end") from None
        finally:
            idle.cancel()

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body.

        Raises:
            UpstreamBroken: it stopped before its end. UpstreamTooLarge: it is larger than `limit_bytes`.
            UpstreamTimeout: silent for `idle_s`.
        """
        pieces, size = [], 0
        async for piece in self.chunks():
            size += len(piece)
            if size > limit_bytes:
                raise UpstreamTooLarge(f"the provider's answer is larger than {limit_bytes:,} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Gives the connection back where the body was read to its end, else drops it. Once is enough."""
        on_close, self._on_close = self._on_close, None
        if on_close is None:
            return
        on_close()
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._drop()

    def _drop(self) -> None:
        """Ends the connection, and with it the wait of whoever reads."""
        if self._tap is not None:
            self._tap.remove()
        self._response.close()
        if self._tap is not None:
            self._tap.wake()

    async def __aenter__(self) -> UpstreamResponse:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class _IdleWatch:
    """One timer for a whole body, looking back: a timeout of its own for each piece would cost a tenth of the piece.

    How long the reader takes over a piece is not the provider's silence.
    """

    def __init__(self, tap: BodyTap, idle_s: float, close: Callable[[], None]) -> None:
        self.expired = False
        self._tap = tap
        self._idle_s = idle_s
        self._close = close
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(idle_s, self._look)

    def cancel(self) -> None:
        """The body is over."""
        self._timer.cancel()

    def _look(self) -> None:
        since = self._tap.waiting_since
        silent_s = 0.0 if since is None else self._loop.time() - since
        if silent_s >= self._idle_s:
            self.expired = True
            self._close()  # which ends the wait with an error
        else:
            self._timer = self._loop.call_later(self._idle_s - silent_s, self._look)


def _payload(body: bytes) -> bytes | BytesIO | None:
    """aiohttp writes a file in pieces and sends its length, where it warns of large bytes."""
    return BytesIO(body) if len(body) > _LARGE_BYTES else body or None


class Upstream:
    """The guarded transport of one event loop. Its pool is renewed after a pause: a frozen function's are dead."""

    def __init__(self, policy: UrlPolicy, clock: Callable[[], float] = time.time) -> None:
        self._policy = policy
        self._clock = clock
        self._http: aiohttp.ClientSession | None = None
        self._used_at = 0.0
        self._open = 0

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Sends the request and returns at the answer's head.

        Raises:
            UnsafeBaseUrl: the URL is not one a key may be sent to.
            UpstreamUnreachable, UpstreamTimeout: no answer.
        """
        url = self._policy.request_url(request.url)
        if any(name.lower() == "host" for name in request.headers):
            raise UnsafeBaseUrl("The request names another host than its URL.")
        http = await self._session()
        timeouts = request.timeouts
        try:
            async with asyncio.timeout(timeouts.first_byte_s):
                response = await http.request(
                    request.method,
                    URL(url, encoded=True),
                    data=_payload(request.body),
                    headers={"Accept-Encoding": "identity", **request.headers},
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_s),
                )
        except aiohttp.ServerTimeoutError:
            raise UpstreamUnreachable("the provider did not accept a connection in time") from None
        except TimeoutError:
            raise UpstreamTimeout("the provider did not begin to answer in time") from None
        except AddressRefused:
            raise
        except aiohttp.InvalidURL:
            raise UnsafeBaseUrl("The base URL cannot be called.") from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamUnreachable("the provider could not be reached") from None
        self._open += 1
        return UpstreamResponse(response, timeouts, self._closed)

    def _closed(self) -> None:
        self._open -= 1

    async def close(self) -> None:
        """Closes the pool; the transport may be used again afterwards."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _session(self) -> aiohttp.ClientSession:
        now = self._clock()
        if now - self._used_at > _IDLE_POOL_S and not self._open:
            # By the wall clock: while a function is frozen its connections die and its monotonic clock may stand.
            await self.close()
        self._used_at = now
        if self._http is None:
            guard = AddressGuard(self._policy.allowed_origins)
            connector = aiohttp.TCPConnector(
                limit=_CONNECTIONS,
                resolver=CheckingResolver(guard),
                socket_factory=guard.socket,
                ttl_dns_cache=_DNS_S,
                keepalive_timeout=_IDLE_POOL_S,
            )
            self._http = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
                requote_redirect_url=False,
            )
        return self._http
