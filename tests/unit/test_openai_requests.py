"""Requests of chat completions, read from clients and written to providers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ownkey.catalog import Provider
from ownkey.catalog.providers import decode_provider
from ownkey.domain.errors import InvalidParameter, UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import Call, translator_of
from ownkey.providers.crossing import (
    FREE_FORM_SCHEMA,
    Audio,
    CacheMark,
    Conversation,
    Crossing,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    OutputFormat,
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
from ownkey.providers.openai import OpenAiChat
from ownkey.providers.openai.api import ChatApi
from ownkey.providers.openai.client import ChatClient
from tests.support.crossing import requests
from tests.support.providers import CATALOG, call
from tests.unit.test_catalog_parameters import ROW

ANTHROPIC = "anthropic-claude-v1"
API, CLIENT = ChatApi(), ChatClient()
HELLO = {"role": "user", "content": "Hello"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CLOCK = {"type": "function", "function": {"name": "clock"}}


def read(**more: Any) -> Conversation:
    return CLIENT.read_request({"model": "m", "messages": [HELLO]} | more)


def said(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    return read(messages=list(messages)).turns


def provider(**facts: Any) -> Provider:
    return decode_provider({**ROW, **facts})


def written(conversation: Conversation, row: Provider | None = None, model: str = "m") -> dict[str, Any]:
    return json.loads(API.write_request(called(row, model), conversation).body)


def called(row: Provider | None = None, model: str = "m") -> Call:
    row = row or provider()
    plain = call({"model": model})
    return Call(plain.body, {}, row, model, str(row.base_url), {}, model=CATALOG.model(row.id, model))


def dropped(conversation: Conversation, row: Provider | None = None) -> tuple[str, ...]:
    return API.write_request(called(row), conversation).dropped


def user(*parts: Any) -> Conversation:
    return Conversation(turns=(Turn(Role.USER, parts),))


# ── Read


class TestWhatClientsSay:
    def test_a_prompt_at_the_head_is_the_system(self) -> None:
        mark = {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        system = [{"role": "system", "content": "a"}, {"role": "developer", "content": [mark]}]
        conversation = read(messages=[*system, HELLO, {"role": "system", "content": "c"}])
        assert conversation.system == (Text("a"), Text("b", cache=CacheMark("1h")))
        assert conversation.turns[1] == Turn(Role.SYSTEM, (Text("c"),))

    def test_a_prompt_alone_is_the_users(self) -> None:
        conversation = read(messages=[{"role": "system", "content": "a"}])
        assert (conversation.system, conversation.turns) == ((), (Turn(Role.USER, (Text("a"),)),))

    def test_parts_of_a_users_message(self) -> None:
        parts = [
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": "DATA:;charset=utf-8,a%20b"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "file", "file": {"filename": "a.csv", "file_data": "AAAA"}},
            {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"file_data": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"}},
        ]
        (turn,) = said({"role": "user", "content": parts, "name": "ann"})
        assert turn.name == "ann"
        assert turn.parts == (
            Text("a", cache=CacheMark()),
            Image(Link("https://example.com/a.png"), "low"),
            Image(Inline("image/png", "AAAA")),
            Image(Inline("text/plain", "YSBi")),
            Audio(Inline("audio/mpeg", "AAAA")),
            Document(Inline("application/pdf", "AAAA"), "a.pdf"),
            Document(Inline("text/csv", "AAAA"), "a.csv"),
            Document(Link("https://example.com/a.pdf")),
            Document(FileId("file-1")),
            Image(Inline("image/png", "AAAA")),
            Image(Inline("image/jpeg", "AAAA")),
        )

    def test_calls_and_their_results(self) -> None:
        calls = [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}},
            {"id": "c2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},
        ]
        results = [
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "7"}]},
            {"role": "tool", "tool_call_id": "c2", "content": "1", "cache_control": {"type": "ephemeral"}},
        ]
        turns = said(
            HELLO, {"role": "assistant", "content": None, "refusal": "no", "tool_calls": calls}, *results, HELLO
        )
        assert turns[1].parts == (
            Refusal("no"), ToolUse("c1", "weather", '{"city":"Bern"}'), ToolUse("c2", "sql", '{"input":"select 1"}')
        )  # fmt: skip
        assert turns[2] == Turn(
            Role.USER,
            (ToolResult("c1", "weather", (Text("7"),)), ToolResult("c2", "sql", (Text("1"),), cache=CacheMark())),
        )
        assert turns[3].parts == (Text("Hello"),)

    def test_functions_of_the_old_form(self) -> None:
        function = {"name": "weather", "parameters": {"type": "object"}}
        messages = [
            HELLO,
            {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}},
            {"role": "function", "name": "weather", "content": "7"},
        ]
        conversation = read(messages=messages, functions=[function], function_call={"name": "weather"})
        assert conversation.tools == (Tool("weather", schema={"type": "object"}),)
        assert conversation.tool_choice == ToolChoice("named", ("weather",))
        assert conversation.parallel_tool_calls is False
        assert conversation.names["tools"] == "functions"
        (use,), (result,) = conversation.turns[1].parts, conversation.turns[2].parts
        assert isinstance(use, ToolUse)
        assert isinstance(result, ToolResult)
        assert (use.name, result.name, result.tool_use_id) == ("weather", "weather", use.id)

    def test_thoughts_come_back_with_their_signatures(self) -> None:
        details = [
            {"type": "reasoning.text", "text": "a", "index": 0, "format": "anthropic-claude-v1"},
            {"type": "reasoning.text", "text": "b", "index": 0},
            {"type": "reasoning.text", "signature": "s", "index": 0, "format": "anthropic-claude-v1"},
            {"type": "reasoning.encrypted", "data": "d", "format": "google-gemini-v1", "id": "c1", "index": 1},
            {"type": "reasoning.summary", "summary": "e", "format": "openai-responses-v1", "id": "rs_1"},
            {"type": "of.tomorrow"},
            None,
        ]
        calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        answer = {"role": "assistant", "reasoning_details": details, "reasoning_content": "ab", "tool_calls": calls}
        assert said(HELLO, answer)[1].parts == (
            Thinking("ab", "s", "anthropic-claude-v1"),
            Thinking("e", None, "openai-responses-v1", "rs_1"),
            RedactedThinking("d", "google-gemini-v1", None, "c1"),
            ToolUse("c1", "f", "{}"),
        )

    def test_thoughts_come_back_as_text_where_nothing_else_is_there(self) -> None:
        answer = {"role": "assistant", "content": "b", "reasoning_content": "a"}
        assert said(HELLO, answer)[1].parts == (Thinking("a"), Text("b"))

    def test_thoughts_as_parts_of_an_answer(self) -> None:
        """Mistral's answers have them so, and come back when the conversation goes on elsewhere."""
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
        (turn,) = said({"role": "assistant", "content": [thought, {"type": "text", "text": "c"}]})
        assert turn.parts == (Thinking("ab"), Text("c"))

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({}, None),
            ({"reasoning_effort": "low"}, Reasoning("low")),
            ({"reasoning": {"effort": "high"}}, Reasoning("high")),
            ({"reasoning": {"max_tokens": 2000}}, Reasoning(None, 2000)),
            ({"reasoning": {"enabled": False}}, Reasoning("none")),
            ({"reasoning": {"enabled": True, "exclude": True}}, Reasoning(visible=False)),
            ({"include_reasoning": True}, Reasoning(visible=True)),
            ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Reasoning(None, 1024)),
            ({"thinking": {"type": "disabled"}}, Reasoning("none")),
            ({"thinking": {"type": "adaptive"}, "reasoning_effort": "low"}, Reasoning("low", adaptive=True)),
        ],
    )
    def test_how_much_is_to_be_thought(self, members: dict[str, Any], expected: Reasoning | None) -> None:
        assert read(**members).reasoning == expected

    def test_what_no_field_stands_for_is_named(self) -> None:
        conversation = read(store=True, prediction={"type": "content"}, moderation=None, of_tomorrow=0, provider={})
        assert conversation.others == {"store": True, "prediction": {"type": "content"}, "of_tomorrow": 0}
        assert read(store=False).others == {}

    def test_names_are_the_clients(self) -> None:
        names = read(max_tokens=1, user="u", thinking={"type": "adaptive"}).names
        assert (names["max_output_tokens"], names["reasoning"]) == ("max_tokens", "thinking")
        assert read(max_completion_tokens=1, max_tokens=2).max_output_tokens == 1

    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"messages": None}, "messages"),
            ({"messages": []}, "messages"),
            ({"messages": "hi"}, "messages"),
            ({"messages": ["hi"]}, "messages.0"),
            ({"messages": [{"content": "hi"}]}, "messages.0.role"),
            ({"messages": [{"role": "robot"}]}, "messages.0.role"),
            ({"messages": [{"role": "user"}]}, "messages.0.content"),
            ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
            ({"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0.type"),
            ({"messages": [HELLO, {"role": "user", "content": [{"type": "video"}]}]}, "messages.1.content.0.type"),
            ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
            ({"messages": [{"role": "tool", "content": "7"}]}, "messages.0.tool_call_id"),
            ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages.0.tool_calls.0.function"),
            ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
            ({"tools": [{"function": {"name": "a"}}]}, "tools.0.type"),
            ({"tool_choice": "required"}, "tool_choice"),
            ({"tool_choice": "robot"}, "tool_choice"),
            ({"tool_choice": {"type": "function", "function": {"name": "a"}}}, "tool_choice.function.name"),
            ({"response_format": {"type": "yaml"}}, "response_format.type"),
            ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
            ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
            ({"stop": [7]}, "stop.0"),
            ({"max_tokens": "many"}, "max_tokens"),
            ({"max_completion_tokens": 0}, "max_completion_tokens"),
            ({"temperature": True}, "temperature"),
            ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ],
    )
    def test_what_cannot_be_read_is_told_with_its_path(self, members: dict[str, Any], param: str) -> None:
        with pytest.raises(InvalidParameter) as refused:
            read(**members)
        assert refused.value.param == param

    @pytest.mark.parametrize(
        "members",
        [
            {"modalities": ["text", "audio"]},
            {"messages": [HELLO, {"role": "assistant", "audio": {"id": "audio_1"}}]},
        ],
    )
    def test_sound_is_refused(self, members: dict[str, Any]) -> None:
        with pytest.raises(UnsupportedParameter):
            read(**members)


