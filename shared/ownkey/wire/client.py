"""Kept connections to servers that are trusted, at addresses from the environment: AWS's endpoints.

Not for providers: what guards against an address that a user chose is in `ownkey.upstream`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from ownkey.wire.arrival import Arrival
from ownkey.wire.http1 import Answer, AnswerReader, NotHttp
from ownkey.wire.reaching import AddressInfo, addresses_of, connected, reached

_CONNECTIONS = 64
_IDLE_S = 30.0


class Origin(NamedTuple):
    """Where to connect to."""

    host: str
    port: int
    tls: bool
    authority: str
    """The Host header: the port is left out where it is the scheme's own."""
    prefix: str
    """The URL's path, without a slash at its end."""

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an http or https URL.

        Raises:
            ValueError: it is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an endpoint is an http or https URL")
        own_port = 443 if parts.scheme == "https" else 80
        host, port = parts.hostname, parts.port or own_port
        named = f"[{host}]" if ":" in host else host
        authority = named if port == own_port else f"{named}:{port}"
        return cls(host, port, parts.scheme == "https", authority, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for the connection, for the next bytes of the answer, for all of it."""

    connect_s: float = 3.0
    silence_s: float = 5.0
    whole_s: float = 10.0


class Client:
    """Connections of one event loop. One that lay idle for longer than 30 s, by the wall clock, is not used again:

    while a function is frozen its connections die and its monotonic clock may stand.
    """

    def __init__(self) -> None:
        self._kept: defaultdict[Origin, list[tuple[float, _Connection]]] = defaultdict(list)
        self._free = asyncio.Semaphore(_CONNECTIONS)

    async def ask(self, origin: Origin, request: bytes, patience: Patience) -> Answer:
        """Sends a request, once, and gives back its answer.

        Raises:
            OSError: no connection, no whole answer, or none in time (TimeoutError). The server may have acted.
        """
        async with self._free:
            connection = self._take(origin) or await _connected(origin, patience.connect_s)
            try:
                answer = await connection.ask(request, patience)
            except BaseException:
                connection.abort()  # its answer would be taken for another one's
                raise
            if answer.keeps_connection and connection.usable:
                self._kept[origin].append((time.time(), connection))
            else:
                connection.abort()
            return answer

    async def close(self) -> None:
        """Closes the connections that lie idle; the client may be used again."""
        for kept in self._kept.values():
            for _, connection in kept:
                connection.abort()
        self._kept.clear()
        await asyncio.sleep(0)  # the loop closes the sockets in its next turn

    def _take(self, origin: Origin) -> _Connection | None:
        """The connection used last: the likeliest to be alive."""
        kept = self._kept[origin]
        while kept:
            since_s, connection = kept.pop()
            if connection.usable and 0 <= time.time() - since_s <= _IDLE_S:
                return connection
            connection.abort()
        return None


async def _connected(origin: Origin, timeout_s: float) -> _Connection:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        over = await reached(loop, await addresses_of(loop, origin.host, origin.port), _made)
        tls = tls_context() if origin.tls else None
        return await connected(loop, over, _Connection(loop), tls, origin.host)


def _made(info: AddressInfo) -> socket.socket:
    return socket.socket(*info[:3])


@cache
def tls_context() -> ssl.SSLContext:
    """The system's authorities; certificate and host name are verified."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


tls_context()  # reading the authorities takes 20 ms: at import it is in the snapshot, and in no request


class _Connection(asyncio.Protocol):
    """One exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader = AnswerReader()
        self._transport: asyncio.Transport
        self._answer: Arrival[Answer] | None = None
        self._heard_s = 0.0
        self._ends_s = 0.0
        self._silence_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """False once either side has closed it."""
        return not self._transport.is_closing()

    async def ask(self, request: bytes, patience: Patience) -> Answer:
        """See `Client.ask`."""
        self._answer = answer = Arrival[Answer](self._loop)
        self._heard_s = now_s = self._loop.time()
        self._ends_s, self._silence_s = now_s + patience.whole_s, patience.silence_s
        self._watch()
        self._transport.write(request)
        try:
            return await answer
        finally:
            self._answer = None

    def abort(self) -> None:
        """Closes it at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport = cast(asyncio.Transport, transport)  # other loops' are none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self._heard_s = self._loop.time()
        if self._answer is None:
            self.abort()  # nobody asked
            return
        try:
            answer = self._reader.feed(data)
        except NotHttp as error:
            self.abort()
            self._answer.fail(error)
        else:
            if answer is not None:
                self._answer.bring(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio's."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._answer is not None:
            self._answer.fail(error or ConnectionResetError("the server hung up before its answer was complete"))

    def _watch(self) -> None:
        """One timer for many exchanges, looking back: setting and cancelling one for each would cost more than it."""
        due_s = min(self._ends_s, self._heard_s + self._silence_s)
        if self._timer is not None and self._timer.when() > due_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(due_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._answer is None:
            return
        if self._loop.time() >= min(self._ends_s, self._heard_s + self._silence_s):
            self._answer.fail(TimeoutError("the server did not answer in time"))
        else:
            self._watch()
