"""The simulated provider in OpenAI's dialect, as OpenAI's SDK reads it: strictly, with no unknown field."""

import json
from typing import Literal

import httpx
import jsonschema
import openai
import pytest
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from local.simulator import start_simulator

KEY = "sk-sim-0123456789abcdef"
MODEL = "gpt-4o-mini"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        yield running


@pytest.fixture
async def client(simulator):
    async with openai.AsyncOpenAI(
        api_key=KEY,
        base_url=simulator.base_url("openai"),
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(verify=False),
        _strict_response_validation=True,
    ) as sdk:
        yield sdk


@pytest.fixture
async def http(simulator):
    async with httpx.AsyncClient(
        verify=False, base_url=simulator.base_url("openai"), headers={"authorization": f"Bearer {KEY}"}
    ) as raw:
        yield raw


def ask(text: str, **more) -> dict:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


async def events(http: httpx.AsyncClient, body: dict) -> list[str]:
    """The data of every event of a streamed answer, as it stands on the wire."""
    response = await http.post("/chat/completions", json={**body, "stream": True})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    lines = response.text.split("\n\n")
    assert lines.pop() == ""
    assert all(line.startswith("data: ") for line in lines)
    return [line.removeprefix("data: ") for line in lines]


async def chunks(http: httpx.AsyncClient, body: dict) -> list[ChatCompletionChunk]:
    """The chunks of a streamed answer, validated strictly."""
    *data, done = await events(http, body)
    assert done == "[DONE]"
    parsed = [ChatCompletionChunk.model_validate_json(each, strict=True) for each in data]
    for each in parsed:
        assert_nothing_unknown(each)
    assert len({(each.id, each.created, each.model, each.system_fingerprint) for each in parsed}) == 1
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


async def test_a_whole_answer_has_every_field_of_the_vendors(http):
    response = await http.post("/chat/completions", json=ask("hello"))
    completion = ChatCompletion.model_validate_json(response.text, strict=True)
    assert_nothing_unknown(completion)
    assert completion.id.startswith("chatcmpl-")
    assert completion.model == "gpt-4o-mini-2024-07-18"
    assert completion.service_tier == "default"
    assert completion.choices[0].message.content == "You said: hello"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.prompt_tokens == 8
    assert completion.usage.completion_tokens == 4
    assert completion.usage.total_tokens == 12
    assert completion.usage.prompt_tokens_details.cached_tokens == 0
    assert completion.usage.completion_tokens_details.reasoning_tokens == 0


async def test_the_headers_are_the_vendors(http):
    headers = (await http.post("/chat/completions", json=ask("hello"))).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-processing-ms"].isdigit()
    for name in ("limit", "remaining", "reset"):
        assert headers[f"x-ratelimit-{name}-requests"]
        assert headers[f"x-ratelimit-{name}-tokens"]
    assert headers["x-ratelimit-remaining-tokens"] == str(2_000_000 - 12)


async def test_a_stream_carries_the_same_text_as_its_whole_twin(http):
    whole = (await http.post("/chat/completions", json=ask("hello there"))).json()
    parts = await chunks(http, ask("hello there"))
    assert parts[0].choices[0].delta.role == "assistant"
    assert "".join(each.choices[0].delta.content or "" for each in parts) == whole["choices"][0]["message"]["content"]
    assert [each.choices[0].finish_reason for each in parts] == [None] * (len(parts) - 1) + ["stop"]


async def test_usage_is_streamed_only_when_asked_for(http):
    without = await events(http, ask("hello"))
    assert not [each for each in without if '"usage"' in each]
    *before, last, done = await events(http, ask("hello", stream_options={"include_usage": True}))
    assert done == "[DONE]"
    assert [json.loads(each)["usage"] for each in before] == [None] * len(before)
    assert json.loads(last)["choices"] == []
    CompletionUsage.model_validate(json.loads(last)["usage"], strict=True)
    assert json.loads(last)["usage"]["total_tokens"] == 12


async def test_obfuscation_can_be_declined(http):
    assert all(each.obfuscation for each in await chunks(http, ask("hello")))
    declined = await chunks(http, ask("hello", stream_options={"include_obfuscation": False}))
    assert not any(each.obfuscation for each in declined)


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_named_in_the_message_are_called_in_parallel(client, stream):
    body = ask("Use get_weather and get_time", tools=[WEATHER, TIME])
    if stream:
        async with client.chat.completions.stream(**body) as running:
            completion = await running.get_final_completion()
    else:
        completion = await client.chat.completions.create(**body)
    message = completion.choices[0].message
    assert completion.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
    assert len({call.id for call in message.tool_calls}) == 2
    jsonschema.validate(json.loads(message.tool_calls[0].function.arguments), WEATHER["function"]["parameters"])


