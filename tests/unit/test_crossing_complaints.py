"""What users of gateways between these two dialects have complained of, so that nobody has to again.

Cache tokens counted twice: BerriAI/litellm#11364, #9812, #11789. Arguments lost and wrong reasons to stop in streamed
calls: BerriAI/litellm#25321, #25561, #34692, maximhq/bifrost#3638, #6123. No usage in streams: Portkey-AI/gateway#1259.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Usage
from ownkey.providers import Translator, translator_of
from tests.support.providers import CATALOG, CHAT, MESSAGES, annotate, call, events, fixture, passed

STREAMED_CHAT = call(
    {**CHAT, "model": "claude-haiku-4-5", "stream": True, "stream_options": {"include_usage": True}},
    provider="anthropic",
)
STREAMED_MESSAGES = call({**MESSAGES, "model": "gpt-4o", "stream": True}, provider="openai")


def translator(surface: Surface, wire: Dialect) -> Translator:
    found = translator_of(surface, wire)
    assert found is not None
    return found


TO_CLAUDE, TO_OPENAI = translator(Surface.CHAT, Dialect.ANTHROPIC), translator(Surface.MESSAGES, Dialect.OPENAI)


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": choices, **more}


def calling(index: int, *, id: str | None = None, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {"tool_calls": [{"index": index, "function": function, **({"id": id, "type": "function"} if id else {})}]}


def told(*chunks: dict[str, Any]) -> list[Any]:
    """What a Messages client gets of OpenAI's chunks."""
    stream = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks) + b"data: [DONE]\n\n"
    return events(passed(TO_OPENAI, STREAMED_MESSAGES, [stream]).output)


def blocks(sent: list[Any]) -> list[tuple[str, str]]:
    """(type, text or arguments) of each block."""
    found: dict[int, tuple[str, str]] = {}
    for event in sent:
        if event["type"] == "content_block_start":
            found[event["index"]] = (event["content_block"]["type"], "")
        if event["type"] == "content_block_delta":
            kind, text = found[event["index"]]
            delta = event["delta"]
            found[event["index"]] = (kind, text + delta.get("text", "") + delta.get("partial_json", ""))
    return list(found.values())


class TestCacheTokensAreCountedOnce:
    def test_of_claude_in_chat_completions(self):
        """`input_tokens` has none of them, `prompt_tokens` all."""
        request = call({**CHAT, "model": "claude-haiku-4-5"}, provider="anthropic")
        whole = TO_CLAUDE.decode_whole(request, fixture("anthropic", "response.json"), annotate)
        streamed = passed(TO_CLAUDE, STREAMED_CHAT, [fixture("anthropic", "stream.sse")])
        usage = json.loads(whole.body)["usage"]
        assert usage["prompt_tokens"] == 12 + 2000 + 500
        assert usage["prompt_tokens_details"]["cached_tokens"] == 500
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] == 2512 + 80
        told_last = [event for event in events(streamed.output) if event != "[DONE]"][-1]["usage"]
        assert {name: told_last[name] for name in usage} == usage

    def test_what_is_billed_is_told_apart_by_lifetime_streamed_too(self):
        bucketed = Usage(input=12, cache_read=500, cache_write_5m=300, cache_write_1h=1700, output=30, reasoning=50)
        streamed = passed(TO_CLAUDE, STREAMED_CHAT, [fixture("anthropic", "stream.sse")])
        assert streamed.decoder.reading.usage == bucketed

    def test_of_openai_in_messages(self):
        """`prompt_tokens` has what was cached in it, `input_tokens` has not."""
        usage = {
            "prompt_tokens": 2000,
            "completion_tokens": 30,
            "total_tokens": 2030,
            "prompt_tokens_details": {"cached_tokens": 1536},
            "completion_tokens_details": {"reasoning_tokens": 10},
        }
        sent = told(chunk({"content": "Hi"}), chunk({}, "stop"), {**chunk({}), "choices": [], "usage": usage})
        final = sent[-2]["usage"]
        assert (final["input_tokens"], final["cache_read_input_tokens"]) == (464, 1536)
        assert (final["output_tokens"], final["output_tokens_details"]) == (30, {"thinking_tokens": 10})


