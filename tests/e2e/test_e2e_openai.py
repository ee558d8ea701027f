"""Today's `openai` SDK against the running stack, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import base64
import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from tests.e2e.accounts import CHAT_MODEL, Account, SavedKey, said
from tests.e2e.world import World

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER = tool("get_weather", city={"type": "string"}, unit={"enum": ["celsius", "fahrenheit"]})
TIME = tool("get_time", zone={"type": "string"})


class Invoice(BaseModel):
    number: int
    customer: str
    paid: bool


class Sync:
    """The synchronous SDK."""

    def __init__(self, account: Account) -> None:
        self.chat = account.openai().chat.completions

    def create(self, **body: Any) -> ChatCompletion:
        return self.chat.create(**body)

    def stream(self, **body: Any) -> list[ChatCompletionChunk]:
        with self.chat.create(**body, stream=True) as stream:
            return list(stream)

    def accumulated(self, **body: Any) -> Any:
        """The SDK's own stream helper's final completion."""
        with self.chat.stream(**body) as stream:
            return stream.get_final_completion()

    def parse(self, **body: Any) -> Any:
        return self.chat.parse(**body)


class Async:
    """The asynchronous one, behind the same calls."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def create(self, **body: Any) -> ChatCompletion:
        async def created() -> ChatCompletion:
            async with self.account.async_openai() as client:
                return await client.chat.completions.create(**body)

        return asyncio.run(created())

    def stream(self, **body: Any) -> list[ChatCompletionChunk]:
        async def streamed() -> list[ChatCompletionChunk]:
            async with self.account.async_openai() as client:
                return [chunk async for chunk in await client.chat.completions.create(**body, stream=True)]

        return asyncio.run(streamed())

    def accumulated(self, **body: Any) -> Any:
        async def streamed() -> Any:
            async with self.account.async_openai() as client, client.chat.completions.stream(**body) as stream:
                return await stream.get_final_completion()

        return asyncio.run(streamed())

    def parse(self, **body: Any) -> Any:
        async def parsed() -> Any:
            async with self.account.async_openai() as client:
                return await client.chat.completions.parse(**body)

        return asyncio.run(parsed())


@pytest.fixture(scope="module")
def team(world: World) -> Account:
    return world.account()


@pytest.fixture(scope="module")
def key(team: Account) -> SavedKey:
    return team.save_key("OpenAI", alias="main")


@pytest.fixture(scope="module", params=[Sync, Async], ids=["sync", "async"])
def sdk(request: pytest.FixtureRequest, team: Account, key: SavedKey) -> Sync | Async:
    return request.param(team)


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": CHAT_MODEL, "messages": said(text), **more}


