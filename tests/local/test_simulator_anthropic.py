"""The simulated provider in Anthropic's dialect, as Anthropic's own SDK reads it: strictly, with no unknown field."""

import json

import anthropic
import httpx
import jsonschema
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message, ModelInfo, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsBase
from anthropic.types.shared import ErrorResponse
from pydantic import BaseModel, TypeAdapter

from local.simulator import start_simulator
from local.simulator.anthropic_requests import PARAMETERS

KEY = "sk-ant-sim-0123456789abcdef"
MODEL = "claude-haiku-4-5"
ADAPTIVE = "claude-opus-4-8"
EVENT = TypeAdapter(RawMessageStreamEvent)
SENT_AS_HEADERS = {"user_profile_id", "workspace_id"}
NOT_NAMED_BY_THE_SDK = {"temperature", "top_k", "top_p"}  # sent through extra_body by today's SDK
WEATHER = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}
TIME = {"name": "get_time", "input_schema": {"type": "object"}}


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        yield running


@pytest.fixture
async def client(simulator):
    async with AsyncAnthropic(
        api_key=KEY,
        base_url=f"{simulator.origin}/anthropic",
        max_retries=0,
        http_client=anthropic.DefaultAsyncHttpxClient(verify=False),
        _strict_response_validation=True,
    ) as sdk:
        yield sdk


@pytest.fixture
async def http(simulator):
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(verify=False, base_url=simulator.base_url("anthropic"), headers=headers) as raw:
        yield raw


def ask(text: str, **more) -> dict:
    return {"model": MODEL, "max_tokens": 4096, "messages": [{"role": "user", "content": text}], **more}


async def events(http: httpx.AsyncClient, body: dict) -> list[dict]:
    """The events of a streamed answer; all but pings are validated strictly against the SDK's types."""
    response = await http.post("/messages", json={**body, "stream": True})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    parsed = []
    for block in blocks:
        name, data = block.split("\n")
        parsed.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {parsed[-1]['type']}"
        if parsed[-1]["type"] != "ping":
            assert_nothing_unknown(EVENT.validate_json(data.removeprefix("data: "), strict=True))
    return parsed


