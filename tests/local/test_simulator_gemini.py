"""The simulated provider in Google's dialect, as Google's own SDK reads it: AI Studio, and Vertex AI beside Claude."""

from __future__ import annotations

import json

import anthropic
import httpx
import jsonschema
import openai
import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from local.simulator import start_simulator
from local.simulator.media_answers import vector

KEY, TOKEN = "AIzasim-0123456789abcdef", "ya29.sim-token"
MODEL, OLDER = "gemini-3.8-flash", "gemini-2.5-flash"
PROJECT = "projects/your-project/locations"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="get_weather", parameters_json_schema=CITY),
        types.FunctionDeclaration(name="get_time"),
    ]
)
PNG = types.Part.from_bytes(data=b"\x89PNG\r\n\x1a\n", mime_type="image/png")


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        running.keys.set("vertex", TOKEN)
        yield running


@pytest.fixture
async def http():
    async with httpx.AsyncClient(verify=False, trust_env=False) as raw:
        yield raw


@pytest.fixture
async def client(simulator, http):
    options = types.HttpOptions(base_url=f"{simulator.origin}/gemini", httpx_async_client=http)
    async with genai.Client(api_key=KEY, vertexai=False, http_options=options).aio as sdk:
        yield sdk.models


def at_vertex(simulator, host: str) -> str:
    return f"{simulator.origin}/vertex/v1/{host}-aiplatform.googleapis.com"


async def ask(client, contents, model: str = MODEL, **config) -> types.GenerateContentResponse:
    return await client.generate_content(
        model=model, contents=contents, config=types.GenerateContentConfig(**config) if config else None
    )


async def streamed(client, contents, model: str = MODEL, **config) -> list[types.GenerateContentResponse]:
    stream = await client.generate_content_stream(
        model=model, contents=contents, config=types.GenerateContentConfig(**config)
    )
    return [chunk async for chunk in stream]


async def test_a_whole_answer_and_its_stream(client) -> None:
    whole = await ask(client, "Hello there")
    assert whole.text == "You said: Hello there"
    assert whole.candidates[0].finish_reason is types.FinishReason.STOP
    chunks = await streamed(client, "Hello there")
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert {chunk.response_id for chunk in chunks} == {chunks[0].response_id}
    assert chunks[-1].usage_metadata == whole.usage_metadata
    last = chunks[-1].candidates[0].content.parts[0]
    assert (last.text, last.thought_signature) == ("", whole.candidates[0].content.parts[0].thought_signature)


async def test_usage_adds_up(client) -> None:
    level = types.ThinkingConfig(thinking_level="LOW")
    usage = (await ask(client, [PNG, "Look"], thinking_config=level)).usage_metadata
    assert usage.thoughts_token_count == 16
    counts = usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count
    assert usage.total_token_count == sum(counts)
    assert {each.modality.value: each.token_count for each in usage.prompt_tokens_details} == {"TEXT": 5, "IMAGE": 85}
    long = "word " * 2_000
    await ask(client, long)
    again = (await ask(client, long)).usage_metadata
    assert again.cached_content_token_count >= 1_024


async def test_parallel_calls_are_signed_and_their_results_need_the_signature(client) -> None:
    asked = types.UserContent("get_weather and get_time please")
    called = (await ask(client, [asked], tools=[TOOLS])).candidates[0].content
    calls = [part for part in called.parts if part.function_call]
    assert [part.function_call.name for part in calls] == ["get_weather", "get_time"]
    assert [bool(part.thought_signature) for part in calls] == [True, False]
    results = types.UserContent(
        [
            types.Part(
                function_response=types.FunctionResponse(
                    id=part.function_call.id, name=part.function_call.name, response={"output": "fine"}
                )
            )
            for part in calls
        ]
    )
    answered = await ask(client, [asked, called, results], tools=[TOOLS])
    assert answered.text.endswith("The tools said: fine; fine")
    for signature, words in ((None, "missing a thought_signature"), (b"made up", "Corrupted thought signature")):
        calls[0].thought_signature = signature
        with pytest.raises(errors.ClientError, match=words):
            await ask(client, [asked, called, results], tools=[TOOLS])
    calls[0].thought_signature = b"made up"
    with pytest.raises(errors.ClientError, match="number of function response parts"):
        await ask(client, [asked, called, types.UserContent("Well?")], tools=[TOOLS])


