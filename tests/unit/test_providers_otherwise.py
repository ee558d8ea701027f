"""What a row says its provider refuses of chat completions is asked in another way where there is one."""

from __future__ import annotations

import json

import pytest

from ownkey.domain.errors import UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import Translator, translator_for
from tests.support.providers import CATALOG, CHAT, annotate, call

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}


def chat(provider: str) -> Translator:
    found = translator_for(Surface.CHAT, CATALOG.provider(provider), "some-model", None)
    assert found is not None
    return found


def test_a_schema_that_deepseek_refuses_is_asked_for_by_a_tool_and_unwrapped() -> None:
    asked = call(CHAT | {"response_format": FORMAT}, provider="deepseek", model="deepseek-chat")
    sent = json.loads(chat("deepseek").encode_request(asked).body)
    assert "response_format" not in sent
    (tool,) = sent["tools"]
    arguments = {"name": tool["function"]["name"], "arguments": '{"city": "Rome"}'}
    message = {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": arguments}]}
    answer = {"id": "a", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    whole = json.loads(chat("deepseek").decode_whole(asked, json.dumps(answer).encode(), annotate).body)
    choice = whole["choices"][0]
    assert json.loads(choice["message"]["content"]) == {"city": "Rome"}
    assert choice["finish_reason"] == "stop"
    assert not choice["message"].get("tool_calls")


def test_what_has_no_other_way_is_refused_as_before() -> None:
    with pytest.raises(UnsupportedParameter, match="`n`"):
        chat("groq").encode_request(call(CHAT | {"n": 2}, provider="groq", model="llama-3.3-70b-versatile"))


def test_what_is_not_refused_is_passed_through() -> None:
    asked = call(CHAT, provider="deepseek", model="gpt-4o")
    assert chat("deepseek").encode_request(asked).body is asked.body.raw
