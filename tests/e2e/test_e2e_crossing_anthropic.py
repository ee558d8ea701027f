"""The `openai` SDK to Claude, and the `anthropic` SDK to OpenAI's models, through the running stack."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.e2e.accounts import CHAT_MODEL, MESSAGES_MODEL, Account, SavedKey, said
from tests.e2e.world import World

CLAUDE = f"anthropic/{MESSAGES_MODEL}"
ADAPTIVE = "anthropic/claude-opus-4-8"
GPT = f"openai/{CHAT_MODEL}"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


class Invoice(BaseModel):
    number: int
    customer: str
    paid: bool


@pytest.fixture(scope="module")
def team(world: World) -> Account:
    return world.account(platform_allowed=False)


@pytest.fixture(scope="module")
def key(team: Account) -> SavedKey:
    return team.save_key("Anthropic")


@pytest.fixture(scope="module")
def chat(team: Account, key: SavedKey) -> Any:
    return team.openai().chat.completions


@pytest.fixture(scope="module")
def messages(team: Account) -> Any:
    team.save_key("OpenAI")
    return team.anthropic().messages


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER, TIME = tool("get_weather", city={"type": "string"}), tool("get_time")


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": CLAUDE, "messages": said(text), **more}


def sent(world: World, key: SavedKey) -> dict[str, Any]:
    """What reached the provider last."""
    return world.calls(key.key)[-1].body


class TestChatToClaude:
    def test_a_whole_answer_and_what_it_cost(self, chat, world, key):
        raw = chat.with_raw_response.create(**ask("hello", max_completion_tokens=50, temperature=1.6, seed=7))
        answer = raw.parse()
        assert answer.choices[0].message.content == "You said: hello"
        assert (answer.choices[0].finish_reason, answer.object) == ("stop", "chat.completion")
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 4, 9)
        usage = answer.usage.to_dict()
        # claude-haiku-4-5: $1 and $5 a million tokens.
        assert Decimal(str(usage["cost_details"]["upstream_inference_cost"])) == Decimal(5 + 4 * 5) / 1_000_000
        assert raw.headers["x-ownkey-dropped"] == "seed"
        assert {name: sent(world, key)[name] for name in ("max_tokens", "temperature")} == {
            "max_tokens": 50,
            "temperature": 1,
        }

    def test_a_stream_adds_up_to_the_whole_answer(self, chat):
        chunks = list(chat.create(**ask("one two"), stream=True, stream_options={"include_usage": True}))
        assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == "You said: one two"
        assert [each.choices[0].finish_reason for each in chunks if each.choices][-1] == "stop"
        assert chunks[-1].usage.total_tokens == chat.create(**ask("one two")).usage.total_tokens
        assert chunks[-1].usage.to_dict()["is_byok"] is True

    def test_tools_in_parallel_with_all_their_arguments(self, chat):
        asked = ask("get_weather and get_time", tools=[WEATHER, TIME])
        whole = chat.create(**asked).choices[0]
        with chat.stream(**asked) as stream:
            streamed = stream.get_final_completion().choices[0]
        for choice in (whole, streamed):
            calls = {call.function.name: json.loads(call.function.arguments) for call in choice.message.tool_calls}
            assert calls == {"get_weather": {"city": "sample"}, "get_time": {}}
            assert choice.finish_reason == "tool_calls"

    def test_one_tool_at_a_time_and_its_result(self, chat, world, key):
        asked = ask("get_weather and get_time", tools=[WEATHER, TIME], parallel_tool_calls=False)
        (call,) = (message := chat.create(**asked).choices[0].message).tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
        turns = [*asked["messages"], message.to_dict(), result]
        answer = chat.create(**asked | {"messages": turns})
        assert "The tools said: rain" in answer.choices[0].message.content
        assert sent(world, key)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}

    def test_a_named_tool(self, chat):
        named = {"type": "function", "function": {"name": "get_time"}}
        (call,) = chat.create(**ask("hello", tools=[WEATHER, TIME], tool_choice=named)).choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == ("get_time", "{}")

    def test_a_schema_that_the_sdk_parses(self, chat, world, key):
        parsed = chat.parse(**ask("invoice"), response_format=Invoice).choices[0].message.parsed
        assert isinstance(parsed, Invoice)
        assert sent(world, key)["output_config"]["format"]["type"] == "json_schema"

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
    def test_any_object_by_a_tool_that_nobody_sees(self, chat, streamed):
        asked = ask("anything", response_format={"type": "json_object"})
        if streamed:
            with chat.stream(**asked) as stream:
                choice = stream.get_final_completion().choices[0]
        else:
            choice = chat.create(**asked).choices[0]
        assert json.loads(choice.message.content) == {}
        assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)

    def test_a_picture(self, chat):
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        content = [{"type": "text", "text": "hello"}, picture]
        answer = chat.create(model=CLAUDE, messages=[{"role": "user", "content": content}])
        assert answer.usage.prompt_tokens == 5 + 85

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize("model", [CLAUDE, ADAPTIVE])
    def test_thoughts_go_back_with_their_signature(self, chat, world, key, model, streamed):
        shown = {"extra_body": {"include_reasoning": True}}
        asked = ask("get_time", tools=[TIME], reasoning_effort="high") | {"model": model} | shown
        message = self.streamed(chat, asked) if streamed else chat.create(**asked).choices[0].message.to_dict()
        assert message["reasoning_content"] == "The user says: get_time"
        (thought,) = message["reasoning_details"]
        (call,) = message["tool_calls"]
        result = {"role": "tool", "tool_call_id": call["id"], "content": "noon"}
        answer = chat.create(**asked | {"messages": [*asked["messages"], message, result]})
        assert "The tools said: noon" in answer.choices[0].message.content
        assert answer.usage.completion_tokens_details.reasoning_tokens > 0
        block = sent(world, key)["messages"][1]["content"][0]
        assert (block["type"], block["signature"]) == ("thinking", thought["signature"])

    def test_thoughts_without_words_go_back_with_their_signature(self, chat, world, key):
        """As Claude gives them since 4.7, where nobody asks to see them."""
        asked = ask("get_time", tools=[TIME], reasoning_effort="low") | {"model": ADAPTIVE}
        message = chat.create(**asked).choices[0].message
        assert "reasoning_content" not in message.to_dict()
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "noon"}
        chat.create(**asked | {"messages": [*asked["messages"], message.to_dict(), result]})
        assert sent(world, key)["messages"][1]["content"][0]["type"] == "thinking"
        assert sent(world, key)["output_config"] == {"effort": "low"}

    @staticmethod
    def streamed(chat: Any, asked: dict[str, Any]) -> dict[str, Any]:
        """The message put together by hand, as clients do that know of `reasoning_details`."""
        message: dict[str, Any] = {"role": "assistant", "content": None, "reasoning_content": ""}
        thought: dict[str, Any] = {"type": "reasoning.text", "text": ""}
        calls: dict[int, dict[str, Any]] = {}
        for chunk in chat.create(**asked, stream=True):
            delta = chunk.choices[0].delta.to_dict() if chunk.choices else {}
            message["reasoning_content"] += delta.get("reasoning_content") or ""
            for piece in delta.get("reasoning_details") or ():
                thought |= {**piece, "text": thought["text"] + piece.get("text", "")}
            for piece in delta.get("tool_calls") or ():
                known = calls.setdefault(piece["index"], {"type": "function", "function": {"arguments": ""}})
                known["id"] = piece.get("id") or known["id"]
                name = piece["function"].get("name") or known["function"]["name"]
                arguments = known["function"]["arguments"] + (piece["function"].get("arguments") or "")
                known["function"] = {"name": name, "arguments": arguments}
        return message | {"reasoning_details": [thought], "tool_calls": list(calls.values())}

    def test_encrypted_thoughts_go_back_too(self, chat, world, key):
        asked = ask("get_time [[sim: redacted]]", tools=[TIME], reasoning_effort="high")
        message = chat.create(**asked).choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "noon"}
        chat.create(**asked | {"messages": [*asked["messages"], message.to_dict(), result]})
        assert sent(world, key)["messages"][1]["content"][0]["type"] == "redacted_thinking"

    @pytest.mark.parametrize(
        ("asked", "reason", "text"),
        [
            ({"max_tokens": 2}, "length", "You said"),
            ({"stop": "said"}, "stop", "You "),
            ({"stop": ["x"]}, "stop", None),
        ],
    )
    def test_an_answer_ends_where_it_is_told_to(self, chat, asked, reason, text):
        choice = chat.create(**ask("hello") | asked).choices[0]
        assert (choice.finish_reason, choice.message.content) == (reason, text or "You said: hello")

    def test_the_cache_is_counted_once(self, chat):
        """Anthropic counts it beside the input, OpenAI as a part of it."""
        marked = {"type": "text", "text": "rule " * 1500, "cache_control": {"type": "ephemeral"}}
        messages = [{"role": "system", "content": [marked]}, *said("hello")]
        first, again = (chat.create(model=CLAUDE, messages=messages).usage for _ in range(2))
        assert first.prompt_tokens == again.prompt_tokens
        assert again.prompt_tokens_details.cached_tokens > 1400
        assert again.total_tokens == again.prompt_tokens + again.completion_tokens

    @pytest.mark.parametrize(
        ("asked", "param"),
        [
            ({"n": 2}, "n"),
            ({"logprobs": True}, "logprobs"),
            ({"response_format": {"type": "json_object"}, "tools": [TIME]}, "response_format"),
        ],
    )
    def test_what_claude_cannot_do_is_refused(self, chat, asked, param):
        with pytest.raises(openai.BadRequestError) as refused:
            chat.create(**ask("hello") | asked)
        assert refused.value.response.json()["error"]["code"] == "unsupported_parameter"
        assert refused.value.param == param

    def test_what_openai_takes_and_claude_refuses(self, chat, world, key):
        """A user's e-mail address, a tool with a dot in its name, ids of calls that come again in every answer."""
        dotted, user = tool("mcp.clock"), "ada@example.com"
        function = {"name": "mcp.clock", "arguments": "{}"}
        turn = [
            {"role": "assistant", "tool_calls": [{"id": "call_0", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "call_0", "content": "noon"},
        ]
        asked = {"model": CLAUDE, "messages": [*said("time?"), *turn, *turn], "tools": [dotted], "user": user}
        assert chat.create(**asked).choices[0].finish_reason == "stop"
        assert user not in json.dumps(sent(world, key))
        choice = {"type": "function", "function": {"name": "mcp.clock"}}
        named = chat.create(**ask("time?", tools=[dotted], tool_choice=choice))
        assert [call.function.name for call in named.choices[0].message.tool_calls] == ["mcp.clock"]

    def test_a_prompt_that_is_wrong_is_refused_by_its_path(self, chat):
        with pytest.raises(openai.BadRequestError) as refused:
            chat.create(model=CLAUDE, messages=[{"role": "user", "content": [{"type": "text"}]}])
        assert refused.value.param == "messages.0.content.0.text"


class TestToolRunner:
    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize("model", [CLAUDE, GPT, "openai/gpt-5.5"])
    def test_the_sdk_runs_tools_though_nobody_holds_its_thread(self, messages, team, key, model, streamed):
        """It asks for a thread by itself, and would send its results alone."""

        @anthropic.beta_tool
        def get_weather(city: str) -> str:
            """The weather."""
            return f"7 degrees in {city}"

        asked: dict[str, Any] = {"model": model, "max_tokens": 2000, "messages": said("get_weather")}
        runner = team.anthropic().beta.messages.tool_runner(tools=[get_weather], stream=streamed, **asked)
        turns = [turn.get_final_message() for turn in runner] if streamed else list(runner)
        assert [turn.stop_reason for turn in turns] == ["tool_use", "end_turn"]


class TestFromOneProviderToAnother:
    def test_chats_begun_at_claude_go_on_at_openai(self, chat, messages):
        """Thoughts and cache marks are not OpenAI's."""
        mark = {"cache_control": {"type": "ephemeral"}}
        asked = [{"role": "user", "content": [{"type": "text", "text": "hello", **mark}]}]
        first = chat.create(model=CLAUDE, messages=asked, reasoning_effort="high").choices[0].message
        assert first.reasoning_details[0]["signature"]
        turns = [*asked, first, *said("again")]
        raw = chat.with_raw_response.create(model=GPT, messages=turns, tools=[TIME | mark], extra_body={"top_k": 5})
        assert raw.parse().choices[0].message.content == "You said: again"
        assert raw.headers["x-ownkey-dropped"] == "top_k, messages.content.cache_control, tools.cache_control"

    def test_messages_begun_elsewhere_go_on_at_claude(self, team, key, messages):
        """Claude Code's `/model`: thoughts that nobody signed are not Claude's."""
        team.save_key("DeepSeek")
        clock = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
        asked: dict[str, Any] = {"max_tokens": 4000, "tools": [clock], "messages": said("get_time")}
        thinking = {"type": "enabled", "budget_tokens": 1024}
        first = messages.create(model="deepseek/deepseek-reasoner", thinking=thinking, **asked)
        thought, call = first.content[0], first.content[-1]
        assert (thought.type, thought.signature, call.type) == ("thinking", "", "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "noon"}
        turns = [{"role": "assistant", "content": first.to_dict()["content"]}, {"role": "user", "content": [result]}]
        asked["messages"] = [*asked["messages"], *turns]
        raw = messages.with_raw_response.create(model=CLAUDE, thinking=thinking, **asked)
        assert raw.headers["x-ownkey-dropped"] == "thinking"
        assert raw.parse().stop_reason == "end_turn"


class TestMessagesToOpenAi:
    def test_whole_and_streamed(self, messages):
        whole = messages.create(model=GPT, max_tokens=50, messages=said("hello"))
        assert (whole.content[0].text, whole.stop_reason) == ("You said: hello", "end_turn")
        with messages.stream(model=GPT, max_tokens=50, messages=said("hello")) as stream:
            streamed = stream.get_final_message()
        assert (streamed.content[0].text, streamed.stop_reason) == (whole.content[0].text, "end_turn")
        assert streamed.usage.input_tokens == whole.usage.input_tokens > 0
        assert streamed.usage.output_tokens == whole.usage.output_tokens > 0

    def test_tools_in_parallel(self, messages):
        tools = [
            {"name": name, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
            for name in ("get_weather", "get_time")
        ]
        asked = {"model": GPT, "max_tokens": 200, "messages": said("get_weather and get_time"), "tools": tools}
        whole = messages.create(**asked)
        with messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        for message in (whole, streamed):
            calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
            assert [name for name, _ in calls] == ["get_weather", "get_time"]
            assert message.stop_reason == "tool_use"
        uses = [block for block in whole.content if block.type == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": use.id, "content": f"{use.name}: fine"} for use in uses]
        turns = [*asked["messages"], whole.to_param(), {"role": "user", "content": results}]
        assert "get_time: fine" in messages.create(**asked | {"messages": turns}).content[0].text

    def test_counting_agrees_with_openais_own_count(self, messages, team):
        tools = [{"name": "get_time", "input_schema": {"type": "object", "properties": {}}}]
        counted = messages.count_tokens(model=GPT, messages=said("hello"), system="Be brief.", tools=tools)
        same = {"type": "function", "name": "get_time", "parameters": tools[0]["input_schema"], "strict": False}
        asked = {"model": GPT, "input": said("hello"), "instructions": "Be brief.", "tools": [same]}
        answer = team.openai().responses.create(**asked, max_output_tokens=50)
        assert counted.input_tokens == answer.usage.input_tokens > 0
