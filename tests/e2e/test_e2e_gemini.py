"""Google's models by the SDKs of OpenAI and Anthropic, through the running stack: at AI Studio and at Vertex AI.

What every family must do is the matrix's; here is what is Google's own.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.accounts import Account, said
from tests.e2e.service_accounts import vertex_credential
from tests.e2e.world import World

GEMINI = "gemini/gemini-3.8-flash"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": CITY}},
    {"type": "function", "function": {"name": "get_time"}},
]
ASKED = "get_weather and get_time please"


@pytest.fixture(scope="module")
def gemini(world: World) -> Account:
    account = world.account(platform_allowed=False)
    account.save_key("gemini")
    return account


@pytest.fixture(scope="module")
def vertex(world: World) -> Account:
    account = world.account(platform_allowed=False)
    account.owner.ok("POST", "/api/byok", {"provider": "vertex", **vertex_credential(world)})
    return account


def last_body(world: World, provider: str) -> dict[str, Any]:
    """What reached the simulated Google last."""
    entries = world.call(world.up.simulator.journal.entries, provider)
    return [entry for entry in entries if entry.method == "POST" and "oauth2" not in entry.path][-1].body


def streamed_message(client: openai.OpenAI, **body: Any) -> dict[str, Any]:
    """A streamed assistant's message, put together as a client does that sends it back."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [], "reasoning_details": []}
    for chunk in client.chat.completions.create(**body, stream=True):
        for choice in chunk.choices:
            delta = choice.delta.model_dump(exclude_none=True)
            message["content"] += delta.get("content", "")
            message["reasoning_details"] += delta.get("reasoning_details", [])
            for call in delta.get("tool_calls", []):
                if call["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append({**call, "function": {"arguments": "", **call["function"]}})
                else:
                    message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return message


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("where", ["gemini", "vertex"])
class TestSignatures:
    def test_chat_gives_them_back_with_the_results_of_tools(self, where, streamed, world, request):
        account = request.getfixturevalue(where)
        client, model = account.openai(), f"{where}/gemini-3.8-flash"
        asked = {"model": model, "messages": said(ASKED), "tools": TOOLS}
        if streamed:
            message = streamed_message(client, **asked)
        else:
            message = client.chat.completions.create(**asked).choices[0].message.model_dump(exclude_none=True)
        assert [call["function"]["name"] for call in message["tool_calls"]] == ["get_weather", "get_time"]
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in message["tool_calls"]]
        answer = client.chat.completions.create(**asked | {"messages": [*said(ASKED), message, *results]})
        assert answer.choices[0].message.content.endswith("The tools said: fine; fine")
        called = last_body(world, where)["contents"][1]["parts"]
        assert [len(part.get("thoughtSignature", "")) for part in called if "functionCall" in part] == [88, 0]

    def test_a_client_that_gives_back_calls_alone_gives_them_back_on_those(self, where, streamed, world, request):
        """As Google's own chat completions have it, and Continue, pi and ruby_llm send it."""
        client, asked = request.getfixturevalue(where).openai(), {"messages": said(ASKED), "tools": TOOLS}
        asked["model"] = f"{where}/gemini-3.8-flash"
        if streamed:
            message = streamed_message(client, **asked)
        else:
            message = client.chat.completions.create(**asked).choices[0].message.model_dump(exclude_none=True)
        assert ["extra_content" in call for call in message["tool_calls"]] == [True, False]
        answered = {"role": "assistant", "tool_calls": message["tool_calls"]}
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in message["tool_calls"]]
        answer = client.chat.completions.create(**asked | {"messages": [*said(ASKED), answered, *results]})
        assert answer.choices[0].message.content.endswith("The tools said: fine; fine")
        called = last_body(world, where)["contents"][1]["parts"]
        assert [len(part.get("thoughtSignature", "")) for part in called] == [88, 0]

    def test_messages_give_them_back_in_their_blocks(self, where, streamed, world, request):
        account = request.getfixturevalue(where)
        client = account.anthropic()
        asked = {"model": f"{where}/gemini-3.8-flash", "max_tokens": 4_000, "messages": said(ASKED)}
        asked["tools"] = [{"name": "get_weather", "input_schema": CITY}, {"name": "get_time", "input_schema": CITY}]
        if streamed:
            with client.messages.stream(**asked) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**asked)
        kinds = [block.type for block in message.content]
        assert kinds == ["text", "redacted_thinking", "tool_use", "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "fine"}
            for block in message.content
            if block.type == "tool_use"
        ]
        turns = [
            *said(ASKED),
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": results},
        ]
        answer = client.messages.create(**asked | {"messages": turns})
        assert answer.content[0].text.endswith("The tools said: fine; fine")
        called = last_body(world, where)["contents"][1]["parts"]
        assert [len(part.get("thoughtSignature", "")) for part in called if "functionCall" in part] == [88, 0]

    def test_responses_give_them_back_in_their_items(self, where, streamed, world, request):
        client, model = request.getfixturevalue(where).openai(), f"{where}/gemini-3.8-flash"
        tools = [{"type": "function", "name": name, "parameters": CITY} for name in ("get_weather", "get_time")]
        asked = {"model": model, "tools": tools, "store": False, "include": ["reasoning.encrypted_content"]}
        question = [{"role": "user", "content": ASKED}]
        if streamed:
            with client.responses.stream(**asked, input=question) as stream:
                answered = stream.get_final_response()
        else:
            answered = client.responses.create(**asked, input=question)
        items = [item.model_dump(exclude_none=True) for item in answered.output]
        calls = [item for item in items if item["type"] == "function_call"]
        results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "fine"} for call in calls]
        answer = client.responses.create(**asked, input=[*question, *items, *results])
        assert answer.output_text.endswith("The tools said: fine; fine")
        called = last_body(world, where)["contents"][1]["parts"]
        assert [len(part.get("thoughtSignature", "")) for part in called if "functionCall" in part] == [88, 0]


