"""What the simulated provider refuses in OpenAI's dialect, and what a compatible provider lets pass."""

import httpx
import openai
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from local.simulator import start_simulator
from local.simulator.openai_requests import PARAMETERS

KEY = "sk-sim-0123456789abcdef"


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        yield running


@pytest.fixture
async def http(simulator):
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(verify=False, base_url=simulator.base_url("openai"), headers=headers) as raw:
        yield raw


def ask(text: str, **more) -> dict:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def function(**more) -> dict:
    return {"type": "function", "function": {"name": "get_time", **more}}


def call(id_: str, **more) -> dict:
    return {"id": id_, "type": "function", "function": {"name": "get_time", "arguments": "{}", **more}}


def user(part: dict) -> list[dict]:
    return [{"role": "user", "content": [part]}]


def schema(stated: dict) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": stated}}


CALLS = {"role": "assistant", "content": None, "tool_calls": [call("call_1"), call("call_2")]}


def test_the_parameters_accepted_are_those_of_the_sdk():
    assert {*CompletionCreateParamsBase.__annotations__, "stream"} == PARAMETERS


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": "gpt-nonesuch"}, 404, "model_not_found", None),
        ({"model": None}, 400, None, None),
        ({"messages": None}, 400, "missing_required_parameter", "messages"),
        ({"messages": "hi"}, 400, "invalid_type", "messages"),
        ({"messages": []}, 400, "empty_array", "messages"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, 400, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "invalid_type", "messages[0].content"),
        ({"temperature": 3}, 400, "decimal_above_max_value", "temperature"),
        ({"temperature": "hot"}, 400, "invalid_type", "temperature"),
        ({"n": 0}, 400, "integer_below_min_value", "n"),
        ({"max_tokens": 1.5}, 400, "invalid_type", "max_tokens"),
        ({"stream_options": {"include_usage": True}}, 400, None, "stream_options"),
        ({"tool_choice": "auto"}, 400, None, "tool_choice"),
        (
            {"tools": [{"type": "function", "function": {}}]},
            400,
            "missing_required_parameter",
            "tools[0].function.name",
        ),
        ({"provider": {"order": []}}, 400, "unknown_parameter", "provider"),
        ({"model": "o3", "max_tokens": 5}, 400, "unsupported_parameter", "max_tokens"),
        ({"reasoning_effort": "low"}, 400, "unsupported_parameter", "reasoning_effort"),
        ({"parallel_tool_calls": False}, 400, None, "parallel_tool_calls"),
        (
            {"response_format": {"type": "json_schema"}},
            400,
            "missing_required_parameter",
            "response_format.json_schema.name",
        ),
        (
            {"response_format": schema({"type": "object", "properties": {}})},
            400,
            "invalid_json_schema",
            "response_format",
        ),
        ({"tools": [function(name="with spaces")]}, 400, "invalid_value", "tools[0].function.name"),
        (
            {"tools": [function(parameters={"type": "string"})]},
            400,
            "invalid_function_parameters",
            "tools[0].function.parameters",
        ),
        (
            {"tools": [function(strict=True, parameters={"type": "object", "properties": {"a": {}}})]},
            400,
            "invalid_function_parameters",
            "tools[0].function.parameters",
        ),
    ],
)
async def test_a_request_the_vendor_would_refuse_is_refused(http, change, status, code, param):
    response = await http.post("/chat/completions", json=ask("hi") | change)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([CALLS], "messages"),
        ([CALLS, {"role": "user", "content": "well?"}], "messages"),
        ([CALLS, {"role": "tool", "tool_call_id": "call_1", "content": "7"}], "messages"),
        ([{"role": "tool", "tool_call_id": "call_1", "content": "7"}], "messages[1].role"),
        ([CALLS, {"role": "tool", "content": "7"}], "messages[2].tool_call_id"),
        ([CALLS, {"role": "tool", "tool_call_id": "call_1", "content": [IMAGE]}], "messages[2].content[0].type"),
        ([{"role": "assistant", "content": [IMAGE]}], "messages[1].content[0].type"),
        ([{"role": "assistant", "content": None}], "messages[1].content"),
        ([{"role": "user", "content": None}], "messages[1].content"),
        (user({"type": "text"}), "messages[1].content[0].text"),
        (user({"type": "text", "text": "a", "cache_control": {}}), "messages[1].content[0].cache_control"),
        (user({"type": "image_url", "image_url": {"url": "file:///a"}}), "messages[1].content[0].image_url.url"),
        (user({"type": "file", "file": {"file_data": "a"}}), "messages[1].content[0].file.file_id"),
        ([{"role": "assistant", "content": "a", "reasoning_content": "b"}], "messages[1].reasoning_content"),
        ([{"role": "assistant", "tool_calls": [call("c" * 41)]}], "messages[1].tool_calls[0].id"),
        (
            [{"role": "assistant", "tool_calls": [call("c", arguments={})]}],
            "messages[1].tool_calls[0].function.arguments",
        ),
    ],
)
async def test_messages_the_vendor_would_refuse_are_refused(http, messages, param):
    response = await http.post("/chat/completions", json=ask("hi") | {"messages": [*ask("hi")["messages"], *messages]})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_a_whole_round_of_calls_is_taken(http):
    answered = [{"role": "tool", "tool_call_id": each, "content": "7"} for each in ("call_2", "call_1")]
    response = await http.post(
        "/chat/completions", json=ask("hi") | {"messages": [*ask("hi")["messages"], CALLS, *answered]}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("where", ["reasoning_content", "reasoning", "details", "think_tags", "none"])
async def test_a_compatible_provider_shows_its_thoughts(simulator, where, stream):
    async with openai.AsyncOpenAI(base_url=simulator.base_url("groq"), api_key="gsk_sim-1234") as client:
        body = ask(f"[[sim: thoughts={where}]]hi") | {"reasoning_effort": "low"}
        if stream:
            said = {}
            async for chunk in await client.chat.completions.create(**body, stream=True):
                for name, value in chunk.choices[0].delta.to_dict().items() if chunk.choices else ():
                    said[name] = said.get(name, "") + value if isinstance(value, str) else value
        else:
            said = (await client.chat.completions.create(**body)).choices[0].message.to_dict()
    thought = "The user says: hi"
    assert said["content"] == ("<think>" + thought + "</think>\n\n" if where == "think_tags" else "") + "You said: hi"
    name = "reasoning" if where == "details" else where
    assert said.get(name) == (thought if where not in ("think_tags", "none") else None)
    assert ("reasoning_details" in said) is (where == "details")


async def test_a_body_that_is_not_json_is_refused(http):
    response = await http.post("/chat/completions", content=b'{"model": ')
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/chat/complete", 404), ("GET", "/chat/completions", 405)]
)
async def test_a_wrong_path_or_method_is_refused(http, method, path, status):
    response = await http.request(method, path)
    assert response.status_code == status
    assert path in response.json()["error"]["message"]


async def test_a_compatible_provider_takes_any_model_and_strange_parameters(simulator):
    async with openai.AsyncOpenAI(api_key="gsk_sim-1", base_url=simulator.base_url("groq"), max_retries=0) as client:
        body = {**ask("hi"), "model": "meta-llama/llama-4", "extra_body": {"provider": {"order": ["x"]}}}
        completion = await client.chat.completions.create(**body)
        assert completion.model == "meta-llama/llama-4"
        assert completion.service_tier is None
        assert (await client.models.retrieve("meta-llama/llama-4")).id == "meta-llama/llama-4"