# ── Written


class TestWhatProvidersGet:
    @pytest.mark.parametrize("values", requests(Surface.CHAT), ids=lambda values: values["model"])
    def test_what_is_read_written_and_read_again_is_the_same(self, values: dict[str, Any]) -> None:
        """But for what the rules say: texts joined, files that are text, tools that may not be called, drops."""
        conversation = CLIENT.read_request(values)
        again = CLIENT.read_request(written(conversation))
        assert CLIENT.read_request(written(again)) == again
        assert [turn.role for turn in again.turns] == [turn.role for turn in conversation.turns]
        assert again.max_output_tokens == conversation.max_output_tokens
        assert again.output == conversation.output
        uses = [part.id for turn in conversation.turns for part in turn.parts if isinstance(part, ToolUse)]
        assert [part.id for turn in again.turns for part in turn.parts if isinstance(part, ToolUse)] == uses

    def test_pictures_in_a_result_follow_it(self) -> None:
        png = Image(Inline("image/png", "AAAA"))
        results = (ToolResult("c1", "f", (Text("7"), png)), ToolResult("c2", "f", (Text("8"), Text("9"))))
        messages = written(user(*results, Text("Well?")))["messages"]
        assert [each["role"] for each in messages] == ["tool", "tool", "user", "user"]
        assert [messages[0]["content"], messages[1]["content"]] == ["7", "8\n\n9"]
        assert messages[2]["content"][0] == {"type": "text", "text": "What the tool call c1 gave besides text:"}
        assert messages[2]["content"][1]["image_url"] == {"url": "data:image/png;base64,AAAA"}

    def test_a_failed_result_says_so(self) -> None:
        results = [ToolResult("c", None, (Text(text),), failed=True) for text in ("no such city", "Error: none", "")]
        contents = [each["content"] for each in written(user(*results))["messages"]]
        assert contents == ["Error: no such city", "Error: none", "Error"]

    def test_documents(self) -> None:
        pdf, text = Inline("application/pdf", "AAAA"), Inline("text/plain", "QSBub3RlLg==")
        (message,) = written(user(Document(pdf), Document(text, "note.txt", "context")))["messages"]
        assert message["content"] == [
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "text", "text": "note.txt\n\ncontext\n\nA note."},
        ]

    @pytest.mark.parametrize(
        "part",
        [
            Document(Link("https://example.com/a.pdf")),
            Document(FileId("file-1")),
            Image(FileId("file-1")),
            Audio(Inline("audio/flac", "AAAA")),
            Audio(Link("https://example.com/a.wav")),
        ],
    )
    def test_media_it_cannot_take_are_refused(self, part: Any) -> None:
        with pytest.raises(UnsupportedParameter):
            written(user(part))

    def test_a_free_form_tool_is_a_function_of_one_text(self) -> None:
        use = Turn(Role.ASSISTANT, (ToolUse("c1", "sql", 'select "1"'),))
        tool = Tool("sql", free_form=True, grammar={"syntax": "lark"})
        conversation = Conversation(turns=(*user(Text("a")).turns, use), tools=(tool,))
        body = written(conversation)
        assert body["tools"] == [{"type": "function", "function": {"name": "sql", "parameters": FREE_FORM_SCHEMA}}]
        assert json.loads(body["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"input": 'select "1"'}
        assert dropped(conversation) == ("tools.grammar",)

    def test_tools_that_may_not_be_called_are_not_sent(self) -> None:
        body = written(read(tools=[WEATHER, CLOCK], tool_choice=allowed("required", "clock")))
        assert [each["function"]["name"] for each in body["tools"]] == ["clock"]
        assert body["tool_choice"] == "required"

    def test_names_and_ids_that_it_would_refuse_are_others(self) -> None:
        name, id_ = "mcp." + "x" * 100, "toolu_" + "y" * 60
        turns = (
            Turn(Role.ASSISTANT, (ToolUse(id_, name, "{}"),)),
            Turn(Role.USER, (ToolResult(id_, name, (Text("7"),)),)),
        )
        conversation = Conversation(turns=turns, tools=(Tool(name),), tool_choice=ToolChoice("named", (name,)))
        request = called()
        body = json.loads(API.write_request(request, conversation).body)
        (sent,) = body["messages"][0]["tool_calls"]
        assert sent["id"] == body["messages"][1]["tool_call_id"]
        assert len(sent["id"]) <= 40
        assert (
            body["tools"][0]["function"]["name"] == body["tool_choice"]["function"]["name"] == sent["function"]["name"]
        )
        assert len(sent["function"]["name"]) == 64
        answer = {"choices": [{"message": {"tool_calls": [sent]}, "finish_reason": "tool_calls"}], "id": "c"}
        (use,) = API.read_answer(request, json.dumps(answer).encode()).parts
        assert isinstance(use, ToolUse)
        assert use.name == name

    def test_schemas_of_functions_say_what_openai_misses(self) -> None:
        """ "object schema missing properties", "array schema missing items": spring-projects/spring-ai#4776."""
        tags = {"type": "array", "minItems": 1}
        nested = {"type": "object", "properties": {"tags": tags, "any": {"anyOf": [tags, {"type": "null"}]}}}
        tools = (Tool("none", schema={"type": "object"}), Tool("some", schema=nested))
        none, some = (
            each["function"] for each in written(Conversation(turns=user(Text("a")).turns, tools=tools))["tools"]
        )
        assert none["parameters"] == {"type": "object", "properties": {}}
        whole = {**tags, "items": {}}
        assert some["parameters"]["properties"] == {"tags": whole, "any": {"anyOf": [whole, {"type": "null"}]}}

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        ],
        ids=["optional", "open"],
    )
    def test_strict_schemas_that_openai_refuses_go_without_strictness(self, schema: dict[str, Any]) -> None:
        """Anthropic's may have members that can be left out, OpenAI's may not."""
        wanted = OutputFormat(schema, strict=True)
        conversation = Conversation(
            turns=user(Text("a")).turns, tools=(Tool("f", schema=schema, strict=True),), output=wanted
        )
        body = written(conversation)
        assert body["tools"] == [{"type": "function", "function": {"name": "f", "parameters": schema}}]
        assert body["response_format"]["json_schema"] == {"name": "answer", "schema": schema}
        assert dropped(conversation) == ("tools.strict", "output.strict")

    def test_strict_schemas_that_openai_takes_stay_strict(self) -> None:
        schema = {
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False
        }  # fmt: skip
        output = OutputFormat(schema, strict=True)
        conversation = Conversation(turns=user(Text("a")).turns, tools=(Tool("f", None, schema, True),), output=output)
        body = written(conversation)
        assert body["tools"][0]["function"]["strict"] is True
        assert body["response_format"]["json_schema"]["strict"] is True
        assert dropped(conversation) == ()

    def test_a_long_name_of_a_user_is_hashed(self) -> None:
        """Claude Code's is longer than OpenAI's 64 characters."""
        long = f"user_{'0' * 64}_account__session_{'1' * 36}"
        sent, again = (written(read(user=long))["user"] for _ in range(2))
        assert len(sent) == 64
        assert sent == again != written(read(user=long + "2"))["user"]
        assert written(read(user="u" * 64))["user"] == "u" * 64

    def test_stop_sequences_beyond_the_fourth_cut_the_answer(self) -> None:
        conversation = read(stop=["a", "b", "c", "d", "<end>", "f"])
        request = called()
        assert json.loads(API.write_request(request, conversation).body)["stop"] == ["a", "b", "c", "d"]
        message = {"choices": [{"message": {"content": "One.<end>Two."}, "finish_reason": "stop"}], "id": "c"}
        answer = API.read_answer(request, json.dumps(message).encode())
        assert (answer.parts, answer.finish, answer.stop_sequence) == ((Text("One."),), "stop_sequence", "<end>")
        chunks = [{"id": "c", "choices": [{"delta": {"content": text}}]} for text in ("One.<e", "nd>Two.")]
        last = {"id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}]}
        reader = API.reader(request)
        stream = b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in (*chunks, last)) + b"data: [DONE]\n\n"
        assert folded([*reader.feed(stream), *reader.close(orderly=True)]).parts == answer.parts

    def test_what_has_no_place_is_dropped_and_reported(self) -> None:
        conversation = read(top_k=5, metadata={"a": "b"}, service_tier="priority", prediction={"a": 1}, user="u")
        assert dropped(conversation) == ("top_k", "metadata", "prediction")
        marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
        assert dropped(read(messages=[{"role": "user", "content": [marked]}])) == ("cache_control",)

    def test_a_gateway_is_given_the_marks(self) -> None:
        marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
        conversation = read(messages=[{"role": "user", "content": [marked]}])
        assert written(conversation, provider(kind="gateway"))["messages"] == [{"role": "user", "content": [marked]}]
        assert dropped(conversation, provider(kind="gateway")) == ()

    def test_several_answers_cannot_cross(self) -> None:
        with pytest.raises(UnsupportedParameter) as refused:
            written(read(n=2))
        assert refused.value.param == "n"
        assert "n" not in written(read(n=1))

    def test_numbers_out_of_range_are_moved_to_its_end(self) -> None:
        body = written(Conversation(turns=user(Text("a")).turns, temperature=3, top_p=-1, presence_penalty=-9))
        assert (body["temperature"], body["top_p"], body["presence_penalty"]) == (2, 0, -2)

    def test_a_schema_that_it_cannot_be_held_to_is_a_call(self) -> None:
        row = provider(parameters={"unsupported": ["response_format=json_schema"]})
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        conversation = Conversation(turns=user(Text("a")).turns, output=OutputFormat(schema))
        request = called(row)
        body = json.loads(API.write_request(request, conversation).body)
        assert body["tools"][0]["function"]["parameters"] == schema
        assert body["tool_choice"] == {"type": "function", "function": {"name": "answer"}}
        call_ = {"id": "c", "type": "function", "function": {"name": "answer", "arguments": '{"city":"Bern"}'}}
        answer = {"id": "a", "choices": [{"message": {"tool_calls": [call_]}, "finish_reason": "stop"}]}
        read_ = API.read_answer(request, json.dumps(answer).encode())
        assert (read_.parts, read_.finish) == ((Text('{"city":"Bern"}'),), "end")
        with pytest.raises(UnsupportedParameter):
            written(Conversation(turns=conversation.turns, output=OutputFormat(schema), tools=(Tool("f"),)), row)


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