def text_of(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


class TestAnswers:
    def test_a_whole_answer(self, sdk):
        answer = sdk.create(**ask("hello"))
        assert answer.choices[0].message.content == "You said: hello"
        assert answer.choices[0].finish_reason == "stop"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (8, 4, 12)

    def test_the_usage_says_whose_key_served_and_what_it_cost(self, sdk):
        usage = sdk.create(**ask("hello")).usage.to_dict()
        assert usage["is_byok"] is True
        assert usage["cost"] == 0
        # gpt-4o-mini: $0.15 and $0.60 a million tokens.
        dollars = (8 * Decimal("0.15") + 4 * Decimal("0.60")) / 1_000_000
        assert Decimal(str(usage["cost_details"]["upstream_inference_cost"])) == dollars

    def test_a_stream_says_what_the_whole_answer_says(self, sdk):
        whole = sdk.create(**ask("one two three"))
        chunks = sdk.stream(**ask("one two three"), stream_options={"include_usage": True})
        assert text_of(chunks) == whole.choices[0].message.content
        assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == whole.choices[0].finish_reason
        assert chunks[-1].usage.to_dict() == whole.usage.to_dict()
        assert {chunk.model for chunk in chunks} == {whole.model}

    def test_a_stream_that_is_not_asked_for_usage_has_none_in_any_chunk(self, sdk):
        chunks = sdk.stream(**ask("hello"))
        assert text_of(chunks) == "You said: hello"
        assert [chunk for chunk in chunks if "usage" in chunk.model_fields_set] == []
        assert all(chunk.choices for chunk in chunks)

    def test_a_stream_that_is_asked_for_usage_has_it_in_the_last_chunk_alone(self, sdk):
        *others, last = sdk.stream(**ask("hello"), stream_options={"include_usage": True})
        assert [chunk.usage for chunk in others] == [None] * len(others)
        assert last.choices == []
        usage = last.usage.to_dict()
        assert usage["is_byok"] is True
        assert usage["cost"] == 0
        assert usage["cost_details"]["upstream_inference_cost"] > 0

    def test_an_answer_as_large_as_they_come(self, sdk):
        assert len(text_of(sdk.stream(**ask("[[sim: huge=300000]]")))) == 300_000
        assert len(sdk.create(**ask("[[sim: huge=300000]]")).choices[0].message.content) == 300_000

    @pytest.mark.parametrize(
        "asked, finish, text",
        [({"max_tokens": 2}, "length", "You said"), ({"stop": ["said"]}, "stop", "You ")],
        ids=["max_tokens", "stop"],
    )
    def test_an_answer_ends_where_it_is_told_to(self, sdk, asked, finish, text):
        answer = sdk.create(**ask("hello", **asked))
        assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == (finish, text)
        chunks = sdk.stream(**ask("hello", **asked))
        assert text_of(chunks) == text
        assert chunks[-1].choices[0].finish_reason == finish

    def test_several_choices_come_whole_and_interleaved(self, sdk):
        whole = [choice.message.content for choice in sdk.create(**ask("hello", n=2)).choices]
        assert whole == ["You said: hello", "You said: hello (choice 1)"]
        chunks = sdk.stream(**ask("hello", n=2))
        assert [text_of(chunks, index) for index in (0, 1)] == whole

    def test_log_probabilities(self, sdk):
        asked = {"logprobs": True, "top_logprobs": 2}
        (choice,) = sdk.create(**ask("hello", **asked)).choices
        assert "".join(each.token for each in choice.logprobs.content) == choice.message.content
        assert {len(each.top_logprobs) for each in choice.logprobs.content} == {2}
        streamed = [c.logprobs for chunk in sdk.stream(**ask("hello", **asked)) for c in chunk.choices if c.logprobs]
        assert "".join(each.token for part in streamed for each in part.content) == choice.message.content

    def test_a_refusal_is_passed_on(self, sdk):
        message = sdk.create(**ask("[[sim: refusal]] something bad")).choices[0].message
        assert message.content is None
        assert message.refusal


class TestTools:
    def test_parallel_calls(self, sdk):
        message = sdk.create(**ask("get_weather and get_time", tools=[WEATHER, TIME])).choices[0].message
        assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
        assert json.loads(message.tool_calls[0].function.arguments) == {"city": "sample", "unit": "celsius"}

    def test_parallel_calls_come_in_fragments(self, sdk):
        body = ask("get_weather and get_time", tools=[WEATHER, TIME])
        chunks = sdk.stream(**body)
        parts = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
        arguments = ["".join(part.function.arguments for part in parts if part.index == index) for index in (0, 1)]
        assert [part.function.name for part in parts if part.id] == ["get_weather", "get_time"]
        assert json.loads(arguments[0]) == {"city": "sample", "unit": "celsius"}
        assert len([part for part in parts if part.index == 0]) > 2
        assert chunks[-1].choices[0].finish_reason == "tool_calls"

    def test_the_sdks_own_helper_puts_them_together(self, sdk):
        message = sdk.accumulated(**ask("get_weather and get_time", tools=[WEATHER, TIME])).choices[0].message
        assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
        assert json.loads(message.tool_calls[1].function.arguments) == {"zone": "sample"}

    def test_a_result_goes_back(self, sdk):
        asked = ask("get_time", tools=[TIME])
        message = sdk.create(**asked).choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "noon"}
        messages = [*asked["messages"], message.to_dict(), result]
        answer = sdk.create(**{**asked, "messages": messages})
        assert "The tools said: noon" in answer.choices[0].message.content

    def test_structured_output_is_parsed(self, sdk):
        message = sdk.parse(**ask("an invoice"), response_format=Invoice).choices[0].message
        assert message.parsed == Invoice(number=1, customer="sample", paid=True)


class TestBodies:
    """What reaches the provider is what the client sent."""

    def test_passes_through_but_for_model_and_usage_options(self, world, team, key):
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}
        body = {
            "model": f"openai/{CHAT_MODEL}",
            "messages": [
                {"role": "system", "content": "Be brief. “Grüße” \u2028 \U0001f600"},
                {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image], "name": "ann"},
            ],
            "temperature": 0.25,
            "seed": 7,
            "metadata": {"team": "search"},
            "tools": [WEATHER],
            "tool_choice": "none",
        }
        answer = team.openai().chat.completions.create(**body)
        assert answer.choices[0].message.content == "You said: What is this?"
        assert world.calls(key.key)[-1].body == {**body, "model": CHAT_MODEL}

    def test_the_key_is_the_providers_and_nothing_of_the_clients_goes_along(self, world, team, key):
        headers = {"X-Title": "my app", "Cookie": "a=b", "X-Forwarded-For": "192.0.2.1", "X-Secret": "hush"}
        team.openai(default_headers=headers).chat.completions.create(**ask("hello"))
        sent = world.calls(key.key)[-1]
        assert sent.auth == "bearer"
        assert team.gateway_key not in json.dumps(sent.headers)
        strange = {"x-title", "cookie", "x-forwarded-for", "x-secret", "x-amzn-trace-id", "forwarded", "via"}
        assert not strange & sent.headers.keys()
        assert not [name for name in sent.headers if name.startswith(("x-stainless", "x-ownkey"))]

    def test_unknown_fields_reach_a_provider_that_takes_them(self, world, team):
        groq = team.save_key("Groq")
        more = {"reasoning_format": "parsed", "nobody_knows": {"this": [1, None]}}
        body = ask("hello") | {"model": "groq/some-new-model"}
        answer = team.openai().chat.completions.create(**body, extra_body=more)
        assert answer.choices[0].message.content == "You said: hello"
        sent = world.calls(groq.key)[-1].body
        assert {name: sent[name] for name in more} == more
        assert sent["model"] == "some-new-model"

    def test_unknown_fields_are_the_providers_to_refuse(self, team):
        with pytest.raises(openai.BadRequestError) as refused:
            team.openai().chat.completions.create(**ask("hello"), extra_body={"nobody_knows": 1})
        assert "nobody_knows" in refused.value.message
        assert refused.value.body["metadata"]["source"] == "provider"

    def test_the_gateways_own_field_stays_here(self, world, team, key):
        team.openai().chat.completions.create(**ask("hello"), extra_body={"provider": {"allow_fallbacks": False}})
        assert "provider" not in world.calls(key.key)[-1].body


