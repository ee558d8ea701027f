"""What of any client's conversation Claude is sent: what it has words for, what is dropped, what is refused."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.anthropic.answers_in import MessageReader
from ownkey.providers.anthropic.api import MessagesApi
from ownkey.providers.anthropic.claude import Abilities, abilities_of
from ownkey.providers.crossing import (
    Audio,
    CacheMark,
    Conversation,
    Document,
    FileId,
    Format,
    HostedTool,
    Image,
    Inline,
    Link,
    OutputFormat,
    Part,
    Reasoning,
    RedactedThinking,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
    folded,
)
from ownkey.providers.translator import Encoded
from tests.support.providers import CATALOG, MESSAGES, call

OLD, NEW, NEWEST = "claude-haiku-4-5", "claude-opus-4-8", "claude-opus-5-5"
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER, CLOCK = Tool("weather", "Of a city.", CITY), Tool("clock")


def asked(model: str = OLD, **fields: Any) -> tuple[dict[str, Any], Encoded]:
    """The request that is sent, and all else of it."""
    fields = {"turns": (user("Hello"),), **fields}
    known = CATALOG.model("anthropic", model)
    made = replace(call(MESSAGES, provider="anthropic", model=model), model=known)
    encoded = MessagesApi().write_request(made, Conversation(**fields))
    return json.loads(encoded.body), encoded


def sent(model: str = OLD, **fields: Any) -> dict[str, Any]:
    return asked(model, **fields)[0]


def dropped(model: str = OLD, **fields: Any) -> tuple[str, ...]:
    return asked(model, **fields)[1].dropped


def refused(model: str = OLD, **fields: Any) -> str | None:
    with pytest.raises(UnsupportedParameter) as error:
        asked(model, **fields)
    return error.value.param


def user(*parts: Part | str) -> Turn:
    return Turn(Role.USER, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Turn:
    return replace(user(*parts), role=Role.ASSISTANT)


def system(text: str) -> Turn:
    return Turn(Role.SYSTEM, (Text(text),))


class TestTurns:
    def test_a_plain_one_is_plain(self):
        body, encoded = asked(system=(Text("Be brief."),), max_output_tokens=50)
        assert body == {
            "model": OLD,
            "max_tokens": 50,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Hello"}],
        }
        assert encoded.url == "https://api.anthropic.com/v1/messages"
        assert encoded.headers["anthropic-version"] == "2023-06-01"
        assert encoded.dropped == ()

    def test_neighbours_of_one_role_are_one(self):
        turns = (user("a"), user("b"), assistant("c"), assistant("d"), user("e"))
        roles = [(each["role"], len(each["content"])) for each in sent(turns=turns)["messages"]]
        assert roles == [("user", 2), ("assistant", 2), ("user", 1)]

    def test_results_come_first_in_theirs(self):
        turns = (
            user("a"),
            assistant(ToolUse("one", "clock"), ToolUse("two", "clock")),
            user(ToolResult("one", "clock", (Text("1"),))),
            user("and?", ToolResult("two", "clock", (Text("2"), Text("3")), failed=True)),
        )
        content = sent(turns=turns, tools=(CLOCK,))["messages"][2]["content"]
        texts = [{"type": "text", "text": "2"}, {"type": "text", "text": "3"}]
        assert content == [
            {"type": "tool_result", "tool_use_id": "one", "content": "1"},
            {"type": "tool_result", "tool_use_id": "two", "content": texts, "is_error": True},
            {"type": "text", "text": "and?"},
        ]

    def test_empty_texts_are_left_out(self):
        messages = sent(turns=(user("", "a", " \n"), assistant(""), user("b")))["messages"]
        assert messages == [{"role": "user", "content": [{"type": "text", "text": each} for each in "ab"]}]

    def test_a_system_alone_is_the_users_word(self):
        assert sent(turns=(), system=(Text("Tell a joke."),))["messages"] == [
            {"role": "user", "content": "Tell a joke."}
        ]

    def test_the_systems_turn_stands_where_the_model_lets_it(self):
        turns = (user("a"), system("b"), assistant("c"), system("d"), user("e"))
        wrapped = {"type": "text", "text": "<system>\nd\n</system>"}
        assert [(each["role"], each["content"]) for each in sent(NEW, turns=turns)["messages"]] == [
            ("user", "a"),
            ("system", "b"),
            ("assistant", "c"),
            ("user", [wrapped, {"type": "text", "text": "e"}]),
        ]
        assert {each["role"] for each in sent(OLD, turns=turns)["messages"]} == {"user", "assistant"}

    def test_the_systems_turn_stands_before_what_is_said_of_the_next(self):
        turns = (user("a"), system("Be brief."), assistant(Thinking("Hm.")), user("b"))
        texts = [block["text"] for block in sent(NEW, turns=turns)["messages"][0]["content"]]
        assert texts == ["a", "<system>\nBe brief.\n</system>", "b"]

    def test_a_turn_to_go_on_from_ends_without_white_space(self):
        assert sent(turns=(user("a"), assistant("One, two, ")))["messages"][-1]["content"] == "One, two,"
        assert refused(NEW, turns=(user("a"), assistant("One,"))) == "messages"

    def test_names_of_speakers_are_dropped(self):
        assert dropped(turns=(Turn(Role.USER, (Text("a"),), name="Ann"),)) == ("messages.name",)

    def test_a_refusal_is_what_was_said(self):
        assert sent(turns=(user("a"), assistant(Refusal("No.")), user("b")))["messages"][1]["content"] == "No."


class TestIds:
    @pytest.mark.parametrize("id", ["functions.get:0", "c" * 65, "call 1", "Ü", "\ud800"])
    def test_those_that_do_not_fit_are_replaced_alike(self, id):
        turns = (user("a"), assistant(ToolUse(id, "clock")), user(ToolResult(id, "clock")))
        messages = sent(turns=turns, tools=(CLOCK,))["messages"]
        (use,), (result,) = messages[1]["content"], messages[2]["content"]
        assert use["id"] == result["tool_use_id"] != id
        assert len(use["id"]) <= 64

    def test_each_is_one_calls(self):
        """Providers that count their calls anew in every answer: BerriAI/litellm#23510, NVIDIA-NeMo/Switchyard#502."""
        calls = (ToolUse("call_0", "clock"), ToolUse("call_0", "clock"))
        results = (ToolResult("call_0", "clock", (Text("1"),)), ToolResult("call_0", "clock", (Text("2"),)))
        turns = (user("a"), assistant(*calls), user(*results), assistant(calls[0]), user(results[1]))
        messages = sent(turns=turns, tools=(CLOCK,))["messages"]
        used, given = ([block for each in messages[at::2] for block in each["content"]] for at in (1, 2))
        ids = [block["id"] for block in used]
        assert len(set(ids)) == 3
        assert ids[0] == "call_0"
        assert [(block["tool_use_id"], block["content"]) for block in given] == list(zip(ids, "122", strict=True))

    def test_a_result_too_many_is_the_providers_to_refuse(self):
        """Nothing that was said is left out: not an orphan either."""
        result = ToolResult("call_1", "clock", (Text("1"),))
        turns = (user("a"), assistant(ToolUse("call_1", "clock")), user(result, result, ToolResult("call_2", None)))
        given = sent(turns=turns, tools=(CLOCK,))["messages"][2]["content"]
        assert [block["tool_use_id"] for block in given] == ["call_1", "call_1", "call_2"]

    def test_those_that_fit_are_kept(self):
        turns = (user("a"), assistant(ToolUse("call_A-1", "clock")), user(ToolResult("call_A-1", "clock")))
        assert sent(turns=turns, tools=(CLOCK,))["messages"][1]["content"][0]["id"] == "call_A-1"


