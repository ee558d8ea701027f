"""HTTP/1.1 in bytes, pure: a request's text, and answers read as they come in.

https://www.rfc-editor.org/rfc/rfc9112. Strict: what two readers could take for two things is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024

_status_line = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n\0]*)?").fullmatch
_header_line = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*").fullmatch
_chunk_size = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?").fullmatch
_digits = re.compile(r"[0-9]{1,12}").fullmatch
_WITHOUT_BODY = frozenset({204, 304})


class NotHttp(ConnectionError):
    """What came is no answer of HTTP/1.1, or larger than is taken: the connection is of no use any more."""


class Answer(NamedTuple):
    """An HTTP response, whole."""

    status: int
    headers: dict[str, str]
    """Names in lower case; one that came twice is joined."""
    body: bytes
    keeps_connection: bool
    """Whether the next answer may come over the same connection."""


def request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request; its length is told here.

    Raises:
        ValueError: a path or header that would end its line.
    """
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, f"content-length: {len(body)}", "", ""])
    if head.count("\n") != len(lines) + 3 or head.count("\r") != len(lines) + 3:
        raise ValueError("a line end inside a request's head")
    return head.encode("latin-1") + body


class AnswerReader:
    """Reads one answer after the other out of pieces cut anywhere."""

    __slots__ = ("_body", "_buffer", "_chunked", "_headers", "_keeps", "_missing", "_size", "_status")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[str, str] | None = None
        self._status = 0
        self._keeps = True
        self._chunked = False
        self._missing = 0
        """Bytes of the body still to come, where its length was told."""
        self._body: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole.

        Raises:
            NotHttp: it never will be.
        """
        if self._headers is None:
            rest = self._read_head(data)
            if rest is None:
                return None
        else:
            rest = data
        if self._chunked:
            self._buffer += rest
            return self._answer() if self._read_chunks() else None
        return self._read_length(rest)

    def _read_head(self, data: bytes) -> bytes | None:
        """What follows the head; None while that is not whole. An interim answer (1xx) is passed over."""
        if self._buffer:
            self._buffer += data
            data = bytes(self._buffer)
        while (end := data.find(b"\r\n\r\n")) >= 0:
            self._parse_head(data[:end])
            data = data[end + 4 :]
            if self._status >= 200:
                self._buffer.clear()
                return data
            self._begin()
        if len(data) > MAX_HEAD_BYTES:
            raise NotHttp("the answer's head is too large")
        self._buffer[:] = data
        return None

    def _parse_head(self, head: bytes) -> None:
        first, _, rest = head.partition(b"\r\n")
        status = _status_line(first)
        if status is None:
            raise NotHttp("the answer does not begin as one of HTTP/1.1")
        headers: dict[str, str] = {}
        for line in rest.decode("latin-1").split("\r\n") if rest else ():
            match = _header_line(line)
            if match is None:
                raise NotHttp("a line of the answer's head is no header")
            name, value = match[1].lower(), match[2]
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._status, self._headers = int(status[2]), headers
        self._keeps = status[1] == b"1" and "close" not in headers.get("connection", "").lower()
        self._frame(headers)

    def _frame(self, headers: Mapping[str, str]) -> None:
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if self._status < 200 or self._status in _WITHOUT_BODY:
            return
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise NotHttp("the answer's length is told in a way that is not taken")
            self._chunked = True
        elif length is None or not _digits(length):
            raise NotHttp("the answer has no length")
        else:
            self._missing = int(length)
            self._grow(self._missing)

    def _read_length(self, data: bytes) -> Answer | None:
        if len(data) < self._missing:
            self._missing -= len(data)
            self._body.append(data)
            return None
        if len(data) > self._missing:
            self._keeps = False  # nobody asked for what follows
        self._body.append(data[: self._missing])
        return self._answer()

    def _read_chunks(self) -> bool:
        """Takes whole chunks out of the buffer; whether the last one is among them."""
        buffer = self._buffer
        while (end := buffer.find(b"\r\n")) >= 0:
            match = _chunk_size(bytes(buffer[:end]))
            if match is None:
                raise NotHttp("a chunk of the answer has no size")
            size = int(match[1], 16)
            if size == 0:
                return self._read_trailers(end)
            at = end + 2
            if len(buffer) < at + size + 2:
                self._grow(0, size)
                return False
            if buffer[at + size : at + size + 2] != b"\r\n":
                raise NotHttp("a chunk of the answer does not end where it should")
            self._body.append(bytes(buffer[at : at + size]))
            self._grow(size)
            del buffer[: at + size + 2]
        if len(buffer) > MAX_HEAD_BYTES:
            raise NotHttp("a chunk of the answer has no size")
        return False

    def _read_trailers(self, line_end: int) -> bool:
        """Whether the body's end is here; trailers are passed over: none of them matters."""
        end = self._buffer.find(b"\r\n\r\n", line_end)
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise NotHttp("the answer's trailers are too large")
            return False
        self._keeps = self._keeps and len(self._buffer) == end + 4
        self._buffer.clear()
        return True

    def _grow(self, size: int, ahead: int = 0) -> None:
        self._size += size
        if self._size + ahead > MAX_BODY_BYTES:
            raise NotHttp("the answer is too large")

    def _answer(self) -> Answer:
        assert self._headers is not None
        answer = Answer(self._status, self._headers, b"".join(self._body), self._keeps)
        self._begin()
        return answer
