"""Today's `anthropic` SDK against the running stack, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import base64
import json
from decimal import Decimal
from typing import Any

import anthropic
import pytest
from anthropic.types import Message

from tests.e2e.accounts import MESSAGES_MODEL, Account, SavedKey, said
from tests.e2e.world import World

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
THINKING = {"type": "enabled", "budget_tokens": 1024}


class Sync:
    """The synchronous SDK."""

    def __init__(self, account: Account) -> None:
        self.client = account.anthropic()

    def create(self, **body: Any) -> Message:
        return self.client.messages.create(**body)

    def stream(self, **body: Any) -> tuple[list[Any], Message]:
        """The events of the SDK's stream helper, and the message it puts together."""
        with self.client.messages.stream(**body) as stream:
            return list(stream), stream.get_final_message()

    def count(self, **body: Any) -> int:
        return self.client.messages.count_tokens(**body).input_tokens


class Async:
    """The asynchronous one, behind the same calls."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def create(self, **body: Any) -> Message:
        async def created() -> Message:
            async with self.account.async_anthropic() as client:
                return await client.messages.create(**body)

        return asyncio.run(created())

    def stream(self, **body: Any) -> tuple[list[Any], Message]:
        async def streamed() -> tuple[list[Any], Message]:
            async with self.account.async_anthropic() as client, client.messages.stream(**body) as stream:
                return [event async for event in stream], await stream.get_final_message()

        return asyncio.run(streamed())

    def count(self, **body: Any) -> int:
        async def counted() -> int:
            async with self.account.async_anthropic() as client:
                return (await client.messages.count_tokens(**body)).input_tokens

        return asyncio.run(counted())


@pytest.fixture(scope="module")
def team(world: World) -> Account:
    return world.account()


@pytest.fixture(scope="module")
def key(team: Account) -> SavedKey:
    return team.save_key("Anthropic", alias="claude")


@pytest.fixture(scope="module", params=[Sync, Async], ids=["sync", "async"])
def sdk(request: pytest.FixtureRequest, team: Account, key: SavedKey) -> Sync | Async:
    return request.param(team)


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": MESSAGES_MODEL, "max_tokens": 4096, "messages": said(text), **more}


def texts(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def cost(answer: Any) -> Decimal:
    """What the provider takes, in dollars, as the usage of a message or of a stream's `message_delta` says."""
    return Decimal(str(answer.usage.to_dict()["cost_details"]["upstream_inference_cost"]))


def delta(events: list[Any]) -> Any:
    """The event with the final usage. The SDK's helper takes over only the fields of it that it knows."""
    (event,) = [event for event in events if event.type == "message_delta"]
    return event


class TestAnswers:
    def test_a_whole_message(self, sdk):
        message = sdk.create(**ask("hello"))
        assert texts(message) == "You said: hello"
        assert (message.stop_reason, message.role, message.type) == ("end_turn", "assistant", "message")
        assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 4)

    def test_the_usage_says_whose_key_served_and_what_it_cost(self, sdk):
        message = sdk.create(**ask("hello"))
        usage = message.usage.to_dict()
        assert (usage["is_byok"], usage["cost"]) == (True, 0)
        # claude-haiku-4-5: $1 and $5 a million tokens.
        assert cost(message) == Decimal(5 * 1 + 4 * 5) / 1_000_000

    def test_a_stream_adds_up_to_the_whole_message(self, sdk):
        whole = sdk.create(**ask("one two three"))
        events, message = sdk.stream(**ask("one two three"))
        assert texts(message) == texts(whole)
        assert "".join(event.text for event in events if event.type == "text") == texts(whole)
        assert message.usage.output_tokens == whole.usage.output_tokens
        assert message.usage.input_tokens == whole.usage.input_tokens
        assert (message.stop_reason, message.model) == (whole.stop_reason, whole.model)
        usage = delta(events).usage.to_dict()
        assert (cost(delta(events)), usage["is_byok"], usage["cost"]) == (cost(whole), True, 0)

    def test_a_stream_keeps_the_vendors_order_of_events(self, sdk):
        events, _ = sdk.stream(**ask("hello"))
        kinds = [event.type for event in events]
        assert kinds[0] == "message_start"
        assert kinds[-1] == "message_stop"
        assert [kind for kind in dict.fromkeys(kinds) if kind.startswith(("content_block", "message"))] == [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]

    @pytest.mark.parametrize(
        "asked, reason, text",
        [({"max_tokens": 2}, "max_tokens", "You said"), ({"stop_sequences": ["said"]}, "stop_sequence", "You ")],
        ids=["max_tokens", "stop_sequences"],
    )
    def test_an_answer_ends_where_it_is_told_to(self, sdk, asked, reason, text):
        message = sdk.create(**ask("hello") | asked)
        assert (message.stop_reason, texts(message)) == (reason, text)
        _, streamed = sdk.stream(**ask("hello") | asked)
        assert (streamed.stop_reason, streamed.stop_sequence) == (reason, message.stop_sequence)

    def test_counting_costs_nothing_and_agrees_with_the_answer(self, sdk):
        asked = ask("one two three", tools=[WEATHER], system="Be brief.")
        counted = sdk.count(**{name: value for name, value in asked.items() if name != "max_tokens"})
        assert counted == sdk.create(**asked).usage.input_tokens