def assert_nothing_unknown(value: object) -> None:
    """No field at any depth that the SDK's types do not have."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, value.model_extra
        for name in type(value).model_fields:
            assert_nothing_unknown(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            assert_nothing_unknown(each)


def test_the_parameters_accepted_are_those_of_the_sdk():
    assert {*MessageCreateParamsBase.__annotations__, "stream"} - SENT_AS_HEADERS == PARAMETERS - NOT_NAMED_BY_THE_SDK


async def test_a_whole_answer_has_every_field_of_the_vendors(http):
    response = await http.post("/messages", json=ask("hello"))
    message = Message.model_validate_json(response.text, strict=True)
    assert_nothing_unknown(message)
    assert message.id.startswith("msg_01")
    assert message.model == "claude-haiku-4-5-20251001"
    assert [block.text for block in message.content] == ["You said: hello"]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens) == (5, 4)
    assert (usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (0, 0)
    assert usage.cache_creation.ephemeral_5m_input_tokens == 0
    assert usage.service_tier == "standard"


async def test_the_headers_are_the_vendors(http):
    headers = (await http.post("/messages", json=ask("hello"))).headers
    assert headers["request-id"].startswith("req_01")
    for what in ("requests", "tokens", "input-tokens", "output-tokens"):
        for name in ("limit", "remaining", "reset"):
            assert headers[f"anthropic-ratelimit-{what}-{name}"]
    assert headers["anthropic-ratelimit-output-tokens-remaining"] == str(400_000 - 4)


async def test_a_stream_has_the_vendors_order_of_events(http):
    kinds = [each["type"] for each in await events(http, ask("hello"))]
    assert kinds == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_the_usage_of_a_stream_is_cumulative(http):
    sent = await events(http, ask("hello"))
    assert sent[0]["message"]["usage"]["input_tokens"] == 5
    assert sent[0]["message"]["usage"]["output_tokens"] == 1
    assert sent[-2]["usage"]["output_tokens"] == 4


async def test_a_stream_adds_up_to_its_whole_twin(client):
    body = ask("Use get_weather", tools=[WEATHER], thinking={"type": "enabled", "budget_tokens": 2048})
    whole = await client.messages.create(**body)
    async with client.messages.stream(**body) as stream:
        streamed = await stream.get_final_message()
    changing = {"id"}
    for one, other in zip(whole.content, streamed.content, strict=True):
        assert one.to_dict() | dict.fromkeys(changing) == other.to_dict() | dict.fromkeys(changing)
    assert whole.stop_reason == streamed.stop_reason == "tool_use"
    assert whole.usage.output_tokens == streamed.usage.output_tokens


@pytest.mark.parametrize(
    ("model", "thinking", "shown"),
    [
        (MODEL, {"type": "enabled", "budget_tokens": 1024}, "The user says: hello"),
        (ADAPTIVE, {"type": "adaptive"}, ""),
        (ADAPTIVE, {"type": "adaptive", "display": "summarized"}, "The user says: hello"),
        (ADAPTIVE, {"type": "adaptive", "display": "omitted"}, ""),
    ],
)
async def test_thinking_comes_first_and_is_signed(client, http, model, thinking, shown):
    asked = ask("hello", thinking=thinking) | {"model": model}
    message = await client.messages.create(**asked)
    thought, said = message.content
    assert (thought.type, thought.thinking) == ("thinking", shown)
    assert len(thought.signature) > 100
    assert said.text == "You said: hello"
    assert message.usage.output_tokens_details.thinking_tokens == 32
    assert message.usage.output_tokens == 32 + 4
    sent = await events(http, asked)
    deltas = [each["delta"] for each in sent if each["type"] == "content_block_delta" and each["index"] == 0]
    assert deltas[-1] == {"type": "signature_delta", "signature": thought.signature}


async def test_no_thinking_where_it_is_off(client):
    message = await client.messages.create(**ask("hello", thinking={"type": "disabled"}))
    assert [block.type for block in message.content] == ["text"]


async def test_tools_named_in_the_message_are_called_in_parallel(client):
    message = await client.messages.create(**ask("Use get_weather and get_time", tools=[WEATHER, TIME]))
    assert message.stop_reason == "tool_use"
    assert [block.type for block in message.content] == ["text", "tool_use", "tool_use"]
    weather, time = message.content[1:]
    jsonschema.validate(weather.input, WEATHER["input_schema"])
    assert (weather.name, time.name, time.input) == ("get_weather", "get_time", {})
    assert weather.id.startswith("toolu_01")
    assert weather.id != time.id


async def test_the_input_of_a_tool_comes_in_fragments(http):
    sent = await events(http, ask("hello", tools=[WEATHER], tool_choice={"type": "any"}))
    opened = next(each for each in sent if each["type"] == "content_block_start")["content_block"]
    assert opened["input"] == {}
    pieces = [each["delta"]["partial_json"] for each in sent if each["type"] == "content_block_delta"]
    assert pieces[0] == ""
    assert len(pieces) > 3
    assert json.loads("".join(pieces)) == {"city": "sample", "days": 2}


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "none"}, []),
        ({"type": "auto"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
    ],
)
async def test_tool_choice_is_obeyed(client, choice, called):
    message = await client.messages.create(**ask("hello", tools=[WEATHER, TIME], tool_choice=choice))
    assert [block.name for block in message.content if block.type == "tool_use"] == called
    assert message.stop_reason == ("tool_use" if called else "end_turn")


async def test_one_call_at_a_time_where_parallel_calls_are_off(client):
    choice = {"type": "any", "disable_parallel_tool_use": True}
    message = await client.messages.create(
        **ask("Use get_weather and get_time", tools=[WEATHER, TIME], tool_choice=choice)
    )
    assert [block.name for block in message.content] == ["get_weather"]


async def test_a_tools_result_is_answered_in_words(client):
    first = await client.messages.create(**ask("Use get_time", tools=[TIME]))
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "noon"}
    messages = [
        {"role": "user", "content": "Use get_time"},
        first.to_param(),
        {"role": "user", "content": [result]},
    ]
    second = await client.messages.create(model=MODEL, max_tokens=100, messages=messages, tools=[TIME])
    assert second.content[0].text == "You said: Use get_time\nThe tools said: noon"
    assert second.stop_reason == "end_turn"


class Forecast(BaseModel):
    city: str
    days: list[int]


async def test_structured_output_matches_the_schema(client):
    message = await client.messages.parse(**ask("forecast"), output_format=Forecast)
    assert message.parsed_output == Forecast(city="sample", days=[1])


@pytest.mark.parametrize(
    ("limits", "text", "reason", "sequence"),
    [
        ({"max_tokens": 2}, "You said", "max_tokens", None),
        ({"stop_sequences": ["sai"]}, "You ", "stop_sequence", "sai"),
        ({"stop_sequences": ["nothing"]}, "You said: hi", "end_turn", None),
    ],
)
async def test_an_answer_ends_where_it_was_told_to(client, limits, text, reason, sequence):
    message = await client.messages.create(**ask("hi") | limits)
    assert message.content[0].text == text
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)


@pytest.mark.parametrize("reason", ["pause_turn", "refusal", "model_context_window_exceeded"])
async def test_any_stop_reason_can_be_had(client, reason):
    message = await client.messages.create(**ask(f"[[sim: finish={reason}]]"))
    assert message.stop_reason == reason
    assert (message.stop_details is not None) == (reason == "refusal")


@pytest.mark.parametrize(("ttl", "lifetime"), [({}, "5m"), ({"ttl": "5m"}, "5m"), ({"ttl": "1h"}, "1h")])
async def test_a_marked_prefix_is_written_to_the_cache_and_then_read(client, ttl, lifetime):
    system = [{"type": "text", "text": "word " * 1500, "cache_control": {"type": "ephemeral", **ttl}}]
    first = (await client.messages.create(**ask("hi", system=system))).usage
    again = (await client.messages.create(**ask("and again", system=system))).usage
    written = first.cache_creation_input_tokens
    assert written == 1501
    assert getattr(first.cache_creation, f"ephemeral_{lifetime}_input_tokens") == written
    assert (again.cache_creation_input_tokens, again.cache_read_input_tokens) == (0, written)
    assert first.input_tokens == 5


async def test_the_cache_is_in_the_events_too(http):
    body = ask("word " * 1500, cache_control={"type": "ephemeral"})
    await events(http, body)
    sent = await events(http, body)
    assert sent[0]["message"]["usage"]["cache_read_input_tokens"] == 1505
    assert sent[-2]["usage"]["cache_read_input_tokens"] == 1505
    assert sent[-2]["usage"]["input_tokens"] == 0


async def test_an_image_counts_85_tokens(client):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    content = [image, {"type": "text", "text": "hi"}]
    plain = await client.messages.create(**ask("hi"))
    pictured = await client.messages.create(**ask("hi") | {"messages": [{"role": "user", "content": content}]})
    assert pictured.usage.input_tokens - plain.usage.input_tokens == 85


async def test_counting_agrees_with_the_usage_of_the_answer(client):
    body = ask("hello", system="be brief", tools=[WEATHER])
    counted = await client.messages.count_tokens(**{key: body[key] for key in body if key != "max_tokens"})
    assert counted.input_tokens == (await client.messages.create(**body)).usage.input_tokens


async def test_models_are_listed_page_by_page(client, http):
    listed = [model.id async for model in client.models.list(limit=5)]
    assert len(listed) == len(set(listed)) > 15
    response = await http.get("/models", params={"limit": 2, "after_id": listed[1]})
    page = response.json()
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (listed[2:4], True)
    assert (page["first_id"], page["last_id"]) == (listed[2], listed[3])
    before = (await http.get("/models", params={"limit": 2, "before_id": listed[3]})).json()
    assert [each["id"] for each in before["data"]] == listed[1:3]
    for each in page["data"]:
        assert_nothing_unknown(ModelInfo.model_validate_json(json.dumps(each), strict=True))


async def test_a_model_is_retrieved(client):
    assert (await client.models.retrieve(MODEL)).display_name == "Claude Haiku 4.5"
    with pytest.raises(anthropic.NotFoundError, match="model: claude-nonesuch"):
        await client.models.retrieve("claude-nonesuch")


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
async def test_the_key_may_come_in_either_header(simulator, header):
    value = KEY if header == "x-api-key" else f"Bearer {KEY}"
    async with httpx.AsyncClient(verify=False, headers={header: value, "anthropic-version": "2026-10-21"}) as raw:
        response = await raw.post(f"{simulator.base_url('anthropic')}/messages", json=ask("hi"))
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "kind", "message"),
    [
        ({"model": "claude-nonesuch"}, 404, "not_found_error", "model: claude-nonesuch"),
        ({"model": None}, 400, "invalid_request_error", "model: Field required"),
        ({"max_tokens": None}, 400, "invalid_request_error", "max_tokens: Field required"),
        ({"max_tokens": "many"}, 400, "invalid_request_error", "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 10_000_000}, 400, "invalid_request_error", "max_tokens: 10000000 >"),
        ({"messages": []}, 400, "invalid_request_error", "messages: at least one message is required"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, 400, "invalid_request_error", "messages.0.role: "),
        ({"messages": [{"role": "user"}]}, 400, "invalid_request_error", "messages.0.content: Field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            400,
            "invalid_request_error",
            "messages: text content blocks must be non-empty",
        ),
        ({"temperature": 1.5}, 400, "invalid_request_error", "temperature: range: 0..1"),
        ({"provider": {}}, 400, "invalid_request_error", "provider: Extra inputs are not permitted"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, 400, "invalid_request_error", "thinking.enabled"),
        ({"tools": [{"name": "x"}]}, 400, "invalid_request_error", "tools.0.input_schema: Field required"),
        ({"tool_choice": {"type": "any"}}, 400, "invalid_request_error", "tool_choice: "),
    ],
)
async def test_a_request_the_vendor_would_refuse_is_refused(http, change, status, kind, message):
    response = await http.post("/messages", json=ask("hi") | change)
    body = ErrorResponse.model_validate_json(response.text, strict=True)
    assert (response.status_code, body.error.type) == (status, kind)
    assert body.error.message.startswith(message)
    assert body.request_id == response.headers["request-id"]
    assert response.headers["x-should-retry"] == "false"


def result(id: str, **more) -> dict:
    return {"type": "tool_result", "tool_use_id": id, "content": "noon", **more}


def use(id: str) -> dict:
    return {"type": "tool_use", "id": id, "name": "get_time", "input": {}}


def turns(*contents: object) -> list[dict]:
    """A user's turn, an assistant's, and so on."""
    return [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]


MARK = {"cache_control": {"type": "ephemeral"}}
OPEN = {"type": "object", "properties": {"city": {"type": "string"}}}
BUDGET = {"type": "enabled", "budget_tokens": 1024}
NEWEST = "claude-opus-5-5"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": turns("a", [use("one")], "b")}, "messages.1: `tool_use` ids were found without"),
        ({"messages": turns("a", [use("one"), use("two")], [result("one")])}, "messages.1: `tool_use` ids were found"),
        ({"messages": turns([result("one")])}, "messages.0.content.0: unexpected `tool_use_id`"),
        (
            {"messages": turns("a", [use("one")], [{"type": "text", "text": "so"}, result("one")])},
            "messages.2.content.1: `tool_result` blocks must come first",
        ),
        ({"messages": turns("a", [use("call.1")], [result("call.1")])}, "messages.1.content.0.tool_use.id: "),
        (
            {"messages": turns("a", [use("one")], [result("one", status="x")])},
            "messages.2.content.0.tool_result.status",
        ),
        (
            {"messages": turns("a", [{"type": "thinking", "thinking": "mine", "signature": "c2ln"}], "b")},
            "messages.1.content.0: Invalid `signature` in `thinking` block",
        ),
        ({"messages": turns("a", [{"type": "redacted_thinking", "data": "c2ln"}], "b")}, "messages.1.content.0: Inv"),
        (
            {"messages": turns([{"type": "image", "source": {"type": "elsewhere"}}])},
            "messages.0.content.0.image.source",
        ),
        ({"messages": turns([{"type": "input_text", "text": ""}, {"type": "text", "text": " "}])}, "messages: text"),
        ({"messages": turns("a", "b ")}, "messages: final assistant content cannot end with trailing whitespace"),
        ({"messages": [*turns("a"), {"role": "system", "content": "b"}]}, "messages: role 'system' is not supported"),
        ({"messages": turns([{"type": "text", "text": "a", **MARK}] * 5)}, "A maximum of 4 blocks with cache_control"),
        ({"stop_sequences": ["\n"]}, "stop_sequences: each stop sequence must contain non-whitespace"),
        ({"temperature": 0.5, "top_p": 0.5}, "`temperature` and `top_p` cannot both be specified"),
        ({"temperature": 0.5, "thinking": BUDGET}, "`temperature` may only be set"),
        ({"tools": [TIME], "tool_choice": {"type": "any"}, "thinking": BUDGET}, "Thinking may not be enabled"),
        (
            {"messages": turns("a", [use("one")], [result("one")]), "thinking": BUDGET},
            "messages: Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
        ),
        ({"tools": [TIME, TIME]}, "tools: Tool names must be unique."),
        ({"tools": [TIME | {"name": "get.time"}]}, "tools.0.custom.name: String should match pattern"),
        ({"tools": [TIME | {"input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
        ({"tools": [TIME | {"strict": True, "input_schema": OPEN}]}, "tools.0.custom.input_schema: For 'object' type"),
        ({"output_config": {"format": {"type": "json_schema", "schema": OPEN}}}, "output_config.format.schema: For "),
        ({"output_config": {"effort": "low"}}, "output_config.effort: 'low' is not supported by this model"),
        ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported on this model"),
        ({"model": ADAPTIVE, "thinking": BUDGET}, '"thinking.type.enabled" is not supported for this model.'),
        ({"model": ADAPTIVE, "temperature": 0.5}, "`temperature` is deprecated for this model."),
        ({"model": ADAPTIVE, "messages": turns("a", "b")}, "This model does not support assistant message prefill."),
        (
            {"model": ADAPTIVE, "messages": [{"role": "system", "content": "b"}, *turns("a")]},
            "messages.0: a system message must follow a user's",
        ),
        ({"model": NEWEST, "thinking": {"type": "disabled"}}, '"thinking.type.disabled" is not supported'),
        ({"model": NEWEST, "tools": [TIME], "tool_choice": {"type": "any"}}, "tool_choice forces tool use is not comp"),
    ],
)
async def test_what_a_translation_can_get_wrong_is_refused(http, change, message):
    response = await http.post("/messages", json=ask("hi") | change)
    body = ErrorResponse.model_validate_json(response.text, strict=True)
    assert (response.status_code, body.error.type) == (400, "invalid_request_error")
    assert body.error.message.startswith(message)


@pytest.mark.parametrize("knobs", ["", "[[sim: redacted]]"], ids=["shown", "redacted"])
async def test_thoughts_come_back_as_they_were_given(client, knobs):
    asked = ask(f"Use get_time {knobs}", tools=[TIME], thinking=BUDGET)
    first = await client.messages.create(**asked)
    assert first.content[0].type == ("redacted_thinking" if knobs else "thinking")
    messages = [*asked["messages"], first.to_param(), {"role": "user", "content": [result(first.content[-1].id)]}]
    second = await client.messages.create(**asked | {"messages": messages})
    assert second.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ({"type": "text", "media_type": "text/plain", "data": "It rains."}, "char_location"),
        ({"type": "url", "url": "https://example.com/a.pdf"}, "page_location"),
    ],
)
async def test_documents_are_cited_where_that_is_asked_for(client, http, source, place):
    documents = [{"type": "document", "source": source}, {"type": "document", "source": source, "title": "Report"}]
    documents[1]["citations"] = {"enabled": True}
    asked = ask("") | {"messages": turns([*documents, {"type": "text", "text": "hi"}])}
    (cited,) = (await client.messages.create(**asked)).content[0].citations
    assert (cited.type, cited.document_index, cited.document_title) == (place, 1, "Report")
    sent = [each.get("delta", {}).get("citation") for each in await events(http, asked)]
    assert [each["type"] for each in sent if each] == [place]


async def test_a_beta_may_bring_fields_of_its_own(http):
    body = ask("hi", mcp_servers=[])
    assert (await http.post("/messages", json=body)).status_code == 400
    assert (await http.post("/messages", json=body, headers={"anthropic-beta": "mcp-client"})).status_code == 200


@pytest.mark.parametrize(("version", "message"), [(None, "header is required"), ("1999-01-01", "not a version")])
async def test_a_version_is_required(simulator, version, message):
    headers = {"x-api-key": KEY} | ({"anthropic-version": version} if version else {})
    async with httpx.AsyncClient(verify=False, headers=headers) as raw:
        response = await raw.post(f"{simulator.base_url('anthropic')}/messages", json=ask("hi"))
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


async def test_a_body_that_is_not_json_is_refused(http):
    response = await http.post("/messages", content=b"{")
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")