class TestNamesOfTools:
    @pytest.mark.parametrize("name", ["mcp.server/read", "n" * 129, "lire été"])
    def test_those_that_do_not_fit_are_replaced_alike_and_given_back(self, name):
        """home-assistant/core#147760: names of MCP servers have dots."""
        made = call(MESSAGES, provider="anthropic", model=OLD)
        api, use = MessagesApi(), ToolUse("one", name)
        turns = (user("a"), assistant(use), user(ToolResult("one", name)))
        tools, choice = (Tool(name), Tool("other")), ToolChoice("named", (name,))
        body = json.loads(api.write_request(made, Conversation(turns=turns, tools=tools, tool_choice=choice)).body)
        replaced = body["tools"][0]["name"]
        assert re.fullmatch("[a-zA-Z0-9_-]{1,128}", replaced)
        assert replaced == body["tool_choice"]["name"] == body["messages"][1]["content"][0]["name"]
        block = {"type": "tool_use", "id": "toolu_1", "name": replaced, "input": {}}
        message = {"content": [block], "stop_reason": "tool_use"}
        assert api.read_answer(made, json.dumps(message).encode()).parts == (ToolUse("toolu_1", name),)
        reader = api.reader(made)
        (_, begun) = reader.read({"type": "content_block_start", "index": 0, "content_block": block})
        assert begun.part == ToolUse("toolu_1", name)

    def test_those_that_would_be_alike_are_not(self):
        tools = [each["name"] for each in sent(tools=(Tool("a.b"), Tool("a/b"), Tool("a_b")))["tools"]]
        assert len(set(tools)) == 3
        assert tools[2] == "a_b"