class TestThinking:
    def test_is_signed_whole_and_streamed(self, sdk):
        whole = sdk.create(**ask("hello", thinking=THINKING))
        assert [block.type for block in whole.content] == ["thinking", "text"]
        assert whole.content[0].signature
        events, message = sdk.stream(**ask("hello", thinking=THINKING))
        assert message.content[0].signature == whole.content[0].signature
        assert message.content[0].thinking == whole.content[0].thinking
        assert "thinking_delta" in {event.delta.type for event in events if event.type == "content_block_delta"}

    def test_goes_back_with_its_signature(self, world, team, key):
        client = team.anthropic()
        first = client.messages.create(**ask("hello", thinking=THINKING))
        blocks = [block.to_dict() for block in first.content]
        messages = [*said("hello"), {"role": "assistant", "content": blocks}, *said("and now?")]
        client.messages.create(**ask("", thinking=THINKING) | {"messages": messages})
        assert world.calls(key.key)[-1].body["messages"][1]["content"] == blocks


class TestTools:
    def test_are_called_with_their_input(self, sdk):
        message = sdk.create(**ask("get_weather and get_time", tools=[WEATHER, TIME]))
        calls = {block.name: block.input for block in message.content if block.type == "tool_use"}
        assert calls == {"get_weather": {"city": "sample"}, "get_time": {}}
        assert message.stop_reason == "tool_use"

    def test_come_in_fragments_that_the_sdk_puts_together(self, sdk):
        events, message = sdk.stream(**ask("get_weather and get_time", tools=[WEATHER, TIME]))
        calls = {block.name: block.input for block in message.content if block.type == "tool_use"}
        assert calls == {"get_weather": {"city": "sample"}, "get_time": {}}
        assert len([event for event in events if event.type == "input_json"]) > 2

    def test_get_their_results(self, sdk):
        asked = ask("get_time", tools=[TIME])
        message = sdk.create(**asked)
        (call,) = [block for block in message.content if block.type == "tool_use"]
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "noon"}]}
        turn = {"role": "assistant", "content": [block.to_dict() for block in message.content]}
        assert "The tools said: noon" in texts(sdk.create(**asked | {"messages": [*asked["messages"], turn, result]}))