class TestThoughtsGoBack:
    HISTORY = (
        Turn(Role.USER, (Text("a"),)),
        Turn(Role.ASSISTANT, (Thinking("old"), Text("b"))),
        Turn(Role.USER, (Text("c"),)),
        Turn(Role.ASSISTANT, (Thinking("new"), Thinking("theirs", "s", ANTHROPIC), ToolUse("c1", "f", "{}"))),
        Turn(Role.USER, (ToolResult("c1", "f", (Text("7"),)),)),
    )  # fmt: skip

    def messages(self, **facts: Any) -> list[dict[str, Any]]:
        return written(Conversation(turns=self.HISTORY), provider(**facts))["messages"]

    def test_to_nobody_who_does_not_want_them(self) -> None:
        assert not any("reasoning" in name for each in self.messages() for name in each)
        assert self.messages(parameters={"reasoning": "think_tags"}) == self.messages()

    @pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
    def test_as_text_while_tools_are_called(self, member: str) -> None:
        messages = self.messages(parameters={"reasoning": member})
        assert [each.get(member) for each in messages] == [None, None, None, "new", None]

    def test_not_where_the_row_says_so(self) -> None:
        row = {"reasoning": "reasoning_content", "unsupported": ["messages.reasoning_content"]}
        assert self.messages(parameters=row) == self.messages()

    def test_as_parts(self) -> None:
        messages = self.messages(parameters={"reasoning": "content_parts"})
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "old"}]}
        assert messages[1]["content"] == [thought, {"type": "text", "text": "b"}]

    def test_to_a_gateway_with_their_signatures(self) -> None:
        messages = self.messages(kind="gateway", parameters={"reasoning": "reasoning"})
        assert [each["text"] for each in messages[3]["reasoning_details"]] == ["new", "theirs"]
        assert messages[3]["reasoning_details"][1]["signature"] == "s"