class TestMedia:
    def test_pictures(self):
        here, there = Image(Inline("image/png", "aQ==")), Image(Link("https://example.com/a.png"), detail="low")
        body, encoded = asked(turns=(user(here, there),))
        assert [block["source"] for block in body["messages"][0]["content"]] == [
            {"type": "base64", "media_type": "image/png", "data": "aQ=="},
            {"type": "url", "url": "https://example.com/a.png"},
        ]
        assert encoded.dropped == ("detail",)

    def test_documents(self):
        text = base64.b64encode(b"It rains.").decode()
        parts = (
            Document(Inline("application/pdf", "JVBERi0="), name="a.pdf", citations=True),
            Document(Inline("text/csv", text), context="Of today."),
            Document(Link("https://example.com/b.pdf")),
        )
        assert sent(turns=(user(*parts),))["messages"][0]["content"] == [
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "a.pdf",
                "citations": {"enabled": True},
            },
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "It rains."},
                "context": "Of today.",
            },
            {"type": "document", "source": {"type": "url", "url": "https://example.com/b.pdf"}},
        ]

    @pytest.mark.parametrize(
        "part",
        [
            Audio(Inline("audio/wav", "aQ==")),
            Image(Inline("image/tiff", "aQ==")),
            Image(FileId("file-1")),
            Document(FileId("file-1")),
            Document(Inline("application/zip", "aQ==")),
            Document(Inline("text/plain", "no base64")),
        ],
    )
    def test_what_it_cannot_take_is_refused(self, part):
        assert refused(turns=(user(part),)) == "messages"


class TestCacheMarks:
    def test_the_first_four_stand(self):
        marked = Text("a", CacheMark("1h"))
        body, encoded = asked(
            system=(marked,), tools=(replace(CLOCK, cache=CacheMark()),), turns=(user(*[marked] * 4),)
        )
        assert body["tools"][0]["cache_control"] == {"type": "ephemeral"}
        assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
        assert ["cache_control" in block for block in body["messages"][0]["content"]] == [True, True, False, False]
        assert encoded.dropped == ("cache_control",)

    def test_the_whole_prompts_is_one_of_them(self):
        body, encoded = asked(cache=CacheMark(), turns=(user(*[Text("a", CacheMark())] * 4),))
        assert body["cache_control"] == {"type": "ephemeral"}
        assert sum("cache_control" in block for block in body["messages"][0]["content"]) == 3
        assert encoded.dropped == ("cache_control",)


