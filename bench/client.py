"""The client: HTTP/1.1 on raw asyncio, the least that tells when an answer began, was heard of, and was over.

It costs about a tenth of a millisecond a request, and the same for every target.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 120.0
_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
# The last chunk behind the line end of the one before it. No target here sends trailers, or a bare number as an event.
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_EVENT = b"data: "


class BadAnswer(Exception):
    """An answer that is not what the request asks for; measuring it would be pointless."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a target listens, and what a request to it carries."""

    host: str
    port: int
    path: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str]) -> Endpoint:
        """The endpoint at a URL of an address and a port."""
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        return cls(parts.hostname, parts.port, parts.path, headers)

    def request(self, body: bytes) -> bytes:
        """The whole request."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **self.headers}.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer and its times, in milliseconds from the moment the request was written."""

    status: int
    body: bytes
    """With the framing of its chunks, where it has any."""
    first_byte_ms: float
    first_event_ms: float | None
    """None where no event came."""
    end_ms: float

    @property
    def events(self) -> int:
        """Server-sent events in it."""
        return self.body.count(_EVENT)


class Connection(asyncio.Protocol):
    """One connection, one request at a time: `async with await Connection.open(endpoint) as connection`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._body_at: int | None = None
        self._length: int | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._begun_ns = self._first_byte_ns = 0
        self._first_event_ns: int | None = None

    @classmethod
    async def open(cls, endpoint: Endpoint) -> Connection:
        """Raises OSError where nobody listens."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, endpoint.host, endpoint.port)
        return connection

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._transport.abort()

    async def send(self, request: bytes) -> Answer:
        """Sends a request and waits for the whole answer.

        Raises:
            ConnectionError: the connection ended before that.
            TimeoutError: after two minutes.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._answer = answer
        timer = loop.call_later(TIMEOUT_S, self._fail, TimeoutError("no whole answer in time"))
        self._begun_ns = time.perf_counter_ns()
        self._transport.write(request)
        try:
            return await answer
        finally:
            timer.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError("the target hung up"))

    def data_received(self, data: bytes) -> None:
        now_ns = time.perf_counter_ns()
        if not self._buffer:
            self._first_byte_ns = now_ns
        self._buffer += data
        if self._body_at is None and not self._read_head():
            return
        if self._first_event_ns is None and _EVENT in self._buffer:
            self._first_event_ns = now_ns
        if self._whole():
            self._finish(now_ns)

    def _read_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return False
        head = bytes(self._buffer[: end + 2])
        self._body_at = end + len(_HEAD_END)
        length = _LENGTH.search(head)
        if length is None and not _CHUNKED.search(head):
            self._fail(BadAnswer("an answer without a length"))
        self._length = int(length[1]) if length else None
        return True

    def _whole(self) -> bool:
        assert self._body_at is not None
        if self._length is not None:
            return len(self._buffer) >= self._body_at + self._length
        return self._buffer.endswith(_LAST_CHUNK)

    def _finish(self, now_ns: int) -> None:
        status = _STATUS.match(self._buffer)
        event_ns = self._first_event_ns
        answer = Answer(
            status=int(status[1]) if status else 0,
            body=bytes(self._buffer[self._body_at :]),
            first_byte_ms=(self._first_byte_ns - self._begun_ns) / 1e6,
            first_event_ms=None if event_ns is None else (event_ns - self._begun_ns) / 1e6,
            end_ms=(now_ns - self._begun_ns) / 1e6,
        )
        self._buffer.clear()
        self._body_at = self._length = self._first_event_ns = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