SERVED_BY = {
    "x-ownkey-byok": "true",
    "x-ownkey-provider": "openai",
    "x-ownkey-model": CHAT_MODEL,
    "x-ownkey-credential": "main",
    "x-ownkey-credential-source": "byok",
    "x-ownkey-attempts": "1",
    "x-ownkey-fallback": "false",
}
"""What the headers say of a request that the account's own key served."""


class TestHeaders:
    def check(self, headers: Any) -> None:
        assert {name: headers.get(name) for name in SERVED_BY} == SERVED_BY
        assert headers["x-ownkey-request-id"].startswith("req_")
        assert headers["x-request-id"] == headers["x-ownkey-request-id"]

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_say_who_served(self, team, key, streamed):
        answer = team.openai().chat.completions.with_raw_response.create(**ask("hello"), stream=streamed)
        self.check(answer.headers)
        assert answer.headers["x-ratelimit-limit-requests"] == "10000"
        if streamed:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert text_of(list(answer.parse())) == "You said: hello"

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_say_who_refused(self, team, key, streamed):
        with pytest.raises(openai.BadRequestError) as refused:
            team.openai().chat.completions.create(**ask("[[sim: fail=400]]"), stream=streamed)
        self.check(refused.value.response.headers)

    def test_name_the_request_in_every_error(self, world):
        answer = world.http("POST", "/v1/chat/completions", json=ask("hello"))
        assert answer.status_code == 401
        assert answer.headers["x-ownkey-request-id"].startswith("req_")

    def test_nothing_is_stored_on_the_way(self, team, key):
        answer = team.openai().chat.completions.with_raw_response.create(**ask("hello"))
        assert "no-store" in answer.headers["cache-control"]
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("prefix", ["/v1", "", "/api/v1", "/v1/"])
def test_every_base_url_that_clients_are_configured_with(world, team, key, prefix):
    client = team.openai(base_url=world.base_url + prefix)
    assert client.chat.completions.create(**ask("hello")).choices[0].message.content == "You said: hello"
    assert client.models.retrieve(CHAT_MODEL).id == CHAT_MODEL


@pytest.mark.parametrize("name", [CHAT_MODEL, f"openai/{CHAT_MODEL}", f"{CHAT_MODEL}-2024-07-18"])
def test_every_name_of_a_model(team, key, name):
    answer = team.openai().chat.completions.with_raw_response.create(**ask("hello") | {"model": name})
    assert answer.headers["x-ownkey-provider"] == "openai"
    assert answer.headers["x-ownkey-model"] == name.removeprefix("openai/")


class TestModels:
    def test_lists_what_the_gateway_key_reaches(self, team, key):
        models = {model.id: model for model in team.openai().models.list()}
        assert {CHAT_MODEL, "gpt-4o"} <= {each.removeprefix("openai/") for each in models}
        assert {model.object for model in models.values()} == {"model"}

    def test_tells_facts_and_prices_of_one(self, team, key):
        model = team.openai().models.retrieve(CHAT_MODEL).to_dict()
        assert model["object"] == "model"
        assert model["context_length"] == 128_000
        assert Decimal(model["pricing"]["prompt"]) == Decimal("0.15") / 1_000_000

    def test_one_with_its_vendor_s_name_is_found(self, team, key):
        """The SDK writes the slash as `%2F`."""
        assert team.openai().models.retrieve(f"openai/{CHAT_MODEL}").id == CHAT_MODEL

    def test_one_that_is_out_of_reach_is_not_found(self, team, key):
        with pytest.raises(openai.NotFoundError) as missing:
            team.openai().models.retrieve("no-such-model")
        assert missing.value.code == "model_not_found"