class TestReasoning:
    @pytest.mark.parametrize(
        ("model", "wanted", "sent"),
        [
            ("gpt-5", Reasoning("none"), "minimal"),
            ("gpt-5.1", Reasoning("none"), "none"),
            ("gpt-5.1", Reasoning("minimal"), "none"),
            ("o3", Reasoning("max"), "high"),
            ("gpt-5-pro", Reasoning("low"), "high"),
            ("gpt-5", Reasoning(budget_tokens=1024), "minimal"),
            ("gpt-4o", Reasoning("high"), None),
            ("gpt-4o", Reasoning("none"), None),
        ],
    )
    def test_an_effort_is_the_nearest_that_the_model_has(self, model: str, wanted: Reasoning, sent: str | None) -> None:
        body = written(Conversation(turns=user(Text("a")).turns, reasoning=wanted), CATALOG.provider("openai"), model)
        assert body.get("reasoning_effort") == sent

    @pytest.mark.parametrize(
        ("wanted", "sent"),
        [
            (Reasoning("low"), {"effort": "low"}),
            (Reasoning(budget_tokens=2000, visible=False), {"max_tokens": 2000, "exclude": True}),
            (Reasoning("none"), {"enabled": False}),
            (Reasoning(adaptive=True), {"enabled": True}),
        ],
    )
    def test_a_gateway_is_told_in_its_own_words(self, wanted: Reasoning, sent: dict[str, Any]) -> None:
        row = provider(kind="gateway", parameters={"reasoning": "reasoning"})
        assert written(Conversation(turns=user(Text("a")).turns, reasoning=wanted), row)["reasoning"] == sent