class TestStreamedCalls:
    @pytest.mark.parametrize("finish", ["tool_calls", "stop"])
    def test_after_a_text_are_what_the_answer_stops_for(self, finish):
        """vLLM says `tool_calls`, Ollama `stop`: a client runs nothing unless it is told `tool_use`."""
        sent = told(
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Let me see."}),
            chunk(calling(0, id="call_1", name="weather", arguments='{"city":')),
            chunk(calling(0, arguments=' "Bern"}')),
            chunk({}, finish),
        )
        assert blocks(sent) == [("text", "Let me see."), ("tool_use", '{"city": "Bern"}')]
        assert sent[-2]["delta"]["stop_reason"] == "tool_use"

    def test_alone_have_no_empty_text_before_them(self):
        opening = chunk({"role": "assistant", "content": ""})
        sent = told(opening, chunk(calling(0, id="call_1", name="clock", arguments="{}")), chunk({}, "tool_calls"))
        assert blocks(sent) == [("tool_use", "{}")]

    def test_that_interleave_keep_all_their_arguments(self):
        sent = told(
            chunk(calling(0, id="call_1", name="weather", arguments='{"ci')),
            chunk(calling(1, id="call_2", name="weather", arguments='{"city"')),
            chunk(calling(0, arguments='ty": "Bern"}')),
            chunk(calling(1, arguments=': "Chur"}')),
            chunk({}, "tool_calls"),
        )
        assert blocks(sent) == [("tool_use", '{"city": "Bern"}'), ("tool_use", '{"city": "Chur"}')]
        kinds = [event["type"] for event in sent if event["type"].startswith("content_block_st")]
        assert kinds == ["content_block_start", "content_block_stop"] * 2

    def test_all_in_one_chunk_keep_their_arguments(self):
        """The first chunk of a call may have all of it."""
        calls = calling(0, id="a", name="weather", arguments='{"city":"Bern"}')["tool_calls"]
        calls += calling(1, id="b", name="clock", arguments="{}")["tool_calls"]
        sent = told(chunk({"role": "assistant", "tool_calls": calls}), chunk({}, "tool_calls"))
        assert blocks(sent) == [("tool_use", '{"city":"Bern"}'), ("tool_use", "{}")]

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_that_all_are_the_first_of_their_answer_are_told_apart(self, streamed):
        """NVIDIA-NeMo/Switchyard#502, HKUDS/nanobot#4474: `call_0` in every answer, `grep:3` twice in one."""
        use = {"type": "tool_use", "id": "call_0", "name": "read", "input": {}}
        turns = [{"role": "assistant", "content": [use]}]
        turns += [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_0"}]}]
        body = {**MESSAGES, "model": "gpt-4o", "stream": streamed, "messages": [*MESSAGES["messages"], *turns]}
        request = call(body, provider="openai")
        calls = [
            {"index": at, "id": id_, "type": "function", "function": {"name": "read", "arguments": "{}"}}
            for at, id_ in enumerate(["call_0", "grep:3", "grep:3"])
        ]
        if streamed:
            sent = [chunk({"tool_calls": calls[at : at + 1]}) for at in range(3)]
            stream = b"".join(
                b"data: " + json.dumps(each).encode() + b"\n\n" for each in [*sent, chunk({}, "tool_calls")]
            )
            sent_on = events(passed(TO_OPENAI, request, [stream]).output)
            ids = [each["content_block"]["id"] for each in sent_on if each["type"] == "content_block_start"]
        else:
            choice = {"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
            answer = json.dumps({"id": "c", "model": "gpt-4o", "choices": [choice]}).encode()
            whole = json.loads(TO_OPENAI.decode_whole(request, answer, annotate).body)
            ids = [block["id"] for block in whole["content"]]
        assert ids[1] == "grep:3"
        assert len({"call_0", *ids}) == 4

    def test_of_claude_keep_their_index_and_arguments(self):
        output = events(passed(TO_CLAUDE, STREAMED_CHAT, [fixture("anthropic", "stream-parallel.sse")]).output)
        arguments: dict[int, str] = {}
        for each in output:
            for piece in (
                (each["choices"][0]["delta"].get("tool_calls") or ()) if each != "[DONE]" and each["choices"] else ()
            ):
                arguments[piece["index"]] = arguments.get(piece["index"], "") + piece["function"].get("arguments", "")
        whole = json.loads(fixture("anthropic", "response-parallel.json"))["content"]
        assert [json.loads(each) for each in arguments.values()] == [block["input"] for block in whole[1:]]

    def test_of_claude_are_what_the_answer_stops_for_though_the_provider_says_otherwise(self):
        """Bedrock's `end_turn` with calls in the answer."""
        stream = fixture("anthropic", "stream-parallel.sse").replace(
            b'"stop_reason":"tool_use"', b'"stop_reason":"end_turn"'
        )
        output = [each for each in events(passed(TO_CLAUDE, STREAMED_CHAT, [stream]).output) if each != "[DONE]"]
        assert [each["choices"][0]["finish_reason"] for each in output if each["choices"]][-1] == "tool_calls"


class TestUsageOfStreams:
    def test_is_asked_of_openai_for_messages_clients(self):
        body = json.loads(TO_OPENAI.encode_request(STREAMED_MESSAGES).body)
        assert body["stream_options"]["include_usage"] is True

    @pytest.mark.parametrize("asked", [True, False])
    def test_is_told_to_chat_clients_that_ask_for_it(self, asked):
        options = {"stream_options": {"include_usage": True}} if asked else {}
        request = call({**CHAT, "model": "claude-haiku-4-5", "stream": True, **options}, provider="anthropic")
        result = passed(TO_CLAUDE, request, [fixture("anthropic", "stream.sse")])
        chunks = [event for event in events(result.output) if event != "[DONE]"]
        assert (chunks[-1]["choices"] == []) is asked
        assert any(each.get("usage") for each in chunks) is asked
        assert result.decoder.reading.usage is not None  # it is billed all the same


class TestOneLimitForModelsOfManyMakers:
    """Claude Code asks for 32,000 tokens of every model."""

    @pytest.mark.parametrize(("asked", "sent"), [(32_000, 16_384), (100, 100)])
    def test_a_limit_beyond_the_models_becomes_the_models(self, asked, sent):
        model = CATALOG.model("openai", "gpt-4o-mini")
        body = MESSAGES | {"model": "gpt-4o-mini", "max_tokens": asked}
        request = replace(call(body, provider="openai"), model=model)
        assert json.loads(TO_OPENAI.encode_request(request).body)["max_completion_tokens"] == sent
