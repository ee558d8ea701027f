"""A compatible provider that has a part of OpenAI's Responses (xAI): what it has passes through, what else crosses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.errors import UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import Call, Encoded, Translator, translator_for
from tests.support.providers import CATALOG, annotate, call, events, fixture, passed

XAI = CATALOG.provider("xai")
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
HELLO = {"role": "user", "content": "Hello"}
ASKED = {"model": "grok-4.6", "input": [HELLO]}


def translator(surface: Surface = Surface.RESPONSES, model: str = "grok-4.6") -> Translator:
    found = translator_for(surface, XAI, model, CATALOG.model("xai", model))
    assert found is not None
    return found


def asked(**more: Any) -> Call:
    return call(ASKED | more, provider="xai")


def sent(**more: Any) -> Encoded:
    return translator().encode_request(asked(**more))


def test_what_the_provider_has_passes_through_untouched() -> None:
    """Encrypted reasoning, its own searches, what it stores: of all that chat completions have nothing."""
    more = {
        "tools": [FUNCTION, {"type": "x_search"}],
        "include": ["reasoning.encrypted_content"],
        "previous_response_id": "resp_1",
        "store": True,
    }
    encoded = sent(**more)
    assert encoded.url == "https://api.x.ai/v1/responses"
    assert encoded.body == asked(**more).body.raw
    assert encoded.dropped == ()


def test_an_answer_passes_through_too() -> None:
    request = asked(stream=True)
    translator().encode_request(request)
    through = passed(translator(), request, [fixture("responses", "stream.sse")])
    told = events(through.output)
    assert through.decoder.finished
    assert told[0]["type"] == "response.created"
    assert told[-1]["response"]["usage"]["is_byok"] is True


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [FUNCTION, {"type": "custom", "name": "patch"}]},
        {"tools": [{"type": "namespace", "name": "crm", "tools": [FUNCTION]}]},
        {"tools": [{"type": "local_shell"}]},
        {"input": [HELLO, {"type": "custom_tool_call_output", "call_id": "c", "output": "x"}]},
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [FUNCTION]}, HELLO]},
    ],
    ids=["a free-form tool", "a namespace", "the client's shell", "a free-form result", "tools among the input"],
)
def test_what_it_has_not_is_asked_of_its_chat_completions(more: dict[str, Any]) -> None:
    """What Codex sends: xAI's Responses answer each of these with an error."""
    encoded = sent(**more)
    assert encoded.url == "https://api.x.ai/v1/chat/completions"
    assert all(tool["type"] == "function" for tool in json.loads(encoded.body).get("tools", ()))


def test_the_answer_to_what_crossed_is_a_response() -> None:
    request = asked(tools=[{"type": "custom", "name": "patch"}])
    translator().encode_request(request)
    answer = {"id": "a", "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    whole = translator().decode_whole(request, json.dumps(answer).encode(), annotate)
    assert json.loads(whole.body)["output"][0]["content"][0]["text"] == "Hi"


def test_members_that_are_null_are_not_sent() -> None:
    """Codex gives reasoning back with `"content": null`, openai-python what it was given: xAI refuses both."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    encoded = sent(input=[HELLO, {**thought, "content": None, "status": None}])
    assert json.loads(encoded.body)["input"] == [HELLO, thought]


def test_what_only_tunes_a_tool_is_left_out_and_told() -> None:
    search = {"type": "web_search", "external_web_access": True, "search_context_size": "low"}
    encoded = sent(tools=[search])
    assert json.loads(encoded.body)["tools"] == [{"type": "web_search"}]
    assert set(encoded.dropped) == {"tools.external_web_access", "tools.search_context_size"}


def test_an_effort_goes_to_models_that_take_one() -> None:
    wanted = {"effort": "low", "summary": "auto"}
    assert json.loads(sent(reasoning=wanted).body)["reasoning"] == wanted
    encoded = sent(reasoning=wanted, model="grok-code-fast-1")
    assert json.loads(encoded.body)["reasoning"] == {"summary": "auto"}
    assert encoded.dropped == ("reasoning.effort",)


def test_by_another_accounts_key_everything_crosses() -> None:
    """What is stored there is its owner's, and what its own tools cost no usage tells."""
    lent = replace(asked(), own=False)
    assert translator().encode_request(lent).url.endswith("/chat/completions")
    for more in ({"previous_response_id": "resp_1"}, {"tools": [{"type": "x_search"}]}):
        with pytest.raises(UnsupportedParameter):
            translator().encode_request(replace(asked(**more), own=False))


@pytest.mark.parametrize("surface", [Surface.CHAT, Surface.MESSAGES])
def test_other_surfaces_are_served_by_chat_completions_as_before(surface: Surface) -> None:
    body = {"model": "grok-4.6", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    assert translator(surface).encode_request(call(body, provider="xai")).url.endswith("/chat/completions")
