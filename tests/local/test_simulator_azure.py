"""The simulated Azure OpenAI, as OpenAI's own clients reach it: `AzureOpenAI`, and `OpenAI` at the v1 address."""

from __future__ import annotations

import anthropic
import httpx
import openai
import pytest

from local.simulator import start_simulator

KEY = "sim-0123456789abcdef"
HOST = "acme.openai.azure.com"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        yield running


@pytest.fixture(params=["dated", "v1"])
async def client(request, simulator):
    endpoint = f"{simulator.base_url('azure')}/{HOST}"
    options = {"api_key": KEY, "max_retries": 0, "http_client": openai.DefaultAsyncHttpxClient(verify=False)}
    if request.param == "dated":
        made = openai.AsyncAzureOpenAI(azure_endpoint=endpoint, api_version="2025-03-01-preview", **options)
    else:
        made = openai.AsyncOpenAI(base_url=f"{endpoint}/openai/v1", **options)
    async with made as sdk:
        yield sdk


def ask(text: str, **more) -> dict:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


async def test_a_whole_answer_with_the_filters_findings(client) -> None:
    answer = await client.chat.completions.create(**ask("Hello"))
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.model == "gpt-4o-mini-2024-07-18"
    assert answer.choices[0].model_extra["content_filter_results"]["hate"]["filtered"] is False
    assert answer.model_extra["prompt_filter_results"]


async def test_a_stream_begins_with_the_filter_alone(client) -> None:
    stream = await client.chat.completions.create(**ask("Hello", stream=True, stream_options={"include_usage": True}))
    chunks = [chunk async for chunk in stream]
    assert (chunks[0].choices, chunks[0].id) == ([], "")
    assert chunks[0].model_extra["prompt_filter_results"]
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "You said: Hello"
    assert chunks[-1].usage.total_tokens > 0


async def test_tools_in_parallel(client) -> None:
    answer = await client.chat.completions.create(**ask("get_weather and get_time", tools=[WEATHER, TIME]))
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["get_weather", "get_time"]


async def test_responses(client) -> None:
    answer = await client.responses.create(model="gpt-4o", input="Hello")
    assert answer.output_text == "You said: Hello"


async def test_errors_are_azures(client) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(**ask("Hello") | {"model": "missing-one"})
    assert missing.value.code == "DeploymentNotFound"
    with pytest.raises(openai.BadRequestError) as filtered:
        await client.chat.completions.create(**ask("[[sim: fail=content_policy]] Hello"))
    assert filtered.value.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    with pytest.raises(openai.RateLimitError) as slow:
        await client.chat.completions.create(**ask("[[sim: fail=429 retry_after=3]] Hello"))
    assert (slow.value.code, slow.value.response.headers["retry-after"]) == ("429", "3")
    with pytest.raises(openai.AuthenticationError) as wrong:
        await client.with_options(api_key="f" * 32).chat.completions.create(**ask("Hello"))
    assert wrong.value.code == "401"


async def test_a_dated_address_needs_its_date(simulator) -> None:
    url = f"{simulator.base_url('azure')}/{HOST}/openai/deployments/gpt-4o/chat/completions"
    async with httpx.AsyncClient(verify=False) as http:
        answer = await http.post(url, json=ask("Hello"), headers={"api-key": KEY})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "404")


async def test_claude_as_anthropics_own_client_for_azure_reaches_it(simulator) -> None:
    http = anthropic.DefaultAsyncHttpxClient(verify=False)
    base_url = f"{simulator.base_url('azure')}/acme.services.ai.azure.com/anthropic"
    async with anthropic.AsyncAnthropicFoundry(api_key=KEY, base_url=base_url, max_retries=0, http_client=http) as sdk:
        answer = await sdk.messages.create(
            model="claude-haiku-4-5", max_tokens=50, messages=[{"role": "user", "content": "Hello"}]
        )
    assert answer.content[0].text == "You said: Hello"
