"""Anthropic's models at Bedrock, for clients of other dialects: what is sent otherwise than to Anthropic itself."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ownkey.domain.errors import UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import Encoded, translator_of
from ownkey.providers.bedrock.crossed import BedrockMessagesApi
from ownkey.providers.crossing import (
    CacheMark,
    Conversation,
    Document,
    FileId,
    HostedTool,
    Image,
    Inline,
    Link,
    OutputFormat,
    Part,
    Role,
    Text,
    ToolResult,
    Turn,
    folded,
)
from tests.support.bedrock import INVOKED
from tests.support.providers import call

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
API = BedrockMessagesApi()
DATA = base64.b64encode(b"data").decode()


def asked(*parts: Part, headers: dict[str, str] | None = None, **wishes: Any) -> tuple[dict[str, Any], Encoded]:
    request = call({"model": MODEL, "stream": wishes.get("stream", False)}, provider="bedrock", client_headers=headers)
    conversation = Conversation(turns=(Turn(Role.USER, parts or (Text("Hello"),)),), **wishes)
    sent = API.write_request(request, conversation)
    return json.loads(sent.body), sent


def test_model_and_stream_are_told_by_the_url_and_the_version_by_the_body() -> None:
    body, sent = asked(stream=True, headers={"anthropic-beta": "context-1m-2025-08-07,one"})
    assert sent.url.endswith("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream")
    assert body["anthropic_version"] == "bedrock-2023-05-31"
    assert body["anthropic_beta"] == ["context-1m-2025-08-07"]
    assert sent.dropped == ("anthropic-beta.one",)
    assert not {"model", "stream"} & body.keys()


@pytest.mark.parametrize(("tier", "dropped"), [("auto", ()), ("standard_only", ("tier",)), ("priority", ("tier",))])
def test_anthropics_tiers_are_not_bedrocks(tier: str, dropped: tuple[str, ...]) -> None:
    body, sent = asked(service_tier=tier, names={"service_tier": "tier"})
    assert "service_tier" not in body
    assert sent.dropped == dropped


def test_a_whole_prompt_is_cached_by_a_mark_on_its_last_part() -> None:
    body, _ = asked(Text("Hello"), Text("More"), cache=CacheMark("1h"))
    assert "cache_control" not in body
    first, last = body["messages"][0]["content"]
    assert (first.get("cache_control"), last["cache_control"]) == (None, {"type": "ephemeral", "ttl": "1h"})


def test_a_mark_that_is_there_stays() -> None:
    body, _ = asked(Text("Hello", CacheMark("1h")), cache=CacheMark())
    assert body["messages"][0]["content"][0]["cache_control"]["ttl"] == "1h"


@pytest.mark.parametrize(
    "part",
    [
        Image(Link("https://example.com/a.png")),
        Document(Link("https://example.com/a.pdf")),
        Document(FileId("file_1")),
        ToolResult("t1", "look", (Image(Link("https://example.com/a.png")),)),
    ],
)
def test_what_anthropic_would_fetch_or_has_stored_is_refused(part: Part) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        asked(part)
    assert refused.value.param == "messages"


def test_data_itself_is_taken() -> None:
    body, _ = asked(Image(Inline("image/png", DATA)), Text("What?"))
    assert body["messages"][0]["content"][0]["source"]["data"] == DATA


@pytest.mark.parametrize("kind", ["web_search", "web_fetch", "code_execution"])
def test_tools_that_anthropic_runs_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        asked(tools=(HostedTool(kind, {"type": f"{kind}_20250305", "name": kind}),))
    assert refused.value.param == "tools"


def test_tools_that_the_client_runs_are_not() -> None:
    bash = {"type": "bash_20250124", "name": "bash"}
    assert asked(tools=(HostedTool("bash", bash),))[0]["tools"] == [bash]


def test_a_stream_and_its_whole_twin_are_one_answer() -> None:
    request = call({"model": MODEL, "stream": True}, provider="bedrock")
    reader = API.reader(request)
    events = [*reader.feed((INVOKED / "stream.bin").read_bytes()), *reader.close(orderly=True)]
    whole = API.read_answer(request, (INVOKED / "response.json").read_bytes())
    assert whole.usage is not None
    streamed = folded(events)
    assert (streamed.parts[:2], streamed.finish, streamed.usage) == (whole.parts[:2], whole.finish, whole.usage)
    assert json.loads(streamed.parts[2].arguments) == json.loads(whole.parts[2].arguments)


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "model, held",
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("anthropic.claude-opus-4-6-v1", True),
        ("us.anthropic.claude-mythos-5-1", True),
        ("us.anthropic.claude-opus-4-7", False),
        ("eu.anthropic.claude-opus-4-8", False),
        ("us.anthropic.claude-sonnet-5", False),
        ("global.anthropic.claude-haiku-5-5", False),
    ],
)
def test_where_bedrock_holds_no_model_to_a_schema_a_tool_does(model: str, held: bool) -> None:
    """Bedrock: 400, "output_config.format: Extra inputs are not permitted" (vercel/ai 14773)."""
    request = call({"model": model}, provider="bedrock", model=model)
    conversation = Conversation(turns=(Turn(Role.USER, (Text("Hi"),)),), output=OutputFormat(SCHEMA, "place"))
    body = json.loads(API.write_request(request, conversation).body)
    assert ("format" in body.get("output_config", {})) is held
    assert [tool["name"] for tool in body.get("tools", ())] == ([] if held else ["place"])

    asked = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    passed = translator_of(Surface.MESSAGES, "anthropic_bedrock")
    assert passed is not None
    sent = passed.encode_request(call(asked, provider="bedrock", model=model))
    body = json.loads(sent.body)
    assert ("format" in body.get("output_config", {})) is held
    assert ("tools" in body) is not held


def test_and_one_that_cannot_be_forced_to_a_tool_either_is_not_asked() -> None:
    model = "us.anthropic.claude-opus-5-5"
    asked = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    passed = translator_of(Surface.MESSAGES, "anthropic_bedrock")
    assert passed is not None
    with pytest.raises(UnsupportedParameter) as refused:
        passed.encode_request(call(asked, provider="bedrock", model=model))
    assert refused.value.param == "output_config.format"
