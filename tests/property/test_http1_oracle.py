"""Any answer, cut anywhere, is read as h11 reads it, or refused where it is meant to be; never anything else.

Refused by design are lengths told in two ways, codings but `chunked`, and chunks that are framed by half line ends.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ownkey.upstream.connection import Connection
from ownkey.upstream.encodings import Inflater
from ownkey.upstream.failures import UpstreamBroken
from ownkey.wire import http1

LENGTHS = ("content-length", "transfer-encoding")
"""Headers that h11 writes anew."""


@dataclass(frozen=True)
class Read:
    """What was made of an answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    serves_again: bool


class Transport(asyncio.Transport):
    """Nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: object) -> None:
        """Into nothing."""

    def abort(self) -> None:
        """At once."""
        self.aborted = True

    def is_closing(self) -> bool:
        """asyncio's."""
        return self.aborted

    def get_write_buffer_size(self) -> int:
        """All is sent."""
        return 0

    def pause_reading(self) -> None:
        """The pieces come all the same."""

    def resume_reading(self) -> None:
        """As above."""


async def _ours(pieces: list[bytes]) -> Read | OSError:
    connection = Connection(asyncio.get_running_loop())
    connection.connection_made(Transport())

    async def read() -> tuple[http1.Head, bytes]:
        head, body = await connection.ask(b"GET / HTTP/1.1\r\n\r\n", 60), b""
        while piece := await connection.next():
            body += piece
        return head, body

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    for piece in pieces:
        if not cast(Transport, connection._transport).aborted:
            connection.data_received(piece)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    serves_again = reading.done() and reading.exception() is None and connection.reusable
    connection.eof_received()
    connection.connection_lost(None)
    await asyncio.wait({reading}, timeout=5)
    assert reading.done(), "it hangs"
    try:
        head, body = await reading
    except OSError as error:
        return error
    return Read(head.status, _without_lengths(head.headers), body, serves_again)


def _without_lengths(headers: dict[str, str]) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in headers.items() if name not in LENGTHS)


def _h11s(raw: bytes) -> Read | None:
    """None: refused, or not whole."""
    oracle = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    oracle.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    oracle.send(h11.EndOfMessage())
    oracle.receive_data(raw)
    response, body, ended = None, b"", False
    serves_again = False
    while True:
        try:
            event = oracle.next_event()
        except h11.RemoteProtocolError:
            return None
        if event is h11.NEED_DATA:
            if ended:
                return None
            ended = True
            oracle.receive_data(b"")
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            serves_again = not ended and oracle.their_state is h11.DONE and not oracle.trailing_data[0]
            break
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return None
    assert response is not None
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Read(response.status_code, _without_lengths(headers), body, serves_again)


def cut(raw: bytes, at: list[int] | None) -> list[bytes]:
    """The pieces between these places; None: every byte by itself."""
    if at is None:
        return [raw[place : place + 1] for place in range(len(raw))]
    places = [0, *sorted({place % (len(raw) + 1) for place in at}), len(raw)]
    return [raw[a:b] for a, b in pairwise(places) if a < b]


