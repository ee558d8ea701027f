"""Bedrock's bytes: however they are cut, broken or changed, they are one answer or one designed failure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from local.simulator.eventstream import event, exception, frame
from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse
from ownkey.domain.surfaces import Surface
from ownkey.providers import translator_of
from ownkey.providers.bedrock.answers import read_usage
from ownkey.providers.bedrock.api import ConverseApi
from ownkey.providers.bedrock.eventstream import MAX_FRAME_BYTES, Frame, FrameSplitter
from ownkey.providers.crossing import Ended, Event, folded
from tests.support.bedrock import CONVERSE, INVOKED, converse_stream
from tests.support.crossing import broken, cut, damaged
from tests.support.providers import MESSAGES, Passed, call, passed

API = ConverseApi()
CALL = call({"model": "amazon.nova-lite-v1:0", "stream": True}, provider="bedrock")
CLAUDE = call(MESSAGES | {"stream": True}, provider="bedrock", model="anthropic.claude-sonnet-4-5-v1:0")
TWINS = ("", "_tools", "_thinking", "_citations")
STREAMS = [(CONVERSE / f"stream{twin}.bin").read_bytes() for twin in TWINS]
EVENTS = [json.loads((CONVERSE / f"events{twin}.json").read_bytes()) for twin in TWINS]
WHOLES = [json.loads((CONVERSE / f"response{twin}.json").read_bytes()) for twin in TWINS]
INVOKED_STREAM = (INVOKED / "stream.bin").read_bytes()
NAMES = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=20)
HEADERS = st.dictionaries(NAMES, st.text(max_size=30), max_size=5)
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=200)), max_size=5)


def split(pieces: list[bytes]) -> list[Frame]:
    splitter = FrameSplitter()
    return [each for piece in pieces for each in splitter.feed(piece)]


def outcome(pieces: list[bytes], *, orderly: bool = True) -> tuple[list[Event], str | None]:
    """The events, and the failure after them."""
    reader, found = API.reader(CALL), []
    try:
        for piece in pieces:
            _keep(reader.feed(piece), found)
        _keep(reader.close(orderly=orderly), found)
    except ProviderFailure as failure:
        return found, repr(failure)
    return found, None


def _keep(events: Iterable[Event], found: list[Event]) -> None:
    """One by one: what comes before a failure counts, too."""
    for each in events:
        found.append(each)


def invoked(pieces: list[bytes], *, orderly: bool = True) -> Passed:
    translator = translator_of(Surface.MESSAGES, "anthropic_bedrock")
    assert translator is not None
    return passed(translator, CLAUDE, pieces, orderly=orderly)


def told(result: Passed) -> tuple[object, ...]:
    decoder = result.decoder
    return (result.output, decoder.reading, decoder.started, decoder.finished, repr(decoder.failure))


@settings(max_examples=100)
@given(FRAMES, st.data())
def test_frames_are_read_as_botocore_reads_them(messages: list[Any], data: st.DataObject) -> None:
    stream = b"".join(frame(headers, payload) for headers, payload in messages)
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    theirs = [(each.headers, each.payload) for each in buffer]
    assert [(each.headers, each.payload) for each in split(data.draw(cut(stream)))] == theirs == messages


def test_headers_that_are_no_text_are_passed_over() -> None:
    """All ten types, as botocore packs their sizes: only the text is told."""
    values = [b"", b"", b"a", b"ab", b"abcd", b"abcdefgh", b"\0\x02ab", b"\0\x02ab", b"abcdefgh", b"a" * 16]
    headers = b"".join(bytes([2]) + b"h%d" % kind + bytes([kind]) + value for kind, value in enumerate(values))
    packed = _message(headers, b"{}")
    assert split([packed]) == [Frame({"h7": "ab"}, b"{}")]


def _message(headers: bytes, payload: bytes) -> bytes:
    made = frame({}, headers + payload)
    head = made[:4] + len(headers).to_bytes(4, "big")
    body = head + _crc(head) + headers + payload
    return body + _crc(body)


def _crc(data: bytes) -> bytes:
    return crc32(data).to_bytes(4, "big")


@settings(max_examples=100)
@given(st.sampled_from(STREAMS), st.data())
def test_no_damage_goes_unseen(stream: bytes, data: st.DataObject) -> None:
    """A changed byte is a failure, or cuts the stream short: it is never another answer."""
    at = data.draw(st.integers(0, len(stream) - 1))
    changed = stream[:at] + bytes([stream[at] ^ data.draw(st.integers(1, 255))]) + stream[at + 1 :]
    found, failure = outcome([changed])
    whole, _ = outcome([stream])
    assert failure is not None or not any(isinstance(each, Ended) for each in found)
    assert found == whole[: len(found)]


@pytest.mark.parametrize("total", [0, 11, 15, MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused_at_once(total: int) -> None:
    """And nothing is waited for, or kept."""
    head = total.to_bytes(4, "big") + bytes(4)
    with pytest.raises(ProviderInvalidResponse):
        split([head + _crc(head)])


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_noise_is_an_end_or_a_failure(noise: bytes) -> None:
    found, failure = outcome([noise])
    assert failure is not None or found == []
    decoder = invoked([noise]).decoder
    assert decoder.failure is not None


@settings(max_examples=100)
@given(st.sampled_from(STREAMS), st.data())
def test_any_cut_of_any_damage_says_the_same(stream: bytes, data: st.DataObject) -> None:
    hurt = data.draw(st.just(stream) | damaged(stream))
    orderly = data.draw(st.booleans())
    assert outcome(data.draw(cut(hurt)), orderly=orderly) == outcome([hurt], orderly=orderly)


@settings(max_examples=60)
@given(st.data())
def test_any_cut_of_any_damage_of_anthropics_frames_says_the_same(data: st.DataObject) -> None:
    hurt = data.draw(st.just(INVOKED_STREAM) | damaged(INVOKED_STREAM))
    orderly = data.draw(st.booleans())
    once = told(invoked([hurt], orderly=orderly))
    assert told(invoked(data.draw(cut(hurt)), orderly=orderly)) == once


def test_every_single_cut_gives_the_same() -> None:
    stream = STREAMS[1]
    whole = outcome([stream])
    for at in range(0, len(stream), 7):
        assert outcome([stream[:at], stream[at:]]) == whole


@settings(max_examples=60)
@given(st.sampled_from(range(len(TWINS))), st.data(), st.booleans())
def test_a_stream_cut_short_has_no_end(which: int, data: st.DataObject, orderly: bool) -> None:
    end = len(STREAMS[which]) - len(converse_stream(EVENTS[which][-2:]))
    found, failure = outcome([STREAMS[which][: data.draw(st.integers(0, end))]], orderly=orderly)
    assert failure is None
    assert not any(isinstance(each, Ended) for each in found)


def test_an_answer_whose_usage_alone_is_missing_is_whole() -> None:
    stream = converse_stream(EVENTS[0][:-1])
    assert isinstance(outcome([stream])[0][-1], Ended)
    assert not isinstance(outcome([stream], orderly=False)[0][-1], Ended)
    assert not isinstance(outcome([stream + b"\0\0"])[0][-1], Ended)


@settings(max_examples=100)
@given(st.data())
def test_a_changed_answer_is_read_or_fails_as_designed(data: st.DataObject) -> None:
    changed = data.draw(broken(data.draw(st.sampled_from(WHOLES))))
    try:
        answer = API.read_answer(CALL, json.dumps(changed).encode())
    except ProviderFailure:
        return
    assert answer.usage is None or answer.usage.total_tokens >= 0


@settings(max_examples=100)
@given(st.data())
def test_changed_events_are_read_or_fail_as_designed(data: st.DataObject) -> None:
    sent = data.draw(broken(data.draw(st.sampled_from(EVENTS))))
    sent = [each for each in sent if isinstance(each, list) and len(each) == 2 and isinstance(each[0], str)]
    sent = [each for each in sent if each[0].isascii()]
    if sent and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(sent) - 1))
        sent.insert(at, sent.pop(data.draw(st.integers(0, len(sent) - 1))))
    found, failure = outcome([b"".join(_event(kind, values) for kind, values in sent)])
    ends = [at for at, each in enumerate(found) if isinstance(each, Ended)]
    assert ends in ([], [len(found) - 1])
    if ends and failure is None:
        folded(found)


def _event(kind: str, values: Any) -> bytes:
    return frame({":event-type": kind, ":message-type": "event"}, json.dumps(values).encode())


@settings(max_examples=60)
@given(st.sampled_from(STREAMS), st.integers(0, 3))
def test_an_exception_ends_the_stream_and_what_came_before_counts(stream: bytes, after: int) -> None:
    starts = [0, *_ends(stream)]
    found, failure = outcome([stream[: starts[after]] + exception("throttlingException", "Slow down.")])
    assert failure == "ProviderRateLimited('Slow down.')"
    assert found == outcome([stream])[0][: len(found)]
    assert bool(found) == bool(after)


def _ends(stream: bytes) -> list[int]:
    ends = []
    at = 0
    while at < len(stream):
        at += int.from_bytes(stream[at : at + 4], "big")
        ends.append(at)
    return ends


@pytest.mark.parametrize("stream", STREAMS, ids=[twin or "_text" for twin in TWINS])
def test_parts_are_numbered_without_gaps_and_each_ends(stream: bytes) -> None:
    found, _ = outcome([stream])
    begun = [each.at for each in found if type(each).__name__ == "PartBegun"]
    ended = [each.at for each in found if type(each).__name__ == "PartEnded"]
    assert begun == list(range(len(begun))) == sorted(ended)
    assert [b - a for a, b in pairwise(begun)] == [1] * (len(begun) - 1)


COUNTS = st.integers(0, 10**9)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.booleans())
@settings(max_examples=100)
def test_usage_adds_up_to_the_stated_total(
    given_in: int, out: int, read_from: int, short: int, long: int, part: bool
) -> None:
    cached = read_from + short + long
    stated = given_in + cached if part else given_in
    usage = {
        "inputTokens": stated,
        "outputTokens": out,
        "totalTokens": given_in + cached + out,
        "cacheReadInputTokens": read_from,
        "cacheWriteInputTokens": short + long,
        "cacheDetails": [{"ttl": "1h", "inputTokens": long}, {"ttl": "5m", "inputTokens": short}],
    }
    found = read_usage(usage)
    assert (found.total_tokens if found else 0) == usage["totalTokens"]
    if found:
        assert (found.cache_write_5m, found.cache_write_1h, found.cache_read) == (short, long, read_from)


def test_an_event_of_tomorrow_says_nothing() -> None:
    late = event("somethingNew", {"contentBlockIndex": 0})
    once, _ = outcome([STREAMS[0]])
    assert outcome([late + STREAMS[0] + late])[0] == once
