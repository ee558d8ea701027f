"""What other gateways lose between chat completions and messages: arguments, finish reasons, usage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from ownkey.domain.surfaces import Surface
from ownkey.providers import translator_of
from tests.support.providers import CHAT, MESSAGES, call, events, passed

EVENT = TypeAdapter(RawMessageStreamEvent)
TOOL = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}
USED = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def called(**function: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "read", **function}}]}


def more(arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


def sse(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks) + b"data: [DONE]\n\n"


def message(*chunks: dict[str, Any]) -> tuple[list[Any], Message]:
    """What a client of messages gets of an OpenAI stream: the events, and what its SDK makes of them."""
    translator = translator_of(Surface.MESSAGES, "openai")
    assert translator is not None
    output = passed(translator, call(MESSAGES | {"stream": True}, provider="groq"), [sse(*chunks)]).output
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    told = events(output)
    for event in told:
        snapshot = accumulate_event(event=EVENT.validate_python(event), current_snapshot=snapshot, json_bufs=buffers)
    return told, Message.model_validate(snapshot.to_dict())


def completion(body: dict[str, Any], *told: dict[str, Any]) -> tuple[list[Any], ChatCompletion]:
    """What a client of chat completions gets of an Anthropic stream: the chunks, and what its SDK makes of them."""
    translator = translator_of(Surface.CHAT, "anthropic")
    assert translator is not None
    stream = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in told)
    output = passed(translator, call(CHAT | {"stream": True} | body, provider="anthropic"), [stream]).output
    state: Any = ChatCompletionStreamState()
    chunks = events(output)
    for each in chunks[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate(each))
    assert chunks[-1] == "[DONE]"
    return chunks, state.current_completion_snapshot


def anthropic_stream(*blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str) -> list[dict[str, Any]]:
    usage = {"input_tokens": 7, "output_tokens": 1}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": head}]
    for index, (block, deltas) in enumerate(blocks):
        told.append({"type": "content_block_start", "index": index, "content_block": block})
        told += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        told.append({"type": "content_block_stop", "index": index})
    told.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}})
    return [*told, {"type": "message_stop"}]


class TestLostArguments:
    """litellm 25321, 25561, 25836, 36262."""

    def test_in_the_chunk_that_begins_the_call(self) -> None:
        _, got = message(
            chunk({"content": "Let me."}), chunk(called(arguments='{"path":"a"}')), chunk({}, "tool_calls")
        )
        assert [block.to_dict() for block in got.content if block.type == "tool_use"] == [
            {"id": "a", "input": {"path": "a"}, "name": "read", "type": "tool_use", **caller(got)}
        ]

    def test_in_the_chunk_that_ends_the_answer(self) -> None:
        _, got = message(chunk(called(arguments="")), chunk(more('{"path":"a"}'), "tool_calls"))
        assert got.content[0].to_dict()["input"] == {"path": "a"}

    def test_of_a_whole_call_together_with_text_and_the_end(self) -> None:
        _, got = message(chunk({"content": "Let me.", **called(arguments='{"path":"a"}')}, "tool_calls", usage=USED))
        assert [block.type for block in got.content] == ["text", "tool_use"]
        assert got.content[1].to_dict()["input"] == {"path": "a"}
        assert got.usage.output_tokens == 5

    def test_of_a_call_after_thoughts(self) -> None:
        _, got = message(
            chunk({"reasoning_content": "Hm."}), chunk(called(arguments='{"path":"a"}')), chunk({}, "stop")
        )
        assert [block.type for block in got.content] == ["thinking", "tool_use"]
        assert got.content[1].to_dict()["input"] == {"path": "a"}

    @pytest.mark.parametrize("pieces", [[], [""], ["{}"], ["", "{", "}"]])
    def test_where_there_are_none_they_are_an_empty_object(self, pieces: list[str]) -> None:
        """litellm 5063, 4537: neither an empty text nor a doubled object."""
        block = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        _, got = completion({"tools": [TOOL]}, *anthropic_stream((block, deltas), stop="tool_use"))
        (use,) = got.choices[0].message.tool_calls or ()
        assert use.type == "function"
        assert json.loads(use.function.arguments) == {}


def caller(got: Message) -> dict[str, Any]:
    """What newer messages say of who calls a tool, where they do."""
    return {name: value for name, value in got.content[-1].to_dict().items() if name == "caller"}


class TestWrongFinishReasons:
    """litellm 34692, 15884; bifrost 3638."""

    def test_a_call_that_ends_with_stop_is_a_call(self) -> None:
        told, got = message(
            chunk({"role": "assistant", "content": ""}), chunk(called(arguments="{}")), chunk({}, "stop")
        )
        assert got.stop_reason == "tool_use"
        assert [event["content_block"]["type"] for event in told if event["type"] == "content_block_start"] == [
            "tool_use"
        ]

    def test_text_and_then_a_call_is_a_call(self) -> None:
        _, got = message(chunk({"content": "Let me."}), chunk(called(arguments="{}")), chunk({}, "tool_calls"))
        assert got.stop_reason == "tool_use"

    def test_a_call_that_the_limit_cuts_is_no_call(self) -> None:
        _, got = message(chunk(called(arguments='{"path')), chunk({}, "length"))
        assert got.stop_reason == "max_tokens"

    def test_an_answer_that_ends_twice_ends_once(self) -> None:
        told, got = message(chunk({"content": "a"}), chunk({}, "stop"), chunk({}, "stop", usage=USED))
        assert [event["type"] for event in told].count("message_stop") == 1
        assert (got.stop_reason, got.usage.input_tokens) == ("end_turn", 7)

    @pytest.mark.parametrize(
        ("stop", "finish"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("pause_turn", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("refusal", "content_filter"),
            ("of_tomorrow", "stop"),
        ],
    )
    def test_every_stop_reason_has_a_word(self, stop: str, finish: str) -> None:
        block = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "a"}])
        chunks, got = completion({}, *anthropic_stream(block, stop=stop))
        assert got.choices[0].finish_reason == finish
        assert chunks[-2]["choices"][0]["native_finish_reason"] == stop


class TestParallelCalls:
    def test_each_has_its_own_index_in_one_choice(self) -> None:
        """litellm 17425: no choice of its own for each call, no empty calls between them."""
        blocks = [
            (
                {"type": "tool_use", "id": f"toolu_{each}", "name": "read", "input": {}},
                [{"type": "input_json_delta", "partial_json": json.dumps({"path": each})}],
            )
            for each in "abc"
        ]
        text = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Let me."}])
        chunks, got = completion({"tools": [TOOL]}, *anthropic_stream(text, *blocks, stop="tool_use"))
        assert len(got.choices) == 1
        uses = got.choices[0].message.tool_calls or ()
        assert [(use.id, json.loads(use.function.arguments)["path"]) for use in uses] == [  # type: ignore[union-attr]
            ("toolu_a", "a"), ("toolu_b", "b"), ("toolu_c", "c")
        ]  # fmt: skip
        deltas = [each["choices"][0]["delta"] for each in chunks[:-1] if each["choices"]]
        assert [use["index"] for delta in deltas for use in delta.get("tool_calls", ()) if "id" in use] == [0, 1, 2]


class TestUsage:
    """Portkey 1259, 1338: missing, told twice, told unasked."""

    BLOCK = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "a"}])

    def test_is_told_once_in_the_last_chunk_where_it_is_asked_for(self) -> None:
        asked = {"stream_options": {"include_usage": True}}
        chunks, got = completion(asked, *anthropic_stream(self.BLOCK, stop="end_turn"))
        assert [bool(each["usage"]) for each in chunks[:-1]] == [False] * (len(chunks) - 2) + [True]
        assert chunks[-2]["choices"] == []
        assert got.usage is not None
        assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (7, 5, 12)

    def test_is_not_told_where_it_is_not(self) -> None:
        chunks, _ = completion({}, *anthropic_stream(self.BLOCK, stop="end_turn"))
        assert not any("usage" in each for each in chunks[:-1])
        assert all(each["choices"] for each in chunks[:-1])

    @pytest.mark.parametrize(
        "last",
        [
            [chunk({}, "stop", usage=USED)],
            [chunk({}, "stop"), {"id": "c", "model": "m", "choices": [], "usage": USED}],
            [chunk({}, "stop", usage=USED), {"id": "c", "model": "m", "choices": [], "usage": USED}],
        ],
        ids=["with the end", "after the end", "twice"],
    )
    def test_is_found_wherever_it_comes(self, last: list[dict[str, Any]]) -> None:
        told, got = message(chunk({"content": "a"}), *last)
        assert (got.usage.input_tokens, got.usage.output_tokens) == (7, 5)
        assert [event["type"] for event in told].count("message_delta") == 1
        translator = translator_of(Surface.MESSAGES, "openai")
        assert translator is not None
        decoder = passed(translator, call(MESSAGES | {"stream": True}), [sse(chunk({"content": "a"}), *last)]).decoder
        assert decoder.reading.usage is not None
        assert decoder.reading.usage.total_tokens == 12
