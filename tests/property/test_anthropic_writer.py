"""Whatever a provider's reader tells, a Messages client gets blocks one after the other, and nothing of it is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ownkey.domain.usage import STANDARD_TERMS, Usage
from ownkey.providers.anthropic.answers_out import MessageWriter, write_message
from ownkey.providers.anthropic.messages import read_usage
from ownkey.providers.crossing import (
    AnswerPart,
    ArgumentsAdded,
    Begun,
    Citation,
    Counted,
    Ended,
    Event,
    Finish,
    Format,
    PartBegun,
    PartEnded,
    RedactedThinking,
    Refusal,
    SignatureAdded,
    Text,
    TextAdded,
    Thinking,
    ToolUse,
    folded,
)
from tests.support.providers import MESSAGES, annotate, call, events

EVENT = TypeAdapter(RawMessageStreamEvent)
CALL = call(MESSAGES, provider="openai", model="gpt-5")
SOME = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
words = st.text(min_size=1, max_size=12)
counts = st.integers(0, 10**6)
usages = st.builds(
    Usage, **dict.fromkeys(("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"), counts)
)
values = st.dictionaries(words, words | st.integers() | st.none(), max_size=3)


@st.composite
def part_events(draw: st.DrawFn, at: int) -> list[Event]:
    """One part, in pieces."""
    kind = draw(st.sampled_from(["text", "thinking", "redacted", "tool", "refusal"]))
    if kind == "redacted":
        of = draw(st.sampled_from(list(Format)))
        return [PartBegun(at, RedactedThinking(draw(words), of, draw(st.none() | st.just("rs_1")))), PartEnded(at)]
    if kind == "tool":
        arguments = json.dumps(draw(values)) if draw(st.booleans()) else ""
        cuts = sorted(draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
        pieces = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        added: list[Event] = [ArgumentsAdded(at, piece) for piece in pieces if piece]
        return [PartBegun(at, ToolUse(f"call_{at}", draw(words))), *added, PartEnded(at)]
    texts: list[Event] = [TextAdded(at, text) for text in draw(st.lists(words, max_size=3))]
    if kind == "thinking":
        of = draw(st.sampled_from(list(Format)))
        signed: list[Event] = [SignatureAdded(at, each, of) for each in draw(st.lists(words, max_size=2))]
        return [PartBegun(at, Thinking()), *texts, *signed, PartEnded(at)]
    return [PartBegun(at, Text() if kind == "text" else Refusal()), *texts, PartEnded(at)]


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Parts that overlap as they like, though none begins before the one before it."""
    lanes = [draw(part_events(at)) for at in range(draw(st.integers(0, 5)))]
    told: list[Event] = [Begun("msg_1", "some-model")]
    if draw(st.booleans()):
        told.append(Counted(draw(usages), STANDARD_TERMS))
    begun = 0
    while any(lanes):
        open_ones = [at for at, lane in enumerate(lanes) if lane and at <= begun]
        at = draw(st.sampled_from(open_ones))
        event = lanes[at].pop(0)
        begun = max(begun, at + 1) if isinstance(event, PartBegun) else begun
        told.append(event)
    if draw(st.booleans()):
        told.append(Counted(draw(usages), STANDARD_TERMS))
    return [*told, Ended(draw(st.sampled_from(list(Finish))), None, None)]


def written(told: list[Event]) -> list[dict[str, Any]]:
    writer = MessageWriter(CALL, annotate)
    return events(b"".join(map(writer.write, told)))


def accumulated(sent: list[dict[str, Any]]) -> Message:
    buffers: dict[int, bytes] = {}
    snapshot: Any = None
    for event in sent:
        snapshot = accumulate_event(event=EVENT.validate_python(event), current_snapshot=snapshot, json_bufs=buffers)
    return Message.model_validate(snapshot.to_dict())


def content(message: Message) -> list[Mapping[str, Any]]:
    return [block.to_dict() for block in message.content]


