"""What another's key does not serve of Anthropic's API: fees that no answer counts, files of theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.errors import UnsupportedParameter
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.http.errors import body_of
from ownkey.providers import Encoded, translator_of
from ownkey.providers.failures import decode_failure
from tests.support.providers import MESSAGES, call

ADVISOR = {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-5"}
CODE = {"type": "code_execution_20250825", "name": "code_execution"}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
PLAIN = {"name": "f", "input_schema": {"type": "object"}}
FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": [FILE]}


def asked(surface: Surface = Surface.MESSAGES, *, own: bool = False, **members: Any) -> Encoded:
    translator = translator_of(surface, "anthropic")
    assert translator is not None
    return translator.encode_request(replace(call({**MESSAGES, **members}, provider="anthropic"), own=own))


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [PLAIN, ADVISOR]}, "tools"),
        ({"tools": [CODE]}, "tools"),
        ({"fallbacks": [{"model": "claude-opus-5"}]}, "fallbacks"),
        ({"container": "container_1"}, "container"),
        ({"messages": [{"role": "user", "content": [FILE]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "file_1"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "messages"),
    ],
    ids=["advisor", "code", "fallbacks", "container", "file", "upload", "a result's file"],
)
def test_is_refused_before_anything_is_sent(members, param):
    with pytest.raises(UnsupportedParameter) as refused:
        asked(**members)
    assert refused.value.param == param
    assert json.loads(asked(own=True, **members).body) == {**MESSAGES, **members}


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [SEARCH, PLAIN]},
        {"fallbacks": None, "container": None, "tools": None},
        {"messages": [{"role": "user", "content": 'What is a "file_id"?'}, None, {"role": "user", "content": [None]}]},
    ],
)
def test_all_else_is_served(members):
    assert json.loads(asked(**members).body) == {**MESSAGES, **members}


HELD = {"thread": {"type": "continue", "previous_message_id": "msg_1"}}


@pytest.mark.parametrize("wire", ["anthropic_azure", "anthropic_bedrock", "anthropic_vertex", "openai", "gemini"])
def test_a_conversation_that_nobody_holds_is_refused_in_words_that_the_sdk_knows(wire):
    translator = translator_of(Surface.MESSAGES, wire)
    assert translator is not None
    with pytest.raises(UnsupportedParameter) as refused:
        translator.encode_request(call({**MESSAGES, **HELD}, provider="anthropic"))
    error = body_of(refused.value, Dialect.ANTHROPIC, "req_1")["error"]
    assert error["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert error["metadata"].keys() == {"source", "fix", "request_id", "unsupported"}
    assert "details" not in body_of(refused.value, Dialect.OPENAI, "req_1")["error"]


def test_anthropic_holds_it_by_a_key_of_ones_own():
    assert json.loads(asked(own=True, **HELD).body) == {**MESSAGES, **HELD}
    with pytest.raises(UnsupportedParameter):
        asked(**HELD)


def test_what_the_sdk_acts_upon_in_an_error_reaches_it():
    error = {"type": "not_found_error", "message": "No such thread.", "details": {"error_code": "thread_not_found"}}
    failure = decode_failure(404, {}, json.dumps({"type": "error", "error": error}).encode())
    assert body_of(failure, Dialect.ANTHROPIC, "req_1")["error"]["details"] == {"error_code": "thread_not_found"}


def test_other_clients_are_refused_it_too():
    request = {"model": "claude-haiku-4-5", "input": "Hello", "tools": [CODE]}
    translator = translator_of(Surface.RESPONSES, "anthropic")
    assert translator is not None
    plain = call(request, provider="anthropic")
    assert json.loads(translator.encode_request(plain).body)["tools"] == [CODE]
    with pytest.raises(UnsupportedParameter):
        translator.encode_request(replace(call(request, provider="anthropic"), own=False))