class TestTools:
    def test_their_schemas(self):
        free = Tool("sql", free_form=True, grammar={"type": "grammar"})
        body, encoded = asked(tools=(WEATHER, CLOCK, free))
        assert body["tools"] == [
            {"name": "weather", "description": "Of a city.", "input_schema": CITY},
            {"name": "clock", "input_schema": {"type": "object", "properties": {}}},
            {
                "name": "sql",
                "input_schema": {
                    "type": "object",
                    "properties": {"input": {"type": "string"}},
                    "required": ["input"],
                    "additionalProperties": False,
                },
            },
        ]
        assert encoded.dropped == ("tools.grammar",)

    def test_strict_ones(self):
        tools = (replace(WEATHER, strict=True), replace(CLOCK, strict=True), Tool("any", schema={"type": "object"}))
        body, encoded = asked(tools=tools)
        assert [tool.get("strict") for tool in body["tools"]] == [True, True, None]
        assert encoded.dropped == ()
        open_ones = {"type": "object", "properties": {"a": {"type": "object"}}}
        assert dropped(tools=(Tool("open", schema=open_ones, strict=True),)) == ("tools.strict",)

    @pytest.mark.parametrize(
        ("choice", "parallel", "written"),
        [
            (None, None, None),
            (None, True, None),
            (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
            (ToolChoice("auto"), None, {"type": "auto"}),
            (ToolChoice("none"), False, {"type": "none"}),
            (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
            (ToolChoice("named", ("clock",)), None, {"type": "tool", "name": "clock"}),
        ],
    )
    def test_which_may_be_called(self, choice, parallel, written):
        body = sent(tools=(WEATHER, CLOCK), tool_choice=choice, parallel_tool_calls=parallel)
        assert body.get("tool_choice") == written

    def test_a_choice_of_some_offers_no_other(self):
        body = sent(tools=(WEATHER, CLOCK), tool_choice=ToolChoice("required", ("clock",)))
        assert [tool["name"] for tool in body["tools"]] == ["clock"]

    def test_a_model_that_cannot_be_forced_is_not_asked_to(self):
        assert refused(NEWEST, tools=(CLOCK,), tool_choice=ToolChoice("required")) == "tool_choice"
        assert sent("claude-haiku-5-5", tools=(CLOCK,), tool_choice=ToolChoice("required"))["tool_choice"]

    def test_earlier_calls_have_their_tools_though_none_is_on_offer(self):
        turns = (user("a"), assistant(ToolUse("one", "clock")), user(ToolResult("one", "clock")))
        body = sent(turns=turns)
        assert body["tools"] == [{"name": "clock", "input_schema": {"type": "object"}}]
        assert body["tool_choice"] == {"type": "none"}

    def test_arguments_that_are_no_object_are_kept_as_a_text(self):
        turns = (user("a"), assistant(ToolUse("one", "clock", '{"city": "Be')), user(ToolResult("one", "clock")))
        assert sent(turns=turns)["messages"][1]["content"][0]["input"] == {"input": '{"city": "Be'}

    def test_hosted_ones(self):
        own = {"type": "web_fetch_20260318", "name": "web_fetch"}
        searching = {
            "type": "web_search",
            "user_location": {"type": "approximate", "city": "Bern", "country": "CH"},
            "filters": {"allowed_domains": ["example.com"]},
        }
        assert sent(tools=(HostedTool("web_fetch", own), HostedTool("web_search", searching)))["tools"] == [
            own,
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "user_location": {"type": "approximate", "city": "Bern", "country": "CH"},
                "allowed_domains": ["example.com"],
            },
        ]
        assert refused(tools=(HostedTool("file_search", {"type": "file_search"}),)) == "tools"


class TestOutput:
    def test_a_schema_is_the_apis_own(self):
        told = {**CITY, "properties": {"city": {"type": "string", "minLength": 2}, "at": {"$ref": "#/$defs/At"}}}
        schema = {**told, "$defs": {"At": {"type": "object", "properties": {}, "additionalProperties": False}}}
        wanted = sent(output=OutputFormat(schema))["output_config"]["format"]
        assert wanted["type"] == "json_schema"
        assert wanted["schema"]["properties"] == {
            "city": {"type": "string", "description": '{"minLength": 2}'},
            "at": {"$ref": "#/$defs/At"},
        }

    def test_what_the_api_has_not_is_a_tool_that_must_be_called(self):
        body, encoded = asked(output=OutputFormat(name="my answer"), reasoning=Reasoning(effort="high"))
        assert body["tools"][0]["name"] == "my_answer"
        assert body["tool_choice"] == {"type": "tool", "name": "my_answer"}
        assert "thinking" not in body
        assert encoded.dropped == ("reasoning",)

    def test_but_not_beside_other_tools_nor_where_none_can_be_forced(self):
        assert refused(output=OutputFormat(), tools=(CLOCK,)) == "output"
        assert refused(NEWEST, output=OutputFormat()) == "output"

    def test_the_emulation_is_taken_off_the_answer(self):
        made = call(MESSAGES, provider="anthropic", model=OLD)
        api = MessagesApi()
        api.write_request(made, Conversation(turns=(user("a"),), output=OutputFormat()))
        block = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {"city": "Zürich"}}
        message = {"content": [block], "stop_reason": "tool_use"}
        answer = api.read_answer(made, json.dumps(message).encode())
        assert (answer.parts, answer.finish) == ((Text('{"city":"Zürich"}'),), "end")

    @pytest.mark.parametrize("pieces", [["", '{"a":', "1}"], [""], []], ids=["some", "empty", "none"])
    def test_the_emulation_is_taken_off_a_stream(self, pieces):
        use = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        reader = MessageReader("answer")
        told = folded(
            event
            for values in (
                {"type": "content_block_start", "index": 0, "content_block": use},
                *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
                {"type": "message_stop"},
            )
            for event in reader.read(values)
        )
        assert (told.parts, told.finish) == ((Text("".join(pieces) or "{}"),), "end")


