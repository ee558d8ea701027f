"""What Anthropic answers, read: a stream folds to its whole twin, and what is written again is what its SDK reads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from ownkey.domain.usage import STANDARD_TERMS
from ownkey.providers.anthropic.answers_in import MessageReader, read_message
from ownkey.providers.anthropic.answers_out import MessageWriter, write_message
from ownkey.providers.crossing import Answer, ToolUse, folded
from tests.support.crossing import files
from tests.support.providers import MESSAGES, annotate, call, events

TWINS = [
    (whole, whole.with_name(whole.name.replace("response", "stream")).with_suffix(".sse"))
    for whole in files("anthropic", "response")
]
EVENT = TypeAdapter(RawMessageStreamEvent)

every_twin = pytest.mark.parametrize(("whole", "stream"), TWINS, ids=[whole.stem for whole, _ in TWINS])


def plain(answer: Answer) -> Answer:
    """With a call's arguments as JSON has them, whatever the white space; without terms, which are not said again."""
    parts = (
        replace(part, arguments=json.dumps(json.loads(part.arguments or "{}"))) if isinstance(part, ToolUse) else part
        for part in answer.parts
    )
    return replace(answer, parts=tuple(parts), terms=STANDARD_TERMS)


def read(stream: bytes) -> Answer:
    reader = MessageReader()
    return folded([*reader.feed(stream), *reader.close(orderly=True)])


def accumulated(sent: bytes) -> Message:
    """What the SDK's stream helper makes of a stream."""
    snapshot: Any = None
    for event in events(sent):
        snapshot = accumulate_event(event=EVENT.validate_python(event), current_snapshot=snapshot, json_bufs=BUFFERS)
    return Message.model_validate(snapshot.to_dict())


BUFFERS: dict[int, bytes] = {}


@pytest.fixture(autouse=True)
def _no_buffers() -> None:
    BUFFERS.clear()


@every_twin
def test_fixtures_are_what_the_sdk_reads(whole, stream) -> None:
    Message.model_validate_json(whole.read_bytes())
    for event in events(stream.read_bytes()):
        if event["type"] != "ping":
            EVENT.validate_python(event)


@every_twin
def test_a_stream_folds_to_its_whole_twin(whole, stream) -> None:
    assert plain(read(stream.read_bytes())) == plain(read_message(json.loads(whole.read_bytes())))


@every_twin
def test_the_usage_adds_up_to_what_was_told(whole, stream) -> None:
    told = json.loads(whole.read_bytes())["usage"]
    usage = read_message(json.loads(whole.read_bytes())).usage
    read_and_written = told["cache_creation_input_tokens"] + told["cache_read_input_tokens"]
    assert usage is not None
    assert usage.total_tokens == told["input_tokens"] + read_and_written + told["output_tokens"]


@every_twin
def test_what_is_written_again_is_what_was_read(whole, stream) -> None:
    answer = read_message(json.loads(whole.read_bytes()))
    again = write_message(call(MESSAGES, provider="anthropic"), answer, annotate)
    Message.model_validate_json(again)
    assert plain(read_message(json.loads(again))) == plain(answer)


@every_twin
def test_a_stream_written_again_is_what_the_sdk_puts_together(whole, stream) -> None:
    writer, reader = MessageWriter(call(MESSAGES, provider="anthropic"), annotate), MessageReader()
    sent = b"".join(map(writer.write, [*reader.feed(stream.read_bytes()), *reader.close(orderly=True)]))
    assert plain(read(sent)) == plain(read(stream.read_bytes()))
    whole_answer = read_message(json.loads(whole.read_bytes()))
    assert plain(read_message(accumulated(sent).to_dict())) == plain(whole_answer)
