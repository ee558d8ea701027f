"""`Upstream.send`: one request to a provider over a pooled, guarded connection."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream.addresses import AddressGuard
from ownkey.upstream.connection import Connection, Unanswered
from ownkey.upstream.dialing import Dialer
from ownkey.upstream.encodings import Inflater
from ownkey.upstream.failures import UpstreamBroken, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable
from ownkey.upstream.policy import UrlPolicy
from ownkey.wire import http1
from ownkey.wire.client import Origin
from ownkey.wire.http1 import Head, NotHttp

_IDLE_POOL_S = 20.0
_DNS_S = 30
_KEPT = 64
"""Idle connections, of all origins."""
_PLAIN = ("", "identity")
_DEFAULTS = {"Accept-Encoding": "identity", "User-Agent": "ownkey"}
"""Some providers' firewalls turn away whoever has no name."""
_CONNECTIONS_OWN = frozenset(
    {"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
_keep_alive_s = re.compile(r"\btimeout=([0-9]{1,6})\b").search


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

    def __init__(
        self, connection: Connection, head: Head, timeouts: Timeouts, give_back: Callable[[Connection], None]
    ) -> None:
        self.status = head.status
        self.headers: Mapping[str, str] = head.headers
        """Names in lower case."""
        self._connection = connection
        self._give_back = give_back
        self._closed = False
        self._idle = _IdleWatch(connection, timeouts.idle_s)
        self._coding = head.headers.get("content-encoding", "").lower()
        self._inflater: Inflater | None = None
        self._inflated: Iterator[bytes] = iter(())

    async def next(self) -> bytes:
        """What there is of the body, as soon as there is something; empty at its end.

        Raises:
            UpstreamTimeout: silent for `idle_s`.
            UpstreamBroken: it stopped before its end.
        """
        if self._coding in _PLAIN:
            return await self._piece()
        if self._inflater is None:
            self._inflater = Inflater(self._coding)
        while True:
            for inflated in self._inflated:
                return inflated
            piece = await self._piece()
            if not piece:
                self._inflater.end()
                return b""
            self._inflated = self._inflater.feed(piece)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in the pieces in which it arrives. Raises as `next` does."""
        while piece := await self.next():
            yield piece

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hands on the body in the wake-ups of the loop that bring it, until `take` says to stop: then True, at its end
        False. Raises as `next` does.
        """
        if self._coding not in _PLAIN:
            async for piece in self.chunks():
                if not take(piece):
                    return True
            return False
        self._idle.start()
        try:
            return await self._connection.pour(take)
        except OSError as error:
            raise self._idle.failure(error) from None

    async def _piece(self) -> bytes:
        if not self._connection.ready:
            self._idle.start()
        try:
            return await self._connection.next()
        except OSError as error:
            raise self._idle.failure(error) from None

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
        if self._closed:
            return
        self._closed = True
        self._idle.cancel()
        if self._connection.reusable:
            self._give_back(self._connection)
        else:
            self._connection.fail(ConnectionAbortedError("closed"))

    async def __aenter__(self) -> UpstreamResponse:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class _IdleWatch:
    """One timer for a whole body, looking back: a timeout of its own for each piece would cost a tenth of the piece.

    How long the reader takes over a piece is not the provider's silence.
    """

    def __init__(self, connection: Connection, idle_s: float) -> None:
        self._expired = False
        self._connection = connection
        self._idle_s = idle_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Somebody is about to wait. More than once is fine."""
        if self._timer is None:
            self._watch(self._idle_s)

    def cancel(self) -> None:
        """Nobody reads any more."""
        if self._timer is not None:
            self._timer.cancel()

    def failure(self, error: OSError) -> UpstreamTimeout | UpstreamBroken:
        """What it is that the body has stopped."""
        if self._expired:
            return UpstreamTimeout("the provider fell silent in the middle of its answer")
        if isinstance(error, NotHttp):
            return UpstreamBroken(f"the provider's answer cannot be read: {error}")
        return UpstreamBroken("the provider's answer stopped before its end")

    def _watch(self, for_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(for_s, self._look)

    def _look(self) -> None:
        since = self._connection.silent_since
        silent_s = 0.0 if since is None else asyncio.get_running_loop().time() - since
        if silent_s >= self._idle_s:
            self._expired = True
            self._connection.fail(TimeoutError("silent"))  # which ends the wait
        else:
            self._watch(self._idle_s - silent_s)


class _Kept(NamedTuple):
    """A connection that lies idle, and how long it may, by the wall clock."""

    origin: Origin
    connection: Connection
    since_s: float
    until_s: float

    def drop(self) -> None:
        """Closes it."""
        self.connection.fail(ConnectionAbortedError("idle"))


class Upstream:
    """The guarded transport of one event loop. Connects anew after a pause: a frozen function's are dead."""

    def __init__(self, policy: UrlPolicy, clock: Callable[[], float] = time.time) -> None:
        self._policy = policy
        self._clock = clock
        self._used_at = 0.0
        self._dialer: Dialer | None = None
        self._kept: list[_Kept] = []
        """The one used last is the last."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Sends the request and returns at the answer's head. A redirect is an answer like any other.

        Raises:
            UnsafeBaseUrl: the URL is not one a key may be sent to.
            UpstreamUnreachable, UpstreamTimeout: no answer.
        """
        origin, target = _parts(self._policy.request_url(request.url))
        text = _text(origin, target, request)
        try:
            connection, head = await self._asked(origin, text, request)
        except TimeoutError:
            raise UpstreamTimeout("the provider did not begin to answer in time") from None
        except NotHttp as error:
            raise UpstreamUnreachable(f"the provider's answer cannot be read: {error}") from None
        except OSError:
            raise UpstreamUnreachable("the provider could not be reached") from None
        idle_s = _idle_s(head)
        return UpstreamResponse(connection, head, request.timeouts, lambda each: self._keep(origin, each, idle_s))

    async def close(self) -> None:
        """Closes what lies idle; the transport may be used again afterwards."""
        self._forget()
        await asyncio.sleep(0)  # the loop closes the sockets in its next turn

    async def _asked(self, origin: Origin, text: bytes, request: UpstreamRequest) -> tuple[Connection, Head]:
        timeouts, loop = request.timeouts, asyncio.get_running_loop()
        due_s = loop.time() + timeouts.first_byte_s
        kept = self._take(origin)
        if kept is not None:
            try:
                return kept, await _answered(kept, text, timeouts.first_byte_s)
            except Unanswered:
                # It may have been on its way to its end. Whether the request was acted on nobody knows, so only what
                # asks for nothing is asked again.
                if request.method != "GET":
                    raise
        connection = await self._connected(origin, min(timeouts.connect_s, timeouts.first_byte_s))
        return connection, await _answered(connection, text, due_s - loop.time())

    async def _connected(self, origin: Origin, patience_s: float) -> Connection:
        if self._dialer is None:
            self._dialer = Dialer(AddressGuard(self._policy.allowed_origins), _DNS_S)
        try:
            async with asyncio.timeout(patience_s):
                return await self._dialer.connect(origin)
        except TimeoutError:
            raise UpstreamUnreachable("the provider did not accept a connection in time") from None
        except OSError:
            raise UpstreamUnreachable("the provider could not be reached") from None

    def _take(self, origin: Origin) -> Connection | None:
        """The connection used last: the likeliest to be alive."""
        now = self._clock()
        if not 0 <= now - self._used_at <= _IDLE_POOL_S:
            # By the wall clock: while a function is frozen its connections die and its monotonic clock may stand.
            self._forget()
        self._used_at = now
        for kept in [each for each in reversed(self._kept) if each.origin == origin]:
            self._kept.remove(kept)
            if kept.since_s <= now < kept.until_s and kept.connection.reusable and kept.connection.quiet:
                return kept.connection
            kept.drop()
        return None

    def _keep(self, origin: Origin, connection: Connection, idle_s: float) -> None:
        """Whoever names a thousand hosts does not have a thousand connections kept."""
        now = self._clock()
        self._kept.append(_Kept(origin, connection, now, now + idle_s))
        fresh = [each for each in self._kept if now < each.until_s and each.connection.reusable][-_KEPT:]
        for each in self._kept:
            if each not in fresh:
                each.drop()
        self._kept = fresh

    def _forget(self) -> None:
        """Connections, and the addresses of names."""
        for each in self._kept:
            each.drop()
        self._kept.clear()
        self._dialer = None


async def _answered(connection: Connection, text: bytes, patience_s: float) -> Head:
    try:
        return await connection.ask(text, patience_s)
    except BaseException:
        connection.fail(ConnectionAbortedError("given up"))  # its answer would be taken for another one's
        raise


def _text(origin: Origin, target: str, request: UpstreamRequest) -> bytes:
    """The request as it is sent.

    Raises:
        UnsafeBaseUrl: it names a host of its own. UpstreamUnreachable: it has a header that nobody could read as one.
    """
    names = {name.lower() for name in request.headers}
    if "host" in names:
        raise UnsafeBaseUrl("The request names another host than its URL.")
    if not names.isdisjoint(_CONNECTIONS_OWN):
        raise UpstreamUnreachable("the request could not be sent: one of its headers is the connection's own")
    defaults = {name: value for name, value in _DEFAULTS.items() if name.lower() not in names}
    try:
        return http1.request(
            request.method, target, {"Host": origin.authority, **defaults, **request.headers}, request.body
        )
    except ValueError:
        raise UpstreamUnreachable(
            "the request could not be sent: a header has characters that none may have, such as a line end in a key"
        ) from None


def _idle_s(head: Head) -> float:
    """How long the connection may lie idle: a second less than the server says that it will keep it."""
    stated = _keep_alive_s(head.headers.get("keep-alive", "").lower())
    return min(_IDLE_POOL_S, int(stated[1]) - 1.0) if stated else _IDLE_POOL_S


def _parts(url: str) -> tuple[Origin, str]:
    """Where a request goes, and what it asks for there. The URL is one that the policy put together.

    Raises:
        UnsafeBaseUrl: it is none all the same.
    """
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    try:
        return _origin(scheme + mark + authority), (slash or "/") + path
    except ValueError:
        raise UnsafeBaseUrl("The base URL cannot be called.") from None


@lru_cache(1_024)
def _origin(url: str) -> Origin:
    return Origin.of(url)
