"""What a client says in Anthropic's words, as a conversation; what cannot be read is told by its path."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ownkey.domain.errors import InvalidParameter, UnsupportedParameter
from ownkey.providers.anthropic.client import MessagesClient
from ownkey.providers.anthropic.requests_in import read_request
from ownkey.providers.crossing import (
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
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from ownkey.providers.crossing.signatures import wrapped

SAID = [{"role": "user", "content": "Hello"}]


def read(**members: Any) -> Conversation:
    return read_request({"model": "m", "max_tokens": 10, "messages": SAID, **members})


def parts(*blocks: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    return read(messages=[{"role": role, "content": list(blocks)}]).turns[0].parts


def plain(text: str) -> Inline:
    return Inline("text/plain", base64.b64encode(text.encode()).decode())


def test_a_plain_request():
    found = read(system="Be brief.", stream=True, temperature=0.5, top_p=0.9, top_k=4, stop_sequences=["END"])
    assert found.system == (Text("Be brief."),)
    assert found.turns == (Turn(Role.USER, (Text("Hello"),)),)
    assert (found.max_output_tokens, found.stream) == (10, True)
    assert (found.temperature, found.top_p, found.top_k, found.stop) == (0.5, 0.9, 4, ("END",))
    assert found.others == {}


def test_turns_of_the_systems_before_all_others_are_the_system():
    messages = [{"role": "system", "content": "b"}, *SAID, {"role": "system", "content": "c"}]
    found = read(system="a", messages=messages)
    assert found.system == (Text("a"), Text("b"))
    assert [turn.role for turn in found.turns] == [Role.USER, Role.SYSTEM]


class TestBlocks:
    def test_texts_and_marks(self):
        block = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        assert parts(block) == (Text("a", CacheMark("1h")),)
        assert read(system=[block], cache_control={"type": "ephemeral"}).cache == CacheMark("5m")

    def test_pictures(self):
        sources: list[dict[str, Any]] = [
            {"type": "base64", "media_type": "image/png", "data": "aQ=="},
            {"type": "url", "url": "https://example.com/a.png"},
            {"type": "file", "file_id": "file_1"},
        ]
        assert parts(*({"type": "image", "source": source} for source in sources)) == (
            Image(Inline("image/png", "aQ==")),
            Image(Link("https://example.com/a.png")),
            Image(FileId("file_1")),
        )

    def test_documents(self):
        picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
        sources: list[dict[str, Any]] = [
            {"type": "base64", "media_type": "application/pdf", "data": "aQ=="},
            {"type": "text", "media_type": "text/plain", "data": "Zürich"},
            {"type": "content", "content": [{"type": "text", "text": "a"}, picture, {"type": "text", "text": "b"}]},
            {"type": "content", "content": "c"},
        ]
        assert parts(*({"type": "document", "source": source} for source in sources)) == (
            Document(Inline("application/pdf", "aQ==")),
            Document(plain("Zürich")),
            Image(Link("https://example.com/a.png")),
            Document(plain("a\n\nb")),
            Document(plain("c")),
        )
        told = {"title": "Report", "context": "Of today.", "citations": {"enabled": True}}
        assert parts({"type": "document", "source": {"type": "file", "file_id": "f"}, **told}) == (
            Document(FileId("f"), "Report", "Of today.", citations=True),
        )

    def test_search_results_are_documents(self):
        block = {
            "type": "search_result",
            "source": "https://example.com",
            "title": "Weather",
            "content": [{"type": "text", "text": "Rain."}, {"type": "text", "text": "Snow."}],
        }
        assert parts(block) == (Document(plain("Rain.\n\nSnow."), "Weather", "https://example.com"),)

    def test_calls_and_results_know_each_other(self):
        use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Zürich"}}
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": "no"}
        turns = read(messages=[{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]).turns
        assert turns[0].parts == (ToolUse("toolu_1", "weather", '{"city":"Zürich"}'),)
        assert turns[1].parts == (ToolResult("toolu_1", "weather", (Text("no"),), failed=True),)
        assert parts({"type": "tool_result", "tool_use_id": "toolu_2"}) == (ToolResult("toolu_2", None),)

    def test_thoughts_are_whose_they_are(self):
        foreign = wrapped("c2ln", Format.GEMINI, Format.ANTHROPIC)
        reasoning = wrapped("ZW5j", Format.OPENAI, Format.ANTHROPIC, "rs_1")
        assert parts(
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "thinking", "thinking": "Hm.", "signature": foreign},
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "redacted_thinking", "data": "cmVk"},
            {"type": "redacted_thinking", "data": reasoning},
            role="assistant",
        ) == (
            Thinking("Hm.", "c2ln", Format.ANTHROPIC),
            Thinking("Hm.", "c2ln", Format.GEMINI),
            Thinking("Hm."),
            RedactedThinking("cmVk", Format.ANTHROPIC),
            RedactedThinking("ZW5j", Format.OPENAI, id="rs_1"),
        )

    def test_geminis_signature_of_a_call_finds_its_call_again(self):
        signed = {"type": "redacted_thinking", "data": wrapped("c2ln", Format.GEMINI, Format.ANTHROPIC)}
        call = {"type": "tool_use", "id": "c1", "name": "clock", "input": {}}
        assert parts(signed, call, role="assistant") == (
            RedactedThinking("c2ln", Format.GEMINI, tool_use_id="c1"),
            ToolUse("c1", "clock"),
        )

    def test_what_a_hosted_tool_did_is_passed_over_and_told(self):
        block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
        found = read(messages=[{"role": "assistant", "content": [block, {"type": "text", "text": "a"}]}])
        assert found.turns[0].parts == (Text("a"),)
        assert list(found.others) == ["messages.content.server_tool_use"]


class TestWishes:
    @pytest.mark.parametrize(
        ("members", "reasoning"),
        [
            ({}, None),
            ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(budget_tokens=2000)),
            ({"thinking": {"type": "adaptive", "display": "omitted"}}, Reasoning(adaptive=True, visible=False)),
            ({"thinking": {"type": "disabled"}}, Reasoning(effort="none")),
            ({"thinking": {"type": "between_tools"}}, Reasoning(effort="none")),
            ({"output_config": {"effort": "max"}}, Reasoning(effort="max")),
            (
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
                Reasoning(effort="low", adaptive=True),
            ),
        ],
    )
    def test_of_thinking(self, members, reasoning):
        assert read(**members).reasoning == reasoning

    @pytest.mark.parametrize(
        ("choice", "read_as", "parallel"),
        [
            ({"type": "auto"}, ToolChoice("auto"), None),
            ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
            ({"type": "tool", "name": "clock"}, ToolChoice("named", ("clock",)), None),
            ({"type": "none", "disable_parallel_tool_use": False}, ToolChoice("none"), True),
        ],
    )
    def test_of_tools(self, choice, read_as, parallel):
        found = read(tool_choice=choice)
        assert (found.tool_choice, found.parallel_tool_calls) == (read_as, parallel)

    def test_tools(self):
        schema = {"type": "object"}
        searching = {"type": "web_search_20260318", "name": "web_search"}
        assert read(
            tools=[
                {"name": "clock", "description": "Now.", "input_schema": schema, "strict": True},
                {"type": "custom", "name": "weather", "input_schema": schema, "cache_control": {"type": "ephemeral"}},
                searching,
            ]
        ).tools == (
            Tool("clock", "Now.", schema, strict=True),
            Tool("weather", schema=schema, cache=CacheMark()),
            HostedTool("web_search", searching),
        )

    def test_of_form_user_and_tier(self):
        schema = {"type": "object", "properties": {}, "additionalProperties": False}
        found = read(
            output_config={"format": {"type": "json_schema", "schema": schema}},
            metadata={"user_id": "u-1"},
            service_tier="standard_only",
        )
        assert found.output == OutputFormat(schema, strict=True)
        assert (found.user, found.service_tier) == ("u-1", "default")

    def test_what_no_field_stands_for_is_named(self):
        assert set(read(container="c", context_management={}, speed="fast", diagnostics=None).others) == {
            "container",
            "context_management",
            "speed",
        }

    @pytest.mark.parametrize(
        "members",
        [{"mcp_servers": [{}]}, {"inference_geo": "eu"}, {"max_tokens": 0}],
        ids=lambda each: next(iter(each)),
    )
    def test_what_anthropic_alone_can_do_is_refused(self, members):
        with pytest.raises(UnsupportedParameter) as error:
            read(**members)
        assert error.value.param == next(iter(members))


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [{"content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [*SAID, {"role": "user", "content": [{"text": "hi"}]}]}, "messages.1.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "system", "content": [{"type": "image"}]}]}, "messages.0.content.0.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "?"}}]}]},
            "messages.0.content.0.source.data",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "ftp"}}]}]},
            "messages.0.content.0.source.type",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "a"}]}]},
            "messages.0.content.0.input",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "thinking"}]}],
                    }
                ]
            },
            "messages.0.content.0.content.0.thinking",
        ),
        ({"system": 1}, "system"),
        ({"system": [{"type": "image"}]}, "system.0.type"),
        ({"system": [{"type": "text", "text": "a", "cache_control": {"type": "long"}}]}, "system.0.cache_control.type"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1d"}}, "cache_control.ttl"),
        ({"tools": [{"name": "a"}]}, "tools.0.input_schema"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"budget_tokens": 2000}}, "thinking.type"),
        ({"output_config": {"effort": "minimal"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": [1]}, "stop_sequences.0"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_path(members, path):
    with pytest.raises(InvalidParameter) as error:
        read(**members)
    assert error.value.param == path


def test_a_count_is_written_as_the_sdk_reads_it():
    assert json.loads(MessagesClient().write_count(7)) == {"input_tokens": 7}
