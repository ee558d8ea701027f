"""Chat completions of any content: what is written is what is read, whole or in chunks, and its counts add up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.catalog import Parameters
from ownkey.domain.usage import Terms, Usage
from ownkey.providers.crossing import (
    Answer,
    AnswerPart,
    ArgumentsAdded,
    Begun,
    Citation,
    CitationAdded,
    Conversation,
    Counted,
    Ended,
    Event,
    Finish,
    Format,
    Logprob,
    LogprobsAdded,
    PartBegun,
    PartEnded,
    RedactedThinking,
    Refusal,
    SignatureAdded,
    Text,
    TextAdded,
    Thinking,
    Tool,
    ToolUse,
    folded,
)
from ownkey.providers.openai import read_usage, write_usage
from ownkey.providers.openai.answers_in import ChatReader, read_answer
from ownkey.providers.openai.answers_out import ChunkWriter, write_answer
from ownkey.providers.openai.tags import ThinkTags
from tests.support.providers import CHAT, annotate, call

SOME = settings(max_examples=40, deadline=None)
TOOLS = (Tool("read"), Tool("sql", free_form=True))
ASKED = Conversation(stream=True, include_usage=True, tools=TOOLS)
words = st.text(max_size=12).filter(bool)
objects = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(-9, 9) | words, max_size=2).map(json.dumps)


@st.composite
def logprobs(draw: st.DrawFn) -> Logprob:
    token = draw(words)
    octets = tuple(token.encode("utf-8", "replace"))
    other = Logprob(draw(words), -1.5, None)
    return Logprob(token, -0.5, octets, (other,) if draw(st.booleans()) else ())


@st.composite
def thoughts(draw: st.DrawFn) -> Thinking | RedactedThinking:
    format = draw(st.sampled_from(Format)).value
    if draw(st.booleans()):
        return RedactedThinking(draw(words), format, draw(st.none() | st.just("id_1")))
    return Thinking(draw(words), *draw(st.sampled_from([(None, None), ("c2ln", format)])))


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """In the order that chat completions have: thoughts, text, refusal, calls."""
    parts: list[AnswerPart] = list(draw(st.lists(thoughts(), max_size=3)))
    if draw(st.booleans()):
        cited = st.builds(
            Citation, st.just("url"), st.just("https://example.com"), words, st.none(), st.just(0), st.just(1)
        )
        parts.append(
            Text(
                draw(words),
                None,
                tuple(draw(st.lists(cited, max_size=2))),
                tuple(draw(st.lists(logprobs(), max_size=2))),
            )
        )
    if draw(st.integers(0, 4)) == 0:
        parts.append(Refusal(draw(words)))
    calls = draw(st.lists(st.sampled_from(["read", "sql"]), max_size=3))
    parts += [ToolUse(f"call_{at}", name, draw(objects if name == "read" else words)) for at, name in enumerate(calls)]
    finish = Finish.TOOL_USE if calls else draw(st.sampled_from([Finish.LENGTH, Finish.CONTENT_FILTER]))
    return Answer(tuple(parts), finish, "id", "m", usage=draw(usages))


counts = st.integers(0, 10**6)
usages = st.builds(
    Usage,
    **dict.fromkeys(("input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "image_input"), counts),
    output=st.integers(1, 10**6),
    **dict.fromkeys(("reasoning", "audio_output", "image_output"), counts),
)


def pieces(draw: Any, text: str) -> list[str]:
    at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Answer, list[Event]]:
    """An answer, and events that make it."""
    answer = draw(answers())
    events: list[Event] = [Begun(answer.id, answer.model)]
    for at, part in enumerate(answer.parts):
        match part:
            case ToolUse():
                events.append(PartBegun(at, replace(part, arguments="")))
                events += [ArgumentsAdded(at, piece) for piece in pieces(draw, part.arguments) if piece]
            case Text() | Refusal():
                events.append(PartBegun(at, type(part)()))
                events += [TextAdded(at, piece) for piece in pieces(draw, part.text) if piece]
                events += [LogprobsAdded(at, (each,)) for each in getattr(part, "logprobs", ())]
                events += [CitationAdded(at, each) for each in getattr(part, "citations", ())]
            case Thinking():
                events.append(PartBegun(at, Thinking()))
                events += [TextAdded(at, piece) for piece in pieces(draw, part.text) if piece]
                if part.signature:
                    events.append(SignatureAdded(at, part.signature, part.format or ""))
            case RedactedThinking():
                events.append(PartBegun(at, part))
        events.append(PartEnded(at))
    assert answer.usage is not None
    return answer, [*events, Counted(answer.usage, Terms()), Ended(answer.finish, None, None)]


def read(data: bytes) -> Answer:
    reader = ChatReader(Parameters())
    return folded([*reader.feed(data), *reader.close(orderly=True)])


def plain(answer: Answer) -> Answer:
    """Without the provider's word for the end, and the search that citations stand for."""
    assert answer.usage is not None
    return replace(answer, native_finish=None, usage=replace(answer.usage, web_searches=0))


@given(told=streams())
@SOME
def test_a_stream_is_what_its_whole_twin_is(told: tuple[Answer, list[Event]]) -> None:
    answer, events = told
    assert folded(events) == answer
    writer = ChunkWriter(call(CHAT), ASKED, annotate)
    streamed = read(b"".join(map(writer.write, events)))
    whole = read_answer(write_answer(call(CHAT), ASKED, answer, annotate), ChatReader(Parameters()))
    assert plain(streamed) == plain(whole) == answer


@given(usage=usages)
@SOME
def test_usage_goes_there_and_back(usage: Usage) -> None:
    told = write_usage(usage)
    assert told["total_tokens"] == told["prompt_tokens"] + told["completion_tokens"] == usage.total_tokens
    assert read_usage(told) == usage


@given(
    text=st.lists(st.sampled_from(["<think>", "</think>", "<", "think", "a", "\n", ">"]), max_size=8), data=st.data()
)
@SOME
def test_tags_are_the_same_however_the_text_is_cut(text: list[str], data: st.DataObject) -> None:
    def told(cut: list[str]) -> list[tuple[bool, str]]:
        tags = ThinkTags()
        found: list[tuple[bool, str]] = []
        for is_thought, piece in [*(each for part in cut for each in tags.feed(part)), *tags.rest()]:
            if found and found[-1][0] == is_thought:
                found[-1] = (is_thought, found[-1][1] + piece)
            else:
                found.append((is_thought, piece))
        return found

    joined = "".join(text)
    assert told([each for each in pieces(data.draw, joined) if each]) == told([joined] if joined else [])
