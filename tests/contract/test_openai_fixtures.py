"""Chat completions read: a stream folds to its whole twin, and what is written again is what the SDK reads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from ownkey.catalog import Parameters
from ownkey.domain.usage import STANDARD_TERMS
from ownkey.providers.crossing import Answer, Conversation, Thinking, folded
from ownkey.providers.openai.answers_in import ChatReader, read_answer
from ownkey.providers.openai.answers_out import ChunkWriter, write_answer
from ownkey.providers.openai.requests_in import read_request
from tests.support.crossing import files, requests
from tests.support.providers import CHAT, annotate, call, events

TWINS = [
    (whole, whole.with_name(whole.name.replace("response", "stream")).with_suffix(".sse"))
    for whole in files("openai", "response")
]
PLAIN = Parameters()
ASKED = Conversation(stream=True, include_usage=True)
LEGACY = replace(ASKED, names={"tools": "functions"})
REQUEST = TypeAdapter(CompletionCreateParamsNonStreaming)

every_twin = pytest.mark.parametrize(("whole", "stream"), TWINS, ids=[whole.stem for whole, _ in TWINS])


def read(stream: bytes) -> Answer:
    reader = ChatReader(PLAIN)
    return folded([*reader.feed(stream), *reader.close(orderly=True)])


def asked(name: str) -> Conversation:
    return LEGACY if "function" in name else ASKED


def plain(answer: Answer) -> Answer:
    """Without the service tier, which is told only where it is one of OpenAI's."""
    return replace(answer, terms=STANDARD_TERMS)


def accumulated(sent: bytes) -> ChatCompletion:
    """What the SDK's stream helper makes of a stream."""
    state: Any = ChatCompletionStreamState()
    for event in events(sent):
        if event != "[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate(event))
    return ChatCompletion.model_validate(state.current_completion_snapshot.model_dump(warnings=False))


@pytest.mark.parametrize("values", requests("chat"))  # type: ignore[arg-type]
def test_request_fixtures_are_what_the_sdk_types(values: dict[str, Any]) -> None:
    REQUEST.validate_python({name: value for name, value in values.items() if name != "stream"})


@every_twin
def test_fixtures_are_what_the_sdk_reads(whole, stream) -> None:
    ChatCompletion.model_validate_json(whole.read_bytes())
    for event in events(stream.read_bytes()):
        if event != "[DONE]":
            ChatCompletionChunk.model_validate(event)


@every_twin
def test_a_stream_folds_to_its_whole_twin(whole, stream) -> None:
    assert read(stream.read_bytes()) == read_answer(whole.read_bytes(), ChatReader(PLAIN))


@every_twin
def test_the_usage_adds_up_to_what_was_told(whole, stream) -> None:
    usage = read_answer(whole.read_bytes(), ChatReader(PLAIN)).usage
    assert usage is not None
    assert usage.total_tokens == json.loads(whole.read_bytes())["usage"]["total_tokens"]


@every_twin
def test_what_is_written_again_is_what_was_read(whole, stream) -> None:
    answer = read_answer(whole.read_bytes(), ChatReader(PLAIN))
    again = write_answer(call(CHAT), asked(whole.name), answer, annotate)
    ChatCompletion.model_validate_json(again)
    assert plain(read_answer(again, ChatReader(PLAIN))) == plain(answer)


@every_twin
def test_a_stream_written_again_is_what_the_sdk_puts_together(whole, stream) -> None:
    writer, reader = ChunkWriter(call(CHAT), asked(whole.name), annotate), ChatReader(PLAIN)
    sent = b"".join(map(writer.write, [*reader.feed(stream.read_bytes()), *reader.close(orderly=True)]))
    assert sent.endswith(b"data: [DONE]\n\n")
    assert plain(read(sent)) == plain(read(stream.read_bytes()))
    # The SDK has no words for thoughts, and puts the pieces of what it does not know together as they are.
    put_together = read_answer(accumulated(sent).to_json().encode(), ChatReader(PLAIN))
    assert without_thoughts(put_together) == without_thoughts(read(stream.read_bytes()))


def without_thoughts(answer: Answer) -> Answer:
    said = tuple(part for part in answer.parts if not (isinstance(part, Thinking) or "Redacted" in type(part).__name__))
    return replace(plain(answer), parts=said, native_finish=None)


def test_the_requests_are_read() -> None:
    assert all(isinstance(read_request(each), Conversation) for each in requests("chat"))  # type: ignore[arg-type]