NAMES = st.sampled_from([b"X-Request-Id", b"content-type", b"CONTENT-TYPE", b"x_a", b"Set-Cookie", b"Server", b"Date"])
VALUES = st.sampled_from([b"", b"a", b"text/event-stream; charset=utf-8", b"a  b", b"\xe4\xf6", b'"q", b', b"x" * 300])
BODIES = st.binary(max_size=60)
INTERIM = st.sampled_from(
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n", b""]
)
EXTENSIONS = st.sampled_from([b"", b";a=b", b'; q="x;y"', b" "])
ODD_HEADERS = st.sampled_from(
    [
        *(b"Content-Length: 3", b"Content-Length: 3\r\nContent-Length: 3", b"Content-Length: 3\r\nContent-Length: 4"),
        *(b"Content-Length: +3", b"Content-Length: -3", b"Content-Length: 3, 3", b"Content-Length: 3_0"),
        *(b"Content-Length: ", b"Content-Length: 0x3", b"Content-Length: \xb2", b"Content-Length: 3;a"),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked"),
        *(b"Transfer-Encoding: identity", b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: xchunked"),
        *(b"Transfer-Encoding:\r\n chunked", b"Content-Length:\r\n 3", b"Content-Length: 1\r\n 2"),
        *(
            b"a: b\r\n c",
            b" a: b",
            b"a : b",
            b"a\tb: c",
            b": b",
            b"a",
            b"a: \0",
            b"a: b\rc",
            b"a: b\x01",
            b"a: b\nc: d",
        ),
    ]
)
FRAMING = st.sampled_from(
    [b"0\r\n", b"zz\r\n", b"+3\r\nabc\r\n", b"3\nabc\n", b"3\r\nabcd\r\n", b"ffffffffff\r\n", b"\r\n"]
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool]:
    """An answer's bytes, and whether it may be refused."""
    status, body = draw(st.sampled_from([200, 200, 201, 302, 400, 429, 503, 529, 204, 304])), draw(BODIES)
    version = draw(st.sampled_from([b"1", b"1", b"1", b"0"]))
    lines = [b"HTTP/1.%b %d%b" % (version, status, draw(st.sampled_from([b" OK", b" ", b"", b" \xe4 b"])))]
    lines += [
        b"%b:%b%b" % (name, draw(st.sampled_from([b"", b" ", b"\t "])), draw(VALUES))
        for name in draw(st.lists(NAMES, max_size=4))
    ]
    lines += draw(st.sampled_from([[], [], [b"Connection: close"], [b"connection: Keep-Alive"]]))
    framed, odd = draw(st.sampled_from(["length", "chunks", "end"])), False
    sent = body
    if framed == "length":
        lines.append(
            draw(st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"])) + b": %d" % len(body)
        )
    elif framed == "chunks":
        lines.append(draw(st.sampled_from([b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED"])))
        parts = cut(body, draw(st.lists(st.integers(0, 60), max_size=4)))
        sent = b"".join(b"%x%b\r\n%b\r\n" % (len(part), draw(EXTENSIONS), part) for part in parts)
        if draw(st.integers(0, 5)) == 0:
            sent, odd = sent + draw(FRAMING), True
        sent += draw(st.sampled_from([b"0\r\n\r\n", b"000\r\n\r\n", b"0;last\r\nX-Sum: 1\r\nY: 2\r\n\r\n"]))
    if draw(st.integers(0, 3)) == 0:
        lines.insert(draw(st.integers(1, len(lines))), draw(ODD_HEADERS))
        odd = True
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    raw = draw(INTERIM) + draw(INTERIM) + end.join([*lines, b"", b""]) + (b"" if status in (204, 304) else sent)
    surplus = draw(st.sampled_from([b"", b"", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]))
    return draw(st.sampled_from([raw, raw, raw + surplus, raw[: draw(st.integers(0, len(raw)))]])), odd


@settings(max_examples=100)
@given(answer=answers(), at=st.one_of(st.lists(st.integers(0, 2_000), max_size=6), st.none()))
@example((b"HTTP/1.1 200 OK\nA: b\n\nall of it \r\n\r\n of it", False), [])
@example((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", True), [])
def test_an_answer_is_read_as_h11_reads_it_or_refused_where_it_is_meant_to_be(
    answer: tuple[bytes, bool], at: list[int] | None
) -> None:
    raw, may_be_refused = answer
    ours, theirs = asyncio.run(_ours(cut(raw, at))), _h11s(raw)
    if isinstance(ours, OSError):
        assert isinstance(ours, ConnectionError)
        assert may_be_refused or theirs is None, (ours, theirs)
        return
    if theirs is None and (ours.status in (204, 304) or not ours.serves_again):
        assert may_be_refused, "nothing is said of the length of no body, and no other answer is taken"
        return
    assert theirs is not None, ours
    assert (ours.status, ours.headers, ours.body) == (theirs.status, theirs.headers, theirs.body)
    assert theirs.serves_again or not ours.serves_again, "what follows would be the next one's answer"


@settings(max_examples=100)
@given(
    body=st.binary(max_size=2_000),
    form=st.sampled_from(["gzip", "x-gzip", "deflate", "bare", "members"]),
    at=st.lists(st.integers(0, 4_000), max_size=8),
)
def test_what_is_compressed_comes_out_as_it_was_and_what_is_cut_is_told(body: bytes, form: str, at: list[int]) -> None:
    half = len(body) // 2
    packed = {
        "deflate": zlib.compress(body),
        "bare": zlib.compress(body, wbits=-zlib.MAX_WBITS),
        "members": gzip.compress(body[:half]) + gzip.compress(body[half:]),
    }.get(form) or gzip.compress(body)
    coding = {"bare": "deflate", "members": "gzip"}.get(form, form)

    def unpacked(data: bytes) -> bytes:
        inflater = Inflater(coding)
        found = b"".join(part for piece in cut(data, at) for part in inflater.feed(piece))
        inflater.end()
        return found

    assert unpacked(packed) == body
    with pytest.raises(UpstreamBroken):
        unpacked(
            packed[: random.Random(len(packed)).randrange(len(packed) - half if form == "members" else len(packed))]
        )


@pytest.mark.parametrize(
    "filler", [b"a:" + b" " * 60_000 + b"\0", b"a: x" + b"\t " * 30_000 + b"x", b"a: b\r\n" * 9_000]
)
@pytest.mark.timeout(20)
def test_no_head_takes_long_to_read(filler: bytes) -> None:
    """A header of blanks once took hours, in which the loop serves nobody."""
    raw = b"HTTP/1.1 200 OK\r\n" + filler + b"\r\n\r\n"
    for tolerant in (False, True):
        try:
            http1.HeadReader(tolerant=tolerant).feed(raw)
        except http1.NotHttp:
            continue