class TestReasoning:
    @pytest.mark.parametrize(
        ("model", "reasoning", "thinking", "effort"),
        [
            (OLD, Reasoning(effort="high"), {"type": "enabled", "budget_tokens": 8000}, None),
            (OLD, Reasoning(budget_tokens=50_000), {"type": "enabled", "budget_tokens": 9999}, None),
            (OLD, Reasoning(adaptive=True), {"type": "enabled", "budget_tokens": 5000}, None),
            (OLD, Reasoning(effort="none"), None, None),
            ("claude-opus-4-6", Reasoning(effort="xhigh"), {"type": "adaptive"}, "high"),
            ("claude-opus-4-6", Reasoning(budget_tokens=2000), {"type": "enabled", "budget_tokens": 2000}, None),
            (NEW, Reasoning(effort="minimal"), {"type": "adaptive"}, "low"),
            (NEW, Reasoning(budget_tokens=8000), {"type": "adaptive"}, "high"),
            (NEW, Reasoning(adaptive=True, visible=False), {"type": "adaptive", "display": "omitted"}, None),
            (NEW, Reasoning(effort="max", summary="auto"), {"type": "adaptive", "display": "summarized"}, "max"),
            (NEW, Reasoning(effort="none"), None, None),
            ("claude-sonnet-5", Reasoning(effort="none"), {"type": "disabled"}, None),
            ("claude-sonnet-5-5", Reasoning(effort="none"), {"type": "between_tools"}, None),
            (NEWEST, Reasoning(effort="none"), None, "low"),
        ],
    )
    def test_in_the_words_of_the_models_generation(self, model, reasoning, thinking, effort):
        body = sent(model, reasoning=reasoning, max_output_tokens=10_000)
        assert body.get("thinking") == thinking
        assert body.get("output_config", {}).get("effort") == effort

    def test_what_is_thought_all_the_same_is_told(self):
        assert dropped(NEWEST, reasoning=Reasoning(effort="none")) == ("reasoning",)

    def test_no_thoughts_fit_in_a_short_answer(self):
        body, encoded = asked(reasoning=Reasoning(effort="high"), max_output_tokens=1024)
        assert "thinking" not in body
        assert encoded.dropped == ("reasoning",)

    def test_a_forced_tool_goes_before_thoughts(self):
        forced: dict[str, Any] = {"tools": (CLOCK,), "tool_choice": ToolChoice("required")}
        body, encoded = asked("claude-opus-5", reasoning=Reasoning(effort="high"), **forced)
        assert body["thinking"] == {"type": "disabled"}
        assert encoded.dropped == ("reasoning",)

    def test_only_its_own_signed_thoughts_go_back(self):
        own = (Thinking("Hm.", "c2ln", Format.ANTHROPIC), RedactedThinking("cmVk", Format.ANTHROPIC))
        others = (Thinking("Hm."), Thinking("Hm.", "c2ln", Format.GEMINI), RedactedThinking("eA==", Format.OPENAI))
        body, encoded = asked(turns=(user("a"), assistant(*own, *others, "b"), user("c")))
        assert body["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "cmVk"},
            {"type": "text", "text": "b"},
        ]
        assert encoded.dropped == ()

    def test_no_thoughts_come_before_words_that_are_gone_on_from(self):
        body, encoded = asked(turns=(user("a"), assistant("{")), reasoning=Reasoning(effort="high"))
        assert "thinking" not in body
        assert encoded.dropped == ("reasoning",)

    def test_results_for_calls_without_signed_thoughts_are_not_thought_about_by_budget(self):
        def turns(*thoughts: Part) -> tuple[Turn, ...]:
            return (user("a"), assistant(*thoughts, ToolUse("one", "clock")), user(ToolResult("one", "clock")))

        thinks = Reasoning(effort="high")
        assert dropped(turns=turns(), reasoning=thinks) == ("reasoning",)
        # Words after the results are of the same turn: neighbours of one role are one.
        assert dropped(turns=(*turns(), user("and?")), reasoning=thinks) == ("reasoning",)
        assert dropped(NEW, turns=turns(), reasoning=thinks) == ()
        assert dropped(turns=turns(Thinking("Hm.", "c2ln", Format.ANTHROPIC)), reasoning=thinks) == ()
        assert dropped(turns=(*turns(), assistant("Noon."), user("and?")), reasoning=thinks) == ()


