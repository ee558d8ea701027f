"""What another's key does not serve of Anthropic's API: fees that no answer counts, files of theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.errors import UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import Encoded, translator_of
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


def test_other_clients_are_refused_it_too():
    request = {"model": "claude-haiku-4-5", "input": "Hello", "tools": [CODE]}
    translator = translator_of(Surface.RESPONSES, "anthropic")
    assert translator is not None
    plain = call(request, provider="anthropic")
    assert json.loads(translator.encode_request(plain).body)["tools"] == [CODE]
    with pytest.raises(UnsupportedParameter):
        translator.encode_request(replace(call(request, provider="anthropic"), own=False))
