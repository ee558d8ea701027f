"""Google's bytes: however they are cut, broken or changed, they are one answer or one designed failure."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.crossing import (
    AnswerPart,
    Conversation,
    Ended,
    Event,
    Format,
    PartBegun,
    PartEnded,
    RedactedThinking,
    Role,
    Text,
    Turn,
    folded,
)
from ownkey.providers.gemini.api import GeminiApi
from ownkey.providers.gemini.usage import read_usage
from tests.support.crossing import broken, cut
from tests.support.providers import call, events, fixture

API = GeminiApi()
CALL = call({"model": "gemini-3.8-flash"}, provider="gemini")
TWINS = ("", "_tools", "_thinking", "_safety", "_blocked")
STREAMS = [fixture("gemini", f"stream{twin}.sse") for twin in TWINS]
WHOLES = [json.loads(fixture("gemini", f"response{twin}.json")) for twin in (*TWINS, "_image")]
COUNTS = st.integers(0, 10**9)


def read(pieces: list[bytes], *, orderly: bool = True) -> list[Event]:
    reader = API.reader(CALL)
    found = [event for piece in pieces for event in reader.feed(piece)]
    return [*found, *reader.close(orderly=orderly)]


def sse(chunks: list[Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


@settings(max_examples=60)
@given(st.data())
def test_any_cut_of_a_stream_is_the_same_answer(data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(STREAMS))
    assert read(data.draw(cut(stream))) == read([stream])


@settings(max_examples=60)
@given(st.sampled_from(STREAMS), st.integers(0, 4_000), st.booleans())
def test_a_stream_without_its_reason_to_finish_has_no_end(stream: bytes, at: int, orderly: bool) -> None:
    last = stream.rstrip().rindex(b"data: ")
    found = read([stream[: at % (last + 1)]], orderly=orderly)
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
def test_changed_chunks_are_well_formed_events_or_fail_as_designed(data: st.DataObject) -> None:
    chunks = data.draw(broken(events(data.draw(st.sampled_from(STREAMS)).replace(b"\r\n", b"\n"))))
    try:
        found = read([sse(chunks)])
    except ProviderFailure:
        return
    begun = [event.at for event in found if isinstance(event, PartBegun)]
    ended = [event.at for event in found if isinstance(event, PartEnded)]
    assert begun == list(range(len(begun)))
    if found and isinstance(found[-1], Ended):
        assert ended == begun
        folded(found)
    assert sum(isinstance(event, Ended) for event in found) <= 1


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from(["apart", "within", "hidden"]))
def test_usage_adds_up_to_the_stated_total(
    prompt: int, cached: int, tools: int, candidates: int, thoughts: int, how: str
) -> None:
    stated = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": min(cached, prompt),
        "toolUsePromptTokenCount": tools,
        "candidatesTokenCount": candidates + (thoughts if how == "within" else 0),
        "totalTokenCount": prompt + tools + candidates + thoughts,
        **({} if how == "hidden" else {"thoughtsTokenCount": thoughts}),
    }
    usage = read_usage(stated)
    assert (usage.total_tokens if usage else 0) == stated["totalTokenCount"]
    if usage:
        assert (usage.reasoning, usage.output) == (thoughts, candidates)


PARTS = st.one_of(
    st.builds(lambda text: {"text": text}, st.text(min_size=1, max_size=5)),
    st.builds(
        lambda text, signature: {"text": text, "thought": True, "thoughtSignature": signature},
        st.text(min_size=1, max_size=5),
        st.sampled_from(["c2ln", "bmFs"]),
    ),
    st.builds(
        lambda at, signature: {
            "functionCall": {"id": f"c{at}", "name": "f", "args": {}},
            "thoughtSignature": signature,
        },
        st.integers(0, 99),
        st.sampled_from(["c2ln", "bmFs"]),
    ),
)


@settings(max_examples=100)
@given(st.lists(PARTS, min_size=1, max_size=5), st.booleans())
def test_signatures_go_back_on_the_parts_they_came_with(parts: list[dict[str, Any]], ids_kept: bool) -> None:
    """Through a client that keeps the order of parts: with the ids of calls beside their signatures, and without."""
    said: list[dict[str, Any]] = []
    for part in parts:
        goes_on = bool(said) and kind(said[-1]) == kind(part) != "call"
        called = [each["functionCall"] for each in said if "functionCall" in each]
        if not goes_on and part.get("functionCall") not in called:
            said.append(part)
    if kind(said[-1]) == "text":
        said[-1]["thoughtSignature"] = "ZW5k"
    body = {"candidates": [{"content": {"parts": said, "role": "model"}, "finishReason": "STOP"}]}
    answer = API.read_answer(CALL, json.dumps(body).encode())
    kept = [part if ids_kept else without_id(part) for part in answer.parts]
    back = Conversation(turns=(Turn(Role.USER, (Text("?"),)), Turn(Role.ASSISTANT, tuple(kept))))
    assert json.loads(API.write_request(CALL, back).body)["contents"][1]["parts"] == said


def kind(part: dict[str, Any]) -> str:
    return "call" if "functionCall" in part else "thought" if "thought" in part else "text"


def without_id(part: AnswerPart) -> AnswerPart:
    return RedactedThinking(part.data, Format.GEMINI) if isinstance(part, RedactedThinking) else part