# ── A provider's departures, where its client speaks the same dialect


PASSED = OpenAiChat()
assert PASSED is not None


def passed_on(parameters: dict[str, Any], **members: Any) -> tuple[Any, tuple[str, ...]]:
    """The body that is sent, itself where it is untouched, and what was dropped."""
    request = call({"model": "m", "messages": [HELLO]} | members)
    row = provider(parameters=parameters)
    encoded = PASSED.encode_request(Call(request.body, {}, row, "m", str(row.base_url), {}))
    same = encoded.body is request.body.raw
    return (None if same else json.loads(encoded.body)), encoded.dropped


class TestDepartures:
    def test_bytes_are_untouched_where_nothing_applies(self) -> None:
        row = {"unsupported": ["logit_bias", "messages.name", "tools.strict"], "renamed": {"seed": "random_seed"},
               "roles": {"developer": "system"}}  # fmt: skip
        assert passed_on(row, temperature=0.20, tools=[WEATHER]) == (None, ())

    def test_what_tunes_is_dropped_and_reported(self) -> None:
        body, gone = passed_on({"unsupported": ["logit_bias", "temperature"]}, temperature=0, logit_bias={}, top_p=1)
        assert body == {"model": "m", "messages": [HELLO], "top_p": 1}
        assert gone == ("temperature",)

    @pytest.mark.parametrize(
        ("name", "members"),
        [
            ("n", {"n": 2}),
            ("logprobs", {"logprobs": True}),
            ("stop", {"stop": ["a"]}),
            ("response_format=json_schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}),
            ("tool_choice=required", {"tools": [WEATHER], "tool_choice": "required"}),
        ],
    )
    def test_what_changes_the_answer_is_refused(self, name: str, members: dict[str, Any]) -> None:
        with pytest.raises(UnsupportedParameter) as refused:
            passed_on({"unsupported": [name]}, **members)
        assert refused.value.param == name.partition("=")[0]

    def test_what_asks_for_nothing_goes_silently(self) -> None:
        row = {"unsupported": ["n", "logprobs", "response_format", "tool_choice", "messages.refusal"]}
        answer = {"role": "assistant", "content": "a", "refusal": None}
        asked = {"n": 1, "logprobs": False, "response_format": {"type": "text"}, "tool_choice": "auto"}
        body, gone = passed_on(row, messages=[HELLO, answer], **asked)
        assert body == {"model": "m", "messages": [HELLO, {"role": "assistant", "content": "a"}]}
        assert gone == ()

    def test_members_of_parts_and_of_tools_beside_their_functions(self) -> None:
        row = {"unsupported": ["messages.content.cache_control", "tools.cache_control"]}
        mark = {"cache_control": {"type": "ephemeral"}}
        part = {"type": "text", "text": "a"}
        inside = {"type": "function", "function": WEATHER["function"] | mark}
        messages = [HELLO, {"role": "user", "content": [part | mark, part]}]
        body, gone = passed_on(row, messages=messages, tools=[WEATHER | mark, inside, CLOCK])
        assert body["messages"] == [HELLO, {"role": "user", "content": [part, part]}]
        assert body["tools"] == [WEATHER, WEATHER, CLOCK]
        assert gone == ("messages.content.cache_control", "tools.cache_control")
        assert passed_on(row, messages=[HELLO, {"role": "user", "content": [part]}], tools=[CLOCK]) == (None, ())

    def test_anothers_thoughts_are_left_out_without_a_word(self) -> None:
        row = {"unsupported": ["messages.reasoning_content", "messages.reasoning_details"]}
        answer = {"role": "assistant", "content": "a"}
        thoughts = {"reasoning_content": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}
        body, gone = passed_on(row, messages=[HELLO, answer | thoughts, HELLO])
        assert (body["messages"], gone) == ([HELLO, answer, HELLO], ())

    @pytest.mark.parametrize("provider", ["openai", "mistral", "groq"])
    def test_geminis_signatures_on_calls_do_not_go_to_others_that_refuse_them(self, provider: str) -> None:
        plain = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
        signed = plain | {"extra_content": {"google": {"thought_signature": "c2ln"}}}
        history = [HELLO, {"role": "assistant", "tool_calls": [signed, plain]}]
        translator = translator_of(Surface.CHAT, "openai")
        assert translator is not None
        encoded = translator.encode_request(call({"model": "m", "messages": history}, provider=provider))
        assert json.loads(encoded.body)["messages"][1]["tool_calls"] == [plain, plain]
        assert encoded.dropped == ()

    def test_members_of_messages_and_tools(self) -> None:
        row = {"unsupported": ["messages.name", "tools.strict"], "roles": {"developer": "system"}}
        strict = {"type": "function", "function": {"name": "weather", "strict": True}}
        messages = [{"role": "developer", "content": "a"}, HELLO | {"name": "ann"}]
        body, gone = passed_on(row, messages=messages, tools=[strict])
        assert body["messages"] == [{"role": "system", "content": "a"}, HELLO]
        assert body["tools"] == [{"type": "function", "function": {"name": "weather"}}]
        assert gone == ("messages.name", "tools.strict")

    def test_other_names(self) -> None:
        row = {"renamed": {"max_completion_tokens": "max_tokens", "seed": "random_seed"}}
        body, gone = passed_on(row, max_completion_tokens=5, max_tokens=7, seed=1)
        assert body == {"model": "m", "messages": [HELLO], "max_tokens": 5, "random_seed": 1}
        assert gone == ()

    @pytest.mark.parametrize(("model", "name"), [("gpt-4o", "max_tokens"), ("o3", "max_completion_tokens")])
    def test_openais_limit_has_the_name_that_the_model_takes(self, model: str, name: str) -> None:
        row = CATALOG.provider("openai")
        plain = call({"model": model, "messages": [HELLO], "max_tokens": 9})
        body = json.loads(PASSED.encode_request(Call(plain.body, {}, row, model, str(row.base_url), {})).body)
        assert {key: value for key, value in body.items() if key.startswith("max_")} == {name: 9}

    @pytest.mark.parametrize(
        ("member", "value"),
        [("reasoning", {"effort": "high"}), ("thinking", {"type": "enabled", "budget_tokens": 24_000})],
    )
    def test_openai_is_told_in_its_own_words_how_much_to_think(self, member: str, value: Any) -> None:
        translator = translator_of(Surface.CHAT, "openai")
        assert translator is not None
        plain = call({"model": "o3", "messages": [HELLO], "max_completion_tokens": 30_000, member: value})
        encoded = translator.encode_request(plain)
        body = json.loads(encoded.body)
        assert (body["reasoning_effort"], body.get(member), encoded.dropped) == ("high", None, ())

    def test_hold_for_a_crossing_too_in_the_clients_words(self) -> None:
        row = provider(parameters={"unsupported": ["verbosity", "messages.name"], "renamed": {"seed": "random_seed"}})
        named = Conversation(turns=(Turn(Role.USER, (Text("a"),), "ann"),), verbosity="low", seed=1,
                             names={"verbosity": "text.verbosity"})  # fmt: skip
        encoded = API.write_request(called(row), named)
        assert json.loads(encoded.body) == {
            "model": "m",
            "messages": [{"role": "user", "content": "a"}],
            "random_seed": 1,
        }
        assert encoded.dropped == ("text.verbosity", "messages.name")


def test_the_crossing_is_what_the_two_halves_make() -> None:
    request = called()
    assert json.loads(Crossing(CLIENT, API).encode_request(call({"model": "m", "messages": [HELLO]})).body) == {
        "model": "m",
        "messages": [HELLO],
    }
    assert API.write_request(request, read()).url == "https://api.acme.example/v1/chat/completions"