class TestSampling:
    def test_is_within_the_apis_range(self):
        body, encoded = asked(temperature=1.7, top_k=5)
        assert (body["temperature"], body["top_k"]) == (1, 5)
        assert encoded.dropped == ()

    def test_is_one_of_two_where_the_model_takes_but_one(self):
        body, encoded = asked(temperature=0.5, top_p=0.9)
        assert (body["temperature"], "top_p" in body) == (0.5, False)
        assert encoded.dropped == ("top_p",)

    @pytest.mark.parametrize("fields", [{"model": NEW}, {"model": OLD, "reasoning": Reasoning(effort="high")}])
    def test_is_dropped_where_it_would_be_refused(self, fields):
        body, encoded = asked(**fields, temperature=0.5, top_p=0.9, top_k=5)
        assert not {"temperature", "top_p", "top_k"} & body.keys()
        assert encoded.dropped == ("temperature", "top_p", "top_k")
        assert dropped(**fields, temperature=1, top_p=1) == ()


class TestTheRest:
    def test_a_limit_is_the_clients_else_the_models(self):
        assert sent()["max_tokens"] == 64_000
        assert sent(max_output_tokens=100_000)["max_tokens"] == 64_000
        assert sent("no-such-model")["max_tokens"] == 4_096

    def test_what_only_tunes_is_dropped_under_the_clients_names(self):
        tuned: dict[str, Any] = {
            "seed": 1,
            "presence_penalty": 0.5,
            "frequency_penalty": 0.5,
            "logit_bias": {"1": 1},
            "verbosity": "low",
            "metadata": {"a": "b"},
            "cache_key": "k",
            "service_tier": "flex",
            "others": {"modalities": ["text"]},
            "names": {"cache_key": "prompt_cache_key"},
        }
        assert set(dropped(**tuned)) == {
            "seed",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "verbosity",
            "metadata",
            "prompt_cache_key",
            "service_tier",
            "modalities",
        }

    @pytest.mark.parametrize(
        ("fields", "param"),
        [({"choices": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"stop": ("\n",)}, "stop")],
    )
    def test_what_changes_the_answer_is_refused(self, fields, param):
        assert refused(**fields, names={"choices": "n"}) == param

    @pytest.mark.parametrize("name", ["ada@example.com", "+41 44 123 45 67", "u" * 257, "\ud800@"])
    def test_who_the_user_is_is_not_told(self, name):
        """BerriAI/litellm#10106: `user_id appears to contain an email address`."""
        told = sent(user=name)["metadata"]["user_id"]
        assert re.fullmatch("[0-9a-f]{64}", told)
        assert told == sent(user=name)["metadata"]["user_id"]

    def test_what_it_has_words_for(self):
        body = sent(stop=("END",), service_tier="default", user="u-1", stream=True, choices=1)
        assert body["stop_sequences"] == ["END"]
        assert body["service_tier"] == "standard_only"
        assert body["metadata"] == {"user_id": "u-1"}
        assert body["stream"] is True


@pytest.mark.parametrize(
    ("ids", "abilities"),
    [
        (("claude-3-5-sonnet-20241022", "claude-3-haiku-20240307"), {"budgets": False, "adaptive": False}),
        (("claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514"), {"budgets": True, "schemas": False}),
        (("claude-opus-4-5", "us.anthropic.claude-opus-4-5-20251101-v1:0"), {"schemas": True, "budgets": True}),
        (("claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4.5"), {"prefill": True, "sampling": True}),
        (("claude-sonnet-4-6", "claude-opus-4-6-20260205"), {"adaptive": True, "budgets": True, "prefill": False}),
        (("claude-opus-4-7", "eu.anthropic.claude-opus-4-7-v1"), {"budgets": False, "system_turns": False}),
        (("claude-mythos-preview", "claude-fable-5"), {"off": None, "forced_tools": True}),
        (("claude-fable-5-1", "claude-mythos-5-2", "claude-opus-5-5"), {"off": None, "forced_tools": False}),
        (("claude-opus-6", "claude-opus-7-1"), {"adaptive": True, "budgets": False, "sampling": False}),
    ],
)
def test_abilities_are_read_off_the_id(ids, abilities):
    for id in ids:
        found = abilities_of(id)
        assert {name: getattr(found, name) for name in abilities} == abilities, id


def test_what_is_no_claude_is_taken_for_the_plainest():
    assert abilities_of("some-model") == Abilities()


def test_catalogued_claudes_are_all_known():
    unknown = Abilities()
    claudes = [model.id for model in CATALOG.models("anthropic")]
    assert claudes
    assert all(abilities_of(id) != unknown for id in claudes)