async def test_the_arguments_of_a_call_come_in_fragments(http):
    parts = await chunks(http, ask("Use get_weather", tools=[WEATHER]))
    calls = [each.choices[0].delta.tool_calls[0] for each in parts if each.choices[0].delta.tool_calls]
    assert calls[0].id
    assert calls[0].function.arguments == ""
    assert len(calls) > 3
    assert not any(call.id for call in calls[1:])
    assert json.loads("".join(call.function.arguments for call in calls)) == {"city": "sample", "unit": "celsius"}


@pytest.mark.parametrize(
    ("choice", "called", "finish"),
    [
        ("none", [], "stop"),
        ("auto", [], "stop"),
        ("required", ["get_weather"], "tool_calls"),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"], "stop"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TIME]}},
            ["get_time"],
            "tool_calls",
        ),
    ],
)
async def test_tool_choice_is_obeyed(client, choice, called, finish):
    completion = await client.chat.completions.create(**ask("hello", tools=[WEATHER, TIME], tool_choice=choice))
    assert [call.function.name for call in completion.choices[0].message.tool_calls or []] == called
    assert completion.choices[0].finish_reason == finish


async def test_one_call_at_a_time_where_parallel_calls_are_off(client):
    body = ask("Use get_weather and get_time", tools=[WEATHER, TIME], parallel_tool_calls=False)
    completion = await client.chat.completions.create(**body)
    assert len(completion.choices[0].message.tool_calls) == 1


async def test_a_tools_result_is_answered_in_words(client):
    first = await client.chat.completions.create(**ask("Use get_time", tools=[TIME]))
    call = first.choices[0].message
    messages = [
        {"role": "user", "content": "Use get_time"},
        call.to_dict(),
        {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "noon"},
    ]
    second = await client.chat.completions.create(model=MODEL, messages=messages, tools=[TIME])
    assert second.choices[0].message.content == "You said: Use get_time\nThe tools said: noon"


async def test_a_free_form_tool_gets_text(client):
    tool = {"type": "custom", "custom": {"name": "run_code"}}
    completion = await client.chat.completions.create(**ask("run_code", tools=[tool]))
    assert completion.choices[0].message.tool_calls[0].custom.input == "sample"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_functions_of_old_still_work(client, stream):
    body = ask("Use get_weather", functions=[WEATHER["function"]])
    if stream:
        parts = [each async for each in await client.chat.completions.create(**body, stream=True)]
        called = [each.choices[0].delta.function_call for each in parts if each.choices[0].delta.function_call]
        name, arguments = called[0].name, "".join(each.arguments for each in called)
        finish = parts[-1].choices[0].finish_reason
    else:
        choice = (await client.chat.completions.create(**body)).choices[0]
        call, finish = choice.message.function_call, choice.finish_reason
        name, arguments = call.name, call.arguments
    assert (name, finish) == ("get_weather", "function_call")
    assert json.loads(arguments)["unit"] == "celsius"


class Forecast(BaseModel):
    city: str
    days: list[int]
    sky: Literal["clear", "cloudy"]


@pytest.mark.parametrize("stream", [False, True])
async def test_structured_output_matches_the_schema(client, stream):
    if stream:
        async with client.chat.completions.stream(**ask("forecast"), response_format=Forecast) as running:
            completion = await running.get_final_completion()
    else:
        completion = await client.chat.completions.parse(**ask("forecast"), response_format=Forecast)
    assert completion.choices[0].message.parsed == Forecast(city="sample", days=[1], sky="clear")


async def test_json_mode_answers_with_an_object(client):
    completion = await client.chat.completions.create(**ask("hi", response_format={"type": "json_object"}))
    assert json.loads(completion.choices[0].message.content) == {"answer": "sample"}


async def test_several_choices(client, http):
    completion = await client.chat.completions.create(**ask("hi", n=3))
    texts = [choice.message.content for choice in completion.choices]
    assert texts == ["You said: hi", "You said: hi (choice 1)", "You said: hi (choice 2)"]
    streamed = ["", "", ""]
    for part in await chunks(http, ask("hi", n=3)):
        streamed[part.choices[0].index] += part.choices[0].delta.content or ""
    assert streamed == texts


