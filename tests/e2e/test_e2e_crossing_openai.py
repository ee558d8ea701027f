"""Today's `anthropic` SDK against providers that speak OpenAI's chat completions, through the running stack."""

from __future__ import annotations

import base64
import json
from typing import Any

import anthropic
import pytest
from anthropic.types import Message
from pydantic import BaseModel

from tests.e2e.accounts import CHAT_MODEL, Account, said
from tests.e2e.world import World

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
TOOLS = [WEATHER, TIME]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
THINKER = "deepseek-reasoner"
GATEWAYS_MODEL = "openrouter/anthropic/claude-sonnet-4.5"


@pytest.fixture(scope="module")
def team(world: World) -> Account:
    account = world.account(platform_allowed=False)
    for provider in ("OpenAI", "DeepSeek", "OpenRouter"):
        account.save_key(provider)
    return account


def ask(text: Any, **more: Any) -> dict[str, Any]:
    return {"model": CHAT_MODEL, "max_tokens": 4096, "messages": said(text), **more}


@pytest.fixture(scope="module", params=["whole", "stream"])
def answered(request: pytest.FixtureRequest, team: Account) -> Any:
    """Asks, whole or by the SDK's stream helper: the message."""

    def answer(**body: Any) -> Message:
        client = team.anthropic()
        if request.param == "whole":
            return client.messages.create(**body)
        with client.messages.stream(**body) as stream:
            return stream.get_final_message()

    return answer


class Place(BaseModel):
    """What may be left out is not demanded: OpenAI takes no such schema as a strict one."""

    city: str
    country: str | None = None


@pytest.mark.parametrize("model", [CHAT_MODEL, "gpt-5.5"], ids=["by chat completions", "by Responses"])
def test_a_schema_whose_members_may_be_left_out_is_followed_without_being_strict(team: Account, model: str) -> None:
    client = team.anthropic()
    parsed = client.messages.parse(**ask("a place") | {"model": model}, output_format=Place)
    assert parsed.parsed_output is not None
    assert parsed.parsed_output.city == "sample"
    wanted = {"format": {"type": "json_schema", "schema": anthropic.transform_schema(Place)}}
    raw = client.messages.with_raw_response.create(**ask("a place") | {"model": model}, output_config=wanted)
    assert raw.headers["x-ownkey-dropped"] == "output_config.format"


def texts(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_text(answered):
    message = answered(**ask("hello", system="Be brief."))
    assert texts(message) == "You said: hello"
    assert (message.stop_reason, message.role, message.type) == ("end_turn", "assistant", "message")
    assert message.model.startswith(CHAT_MODEL)
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


def test_text_comes_in_pieces(team):
    with team.anthropic().messages.stream(**ask("one two three four")) as stream:
        assert len(list(stream.text_stream)) > 3


def test_the_limit_and_stop_sequences(answered):
    assert answered(**ask("hello", max_tokens=2)).stop_reason == "max_tokens"
    assert texts(answered(**ask("one two three", stop_sequences=["two"]))) == "You said: one "


def test_parallel_calls_and_their_results(answered):
    question = ask("get_weather and get_time", tools=TOOLS)
    message = answered(**question)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use"
    assert [(call.name, call.input) for call in calls] == [("get_weather", {"city": "sample"}), ("get_time", {})]
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": [{"type": "text", "text": "7 degrees"}, IMAGE]},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": "noon", "is_error": True},
    ]
    turns = [
        *question["messages"],
        {"role": "assistant", "content": message.to_dict()["content"]},
        {"role": "user", "content": [*results, {"type": "text", "text": "Thanks."}]},
    ]
    assert texts(answered(**ask("", tools=TOOLS) | {"messages": turns})) == "You said: Thanks."


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "none"}, []),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "auto", "disable_parallel_tool_use": True}, ["get_weather"]),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else None,
)
def test_the_choice_of_tools(answered, choice, called):
    text = "get_weather and get_time" if choice["type"] in ("none", "auto") else "call"
    message = answered(**ask(text, tools=TOOLS, tool_choice=choice))
    assert [block.name for block in message.content if block.type == "tool_use"] == called
    assert message.stop_reason == ("tool_use" if called else "end_turn")


