"""OpenAI's Responses against the running stack, by its SDK: passed through, crossing, served from other surfaces."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.e2e.accounts import MESSAGES_MODEL, Account, said
from tests.e2e.world import PLATFORM_KEYS, World

PASSED, CROSSED = "gpt-4o-mini", MESSAGES_MODEL
RESPONSES_ALONE = "gpt-5.2-pro"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
SHELL = {"type": "local_shell"}


class Invoice(BaseModel):
    number: int
    paid: bool


@pytest.fixture(scope="module")
def team(world: World) -> Account:
    account = world.account(platform_allowed=False)
    account.save_key("OpenAI")
    account.save_key("Anthropic")
    return account


@pytest.fixture(scope="module")
def responses(team: Account) -> Any:
    return team.openai(max_retries=0).responses


both = pytest.mark.parametrize("model", [PASSED, CROSSED], ids=["passed through", "crossing"])


def streamed(responses: Any, **body: Any) -> tuple[list[Any], Any]:
    """All events of the SDK's helper, and the response that it puts together."""
    with responses.stream(**body) as stream:
        events = list(stream)
        return events, stream.get_final_response()


class TestAnswers:
    @both
    def test_whole_and_streamed_say_the_same(self, responses, model):
        whole = responses.create(model=model, input="hello", instructions="Be short.")
        assert whole.output_text == "You said: hello"
        assert (whole.status, whole.instructions) == ("completed", "Be short.")
        events, built = streamed(responses, model=model, input="hello", instructions="Be short.")
        assert built.output_text == whole.output_text
        assert built.usage.to_dict() == whole.usage.to_dict()
        assert [event.sequence_number for event in events] == list(range(len(events)))

    @both
    def test_the_usage_says_what_it_cost(self, responses, model):
        usage = responses.create(model=model, input="hello").usage.to_dict()
        assert usage["is_byok"] is True
        assert Decimal(str(usage["cost_details"]["upstream_inference_cost"])) > 0
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]

    @both
    def test_parsed_answers(self, responses, model):
        parsed = responses.parse(model=model, input="the invoice", text_format=Invoice)
        assert parsed.output_parsed == Invoice(number=1, paid=True)
        _, built = streamed(responses, model=model, input="the invoice", text_format=Invoice)
        assert built.output_parsed == Invoice(number=1, paid=True)

    def test_the_asynchronous_sdk(self, team):
        async def asked() -> str:
            async with team.async_openai() as client, client.responses.stream(model=CROSSED, input="hi") as stream:
                return (await stream.get_final_response()).output_text

        assert asyncio.run(asked()) == "You said: hi"

    @both
    def test_an_answer_cut_short_says_so(self, responses, model):
        cut = responses.create(model=model, input="[[sim: chunks=50]]", max_output_tokens=16)
        assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


