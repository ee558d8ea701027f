"""A streamed answer on its way to the client: event by event, kept alive in silence, read on when nobody listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from ownkey.domain.errors import ProviderFailure
from ownkey.domain.surfaces import Surface
from ownkey.http.errors import Begun, event_of
from ownkey.http.exchange import Exchange
from ownkey.http.repeats import Keeping
from ownkey.router import Attempt

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which readers of event streams skip. It can stand between any two pieces: each is whole events."""


async def relay(
    exchange: Exchange,
    surface: Surface,
    attempt: Attempt,
    attempts: int,
    headers: Mapping[str, str],
    keep_alive_s: float,
    keeping: Keeping | None = None,
) -> None:
    """Passes the attempt's stream on to its end. One that breaks off ends with an error as the surface has it.

    A file has no place for an error, nor for a sign of life: one that breaks off ends the response as broken.

    Args:
        keeping: Takes a copy of a whole one.
    """
    stream_headers = {"content-type": attempt.content_type, "x-accel-buffering": "no", **headers}
    await exchange.start(200, stream_headers, attempt.served, attempts)
    if keeping is not None:
        keeping.begin(stream_headers, attempt.served, attempts)
    line = _Line(exchange, attempt, keep_alive_s if attempt.as_events else None, keeping)
    last = b""
    try:
        # The first goes out in one packet with the head.
        await line.begin(attempt.beginning)
        await asyncio.sleep(0)  # the watch begins to look: the client may have gone before
        await line.pump()
    except ProviderFailure as error:
        if not attempt.as_events:
            raise
        begun = Begun(attempt.reading.response_id, attempt.reading.model, line.latest)
        last = event_of(error, surface, exchange.request_id, begun)
    finally:
        line.close()
    if keeping is not None and attempt.complete:
        keeping.complete()
    await line.write(last, more=False)


class _Line:
    """The way to the client. Once nobody is at its other end it swallows what it is given, and the attempt is told."""

    def __init__(
        self, exchange: Exchange, attempt: Attempt, keep_alive_s: float | None, keeping: Keeping | None
    ) -> None:
        self.latest = b""
        """The piece of the answer that came last."""
        self._exchange = exchange
        self._attempt = attempt
        self._keeping = keeping
        self._keep_alive_s = keep_alive_s or 0.0
        self._loop = asyncio.get_running_loop()
        self._written_s = time.monotonic()
        self._unsent = b""
        self._open = True
        self._pinging: asyncio.Task[None] | None = None
        self._timer = None if keep_alive_s is None else self._loop.call_later(keep_alive_s, self._tick)
        self._watching = asyncio.create_task(self._watch())

    async def begin(self, piece: bytes) -> None:
        """Sends the first piece."""
        self._note(piece)
        await self.write(piece)

    async def pump(self) -> None:
        """Sends the others as they come."""
        while await self._attempt.pour(self._take):
            unsent, self._unsent = self._unsent, b""
            await self.write(unsent)

    def _take(self, piece: bytes) -> bool:
        """Sends a piece within the call; False: what could not be sent so is to be written first."""
        self._note(piece)
        put = self._exchange.put
        if self._attempt.client_gone:
            return True
        if put is None:
            self._unsent = piece
            return False
        self._written_s = time.monotonic()
        return put(piece)

    def _note(self, piece: bytes) -> None:
        self.latest = piece
        if self._keeping is not None:
            self._keeping.take(piece)

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Sends a piece."""
        self._written_s = time.monotonic()
        if self._attempt.client_gone:
            return
        try:
            await self._exchange.write(data, more=more)
        except OSError:
            self._attempt.client_left()

    def close(self) -> None:
        """No more keep-alives, and a disconnect no longer matters: the answer is over."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
        self._watching.cancel()

    def _tick(self) -> None:
        """One timer for the whole stream, looking back: a timer for each piece would cost more than the piece."""
        silent_s = time.monotonic() - self._written_s
        if silent_s >= self._keep_alive_s:
            self._pinging = self._loop.create_task(self._ping())
            silent_s = 0.0
        self._timer = self._loop.call_later(self._keep_alive_s - silent_s, self._tick)

    async def _ping(self) -> None:
        if self._open:
            await self.write(KEEP_ALIVE)

    async def _watch(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            continue
        self._attempt.client_left()
