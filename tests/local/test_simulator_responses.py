"""The simulated provider's Responses, as OpenAI's SDK reads them: strictly, with no unknown field."""

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from local.simulator import start_simulator

KEY = "sk-sim-0123456789abcdef"
MODEL = "gpt-4o-mini"
REASONER = "gpt-5.4-mini"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}
TIME = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
PATCH = {"type": "custom", "name": "apply_patch"}


class Invoice(BaseModel):
    number: int
    paid: bool


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


async def streamed(client: openai.AsyncOpenAI, **body: Any) -> tuple[list[Any], Response]:
    """All events of the SDK's stream helper, and the response that it accumulates."""
    async with client.responses.stream(**body) as stream:
        events = [event async for event in stream]
        return events, await stream.get_final_response()


def shape(response: Response) -> list[Any]:
    """A response's output without its ids."""
    found = json.loads(response.model_dump_json(exclude_none=True))["output"]
    for item in found:
        for name in ("id", "call_id"):
            item.pop(name, None)
        item.pop("parsed_arguments", None)
        for part in item.get("content", []):
            part.pop("parsed", None)
    return found


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"instructions": "Be short.", "top_logprobs": 2, "include": ["message.output_text.logprobs"]},
        {"tools": [WEATHER, TIME], "input": "get_weather and get_time"},
        {"tools": [PATCH], "tool_choice": {"type": "custom", "name": "apply_patch"}},
        {"model": REASONER, "reasoning": {"effort": "low", "summary": "auto"}},
        {"model": REASONER, "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]},
        {"tools": [{"type": "web_search"}], "input": "web_search for it"},
        {"input": "[[sim: refusal]]"},
    ],
    ids=["text", "logprobs", "tools", "custom tool", "summary", "encrypted", "search", "refusal"],
)
async def test_a_stream_builds_the_response_that_comes_whole(client, more):
    body = {"model": MODEL, "input": "Hello there", **more}
    whole = await client.responses.create(**body)
    events, built = await streamed(client, **body)
    assert whole.status == "completed"
    assert shape(built) == shape(whole)
    assert built.usage == whole.usage
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"


async def test_text_usage_and_what_is_echoed(client):
    response = await client.responses.create(
        model=MODEL, input="Hello there", instructions="Be short.", metadata={"a": "b"}, service_tier="flex"
    )
    assert response.output_text == "You said: Hello there"
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert (response.instructions, response.metadata, response.service_tier) == ("Be short.", {"a": "b"}, "flex")


async def test_a_conversation_of_items(client):
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Rome"}'}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    image = {"type": "input_image", "image_url": PIXEL, "detail": "auto"}
    asked = {"role": "user", "content": [{"type": "input_text", "text": "How is it?"}, image]}
    answered = await client.responses.create(model=MODEL, input=[asked, call, output], tools=[WEATHER])
    assert answered.output_text == "You said: How is it?\nThe tools said: sunny"
    plain = await client.responses.create(model=MODEL, input="How is it?")
    assert answered.usage.input_tokens > plain.usage.input_tokens + 85


async def test_a_schema_is_held(client):
    events, built = await streamed(client, model=MODEL, input="An invoice", text_format=Invoice)
    assert built.output_parsed == Invoice(number=1, paid=True)
    assert (await client.responses.parse(model=MODEL, input="An invoice", text_format=Invoice)).output_parsed.paid
    assert events


async def test_reasoning_is_taken_back_as_it_was_given_and_in_no_other_way(client):
    body = {"model": REASONER, "reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]}
    first = await client.responses.create(**body, input="Think", store=False)
    assert first.usage.output_tokens_details.reasoning_tokens == 64
    thought, said = [json.loads(item.model_dump_json(exclude_none=True)) for item in first.output]
    again = {"role": "user", "content": "Go on"}
    assert (await client.responses.create(**body, input=[thought, said, again])).output_text == "You said: Go on"
    for broken in ({"encrypted_content": thought["encrypted_content"][:-4] + "AAA="}, {"encrypted_content": "x"}):
        with pytest.raises(openai.BadRequestError, match="could not be verified"):
            await client.responses.create(**body, input=[{**thought, **broken}, said, again])
    del thought["encrypted_content"]
    with pytest.raises(openai.BadRequestError, match="not persisted"):
        await client.responses.create(**body, input=[thought, said, again])


async def test_an_answer_that_is_cut_or_filtered_is_incomplete(client):
    cut = await client.responses.create(model=MODEL, input="[[sim: chunks=50]]", max_output_tokens=16)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    filtered = await client.responses.create(model=MODEL, input="[[sim: finish=content_filter]]")
    assert (filtered.status, filtered.incomplete_details.reason) == ("incomplete", "content_filter")


async def test_a_failure_is_an_answer_of_its_own(client):
    failed = await client.responses.create(model=MODEL, input="[[sim: finish=failed]]")
    assert (failed.status, failed.error.code) == ("failed", "server_error")
    stream = await client.responses.create(model=MODEL, input="[[sim: finish=failed]]", stream=True)
    assert [event.type async for event in stream][-1] == "response.failed"
    stream = await client.responses.create(model=MODEL, input="Hi [[sim: error_after=1 fail=529]]", stream=True)
    assert [event.type async for event in stream][-1] == "error"


async def test_a_prompt_sent_again_is_read_from_the_cache(client):
    body = {"model": MODEL, "input": [{"role": "user", "content": "word " * 1_500}, {"role": "user", "content": "x"}]}
    await client.responses.create(**body)
    again = await client.responses.create(**body)
    assert again.usage.input_tokens_details.cached_tokens >= 1_024


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"max_output_tokens": 5}, "max_output_tokens"),
        ({"input": None}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]}, "input"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)
async def test_what_openai_would_refuse_is_refused(client, body, param):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=MODEL, input="Hi", extra_body=body)
    assert caught.value.param == param


async def test_some_models_are_served_by_responses_alone(client):
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="gpt-5.2-pro", messages=[{"role": "user", "content": "Hi"}])
    assert (await client.responses.create(model="gpt-5.2-pro", input="Hi")).output_text == "You said: Hi"


async def test_a_compatible_provider_has_no_responses(simulator, client):
    groq = client.with_options(base_url=simulator.base_url("groq"), api_key="gsk_sim-0123456789")
    with pytest.raises(openai.NotFoundError):
        await groq.responses.create(model="llama", input="Hi")


async def test_counting_agrees_with_the_usage_of_the_answer(client):
    asked = {"model": "gpt-4o", "input": "hello", "instructions": "Be brief."}
    counted = await client.responses.input_tokens.count(**asked)
    assert counted.object == "response.input_tokens"
    assert counted.input_tokens == (await client.responses.create(**asked)).usage.input_tokens
    with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'max_output_tokens'"):
        await client.responses.input_tokens.count(**asked, extra_body={"max_output_tokens": 50})
