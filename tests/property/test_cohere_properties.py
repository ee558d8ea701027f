"""Cohere's bytes: however they are cut, broken or changed, they are one answer or one designed failure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.cohere.answers_in import read_usage
from ownkey.providers.cohere.api import CohereApi
from ownkey.providers.crossing import Ended, Event, folded
from tests.support.crossing import broken
from tests.support.providers import call, events, fixture

API = CohereApi()
CALL = call({"model": "command-a-03-2025"}, provider="cohere")
STREAMS = [fixture("cohere", f"stream{twin}.sse") for twin in ("", "_tools", "_thinking")]
WHOLES = [json.loads(fixture("cohere", f"response{twin}.json")) for twin in ("", "_tools", "_thinking")]


def read(pieces: list[bytes], *, orderly: bool = True) -> list[Event]:
    reader = API.reader(CALL)
    found = [event for piece in pieces for event in reader.feed(piece)]
    return [*found, *reader.close(orderly=orderly)]


@settings(max_examples=60)
@given(st.sampled_from(STREAMS), st.integers(0, 4_000), st.booleans())
def test_a_stream_cut_short_has_no_end(stream: bytes, cut: int, orderly: bool) -> None:
    before_end = stream[: cut % stream.index(b"event: message-end")]
    found = read([before_end], orderly=orderly)
    assert not any(isinstance(event, Ended) for event in found)
    assert found == read([stream])[: len(found)]


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
def test_a_changed_event_is_read_or_fails_as_designed(data: st.DataObject) -> None:
    sent = [event for event in events(data.draw(st.sampled_from(STREAMS))) if event != "[DONE]"]
    sent = data.draw(broken(sent))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(sent) - 1))
        sent.insert(at, sent.pop(data.draw(st.integers(0, len(sent) - 1))))
    try:
        found = read([b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in sent)])
    except ProviderFailure:
        return
    assert sum(isinstance(event, Ended) for event in found) <= 1
    if found and isinstance(found[-1], Ended):
        folded(found)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_usage_adds_up_to_what_is_billed(into: int, cached: int, out: int) -> None:
    usage = read_usage({"billed_units": {"input_tokens": into, "output_tokens": out}, "cached_tokens": cached})
    assert (usage.total_tokens if usage else 0) == into + out


@pytest.mark.parametrize("finish", ["ERROR", "TIMEOUT"])
def test_a_failure_at_the_end_is_one(finish: str) -> None:
    end = {"type": "message-end", "delta": {"finish_reason": finish, "error": "it broke"}}
    for give in (
        lambda: read([b"data: " + json.dumps(end).encode() + b"\n\n"]),
        lambda: API.read_answer(CALL, json.dumps({"message": {"content": []}, "finish_reason": finish}).encode()),
        lambda: read([b'data: {"message":"it broke"}\n\n']),
    ):
        with pytest.raises(ProviderFailure):
            give()
