"""HTTP/1.1 as bytes: heads and chunked bodies, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.http11 import ChunkedDecoder, ProtocolError, chunk, parse_head, response_head


def test_a_head() -> None:
    head = parse_head(b"POST /a?b=c HTTP/1.1\r\nHost: x:1\r\nX-Two:  padded \r\nx-two: again\r\nContent-Length: 3")
    assert (head.method, head.target, head.http_1_0) == ("POST", "/a?b=c", False)
    assert head.headers == [("Host", "x:1"), ("X-Two", "padded"), ("x-two", "again"), ("Content-Length", "3")]
    assert (head.get("x-two"), head.get("nothing"), head.content_length) == ("again", "", 3)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"GET /",
        b"GET / HTTP/2",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1\r\nno colon",
        b"GET / HTTP/1.1\r\nA : space before the colon",
        b"GET / HTTP/1.1\r\nA: 1\r\n folded",
        b"GET / HTTP/1.1\r\nContent-Length: -1",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
    ],
)
def test_a_head_that_is_none_or_could_be_two(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(wire)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Close", False),
        (b"1.0", b"", False),
        (b"1.0", b"Keep-Alive", True),
    ],
)
def test_keeping_the_connection(version: bytes, connection: bytes, kept: bool) -> None:
    assert parse_head(b"GET / HTTP/%b\r\nConnection: %b" % (version, connection)).keep_alive is kept


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=30), max_size=6),
    trailers=st.sampled_from([b"", b"A: 1\r\n", b"A: 1\r\nB-C: two\r\n"]),
    rest=st.binary(max_size=5),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
)
def test_a_chunked_body_cut_anywhere(chunks: list[bytes], trailers: bytes, rest: bytes, cuts: list[int]) -> None:
    wire = b"".join(map(chunk, chunks)) + b"0\r\n" + trailers + b"\r\n" + rest
    decoder, payload, at, turn = ChunkedDecoder(), b"", 0, 0
    while not decoder.done:
        size = cuts[turn % len(cuts)]
        payload += decoder.feed(wire[at : at + size])
        at, turn = at + size, turn + 1
    assert payload == b"".join(chunks)
    assert decoder.rest + wire[at:] == rest
    assert b"".join(f"{name}: {value}\r\n".encode() for name, value in decoder.trailers) == trailers


def test_payload_is_handed_on_before_its_chunk_is_complete() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"a\r\n01234") == b"01234"
    assert decoder.feed(b"56789\r") == b"56789"
    assert decoder.feed(b"\n0\r\n\r\n") == b""
    assert decoder.done


@pytest.mark.parametrize(
    "wire",
    [b"x\r\n", b"-1\r\n", b"0x1\r\na\r\n", b"1_0\r\n", b"\r\n", b"1\r\nab\r\n", b"1" * 300, b"0\r\n" + b"A" * 20000],
)
def test_framing_that_is_broken(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        ChunkedDecoder().feed(wire)


def test_a_chunk_extension_is_skipped() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"2;name=value\r\nhi\r\n0\r\n\r\n") == b"hi"


def test_a_response_head() -> None:
    assert response_head(404, [("A", "1")]) == b"HTTP/1.1 404 Not Found\r\nA: 1\r\n\r\n"
    assert response_head(529, []) == b"HTTP/1.1 529 \r\n\r\n"
