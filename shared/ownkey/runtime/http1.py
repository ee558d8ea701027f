"""HTTP/1.1 as far as the Lambda Runtime API needs it: answers in, requests and chunks out.

Connections to the Runtime API never leave the machine and speak to one server, so this is small on purpose; an HTTP
library costs ten times the CPU (docs/decisions/0001-streaming-runtime.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

_READ_LIMIT_BYTES = 1 << 20
_BROKEN = (OSError, EOFError, ValueError, LookupError, asyncio.LimitOverrunError)

CHUNK = b"%x\r\n%b\r\n"
"""Of a chunk's length and data. Not for empty data: a chunk of no bytes ends the body."""
LAST_CHUNK = b"0\r\n\r\n"


class BrokenConnection(ConnectionError):
    """The connection ended, or carried something that is not HTTP, before an answer was complete."""


class Answer(NamedTuple):
    """An HTTP response. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def keeps_connection(self) -> bool:
        """Whether the server leaves the connection open."""
        return self.headers.get("connection", "").lower() != "close"


class Connection(NamedTuple):
    """An open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def usable(self) -> bool:
        """False once the server has closed it: nothing may be sent on it any more."""
        return not self.reader.at_eof() and self.reader.exception() is None and not self.writer.is_closing()


async def connect(address: str) -> Connection:
    """Connects to `host:port`.

    Raises:
        BrokenConnection: nobody listens there.
    """
    host, _, port = address.rpartition(":")
    try:
        return Connection(*await asyncio.open_connection(host, int(port), limit=_READ_LIMIT_BYTES))
    except _BROKEN as error:
        raise BrokenConnection(f"no connection to {address}") from error


def request(method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    """A request's head, and its body where there is one."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return CHUNK % (len(data), data)


def last_chunk(trailers: Mapping[str, str]) -> bytes:
    """The end of a chunked body."""
    return "".join(["0\r\n", *(f"{name}: {value}\r\n" for name, value in trailers.items()), "\r\n"]).encode("latin-1")


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Reads one response, however the network cut it.

    Raises:
        BrokenConnection: it never came whole.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head[:-4].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(status_line.split(" ")[1]), headers, await _read_body(reader, headers))
    except _BROKEN as error:
        raise BrokenConnection("the connection broke before the answer was complete") from error


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers: the Runtime API sends none that matter
    return b"".join(parts)
