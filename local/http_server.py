"""A small HTTP/1.1 server on loopback: callbacks from the socket to the application, nothing queued in between.

The application is called with each request's head and returns what takes the request's body; it answers through the
`Exchange`, at once or much later. Request and answer may overlap, as the Runtime API's streamed responses need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from local import http11
from local.http11 import ChunkedDecoder, Headers, ProtocolError, RequestHead

_MAX_HEAD = 64 * 1024
_MAX_PIPELINED = 64 * 1024


class Body(Protocol):
    """Takes a request's body. `end` or `lost` is called once, last."""

    def data(self, data: bytes) -> None:
        """A part of the body, never empty."""

    def end(self, trailers: Headers) -> None:
        """The body is complete."""

    def lost(self) -> None:
        """The connection broke before the body was complete."""


class Exchange:
    """One request and its answer. What is sent after the client has gone is dropped."""

    __slots__ = ("_chunked", "_connection", "_with_body", "gone", "head", "on_gone", "on_pause", "on_resume", "peer")

    def __init__(self, connection: _Connection, head: RequestHead, peer: str) -> None:
        self._connection: _Connection | None = connection
        self._chunked = not head.http_1_0
        self._with_body = True
        self.head = head
        self.peer = peer
        self.gone = False
        self.on_gone: Callable[[], None] | None = None
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None

    def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
        """Sends a whole answer."""
        if self._connection is None:
            return
        fields = list(headers)
        with_body = http11.may_have_body(self.head.method, status)
        if with_body or self.head.method == "HEAD":
            fields.append(("Content-Length", str(len(body))))
        self._connection.write(self._head(status, fields) + (body if with_body else b""))
        self._done()

    def start(self, status: int, headers: Iterable[tuple[str, str]], first: bytes = b"") -> None:
        """Begins an answer whose length is not known; `first` is the beginning of its body."""
        if self._connection is None:
            return
        fields = list(headers)
        self._with_body = http11.may_have_body(self.head.method, status)
        if self._with_body and self._chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        if not self._chunked:
            self._connection.close_when_done()
        self._connection.write(self._head(status, fields) + self._framed(first))

    def send(self, data: bytes) -> None:
        """More of a started answer's body; not empty."""
        if self._connection is not None:
            self._connection.write(self._framed(data))

    def finish(self) -> None:
        """Ends a started answer."""
        if self._connection is None:
            return
        if self._with_body and self._chunked:
            self._connection.write(http11.LAST_CHUNK)
        self._done()

    def break_off(self) -> None:
        """Closes the connection, so that the client sees that the answer is not complete."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def pause_request(self) -> None:
        """Stops taking the request's body until `resume_request`."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_request(self) -> None:
        """Takes the request's body again."""
        if self._connection is not None:
            self._connection.resume_reading()

    def lose(self) -> None:
        """Called by the connection: the client is gone."""
        if self._connection is None:
            return
        self._connection = None
        self.gone = True
        if self.on_gone is not None:
            self.on_gone()

    def _framed(self, data: bytes) -> bytes:
        if not data or not self._with_body:
            return b""
        return http11.chunk(data) if self._chunked else data

    def _head(self, status: int, fields: list[tuple[str, str]]) -> bytes:
        fields.append(("Connection", "keep-alive" if self._keeps_alive() else "close"))
        return http11.response_head(status, fields)

    def _keeps_alive(self) -> bool:
        return self._connection is not None and self._connection.keeps_alive

    def _done(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.answered()


Application = Callable[[Exchange], Body]


class HttpServer:
    """A listening socket and its connections."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listens on loopback; the port it got."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._application, self._connections), "127.0.0.1", port, backlog=1024
        )
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stops listening and breaks what is open."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One connection: requests one after the other."""

    def __init__(self, application: Application, connections: set[_Connection]) -> None:
        self._application = application
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._buffer = b""
        self._exchange: Exchange | None = None
        self._body: Body | None = None  # Of a request that is not read to its end.
        self._missing = 0
        self._decoder: ChunkedDecoder | None = None
        self.keeps_alive = True

    # From the transport.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._peer = transport.get_extra_info("peername")[0]
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            if self._body is not None:
                self._feed_body(data)
            else:
                self._buffer += data
                if self._exchange is None:
                    self._read_heads()
                elif len(self._buffer) > _MAX_PIPELINED:
                    self.pause_reading()
        except ProtocolError as e:
            self._refuse(400, str(e))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.discard(self)
        body, self._body = self._body, None
        exchange, self._exchange = self._exchange, None
        if body is not None:
            body.lost()
        if exchange is not None:
            exchange.lose()

    def pause_writing(self) -> None:
        if self._exchange is not None and self._exchange.on_pause is not None:
            self._exchange.on_pause()

    def resume_writing(self) -> None:
        if self._exchange is not None and self._exchange.on_resume is not None:
            self._exchange.on_resume()

    # From the exchange.
    def write(self, data: bytes) -> None:
        if self._transport is not None and data:
            self._transport.write(data)

    def answered(self) -> None:
        self._exchange = None
        if self._body is None:
            self._next()

    def close_when_done(self) -> None:
        self.keeps_alive = False

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # Within.
    def _next(self) -> None:
        if not self.keeps_alive:
            self.close()
            return
        self.resume_reading()
        if self._buffer:
            # Not from within the application that has just answered.
            asyncio.get_running_loop().call_soon(self._read_pipelined)

    def _read_pipelined(self) -> None:
        if self._exchange is None and self._body is None and self._transport is not None:
            self.data_received(b"")

    def _read_heads(self) -> None:
        self._buffer = self._buffer.lstrip(b"\r\n")
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                self._refuse(431, "head too large")
            return
        head = http11.parse_head(self._buffer[:end])
        rest, self._buffer = self._buffer[end + 4 :], b""
        self.keeps_alive = head.keep_alive
        self._decoder = ChunkedDecoder() if head.chunked else None
        self._missing = head.content_length
        if head.get("expect").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._exchange = exchange = Exchange(self, head, self._peer)
        self._body = body = self._application(exchange)
        if self._decoder is None and not self._missing:
            self._end_body(body, (), rest)
        elif rest:
            self._feed_body(rest)

    def _feed_body(self, data: bytes) -> None:
        body = self._body
        if body is None:
            return
        if self._decoder is not None:
            payload = self._decoder.feed(data)
            if payload:
                body.data(payload)
            if self._decoder.done:
                self._end_body(body, self._decoder.trailers, self._decoder.rest)
            return
        taken = data[: self._missing]
        self._missing -= len(taken)
        body.data(taken)
        if not self._missing:
            self._end_body(body, (), data[len(taken) :])

    def _end_body(self, body: Body, trailers: Headers, rest: bytes) -> None:
        self._body = None
        self._buffer = rest
        answered_early = self._exchange is None
        body.end(trailers)
        if answered_early:
            self._next()

    def _refuse(self, status: int, reason: str) -> None:
        """Answers what is not HTTP, and hangs up."""
        text = reason.encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text))), ("Connection", "close")]
        self.write(http11.response_head(status, headers) + text)
        self.close()