async def test_forced_and_allowed_calls(client) -> None:
    config = types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(mode="ANY", allowed_function_names=["get_time"])
    )
    answer = await ask(client, "Hi", tools=[TOOLS], tool_config=config)
    assert [call.name for call in answer.function_calls] == ["get_time"]


async def test_schemas_thoughts_stops_limits_searches_and_probabilities(client) -> None:
    shaped = await ask(client, "JSON", response_mime_type="application/json", response_json_schema=CITY)
    jsonschema.validate(json.loads(shaped.text), CITY)
    shown = types.ThinkingConfig(thinking_budget=4, include_thoughts=True)
    thought = await ask(client, "Hm", OLDER, thinking_config=shown)
    assert [part.thought for part in thought.candidates[0].content.parts] == [True, None]
    chunks = await streamed(client, "Hm", OLDER, thinking_config=shown)
    assert [chunk.candidates[0].content.parts[0].thought for chunk in chunks][:5] == [True] * 4 + [None]
    assert (await ask(client, "one two three", stop_sequences=["two"])).text == "You said: one "
    short = await ask(client, "one two three", max_output_tokens=2)
    assert short.candidates[0].finish_reason is types.FinishReason.MAX_TOKENS
    found = await ask(client, "news", tools=[types.Tool(google_search=types.GoogleSearch())])
    assert found.candidates[0].grounding_metadata.grounding_chunks[0].web.uri
    likely = await ask(client, "Hi", response_logprobs=True, logprobs=1)
    chosen = likely.candidates[0].logprobs_result.chosen_candidates
    assert "".join(each.token for each in chosen) == likely.text


async def test_counts_and_the_list_of_models(client, simulator, http) -> None:
    assert (await client.count_tokens(model=MODEL, contents="Hello there")).total_tokens == 6
    nested = {"generateContentRequest": {"model": f"models/{MODEL}", "contents": [{"parts": [{"text": "Hi"}]}]}}
    base, headers = simulator.base_url("gemini"), {"x-goog-api-key": KEY}
    counted = await http.post(f"{base}/models/{MODEL}:countTokens", json=nested, headers=headers)
    assert counted.json()["totalTokens"] == 5
    assert (await client.get(model=MODEL)).name == f"models/{MODEL}"


REFUSED = [
    ({"contents": []}, "contents is not specified"),
    ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
    ({"contents": [{"parts": [{"text": ""}]}]}, "text parameter"),
    ({"contents": [{"parts": [{"text": "x", "cache_control": {}}]}]}, "cacheControl"),
    ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/gif", "data": "R0lG"}}]}]}, "MIME type"),
    ({"messages": []}, "messages"),
    ({"generationConfig": {"n": 1}}, '"n"'),
    ({"generationConfig": {"temperature": 3}}, "temperature"),
    ({"generationConfig": {"presencePenalty": 2}}, "presencePenalty"),
    ({"generationConfig": {"stopSequences": list("abcdef")}}, "stop sequences"),
    ({"generationConfig": {"logprobs": 1}}, "logprobs"),
    ({"generationConfig": {"responseJsonSchema": CITY}}, "response_mime_type"),
    ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}}, "only one"),
    ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "XHIGH"}}}, "Thinking level"),
    ({"tools": [{"functionDeclarations": [{"name": "1"}]}]}, "Invalid function name"),
    ({"tools": [{"functionDeclarations": [{"name": "a"}]}, {"googleSearch": {}}]}, "unsupported"),
    ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "function_declarations"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED, ids=[words for _, words in REFUSED])
async def test_what_the_vendor_refuses(simulator, http, change, words) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]} | change
    url = f"{simulator.base_url('gemini')}/models/{MODEL}:generateContent"
    answer = await http.post(url, json=body, headers={"x-goog-api-key": KEY})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert words in error["message"]


async def test_keys_scripts_and_a_stream_that_breaks_off(client, simulator) -> None:
    with pytest.raises(errors.ClientError) as slow:
        await ask(client, "[[sim: fail=rate_limit retry_after=2]] Hello")
    assert (slow.value.code, slow.value.status) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(errors.APIError, match="overloaded"):
        await streamed(client, "[[sim: error_after=1 fail=overloaded]] Hello")
    simulator.keys.revoke("gemini", KEY)
    with pytest.raises(errors.ClientError) as refused:
        await ask(client, "Hello")
    assert refused.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


