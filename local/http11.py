"""HTTP/1.1 as bytes: request heads, chunked bodies, response heads. No I/O.

Both local servers, API Gateway's and the Runtime API, stand in every measured path, so this is kept lean: a stream's
chunks are cut out of what was read in one pass and handed on in one piece.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus

_MAX_CHUNK_LINE = 256
_MAX_TRAILERS = 16 * 1024
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_NO_BODY = frozenset({204, 304})
_HEX_DIGITS = b"0123456789abcdefABCDEF"

Headers = Sequence[tuple[str, str]]


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1."""


class RequestHead:
    """A request's first line and headers; names as sent, in order."""

    __slots__ = ("_index", "headers", "http_1_0", "method", "target")

    def __init__(self, method: str, target: str, http_1_0: bool, headers: Headers) -> None:
        self.method = method
        self.target = target
        self.http_1_0 = http_1_0
        self.headers = headers
        self._index = {name.lower(): value for name, value in headers}

    def get(self, name: str, default: str = "") -> str:
        """The value of the last header called `name` (lower case)."""
        return self._index.get(name, default)

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "transfer-encoding" in self._index

    @property
    def content_length(self) -> int:
        """Bytes of a body that is not chunked."""
        return int(self._index.get("content-length", 0))

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        wish = self.get("connection").lower()
        return "keep-alive" in wish if self.http_1_0 else "close" not in wish


def parse_head(data: bytes) -> RequestHead:
    """Reads a head, without the empty line that ends it.

    Raises:
        ProtocolError: it is malformed, or could be understood in two ways (RFC 9112 section 6.3).
    """
    lines = data.split(b"\r\n")
    try:
        method, target, version = lines[0].decode("latin-1").split(" ")
    except ValueError:
        raise ProtocolError("bad request line") from None
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise ProtocolError("bad version")
    head = RequestHead(method, target, version == "HTTP/1.0", parse_fields(lines[1:]))
    lengths = {value for name, value in head.headers if name.lower() == "content-length"}
    if lengths and (len(lengths) > 1 or not next(iter(lengths)).isdecimal() or head.chunked):
        raise ProtocolError("bad length")
    if head.chunked and head.get("transfer-encoding").lower() != "chunked":
        raise ProtocolError("bad transfer encoding")
    return head


def parse_fields(lines: Iterable[bytes]) -> list[tuple[str, str]]:
    """Reads header or trailer lines.

    Raises:
        ProtocolError: a line is malformed.
    """
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name:
            raise ProtocolError("bad header")
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return fields


class ChunkedDecoder:
    """Decodes a chunked body, however it was cut on the way (RFC 9112 section 7.1).

    After `done`, `trailers` holds the trailer fields and `rest` what came after the body.
    """

    __slots__ = ("_after_chunk", "_buffer", "_in_trailers", "_missing", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._buffer = b""
        self._missing = 0  # Bytes of the current chunk yet to come.
        self._after_chunk = False  # Its line end is yet to come.
        self._in_trailers = False
        self.done = False
        self.rest = b""
        self.trailers: list[tuple[str, str]] = []

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`, of all its chunks together; empty where there is none.

        Raises:
            ProtocolError: the framing is broken.
        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        position, end = 0, len(data)
        while not self._in_trailers:
            if self._missing:
                taken = data[position : position + self._missing]
                pieces.append(taken)
                position += len(taken)
                self._missing -= len(taken)
                if self._missing:
                    break
                self._after_chunk = True
            if self._after_chunk:
                if end - position < 2:
                    self._buffer = data[position:]
                    break
                if data[position : position + 2] != b"\r\n":
                    raise ProtocolError("chunk not ended")
                position += 2
                self._after_chunk = False
            line_end = data.find(b"\r\n", position)
            if line_end < 0:
                if end - position > _MAX_CHUNK_LINE:
                    raise ProtocolError("chunk line too long")
                self._buffer = data[position:]
                break
            self._missing = _chunk_size(data[position:line_end])
            self._in_trailers = not self._missing
            position = line_end + 2
        if self._in_trailers:
            self._read_trailers(data[position:])
        return b"".join(pieces)

    def _read_trailers(self, data: bytes) -> None:
        block, end, rest = (b"", b"\r\n", data[2:]) if data[:2] == b"\r\n" else data.partition(b"\r\n\r\n")
        if not end:
            if len(data) > _MAX_TRAILERS:
                raise ProtocolError("trailers too long")
            self._buffer = data
            return
        self.trailers = parse_fields(block.split(b"\r\n")) if block else []
        self.rest = rest
        self.done = True


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].rstrip()
    if not digits or digits.strip(_HEX_DIGITS):  # int() would also take a sign, a prefix and underscores.
        raise ProtocolError("bad chunk size")
    return int(digits, 16)


def chunk(data: bytes) -> bytes:
    """`data`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def response_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """A response's first line and headers, with the line that ends them."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def may_have_body(method: str, status: int) -> bool:
    """Whether a response to `method` with `status` has a body (RFC 9110 section 6.4.1)."""
    return method != "HEAD" and status >= 200 and status not in _NO_BODY


def http_date() -> str:
    """Now, as the Date header has it."""
    return formatdate(time.time(), usegmt=True)