@given(streams())
@SOME
def test_the_sdk_puts_a_stream_together_to_its_whole_twin(told: list[Event]) -> None:
    streamed = accumulated(written(told))
    whole = Message.model_validate_json(write_message(CALL, folded(told), annotate))
    assert content(streamed) == content(whole)
    assert (streamed.stop_reason, streamed.id, streamed.model) == (whole.stop_reason, whole.id, whole.model)
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.input_tokens == whole.usage.input_tokens


def signs_words(part: AnswerPart) -> bool:
    return isinstance(part, RedactedThinking) and part.format == Format.GEMINI and part.tool_use_id is None


def test_the_signature_of_words_is_no_block_behind_them() -> None:
    """Agents take the last block for the answer."""
    signature = RedactedThinking("c2ln", Format.GEMINI)
    of_call = RedactedThinking("c2ln", Format.GEMINI, tool_use_id="c")
    parts = [Text("hello"), signature, of_call, ToolUse("c", "clock")]
    told: list[Event] = [Begun("m", "m")]
    for at, part in enumerate(parts):
        told += [PartBegun(at, part), PartEnded(at)]
    told.append(Ended(Finish.TOOL_USE, None, None))
    types = ["text", "redacted_thinking", "tool_use"]
    sent = [event for event in written(told) if event["type"] == "content_block_start"]
    assert [(event["index"], event["content_block"]["type"]) for event in sent] == list(enumerate(types))
    assert [each["type"] for each in json.loads(write_message(CALL, folded(told), annotate))["content"]] == types


@given(streams())
@SOME
def test_blocks_follow_each_other(told: list[Event]) -> None:
    sent = written(told)
    assert [sent[0]["type"], sent[-2]["type"], sent[-1]["type"]] == ["message_start", "message_delta", "message_stop"]
    now = -1
    for event in sent[1:-2]:
        if event["type"] == "content_block_start":
            now += 1
        assert event["index"] == now
    begun = sum(isinstance(event, PartBegun) and not signs_words(event.part) for event in told)
    assert [event["type"] for event in sent].count("content_block_stop") == begun == now + 1


@given(usages, streams())
@SOME
def test_the_usage_is_read_back_as_it_was(usage: Usage, told: list[Event]) -> None:
    """Nothing that came of a cache is counted twice, and the annotation stands beside it."""
    told = [*(event for event in told[:-1] if not isinstance(event, Counted)), Counted(usage, STANDARD_TERMS), told[-1]]
    whole = json.loads(write_message(CALL, folded(told), annotate))["usage"]
    assert (read_usage(whole) or Usage()) == usage
    assert whole["is_byok"] is True
    final = written(told)[-2]["usage"]
    assert final["is_byok"] is True
    one_lifetime = replace(
        usage, cache_write_5m=usage.cache_write_5m + usage.cache_write_1h, cache_write_1h=0
    )  # the SDK's last event has no breakdown
    assert (read_usage(final) or Usage()) == one_lifetime


def test_a_call_makes_the_reason_one_of_tools() -> None:
    """Though the provider says no more than that it stopped."""
    told = [Begun(None, None), PartBegun(0, ToolUse("c", "clock")), PartEnded(0), Ended(Finish.END, None, "stop")]
    assert written(told)[-2]["delta"]["stop_reason"] == "tool_use"
    assert json.loads(write_message(CALL, folded(told), annotate))["stop_reason"] == "tool_use"


def test_a_citation_of_the_web_is_one_of_anthropics() -> None:
    citation = Citation("url", url="https://example.com", title="Weather", start=0, end=2)
    told = [
        Begun(None, None),
        PartBegun(0, Text("Hi", citations=(citation,))),
        PartEnded(0),
        Ended(Finish.END, None, None),
    ]
    (block,) = content(accumulated(written(told)))
    assert (block["text"], block["citations"][0]["url"]) == ("Hi", "https://example.com")


def test_an_answer_without_an_id_has_one_all_the_same() -> None:
    told = [Begun(None, None), Ended(Finish.END, None, None)]
    first, second = accumulated(written(told)), accumulated(written(told))
    assert first.id == second.id
    assert first.id.startswith("msg_")
    assert first.model == "gpt-5"