async def test_vertex_serves_googles_models_at_the_locations_host(simulator, http) -> None:
    def client(**more) -> object:
        options = types.HttpOptions(
            base_url=at_vertex(simulator, "us-central1"), api_version="v1", httpx_async_client=http
        )
        where = {"project": "your-project", "location": "us-central1", "credentials": Credentials(token=TOKEN)}
        return genai.Client(vertexai=True, **(where | more), http_options=options).aio

    async with client() as sdk:
        assert (await ask(sdk.models, "Hello")).text == "You said: Hello"
        assert "".join(chunk.text or "" for chunk in await streamed(sdk.models, "Hello")) == "You said: Hello"
        assert (await sdk.models.count_tokens(model=MODEL, contents="Hello there")).total_tokens == 6
    for more, code in (
        ({"credentials": Credentials(token="unknown")}, 401),
        ({"project": "forbidden-project"}, 403),
        ({"location": "europe-west1"}, 404),
    ):
        async with client(**more) as sdk:
            with pytest.raises(errors.ClientError) as refused:
                await ask(sdk.models, "Hello")
        assert refused.value.code == code


async def test_vertex_serves_claude_and_open_models(simulator) -> None:
    base = at_vertex(simulator, "us-east5") + "/v1"
    async with anthropic.AsyncAnthropicVertex(
        region="us-east5",
        project_id="your-project",
        access_token=TOKEN,
        base_url=base,
        max_retries=0,
        http_client=anthropic.DefaultAsyncHttpxClient(verify=False, trust_env=False),
    ) as client:
        asked = {"model": "claude-sonnet-4-5@20250929", "messages": [{"role": "user", "content": "Hello"}]}
        whole = await client.messages.create(**asked, max_tokens=100)
        assert (whole.content[0].text, whole.model) == ("You said: Hello", asked["model"])
        async with client.messages.stream(**asked, max_tokens=100) as stream:
            assert await stream.get_final_text() == "You said: Hello"
        assert (await client.messages.count_tokens(**asked)).input_tokens == whole.usage.input_tokens
    async with openai.AsyncOpenAI(
        api_key=TOKEN,
        base_url=f"{base}/{PROJECT}/us-east5/endpoints/openapi",
        http_client=openai.DefaultAsyncHttpxClient(verify=False, trust_env=False),
    ) as client:
        said = await client.chat.completions.create(model="meta/llama-4", messages=asked["messages"])
        assert said.choices[0].message.content == "You said: Hello"


async def test_embeddings(client):
    config = types.EmbedContentConfig(output_dimensionality=4)
    found = await client.embed_content(model="gemini-embedding-001", contents=["red", "fox"], config=config)
    assert [each.values for each in found.embeddings] == [pytest.approx(vector(text, 4)) for text in ("red", "fox")]
    assert found.usage_metadata.prompt_token_count == 2


async def test_embeddings_at_vertex(simulator, http):
    options = types.HttpOptions(base_url=at_vertex(simulator, "us-central1"), api_version="v1", httpx_async_client=http)
    where = {"project": "your-project", "location": "us-central1", "credentials": Credentials(token=TOKEN)}
    async with genai.Client(vertexai=True, **where, http_options=options).aio as sdk:
        config = types.EmbedContentConfig(output_dimensionality=4)
        several = [types.Content(parts=[types.Part(text=text)]) for text in ("red", "fox")]
        for model, contents in (("text-embedding-005", ["red", "fox"]), ("gemini-embedding-2", several)):
            found = await sdk.models.embed_content(model=model, contents=contents, config=config)
            assert [each.values for each in found.embeddings] == [
                pytest.approx(vector(text, 4)) for text in ("red", "fox")
            ]
        found = await sdk.models.embed_content(model="gemini-embedding-2", contents="red", config=config)
        assert found.embeddings[0].values == pytest.approx(vector("red", 4))
        found = await sdk.models.embed_content(model="text-embedding-005", contents=["red fox"])
        assert found.embeddings[0].statistics.token_count == 2
