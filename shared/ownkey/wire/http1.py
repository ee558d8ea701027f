"""HTTP/1.1 in bytes, pure: a request's text, and answers read as they come in.

https://www.rfc-editor.org/rfc/rfc9112. Strict: what two readers could take for two things is refused, or, where it is
said so, taken from a server that is nobody else's to read for the last answer of its connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024

_status_line = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n\0]*)?").fullmatch
_header_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_trailer = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*").fullmatch
_head_end = re.compile(rb"\r\n\r\n").search
_any_head_end = re.compile(rb"\r?\n\r?\n").search
_any_line_end = re.compile(r"\r?\n")
_control = re.compile(r"[\0-\x08\x0a-\x1f\x7f]").search
_chunk_size = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?").fullmatch
_digits = re.compile(r"[0-9]{1,12}").fullmatch
_WITHOUT_BODY = frozenset({101, 204, 304})


class NotHttp(ConnectionError):
    """What came is no answer of HTTP/1.1, or larger than is taken: the connection is of no use any more."""


class Head(NamedTuple):
    """What an answer begins with."""

    status: int
    """Never an interim one but 101, with which HTTP ends."""
    headers: dict[str, str]
    """Names in lower case; one that came twice is joined."""
    keeps_connection: bool
    """Whether the next answer may come over the same connection, once this one's body is read."""


class Answer(NamedTuple):
    """An HTTP response, whole."""

    status: int
    headers: dict[str, str]
    """Names in lower case; one that came twice is joined."""
    body: bytes
    keeps_connection: bool
    """Whether the next answer may come over the same connection."""


def request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request; its length is told here, but for a GET without a body.

    Raises:
        ValueError: a path or header that would end its line, or cannot stand in one.
    """
    lines = [f"{method} {path} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    if body or method != "GET":
        lines.append(f"content-length: {len(body)}")
    if _control("\t".join(lines)):
        raise ValueError("a line end or another control character inside a request's head")
    if " " in path or not all(map(_header_name, headers)):
        raise ValueError("a request's path or the name of a header is none")
    return "\r\n".join([*lines, "", ""]).encode() + body


class HeadReader:
    """Reads the head of an answer out of pieces cut anywhere, then that of the next one.

    `tolerant`: lines may end without a carriage return, and be folded, as old servers have it. Then no other answer is
    taken from the connection.
    """

    __slots__ = ("_buffer", "_end", "_tolerant")

    def __init__(self, *, tolerant: bool = False) -> None:
        self._buffer = b""
        self._tolerant = tolerant
        self._end = _any_head_end if tolerant else _head_end

    def feed(self, data: bytes) -> tuple[Head, bytes] | None:
        """The head and what follows it; None while it is not whole. An interim answer (1xx) is passed over.

        Raises:
            NotHttp: there will be none.
        """
        at = max(0, len(self._buffer) - 3)  # what came before was looked through: it may come byte by byte
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        while (end := self._end(data, at)) is not None and end.start() <= MAX_HEAD_BYTES:
            head = self._parsed(data[: end.start()].decode("latin-1"), odd=len(end[0]) != 4)
            data, at = data[end.end() :], 0
            if head.status >= 200 or head.status == 101:
                return head, data
        if len(data) > MAX_HEAD_BYTES:
            raise NotHttp("the answer's head is too large")
        self._buffer = data
        return None

    def _parsed(self, text: str, *, odd: bool) -> Head:
        lines = text.split("\r\n")
        if self._tolerant and text.count("\n") >= len(lines):
            odd, lines = True, _any_line_end.split(text)
        status = _status_line(lines[0])
        if status is None:
            raise NotHttp("the answer does not begin as one of HTTP/1.1")
        headers: dict[str, str] = {}
        last = ""
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if self._tolerant and last and line[:1] in (" ", "\t"):
                odd, name, value, joint = True, last, line, " "
            elif colon and _header_name(name):
                name, joint = name.lower(), ", "
            else:
                raise NotHttp("a line of the answer's head is no header")
            if "\r" in line or "\n" in line or "\0" in line:
                raise NotHttp("a header of the answer has characters that none may have")
            value, last = value.strip(" \t"), name
            headers[name] = f"{headers[name]}{joint}{value}" if name in headers else value
        number = int(status[2])
        stays = status[1] == "1" and number != 101 and "close" not in headers.get("connection", "").lower()
        return Head(number, headers, stays and not odd)


class Body:
    """A body whose length was told; the other two are made of it. `due`: bytes that are announced and not here yet."""

    __slots__ = ("due", "overrun", "whole")

    def __init__(self, length: int) -> None:
        self.due = length
        self.whole = length == 0
        self.overrun = False
        """More came than the answer has: nobody asked for it, and the connection is of no use after."""

    def feed(self, data: bytes) -> bytes:
        """What of the body these bytes are.

        Raises:
            NotHttp: they are not what was announced.
        """
        if len(data) > self.due:
            self.overrun, data = True, data[: self.due]
        self.due -= len(data)
        self.whole = not self.due
        return data

    def end(self) -> None:
        """The server sends no more: which is the end of a body that has no other."""


class EndlessBody(Body):
    """A body without a length: it ends with its connection."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0)
        self.whole = False

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def end(self) -> None:
        """That was it."""
        self.whole = True


