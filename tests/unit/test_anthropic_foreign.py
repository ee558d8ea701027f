"""A conversation that was had at another provider goes on at Claude, by messages that pass through.

CLIProxyAPI#1584, tailcallhq/forgecode#2646, anomalyco/opencode#24909: `Invalid signature in thinking block`, `thinking.
signature: Field required`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from ownkey.domain.surfaces import Surface
from ownkey.providers import Encoded, translator_of
from tests.support.crossing import broken
from tests.support.providers import call

SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCg=="}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAh=="}
OTHERS = [
    {"type": "thinking", "thinking": "Hm.", "signature": "ownkey:openai-responses-v1#rs_1:gAAAA"},
    {"type": "redacted_thinking", "data": "ownkey:google-gemini-v1:CikB"},
]
NOBODYS = [
    {"type": "thinking", "thinking": "Hm.", "signature": ""},
    {"type": "thinking", "thinking": "Hm."},
    {"type": "thinking", "thinking": "Hm.", "signature": None},
]
QUESTION, USE = {"role": "user", "content": "time?"}, {"type": "tool_use", "id": "call_1", "name": "clock", "input": {}}
TEXT = {"type": "text", "text": "Noon."}
WIRES = {"anthropic": "anthropic", "anthropic_vertex": "vertex", "anthropic_azure": "azure"}


def asked(*messages: Any, wire: str = "anthropic", model: str = "claude-haiku-4-5", **more: Any) -> Encoded:
    translator = translator_of(Surface.MESSAGES, wire)
    assert translator is not None
    body = {"model": model, "max_tokens": 2000, "messages": list(messages), **more}
    return translator.encode_request(call(body, provider=WIRES[wire]))


def sent(*messages: Any, **more: Any) -> list[Any]:
    found: list[Any] = json.loads(asked(*messages, **more).body)["messages"]
    return found


def answer(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def result(id_: str = "call_1") -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id_, "content": "noon"}]}


class TestThoughts:
    @pytest.mark.parametrize("wire", ["anthropic", "anthropic_vertex"])
    def test_of_others_are_left_out(self, wire):
        messages = sent(QUESTION, answer(*OTHERS, *NOBODYS, SIGNED, REDACTED, TEXT), QUESTION, wire=wire)
        assert messages == [QUESTION, answer(SIGNED, REDACTED, TEXT), QUESTION]

    def test_alone_are_no_answer(self):
        assert sent(QUESTION, answer(*OTHERS), QUESTION) == [QUESTION, QUESTION]

    def test_of_providers_that_only_speak_like_anthropic_go_back_to_them(self):
        messages = (QUESTION, answer(*NOBODYS, SIGNED, TEXT), QUESTION)
        assert sent(*messages, model="MiniMax-M2") == list(messages)
        assert sent(QUESTION, answer(OTHERS[0], TEXT), QUESTION, model="MiniMax-M2")[1] == answer(TEXT)

    def test_left_out_of_calls_that_wait_for_their_results_leave_out_the_budget(self):
        budget = {"type": "enabled", "budget_tokens": 1024}
        assert asked(QUESTION, answer(OTHERS[0], USE), result(), QUESTION, thinking=budget).dropped == ("thinking",)
        encoded = asked(QUESTION, answer(OTHERS[0], USE), result(), thinking=budget)
        assert "thinking" not in json.loads(encoded.body)
        assert encoded.dropped == ("thinking",)

    @pytest.mark.parametrize(
        ("turns", "thinking"),
        [
            ((answer(OTHERS[0], SIGNED, USE), result()), {"type": "enabled", "budget_tokens": 1024}),
            ((answer(OTHERS[0], TEXT), QUESTION), {"type": "enabled", "budget_tokens": 1024}),
            ((answer(OTHERS[0], USE), result()), {"type": "adaptive"}),
        ],
        ids=["signed", "answered", "adaptive"],
    )
    def test_else_the_wish_to_think_stays(self, turns, thinking):
        encoded = asked(QUESTION, *turns, thinking=thinking)
        assert json.loads(encoded.body)["thinking"] == thinking
        assert encoded.dropped == ()


class TestIds:
    def test_that_claude_refuses_are_others_the_same_in_call_and_result(self):
        id_ = "functions.clock:0"
        _, use, given_ = sent(QUESTION, answer({**USE, "id": id_}), result(id_))
        assert use["content"][0]["id"] == given_["content"][0]["tool_use_id"] != id_
        assert use["content"][0]["id"].startswith("toolu_")

    def test_of_providers_that_only_speak_like_anthropic_stay(self):
        messages = [QUESTION, answer({**USE, "id": "functions.clock:0"}), result("functions.clock:0")]
        assert sent(*messages, model="kimi-k2") == messages


def test_claudes_own_conversation_is_untouched():
    raw = (
        b'{"model":"claude-haiku-4-5",  "max_tokens":9, "messages":%b}'
        % json.dumps([QUESTION, answer(SIGNED, USE), result(), answer()], indent=1).encode()
    )
    translator = translator_of(Surface.MESSAGES, "anthropic")
    assert translator is not None
    assert translator.encode_request(call(raw, provider="anthropic")).body == raw


@settings(max_examples=60)
@given(messages=broken([QUESTION, answer(OTHERS[0], NOBODYS[0], {**USE, "id": "a b"}), result("a b")]))
def test_what_is_no_conversation_is_the_providers_to_refuse(messages):
    assert asked(thinking={"type": "enabled", "budget_tokens": 1024}) is not None
    translator = translator_of(Surface.MESSAGES, "anthropic")
    assert translator is not None
    body = json.dumps({"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages}).encode()
    assert translator.encode_request(call(body, provider="anthropic")).url
