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
    ],
)
async def test_a_request_the_vendor_would_refuse_is_refused(http, change, status, code, param):
    response = await http.post("/chat/completions", json=ask("hi") | change)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


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