class ChunkedBody(Body):
    """A body in chunks (RFC 9112, 7.1): their data goes on as it comes, whole chunks or not."""

    __slots__ = ("_line_end_due", "_rest")

    def __init__(self) -> None:
        super().__init__(0)
        self.whole = False
        self._line_end_due = False
        """Of the chunk whose data was all there."""
        self._rest = b""
        """The beginning of a line."""

    def feed(self, data: bytes) -> bytes:
        """The data in these bytes, of all the chunks that they touch."""
        if self.whole:
            self.overrun = True
            return b""
        if self._rest:
            data, self._rest = self._rest + data, b""
        parts: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self.due:
                part = data[at : at + self.due]
                parts.append(part)
                at += len(part)
                self.due -= len(part)
                self._line_end_due = not self.due
            elif self._line_end_due:
                if end - at < 2:
                    break
                if not data.startswith(b"\r\n", at):
                    raise NotHttp("a chunk of the answer does not end where it should")
                at += 2
                self._line_end_due = False
            else:
                line_end = data.find(b"\r\n", at)
                if line_end < 0 or (self._begin_chunk(data[at:line_end]) and not self._ended(data, line_end)):
                    break
                at = end if self.whole else line_end + 2
        self._keep(data[at:])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _begin_chunk(self, line: bytes) -> bool:
        """Whether it is the last one."""
        match = _chunk_size(line)
        if match is None:
            raise NotHttp("a chunk of the answer has no size")
        self.due = int(match[1], 16)
        return not self.due

    def _ended(self, data: bytes, line_end: int) -> bool:
        """Whether the body's end is here; trailers are passed over: none of them matters."""
        end = data.find(b"\r\n\r\n", line_end)
        self.whole = end >= 0
        if self.whole:
            trailers = data[line_end + 2 : end].decode("latin-1").split("\r\n") if end > line_end else ()
            odd = not all(map(_trailer, trailers))
            self.overrun = odd or len(data) > end + 4
        return self.whole

    def _keep(self, rest: bytes) -> None:
        if len(rest) > MAX_HEAD_BYTES:
            raise NotHttp("a line of the answer's body is too large")
        self._rest = rest


def body_of(head: Head, *, endless: bool) -> Body:
    """How the body comes that follows a head. `endless`: whether one without a length is taken.

    Raises:
        NotHttp: its length is told in no way that is taken, or in two.
    """
    length, coding = head.headers.get("content-length"), head.headers.get("transfer-encoding")
    if head.status in _WITHOUT_BODY:
        return Body(0)
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise NotHttp("the answer's length is told in a way that is not taken")
        return ChunkedBody()
    if length is None and endless:
        return EndlessBody()
    if length is None or not _digits(length):
        raise NotHttp("the answer has no length, or more than one")
    return Body(int(length))


class AnswerReader:
    """Reads one whole answer after the other out of pieces cut anywhere."""

    __slots__ = ("_body", "_head", "_heads", "_parts", "_size")

    def __init__(self) -> None:
        self._heads = HeadReader()
        self._head: Head | None = None
        self._body: Body
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole.

        Raises:
            NotHttp: it never will be.
        """
        if self._head is None:
            begun = self._heads.feed(data)
            if begun is None:
                return None
            self._head, data = begun
            self._body, self._parts, self._size = body_of(self._head, endless=False), [], 0
        body, head = self._body, self._head
        part = body.feed(data)
        self._parts.append(part)
        self._size += len(part)
        if self._size + body.due > MAX_BODY_BYTES:
            raise NotHttp("the answer is too large")
        if not body.whole:
            return None
        self._head = None
        keeps = head.keeps_connection and not body.overrun
        return Answer(head.status, head.headers, b"".join(self._parts), keeps)