class TestPromptCache:
    """What is written for 5 minutes, for an hour, and read, is told apart and priced apart."""

    def asked(self, marker: str) -> dict[str, Any]:
        hour = {"type": "text", "text": f"{marker} " + "rule " * 1500}
        hour["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
        minutes = {"type": "text", "text": "document " * 1200, "cache_control": {"type": "ephemeral"}}
        content = [minutes, {"type": "text", "text": "hello"}]
        return ask("") | {"system": [hour], "messages": [{"role": "user", "content": content}]}

    def test_whole(self, sdk):
        asked = self.asked(f"whole {type(sdk).__name__}")
        first, second = sdk.create(**asked), sdk.create(**asked)
        self.check(first, cost(first), second, cost(second))

    def test_streamed(self, sdk):
        asked = self.asked(f"streamed {type(sdk).__name__}")
        (events, first), (later_events, second) = sdk.stream(**asked), sdk.stream(**asked)
        self.check(first, cost(delta(events)), second, cost(delta(later_events)))

    def check(self, first: Message, first_cost: Decimal, second: Message, second_cost: Decimal) -> None:
        written = first.usage.cache_creation
        assert written.ephemeral_1h_input_tokens > 1_500
        assert written.ephemeral_5m_input_tokens > 1_200
        assert first.usage.cache_read_input_tokens == 0
        # claude-haiku-4-5, a million tokens: $1 in, $1.25 and $2 written, $0.10 read, $5 out.
        assert first_cost * 1_000_000 == (
            first.usage.input_tokens
            + written.ephemeral_5m_input_tokens * Decimal("1.25")
            + written.ephemeral_1h_input_tokens * 2
            + first.usage.output_tokens * 5
        )
        read = second.usage.cache_read_input_tokens
        assert read == written.ephemeral_1h_input_tokens + written.ephemeral_5m_input_tokens
        assert second_cost * 1_000_000 == (
            second.usage.input_tokens + read * Decimal("0.10") + second.usage.output_tokens * 5
        )


class TestBodies:
    def test_pass_through_untouched(self, world, team, key):
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        document = {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Grüße \U0001f600"},
        }
        body = ask("") | {
            "messages": [{"role": "user", "content": [image, document, {"type": "text", "text": "What is this?"}]}],
            "metadata": {"user_id": "u-1"},
            "stop_sequences": ["###"],
            "tools": [WEATHER],
            "tool_choice": {"type": "none"},
        }
        assert texts(team.anthropic().messages.create(**body)) == "You said: What is this?"
        assert world.calls(key.key)[-1].body == body

    def test_the_vendors_prefix_is_taken_off_the_model(self, world, team, key):
        team.anthropic().messages.create(**ask("hello") | {"model": f"anthropic/{MESSAGES_MODEL}"})
        assert world.calls(key.key)[-1].body["model"] == MESSAGES_MODEL

    def test_version_and_betas_go_along_and_the_gateway_key_does_not(self, world, team, key):
        client = team.anthropic()
        assert "Authorization" in client.auth_headers
        client.beta.messages.create(**ask("hello"), betas=["some-beta-2026-01-01"])
        sent = world.calls(key.key)[-1]
        assert sent.headers["anthropic-version"] == "2026-10-21"
        assert sent.headers["anthropic-beta"] == "some-beta-2026-01-01"
        assert team.gateway_key not in json.dumps(sent.headers)

    def test_the_query_of_earlier_beta_methods_goes_along(self, world, team, key):
        assert team.post("/v1/messages?beta=true", ask("hello")).status_code == 200
        assert world.calls(key.key)[-1].query == "beta=true"


SERVED_BY = {
    "x-ownkey-byok": "true",
    "x-ownkey-provider": "anthropic",
    "x-ownkey-model": MESSAGES_MODEL,
    "x-ownkey-credential": "claude",
    "x-ownkey-credential-source": "byok",
    "x-ownkey-attempts": "1",
    "x-ownkey-fallback": "false",
}
"""What the headers say of a request that the account's own key served."""


class TestHeaders:
    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_say_who_served(self, team, key, streamed):
        answer = team.anthropic().messages.with_raw_response.create(**ask("hello"), stream=streamed)
        assert {name: answer.headers.get(name) for name in SERVED_BY} == SERVED_BY
        assert answer.headers["request-id"] == answer.headers["x-ownkey-request-id"]
        assert answer.headers["anthropic-ratelimit-requests-limit"] == "4000"
        if streamed:
            assert list(answer.parse())[-1].type == "message_stop"

    def test_say_who_refused(self, team, key):
        with pytest.raises(anthropic.BadRequestError) as refused:
            team.anthropic().messages.create(**ask("[[sim: fail=400]]"))
        headers = refused.value.response.headers
        assert {name: headers.get(name) for name in SERVED_BY} == SERVED_BY


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_every_base_url_that_clients_are_configured_with(world, team, key, prefix):
    client = team.anthropic(base_url=world.base_url + prefix)
    assert texts(client.messages.create(**ask("hello"))) == "You said: hello"


def test_the_gateway_key_may_come_in_either_header(team, key):
    for headers in ({"x-api-key": team.gateway_key}, {"authorization": f"Bearer {team.gateway_key}"}):
        answer = team.world.http("POST", "/v1/messages", json=ask("hello"), headers=headers)
        assert answer.status_code == 200, answer.text


class TestModels:
    def test_are_listed_in_the_vendors_shape(self, team, key):
        page = team.anthropic().models.list(limit=1000)
        models = {model.id: model for model in page}
        assert MESSAGES_MODEL in models
        assert models[MESSAGES_MODEL].type == "model"
        assert models[MESSAGES_MODEL].display_name

    def test_pages_go_on_until_there_are_no_more(self, team, key):
        pages = list(team.anthropic().models.list(limit=3).iter_pages())
        assert len(pages) > 2
        assert {len(page.data) for page in pages[:-1]} == {3}
        at_once = [model.id for model in team.anthropic().models.list(limit=1000)]
        assert [model.id for page in pages for model in page.data] == at_once
        assert team.anthropic().models.list(before_id=at_once[2], limit=1).data[0].id == at_once[1]
        assert team.anthropic().models.list(lifecycle=["retired"]).data == []

    def test_one_is_told(self, team, key):
        model = team.anthropic().models.retrieve(MESSAGES_MODEL)
        assert (model.id, model.type) == (MESSAGES_MODEL, "model")

    def test_one_that_is_out_of_reach_is_not_found(self, team, key):
        with pytest.raises(anthropic.NotFoundError):
            team.anthropic().models.retrieve("no-such-model")