def test_a_conversation_that_began_elsewhere_goes_on_here(gemini, world) -> None:
    """Its calls have no signature of Google's; a stand-in is sent, or they would be refused."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    turns = [
        *said(ASKED),
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "4"},
    ]
    answer = gemini.openai().chat.completions.create(model=GEMINI, messages=turns, tools=TOOLS)
    assert answer.choices[0].message.content.endswith("The tools said: 4")


@pytest.mark.parametrize("where", ["gemini", "vertex"])
def test_the_older_generation_thinks_by_budget(where, world, request) -> None:
    account = request.getfixturevalue(where)
    answer = account.openai().chat.completions.create(
        model=f"{where}/gemini-2.5-flash", messages=said("hello"), reasoning_effort="low", max_completion_tokens=10_000
    )
    assert last_body(world, where)["generationConfig"]["thinkingConfig"] == {
        "thinkingBudget": 2_000,
        "includeThoughts": True,
    }
    assert answer.choices[0].message.model_extra["reasoning_content"]
    assert answer.usage.completion_tokens_details.reasoning_tokens == 256


def test_pictures_schemas_and_what_they_cost(gemini) -> None:
    content = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    raw = gemini.openai().chat.completions.with_raw_response.create(
        model=GEMINI, messages=[{"role": "user", "content": content}], response_format=schema, logit_bias={"1": 1}
    )
    answer = raw.parse()
    assert json.loads(answer.choices[0].message.content).keys() == {"city"}
    assert raw.headers["x-ownkey-dropped"] == "logit_bias"
    row = gemini.attempt(raw.headers["x-ownkey-request-id"])
    assert row["usage"]["image_input"] == 85
    assert answer.usage.prompt_tokens == row["usage"]["input"] + 85


def test_half_the_price_is_paid_at_the_tier_of_half_the_price(gemini) -> None:
    asked = {"model": GEMINI, "messages": said("hello, how are you today?")}
    plain, flex = (gemini.openai().chat.completions.create(**asked, **tier) for tier in ({}, {"service_tier": "flex"}))
    assert (plain.service_tier, flex.service_tier) == (None, "flex")
    assert plain.usage.prompt_tokens == flex.usage.prompt_tokens
    assert flex.usage.cost_details["upstream_inference_cost"] * 2 == pytest.approx(
        plain.usage.cost_details["upstream_inference_cost"], rel=0.01
    )


@pytest.mark.parametrize(
    ("where", "model"),
    [("gemini", "gemini-3.8-flash"), ("vertex", "gemini-3.8-flash"), ("vertex", "claude-haiku-4-5@20251001")],
)
def test_tokens_are_counted(where, model, request) -> None:
    client = request.getfixturevalue(where).anthropic()
    few = client.messages.count_tokens(model=f"{where}/{model}", messages=said("hello"))
    more = client.messages.count_tokens(model=f"{where}/{model}", messages=said("hello there"), system="Be brief.")
    assert 0 < few.input_tokens < more.input_tokens


def test_open_models_at_vertex_are_asked_by_openais_api(vertex, world) -> None:
    model = "meta/llama-3.3-70b-instruct-maas"
    answer = vertex.openai().chat.completions.create(model=f"vertex/{model}", messages=said("hello"))
    assert answer.choices[0].message.content == "You said: hello"
    message = vertex.anthropic().messages.create(model=model, messages=said("hello"), max_tokens=100)
    assert message.content[0].text == "You said: hello"
    assert last_body(world, "vertex")["model"] == model


@pytest.mark.parametrize("model", ["mistral-medium-3", "mistralai/mistral-medium-3@001"])
def test_mistrals_models_at_vertex_are_asked_by_its_chat_completions(model, vertex, world) -> None:
    client = vertex.openai()
    asked = {"model": f"vertex/{model}", "messages": said("hello"), "max_completion_tokens": 50}
    answer = client.chat.completions.create(**asked)
    assert (answer.choices[0].message.content, answer.usage.completion_tokens > 0) == ("You said: hello", True)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "You said: hello"
    message = vertex.anthropic().messages.create(model=f"vertex/{model}", messages=said("hello"), max_tokens=50)
    assert message.content[0].text == "You said: hello"
    assert last_body(world, "vertex")["model"] == "mistral-medium-3"


def test_what_a_coding_agent_asks_of_claude_is_served_at_vertex_as_far_as_it_is_known_there(vertex) -> None:
    betas = ["claude-code-20250219", "interleaved-thinking-2025-05-14", "prompt-caching-scope-2026-01-05"]
    model, caching = "vertex/claude-haiku-4-5@20251001", {"type": "ephemeral"}
    raw = vertex.anthropic().beta.messages.with_raw_response.create(
        model=model, max_tokens=100, messages=said("hello"), betas=betas, cache_control=caching
    )
    assert raw.parse().content[0].text == "You said: hello"
    dropped = ["cache_control", *(f"anthropic-beta.{betas[at]}" for at in (0, 2))]
    assert raw.headers["x-ownkey-dropped"].replace(" ", "").split(",") == dropped


def test_one_token_serves_many_requests(world) -> None:
    """Each environment of the function holds one: of more requests than there are, some must share."""
    account = world.account(platform_allowed=False)
    account.owner.ok("POST", "/api/byok", {"provider": "vertex", **vertex_credential(world)})

    def exchanged() -> int:
        return len(world.call(list, world.up.simulator.tokens.exchanges))

    before, environments = exchanged(), len(world.call(world.up.stack.environments, "InferenceFunction"))
    for at in range(environments + 3):
        model = ("gemini-3.8-flash", "claude-haiku-4-5", "gemini-2.5-pro")[at % 3]
        account.openai().chat.completions.create(model=f"vertex/{model}", messages=said("hello"))
    assert 1 <= exchanged() - before <= environments + 1


def test_a_bad_key_is_one_though_google_says_400(world) -> None:
    account = world.account(platform_allowed=False)
    saved = account.save_key("gemini")
    world.set_key("gemini", saved.key, False)
    with pytest.raises(openai.APIStatusError) as failed:
        account.openai().chat.completions.create(model=GEMINI, messages=said("hello"))
    assert failed.value.response.json()["error"]["code"] == "upstream_credentials_exhausted"
    assert saved.key not in failed.value.response.text
    answer = account.owner.call("POST", "/api/byok", {"provider": "gemini", "key": "AIza-a-wrong-one"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "credential_rejected")


def test_what_is_filtered_says_so(gemini) -> None:
    answer = gemini.openai().chat.completions.create(model=GEMINI, messages=said("[[sim: finish=SAFETY]] hello"))
    assert answer.choices[0].finish_reason == "content_filter"
    message = gemini.anthropic().messages.create(
        model=GEMINI, messages=said("[[sim: finish=SAFETY]] hello"), max_tokens=100
    )
    assert message.stop_reason == "refusal"


def test_a_call_that_the_model_garbled_is_an_error_and_no_empty_answer(gemini) -> None:
    garbled = said("[[sim: finish=MALFORMED_FUNCTION_CALL]] hello")
    with pytest.raises(openai.InternalServerError, match="MALFORMED_FUNCTION_CALL"):
        gemini.openai().with_options(max_retries=0).chat.completions.create(model=GEMINI, messages=garbled)
    stream = gemini.anthropic().messages.create(model=GEMINI, messages=garbled, max_tokens=100, stream=True)
    with pytest.raises(anthropic.APIError, match="MALFORMED_FUNCTION_CALL"):
        list(stream)
    assert gemini.openai().chat.completions.create(model=GEMINI, messages=said("hello")).choices


def test_a_stream_that_breaks_off_ends_with_googles_error(gemini, world) -> None:
    stream = gemini.anthropic().messages.create(
        model=GEMINI, messages=said("[[sim: error_after=2 fail=overloaded]] hello"), max_tokens=100, stream=True
    )
    with pytest.raises(anthropic.APIError, match="overloaded"):
        list(stream)
    world.forget_health(gemini.id)
