"""The simulated provider in Cohere's dialect, as Cohere's own SDK reads it."""

from __future__ import annotations

import json

import cohere
import httpx
import jsonschema
import pytest
from cohere.core.api_error import ApiError

from local.simulator import start_simulator

KEY = "cohere-sim-0123456789abcdef"
MODEL = "command-a-03-2025"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        yield running


@pytest.fixture
async def client(simulator):
    async with httpx.AsyncClient(verify=False, trust_env=False) as http:
        yield cohere.AsyncClientV2(api_key=KEY, base_url=f"{simulator.origin}/cohere", httpx_client=http)


def ask(text: str, **more) -> dict:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


async def streamed(client, **body) -> list:
    return [event async for event in client.chat_stream(**body)]


async def test_a_whole_answer_and_its_stream(client) -> None:
    whole = await client.chat(**ask("Hello there"))
    assert whole.message.content[0].text == "You said: Hello there"
    assert (whole.finish_reason, whole.usage.billed_units.output_tokens) == ("COMPLETE", 5)
    assert whole.usage.tokens.input_tokens > whole.usage.billed_units.input_tokens
    events = await streamed(client, **ask("Hello there"))
    assert "".join(e.delta.message.content.text for e in events if e.type == "content-delta") == "You said: Hello there"
    assert [e.type for e in events if e.type != "content-delta"] == [
        "message-start",
        "content-start",
        "content-end",
        "message-end",
    ]
    assert events[-1].delta.usage == whole.usage


async def test_parallel_calls_and_their_results(client) -> None:
    asked = ask("get_weather and get_time please", tools=[WEATHER, TIME])
    whole = await client.chat(**asked)
    assert whole.finish_reason == "TOOL_CALL"
    assert [call.function.name for call in whole.message.tool_calls] == ["get_weather", "get_time"]
    assert whole.message.tool_plan
    events = await streamed(client, **asked)
    assert [e.type for e in events].count("tool-call-start") == 2
    assert any(e.type == "tool-plan-delta" for e in events)
    history = [
        *asked["messages"],
        {"role": "assistant", "tool_calls": whole.message.tool_calls, "tool_plan": whole.message.tool_plan},
        *({"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in whole.message.tool_calls),
    ]
    answer = await client.chat(model=MODEL, messages=history, tools=[WEATHER, TIME])
    assert answer.message.content[0].text.endswith("The tools said: fine; fine")


async def test_a_demanded_call_a_schema_thoughts_stops_and_limits(client) -> None:
    forced = await client.chat(**ask("Hi", tools=[WEATHER], tool_choice="REQUIRED", strict_tools=True))
    assert forced.message.tool_calls[0].function.name == "get_weather"
    shaped = await client.chat(**ask("JSON", response_format={"type": "json_object", "json_schema": CITY}))
    jsonschema.validate(json.loads(shaped.message.content[0].text), CITY)
    thought = await client.chat(**ask("Hm", thinking={"type": "enabled", "token_budget": 4}))
    assert [block.type for block in thought.message.content] == ["thinking", "text"]
    stopped = await client.chat(**ask("one two three", stop_sequences=["two"]))
    assert (stopped.finish_reason, stopped.message.content[0].text) == ("STOP_SEQUENCE", "You said: one ")
    short = await client.chat(**ask("one two three", max_tokens=2))
    assert short.finish_reason == "MAX_TOKENS"


async def test_documents_are_cited_and_probabilities_shown(client) -> None:
    documents = [{"id": "0", "data": {"title": "Almanac", "text": "Oslo lies north."}}]
    whole = await client.chat(**ask("Where?", documents=documents, logprobs=True))
    (citation,) = whole.message.citations
    assert (citation.text, citation.sources[0].id, citation.content_index) == ("You", "0", 0)
    assert "".join(each.text for each in whole.logprobs) == whole.message.content[0].text
    events = await streamed(client, **ask("Where?", documents=documents))
    assert [e.delta.message.citations for e in events if e.type == "citation-start"] == [citation]


async def test_embeddings_and_rankings(client) -> None:
    embedded = await client.embed(
        model="embed-v4.0", input_type="search_query", texts=["one", "two"], embedding_types=["float", "base64"]
    )
    assert len(embedded.embeddings.float_) == len(embedded.embeddings.base64) == 2
    assert embedded.meta.billed_units.input_tokens == 2
    ranked = await client.rerank(model="rerank-v4.0", query="red car", documents=["a blue car", "a red car"], top_n=1)
    assert [(each.index, each.relevance_score) for each in ranked.results] == [(1, 1.0)]
    assert ranked.meta.billed_units.search_units == 1


REFUSED = [
    ({"tool_choice": "REQUIRED"}, 400),
    ({"temperature": -1}, 400),
    ({"p": 1.0}, 400),
    ({"k": 501}, 400),
    ({"frequency_penalty": 2}, 400),
    ({"stop_sequences": list("abcdef")}, 400),
    ({"thinking": {"type": "adaptive"}}, 400),
    ({"response_format": {"type": "json_object"}, "tools": [WEATHER]}, 400),
    ({"strict_tools": True, "tools": [TIME]}, 400),
    ({"messages": []}, 400),
    ({"messages": [{"role": "developer", "content": "x"}]}, 400),
    ({"messages": [{"role": "user", "content": ""}]}, 400),
    ({"messages": [{"role": "user", "content": [{"type": "document", "document": {}}]}]}, 400),
    ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, 400),
    ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, 400),
    ({"request_options": {"additional_body_parameters": {"top_k": 3}}}, 422),
]


@pytest.mark.parametrize(("change", "status"), REFUSED)
async def test_what_the_vendor_refuses(client, change, status) -> None:
    with pytest.raises(ApiError) as refused:
        await client.chat(**(ask("Hello") | change))
    assert refused.value.status_code == status
    assert refused.value.body["message"]


async def test_keys_scripts_and_a_stream_that_breaks_off(client, simulator) -> None:
    with pytest.raises(ApiError) as slow:
        await client.chat(**ask("[[sim: fail=rate_limit retry_after=2]] Hello"), request_options={"max_retries": 0})
    assert (slow.value.status_code, slow.value.headers["retry-after"]) == (429, "2")
    events = await streamed(client, **ask("[[sim: error_after=1]] Hello"))
    assert (events[-1].delta.finish_reason, bool(events[-1].delta.error)) == ("ERROR", True)
    simulator.keys.revoke("cohere", KEY)
    with pytest.raises(cohere.UnauthorizedError):
        await client.chat(**ask("Hello"))
