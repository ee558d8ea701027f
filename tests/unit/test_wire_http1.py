"""HTTP/1.1 answers: read alike however they are cut, and refused where two readers could differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.wire import http1
from ownkey.wire.http1 import Answer, AnswerReader, NotHttp, request

WHOLE = b'HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 14\r\n\r\n{"a": "b\\r\\n"}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n00A\r\n, \r\n world\r\n0\r\nX: y\r\n\r\n"
)
ANSWERS = [
    (WHOLE, Answer(200, {"content-type": "a/b", "content-length": "14"}, b'{"a": "b\\r\\n"}', True)),
    (CHUNKED, Answer(200, {"transfer-encoding": "chunked"}, b"hello, \r\n world", True)),
    (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, {}, b"", True)),
    (b"HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", Answer(304, {"content-length": "9"}, b"", True)),
    (
        b"HTTP/1.1 500\r\nA: 1\r\na:2 \r\nContent-Length:0\r\n\r\n",
        Answer(500, {"a": "1, 2", "content-length": "0"}, b"", True),
    ),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno",
        Answer(403, {"content-length": "2"}, b"no", True),
    ),
    (
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
        Answer(200, {"connection": "Close", "content-length": "0"}, b"", False),
    ),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Answer(200, {"content-length": "0"}, b"", False)),
]


def read(reader: AnswerReader, pieces: list[bytes]) -> Answer | None:
    """What comes of the pieces; all but the last must leave the answer incomplete."""
    *first, last = pieces
    assert [reader.feed(piece) for piece in first] == [None] * len(first)
    return reader.feed(last)


@pytest.mark.parametrize(("data", "answer"), ANSWERS)
@given(cuts=st.data())
def test_an_answer_is_the_same_however_it_is_cut(data: bytes, answer: Answer, cuts: st.DataObject) -> None:
    places = sorted(cuts.draw(st.sets(st.integers(1, len(data) - 1), max_size=8)))
    pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    assert read(AnswerReader(), pieces) == answer


@given(order=st.lists(st.sampled_from([each for each in ANSWERS if each[1].keeps_connection]), max_size=6))
def test_answers_follow_each_other_on_one_connection(order: list[tuple[bytes, Answer]]) -> None:
    reader = AnswerReader()
    assert [read(reader, [data[:7], data[7:]]) for data, _ in order] == [answer for _, answer in order]


@pytest.mark.parametrize("data", [WHOLE, CHUNKED])
def test_bytes_behind_an_answer_end_the_use_of_its_connection(data: bytes) -> None:
    answer = AnswerReader().feed(data + b"HTTP/1.1 200 OK\r\n")
    assert answer is not None
    assert not answer.keeps_connection


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n folded: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * http1.MAX_HEAD_BYTES + b"0",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_what_is_no_answer_or_could_be_two_is_refused(data: bytes) -> None:
    with pytest.raises(NotHttp):
        AnswerReader().feed(data)


def test_a_body_that_grows_beyond_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MAX_BODY_BYTES", 10)
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n") is None
    with pytest.raises(NotHttp):
        reader.feed(b"3\r\n123\r\n")


def test_a_request_tells_its_length_and_keeps_to_its_lines() -> None:
    assert (
        request("POST", "/", {"a": "b", "c": "d"}, b"body")
        == b"POST / HTTP/1.1\r\na: b\r\nc: d\r\ncontent-length: 4\r\n\r\nbody"
    )


@pytest.mark.parametrize("value", ["b\r\nx: y", "b\n", "b\rc"])
def test_a_header_cannot_become_two(value: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        request("POST", "/", {"a": value}, b"")
    with pytest.raises(ValueError, match="line end"):
        request("POST", f"/{value}", {}, b"")