async def test_logprobs_are_given_for_every_token(client, http):
    completion = await client.chat.completions.create(**ask("hi", logprobs=True, top_logprobs=2))
    tokens = completion.choices[0].logprobs.content
    assert [each.token for each in tokens] == ["You", " said", ":", " hi"]
    assert all(len(each.top_logprobs) == 2 for each in tokens)
    parts = await chunks(http, ask("hi", logprobs=True))
    assert [each.choices[0].logprobs.content[0].token for each in parts if each.choices[0].delta.content] == [
        each.token for each in tokens
    ]


@pytest.mark.parametrize(
    ("limits", "text", "finish"),
    [
        ({"max_tokens": 2}, "You said", "length"),
        ({"max_completion_tokens": 2}, "You said", "length"),
        ({"stop": "sai"}, "You ", "stop"),
        ({"stop": ["nothing", ":"]}, "You said", "stop"),
        ({"max_tokens": 4}, "You said: hi", "stop"),
    ],
)
async def test_an_answer_ends_where_it_was_told_to(client, limits, text, finish):
    completion = await client.chat.completions.create(**ask("hi", **limits))
    assert completion.choices[0].message.content == text
    assert completion.choices[0].finish_reason == finish


async def test_reasoning_is_counted_and_bounded(client):
    body = {**ask("hi"), "model": "gpt-5-mini"}
    thinking = (await client.chat.completions.create(**body, reasoning_effort="low")).usage
    assert thinking.completion_tokens_details.reasoning_tokens == 16
    assert thinking.completion_tokens == 16 + 4
    cut = await client.chat.completions.create(**body, reasoning_effort="high", max_completion_tokens=10)
    assert cut.choices[0].message.content == ""
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 10


async def test_a_long_prompt_sent_again_is_read_from_the_cache(client):
    history = [{"role": "system", "content": "word " * 1500}, {"role": "user", "content": "hi"}]
    first = await client.chat.completions.create(model=MODEL, messages=history)
    again = await client.chat.completions.create(model=MODEL, messages=history)
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    assert again.usage.prompt_tokens_details.cached_tokens == again.usage.prompt_tokens // 128 * 128 > 1024


async def test_an_image_counts_85_tokens(client):
    parts = [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    plain = await client.chat.completions.create(**ask("hi"))
    pictured = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert pictured.usage.prompt_tokens - plain.usage.prompt_tokens == 85


@pytest.mark.parametrize(("asked", "given"), [("auto", "default"), ("flex", "flex"), ("fast", "priority")])
async def test_the_service_tier_is_the_one_that_was_used(client, asked, given):
    assert (await client.chat.completions.create(**ask("hi", service_tier=asked))).service_tier == given


async def test_a_refusal_stands_apart_from_content(client, http):
    completion = await client.chat.completions.create(**ask("[[sim: refusal]]"))
    assert completion.choices[0].message.content is None
    assert completion.choices[0].message.refusal
    parts = await chunks(http, ask("[[sim: refusal]]"))
    streamed = "".join(each.choices[0].delta.refusal or "" for each in parts)
    assert streamed == completion.choices[0].message.refusal


async def test_models_are_listed_and_retrieved(client):
    listed = [model.id async for model in client.models.list()]
    assert {"gpt-4o-mini", "gpt-5"} < set(listed)
    model = await client.models.retrieve("gpt-4o-mini")
    assert (model.id, model.object, model.owned_by) == ("gpt-4o-mini", "model", "openai")
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("gpt-nonesuch")
    assert caught.value.code == "model_not_found"


def test_the_synchronous_client_reads_a_stream_too(simulator_in_a_thread):
    with openai.OpenAI(api_key=KEY, base_url=f"{simulator_in_a_thread}/openai/v1", max_retries=0) as client:
        text = ""
        with client.chat.completions.create(**ask("hello"), stream=True) as stream:
            for chunk in stream:
                text += chunk.choices[0].delta.content or ""
        assert text == "You said: hello"


@pytest.fixture
def simulator_in_a_thread():
    """A simulator with an event loop of its own, for clients that block."""
    import asyncio
    import threading

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running = asyncio.run_coroutine_threadsafe(start_simulator(), loop).result(5)
    yield running.origin
    asyncio.run_coroutine_threadsafe(running.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()
