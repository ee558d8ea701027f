"""A connection to a provider: one request at a time, and its answer in the wake-up of the loop that brought it.

HTTP is read by `ownkey.wire.http1`; where a connection leads was decided before it was made (`dialing`).
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import cast

from ownkey.wire.arrival import Arrival
from ownkey.wire.http1 import Body, Head, HeadReader, NotHttp, body_of

_HELD_BYTES = 128 * 1024
"""Of a body whose reader is slow: with more the provider is made to wait."""


class Unanswered(ConnectionError):
    """It ended before anything of an answer had come."""


class Connection(asyncio.Protocol):
    """Made by asyncio. `ask`, then the body by `next` or `pour` to its end; then it may be asked again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.silent_since: float | None = None
        """The loop's time since when it is the provider's turn; None while whoever reads is at work."""
        self._loop = loop
        self._transport: asyncio.Transport
        self._heads = HeadReader(tolerant=True)
        self._asked: Arrival[Head] | None = None
        self._heard = False
        self._keeps = True
        self._body: Body | None = None
        self._ready: list[bytes] = []
        self._held_bytes = 0
        self._paused = False
        self._arrival: Arrival[bool] | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._failure: OSError | None = None

    @property
    def ready(self) -> bool:
        """Whether whoever reads need not wait: something of the body is here, or nothing will come."""
        return bool(self._ready) or self._failure is not None or self.body_over

    @property
    def body_over(self) -> bool:
        """Whether all of the body has come and been read."""
        return self._body is not None and self._body.whole and not self._ready

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: the answer is over, the server keeps the connection, nothing is left."""
        body, transport = self._body, self._transport
        unsent = transport.get_write_buffer_size()
        over = body is None or (body.whole and not body.overrun and not self._ready)
        return over and self._keeps and not transport.is_closing() and not unsent

    @property
    def quiet(self) -> bool:
        """Whether the provider has neither sent nor ended anything that the loop has not read yet.

        What lies there before a request was sent is no answer to it; and what a connection at its end is asked is lost.
        """
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    async def ask(self, request: bytes, patience_s: float) -> Head:
        """Sends a request, and waits for the head of its answer.

        Raises:
            TimeoutError: it has not come in time. Unanswered, OSError: it will not come.
        """
        self._asked = asked = Arrival[Head](self._loop)
        self._body, self._heard = None, False
        timer = self._loop.call_later(patience_s, asked.fail, TimeoutError("no answer in time"))
        self._transport.write(request)
        if self._transport.is_closing():
            asked.fail(Unanswered("the connection is closed"))
        try:
            return await asked
        finally:
            self._asked = None
            timer.cancel()

    async def next(self) -> bytes:
        """What there is of the body, as soon as there is something; empty at its end.

        Raises:
            OSError: it stopped before its end.
        """
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            if self.body_over:
                return b""
            await self._wait()
        ready = self._ready
        self._ready, self._held_bytes = [], 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return ready[0] if len(ready) == 1 else b"".join(ready)

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hands each piece to `take` in the wake-up that brings it, until it says to stop or the body is over.

        Returns:
            Whether it was `take` that stopped: then there may be more.

        Raises:
            OSError: it stopped before its end. Whatever `take` raises.
        """
        while self._ready:
            if not take(await self.next()):
                return True
        if not self.body_over and self._failure is None:
            self._take = take
            try:
                if await self._wait():
                    return True
            finally:
                self._take = None
        if not self.body_over and self._failure is not None:
            raise self._failure
        return False

    def fail(self, error: OSError) -> None:
        """Ends the connection at once, and with it the wait of whoever reads."""
        self._transport.abort()
        self._broken(error)

    # ── asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast(asyncio.Transport, transport)  # other loops' are none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        body = self._body
        try:
            if body is None:
                self._begin(data)
            elif body.whole:
                self._transport.abort()  # nobody asked
            else:
                self._go_on(body, body.feed(data))
        except NotHttp as error:
            self.fail(error)

    def eof_received(self) -> None:
        """The provider sends no more: asyncio closes the connection, though not before all of the request is sent."""
        self._keeps = False
        body = self._body
        if body is not None:
            body.end()
        if body is not None and body.whole:
            self._wake()
        else:
            self.fail(self._hung_up())

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        if self._body is not None and self._body.whole:
            self._wake()
        else:
            self._broken(self._hung_up())

    def _hung_up(self) -> ConnectionError:
        if self._heard:
            return ConnectionResetError("the provider hung up")
        return Unanswered("the provider hung up without an answer")

    def _begin(self, data: bytes) -> None:
        asked = self._asked
        if asked is None or asked.done:
            self._transport.abort()  # nobody asked
            return
        self._heard = True
        begun = self._heads.feed(data)
        if begun is None:
            return
        head, rest = begun
        self._keeps = head.keeps_connection
        self._body = body = body_of(head, endless=True)
        if rest:
            self._hold(body.feed(rest))
        asked.bring(head)

    def _go_on(self, body: Body, piece: bytes) -> None:
        take = self._take
        if take is None:
            self._hold(piece)
            if piece or body.whole:
                self._wake()
            return
        self.silent_since = self._loop.time()
        try:
            stopped = bool(piece) and not take(piece)
        except Exception as error:  # noqa: BLE001 - whoever pours gets it
            self._wake(error=error)
        else:
            if stopped or body.whole:
                self._wake(stopped=stopped)

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._ready.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > _HELD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    async def _wait(self) -> bool:
        """Until something has come, or nothing will; whether it was `take` that ended it."""
        self._arrival = arrival = Arrival[bool](self._loop)
        self.silent_since = self._loop.time()
        try:
            return await arrival
        finally:
            self._arrival = self.silent_since = None

    def _wake(self, *, stopped: bool = False, error: BaseException | None = None) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is None:
            return
        if error is None:
            arrival.bring(stopped)
        else:
            arrival.fail(error)

    def _broken(self, error: OSError) -> None:
        if self._failure is None:
            self._failure = error
        if self._asked is not None:
            self._asked.fail(error)
        self._wake()
