"""A tap on a provider's connection: tells at once that something of the body has come.

aiohttp stays who reads HTTP and owns the connection. It wakes whoever reads a body in the loop's next turn, which for
a chunk of a stream costs more than reading it; so for as long as a body lasts a protocol stands in front of aiohttp's
own, hands everything on, and then wakes the reader itself.
"""

from __future__ import annotations

import asyncio

import aiohttp

from ownkey.wire.arrival import Arrival


class BodyTap(asyncio.Protocol):
    """Stands in front of the connection's own protocol from its making until the body's end, or `remove`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.waiting_since: float | None = None
        """The loop's time since when it is the provider's turn; None while the reader is at work."""
        self._loop = asyncio.get_running_loop()
        self._content = response.content
        self._arrival: Arrival[None] | None = None
        connection = response.connection
        # A body that came whole with its head has given its connection back already.
        self._transport = connection.transport if connection is not None else None
        self._behind: asyncio.Protocol | None = connection.protocol if connection is not None else None
        if self._transport is not None:
            self._transport.set_protocol(self)

    async def next(self) -> bytes:
        """What there is of the body, as soon as there is something; empty at its end.

        Raises:
            aiohttp.ClientError, OSError: it stopped before its end.
        """
        content = self._content
        while True:
            piece = content.read_nowait()
            if content.is_eof():
                self.remove()
            if piece or content.at_eof():
                return piece
            self._arrival = Arrival(self._loop)
            self.waiting_since = self._loop.time()
            try:
                await self._arrival
            finally:
                self.waiting_since = None

    def wake(self) -> None:
        """Has the reader look at what there is."""
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.bring(None)

    def remove(self) -> None:
        """Leaves the connection as it was. Once is enough."""
        transport, self._transport = self._transport, None
        if transport is not None and self._behind is not None and transport.get_protocol() is self:
            transport.set_protocol(self._behind)

    # ── asyncio's

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        assert self._behind is not None
        self._behind.data_received(data)
        if self._content.is_eof():
            self.remove()  # the connection is the pool's again
        self.wake()

    def eof_received(self) -> bool | None:
        """The provider sends no more."""
        assert self._behind is not None
        return self._behind.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        assert self._behind is not None
        self._transport = None
        self._behind.connection_lost(error)
        self.wake()

    def pause_writing(self) -> None:
        """Of a request that is still being sent."""
        assert self._behind is not None
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        """Likewise."""
        assert self._behind is not None
        self._behind.resume_writing()