class TestAgents:
    """What coding agents do: tools of every kind, results, thoughts, in one conversation without anything stored."""

    @both
    def test_a_loop_of_function_and_custom_tools(self, responses, model):
        items: list[Any] = [{"role": "user", "content": "use get_weather and apply_patch"}]
        body = {"model": model, "tools": [WEATHER, PATCH], "store": False}
        _, first = streamed(responses, **body, input=items)
        calls = [item for item in first.output if item.type.endswith("_call")]
        assert [call.type for call in calls] == ["function_call", "custom_tool_call"]
        assert json.loads(calls[0].arguments) == {"city": "sample"}
        assert calls[1].input == "sample"
        items += [json.loads(item.model_dump_json(exclude_none=True, by_alias=True)) for item in first.output]
        for item in items:
            item.pop("parsed_arguments", None)
        items += [
            {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"},
            {"type": "custom_tool_call_output", "call_id": calls[1].call_id, "output": "patched"},
        ]
        _, second = streamed(responses, **body, input=items)
        assert "sunny" in second.output_text
        assert "patched" in second.output_text

    def test_a_tool_that_the_client_runs_is_called_by_its_own_item(self, responses):
        body = {"model": CROSSED, "tools": [SHELL], "store": False}
        items: list[Any] = [{"role": "user", "content": "use local_shell"}]
        _, first = streamed(responses, **body, input=items)
        (call,) = [item for item in first.output if item.type == "local_shell_call"]
        assert call.action.command == ["sample"]
        items += [json.loads(item.model_dump_json(exclude_none=True)) for item in first.output]
        items.append({"type": "local_shell_call_output", "id": call.call_id, "output": "a b"})
        assert "a b" in responses.create(**body, input=items).output_text

    @pytest.mark.parametrize("model", ["gpt-5.4-mini", CROSSED], ids=["passed through", "crossing"])
    def test_thoughts_go_back_to_whoever_had_them(self, responses, model):
        body = {
            "model": model,
            "tools": [WEATHER],
            "store": False,
            "reasoning": {"effort": "high", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
        }
        items: list[Any] = [{"role": "user", "content": "use get_weather"}]
        _, first = streamed(responses, **body, input=items)
        thought, *_, call = first.output
        assert thought.summary[0].text
        assert thought.encrypted_content
        items += [json.loads(item.model_dump_json(exclude_none=True, by_alias=True)) for item in first.output]
        for item in items:
            item.pop("parsed_arguments", None)
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
        assert "sunny" in responses.create(**body, input=items).output_text


class TestAPartOfResponses:
    """xAI has Responses, and less of them than OpenAI."""

    def test_what_it_has_is_asked_of_them_and_what_it_has_not_of_its_chat_completions(self, world):
        account = world.account(platform_allowed=False)
        key = account.save_key("xAI").key
        grok = account.openai(max_retries=0).responses
        items: list[Any] = [{"role": "user", "content": "use get_weather"}]
        body = {"model": "xai/grok-4.6", "tools": [WEATHER], "store": False}
        _, first = streamed(grok, **body, input=items)
        (call,) = [item for item in first.output if item.type == "function_call"]
        items += [json.loads(item.model_dump_json(by_alias=True)) for item in first.output]
        for item in items:
            item.pop("parsed_arguments", None)
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
        assert "sunny" in grok.create(**body, input=items).output_text
        crossed = grok.create(model="xai/grok-4.6", tools=[PATCH], input="use apply_patch")
        assert [item.type for item in crossed.output][-1] == "custom_tool_call"
        asked = [call.path.rpartition("/v1/")[2] for call in world.calls(key)]
        assert asked == ["responses", "responses", "chat/completions"]


class TestOtherSurfaces:
    def test_chat_completions_reach_a_model_of_responses_alone(self, team):
        chat = team.openai().chat.completions
        answer = chat.create(model=RESPONSES_ALONE, messages=said("hello"))
        assert answer.choices[0].message.content == "You said: hello"
        with chat.stream(model=RESPONSES_ALONE, messages=said("hello")) as stream:
            assert stream.get_final_completion().choices[0].message.content == "You said: hello"

    def test_a_stop_sequence_ends_the_answer_though_the_api_has_none(self, team):
        body = {"model": RESPONSES_ALONE, "max_tokens": 4_000, "stop_sequences": [" three"]}
        whole = team.anthropic().messages.create(**body, messages=said("one two three four"))
        assert (whole.content[0].text, whole.stop_reason) == ("You said: one two", "stop_sequence")
        with team.anthropic().messages.stream(**body, messages=said("one two three four")) as stream:
            built = stream.get_final_message()
        assert (built.content[0].text, built.stop_sequence) == ("You said: one two", " three")

    def test_messages_reach_it_with_tools_and_thoughts(self, team):
        messages = team.anthropic().messages
        tool = {"name": "get_weather", "input_schema": WEATHER["parameters"]}
        body = {"model": RESPONSES_ALONE, "max_tokens": 4_000, "tools": [tool]}
        body["thinking"] = {"type": "enabled", "budget_tokens": 2_000}
        turns: list[Any] = said("use get_weather")
        with messages.stream(**body, messages=turns) as stream:
            first = stream.get_final_message()
        thought, call = first.content
        assert (thought.type, call.type, first.stop_reason) == ("thinking", "tool_use", "tool_use")
        turns.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]})
        turns.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]})
        assert "sunny" in messages.create(**body, messages=turns).content[-1].text


class TestRefusals:
    def test_what_is_stored_at_openai_means_nothing_elsewhere(self, responses):
        with pytest.raises(openai.BadRequestError) as caught:
            responses.create(model=CROSSED, input="go on", previous_response_id="resp_1")
        assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "previous_response_id")
        assert "whole conversation" in str(caught.value)

    def test_what_was_left_out_is_named(self, responses, team):
        raw = responses.with_raw_response.create(model=CROSSED, input="hello", truncation="auto", store=True)
        assert set(raw.headers["x-ownkey-dropped"].split(", ")) == {"truncation", "store"}
        assert team.attempt(raw.headers["x-ownkey-request-id"])["surface"] == "responses"

    @both
    def test_a_stream_that_breaks_raises_and_says_which_response_failed(self, responses, team, world, model):
        events: list[Any] = []
        body = {"model": model, "input": "a b c d e [[sim: cut_after=3 cut_mode=reset]]"}
        with pytest.raises(openai.APIError) as caught:
            events.extend(responses.create(**body, stream=True))
        world.forget_health(team.id)
        assert caught.value.code == "provider_stream_broken"
        assert events[-1].type == "response.failed"
        assert events[-1].response.id == events[0].response.id
        assert [event.sequence_number for event in events] == list(range(len(events)))


class TestMoney:
    def test_the_platform_stores_nothing_and_charges_what_was_used(self, world):
        account = world.account(credits_usd="1")
        raw = account.openai().responses.with_raw_response.create(model=PASSED, input="hello", max_output_tokens=100)
        assert raw.headers["x-ownkey-byok"] == "false"
        assert world.calls(PLATFORM_KEYS["OpenAI"])[-1].body["store"] is False
        attempt = account.attempt(raw.headers["x-ownkey-request-id"])
        assert Decimal(attempt["charge_usd"]) > 0
        assert account.balance()["held_usd"] == 0
        assert account.balance()["available_usd"] == 1 - Decimal(attempt["charge_usd"])