def test_a_schema(answered):
    message = answered(**ask("where?", output_config={"format": {"type": "json_schema", "schema": SCHEMA}}))
    assert json.loads(texts(message)) == {"city": "sample"}


def test_what_claude_takes_and_openai_refuses(answered):
    """A tool without properties, a schema that leaves members out, a user's id as long as Claude Code's, five stops."""
    optional = {**SCHEMA, "properties": {**SCHEMA["properties"], "note": {"type": "string"}}}
    bare = {"name": "get_time", "input_schema": {"type": "object"}}
    stops = ["1", "2", "3", "4", "two"]
    body = ask("one two three", tools=[bare], tool_choice={"type": "none"}, stop_sequences=stops)
    message = answered(**body, metadata={"user_id": "u" * 150})
    assert (texts(message), message.stop_reason, message.stop_sequence) == ("You said: one ", "stop_sequence", "two")
    formed = answered(**ask("where?", output_config={"format": {"type": "json_schema", "schema": optional}}))
    assert json.loads(texts(formed))["city"] == "sample"


def test_a_schema_where_there_are_none(team):
    """DeepSeek has no schemas: its answer is the arguments of a call that it is made to make."""
    body = ask("where?", output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    message = team.anthropic().messages.create(**body | {"model": "deepseek-chat"})
    assert (json.loads(texts(message)), message.stop_reason) == ({"city": "sample"}, "end_turn")


def test_a_picture_and_a_document(answered):
    note = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A note."}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
    assert "What is this?" in texts(answered(**ask([IMAGE, note, pdf, {"type": "text", "text": "What is this?"}])))


def test_thoughts_are_shown_and_taken_back(answered):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    question = ask("get_time", tools=[TIME], thinking=thinking, model=THINKER)
    message = answered(**question)
    thought, call = message.content[0], message.content[-1]
    assert (thought.type, thought.thinking) == ("thinking", "The user says: get_time")
    assert message.usage.to_dict()["output_tokens_details"]["thinking_tokens"] > 0
    turns = [
        *question["messages"],
        {"role": "assistant", "content": message.to_dict()["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "noon"}]},
    ]
    assert "noon" in texts(answered(**question | {"messages": turns}))


def test_a_gateways_thoughts_keep_their_signature(answered):
    body = ask("[[sim: thoughts=details]]hm", thinking={"type": "enabled", "budget_tokens": 1024}, model=GATEWAYS_MODEL)
    (thought, text) = answered(**body).content
    assert (thought.type, thought.thinking, text.type) == ("thinking", "The user says: hm", "text")
    assert len(thought.signature) > 100


def test_a_refusal(answered):
    message = answered(**ask("[[sim: refusal]]"))
    assert message.stop_reason == "refusal"


def test_what_it_cannot_be_told_is_reported(team):
    raw = team.anthropic().messages.with_raw_response.create(**ask("hello"), extra_body={"top_k": 5})
    assert raw.headers["x-ownkey-dropped"] == "top_k"


def test_what_may_not_be_left_out_is_refused(team):
    search = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(anthropic.BadRequestError) as refused:
        team.anthropic().messages.create(**ask("hello", tools=[search]))
    assert refused.value.body["error"]["code"] == "unsupported_parameter"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("context_length", anthropic.BadRequestError),
        ("rate_limit", anthropic.RateLimitError),
        ("server_error", anthropic.InternalServerError),
    ],
)
def test_errors_are_in_the_clients_dialect(world, kind, error):
    account = world.account(platform_allowed=False)
    account.save_key("OpenAI")
    with pytest.raises(error) as refused:
        account.anthropic(max_retries=0).messages.create(**ask(f"[[sim: fail={kind}]]"))
    assert refused.value.body["type"] == "error"
    assert refused.value.body["error"]["metadata"]["source"] == "provider"


def test_a_stream_that_breaks_ends_in_an_error_of_the_clients_dialect(team):
    with (
        pytest.raises(anthropic.APIStatusError),
        team.anthropic().messages.stream(**ask("one two three [[sim: error_after=2 fail=server_error]]")) as stream,
    ):
        list(stream)
