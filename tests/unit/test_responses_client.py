"""A Responses client whose provider has no Responses: what it asks is understood, what it gets its SDK reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import openai
import pytest
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from ownkey.domain.errors import InvalidParameter, UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Terms, Usage
from ownkey.providers import Call, translator_of
from ownkey.providers.crossing import (
    Answer,
    ArgumentsAdded,
    Begun,
    Citation,
    CitationAdded,
    Conversation,
    Counted,
    Document,
    Ended,
    Event,
    FileId,
    Finish,
    Format,
    HostedTool,
    Image,
    Inline,
    Link,
    Logprob,
    LogprobsAdded,
    OutputFormat,
    PartBegun,
    PartEnded,
    Reasoning,
    RedactedThinking,
    Refusal,
    Role,
    SignatureAdded,
    Text,
    TextAdded,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
    folded,
)
from ownkey.providers.responses.client import ResponsesClient
from tests.support.providers import annotate, call, events, fixture

CLIENT = ResponsesClient()
HELLO = {"model": "claude-sonnet-4-5", "input": "Hello"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CUSTOM = {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "s: /.+/"}}
USED = Usage(input=10, cache_read=20, output=5, reasoning=7)


def read(**more: Any) -> Conversation:
    return CLIENT.read_request({**HELLO, **more})


# ── What is asked


def test_everything_a_request_can_say_is_understood() -> None:
    conversation = CLIENT.read_request(json.loads(fixture("responses", "request.json")))
    assert [text.text for text in conversation.system] == ["Answer in one sentence.", "Be kind."]
    user, assistant, results = conversation.turns
    assert [type(part) for part in user.parts] == [Text, Image, Document]
    assert user.parts[0].cache.ttl == "1h"
    assert user.parts[1] == Image(Inline("image/png", "iVBORw0KGgo="), "low")
    assert user.parts[2] == Document(Inline("application/pdf", "JVBERi0="), "a.pdf")
    assert assistant.parts == (
        Thinking("Look at both.", "gAAAA8J-", Format.OPENAI, "rs_01"),
        Text("A moment."),
        ToolUse("call_1", "weather", '{"city":"Zürich"}'),
        ToolUse("call_2", "note", "look outside"),
    )
    pictured = (Text("noted"), Image(Link("https://example.com/a.png"), "auto"))
    assert results.parts == (
        ToolResult("call_1", "weather", (Text("7 °C, rain"),)),
        ToolResult("call_2", "note", pictured),
    )
    weather, note = conversation.tools
    assert (weather.name, weather.strict, note.free_form) == ("weather", True, True)
    assert conversation.tool_choice == ToolChoice("auto", ("weather",))
    assert conversation.output.strict is True
    assert conversation.reasoning == Reasoning(effort="low", visible=True, summary="auto")
    assert (conversation.max_output_tokens, conversation.verbosity) == (200, "low")
    assert (conversation.cache_key, conversation.user, conversation.metadata) == ("k-1", "u-1", {"team": "red"})
    assert set(conversation.others) == {"a_field_of_tomorrow"}


def test_a_text_is_a_turn() -> None:
    assert read().turns == (Turn(Role.USER, (Text("Hello"),)),)


def test_developers_speak_before_the_first_turn_or_in_between() -> None:
    items = [{"role": role, "content": role} for role in ("developer", "system", "user", "developer")]
    conversation = read(input=items, instructions="First.")
    assert [text.text for text in conversation.system] == ["First.", "developer", "system"]
    assert [turn.role for turn in conversation.turns] == [Role.USER, Role.SYSTEM]


def test_results_stand_before_what_else_their_turn_says() -> None:
    items = [
        {"role": "user", "content": "Go"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "7"},
        {"role": "user", "content": "And?"},
        {"type": "function_call_output", "call_id": "d", "output": "8"},
    ]
    turns = read(input=items).turns
    assert [turn.role for turn in turns] == [Role.USER, Role.ASSISTANT, Role.USER, Role.USER]
    assert [type(part) for part in turns[2].parts] == [ToolResult, Text]
    assert turns[3].parts == (ToolResult("d", None, (Text("8"),)),)


def test_each_message_is_a_turn() -> None:
    """Codex describes the surroundings in one and asks in the next: run together they would be one word."""
    turns = read(input=[{"role": "user", "content": text} for text in ("<a>here</a>", "Go on")]).turns
    assert [turn.parts for turn in turns] == [(Text("<a>here</a>"),), (Text("Go on"),)]


def test_a_free_form_call_whose_tool_is_gone_is_a_functions() -> None:
    """So Codex sends a conversation that is to be summarised: without tools. Its text is no JSON to other APIs."""
    called = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "*** Begin"}
    items = [{"role": "user", "content": "x"}, called]
    assert read(input=items).turns[1].parts == (ToolUse("c", "patch", '{"input":"*** Begin"}'),)
    assert read(input=items, tools=[CUSTOM]).turns[1].parts == (ToolUse("c", "patch", "*** Begin"),)


@pytest.mark.parametrize("wire", ["anthropic", "bedrock", "cohere", "gemini"])
def test_a_grammar_that_is_left_out_is_named_as_the_client_names_it(wire: str) -> None:
    translator = translator_of(Surface.RESPONSES, wire)
    assert translator is not None
    request = call({**HELLO, "tools": [CUSTOM]}, provider="anthropic")
    assert translator.encode_request(replace(request, fields={"region": "eu-west-1"})).dropped == ("tools.format",)


def test_what_others_thought_comes_back_to_them() -> None:
    def item(encrypted: str | None, *texts: str) -> dict[str, Any]:
        return {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": text} for text in texts],
            "encrypted_content": encrypted,
        }

    items = [
        item("ownkey:anthropic-claude-v1:EuAB", "I see"),
        item("ownkey:anthropic-claude-v1:EuAC", ""),
        item("ownkey:anthropic-claude-v1:Redacted"),
        item("ownkey:google-gemini-v1:CgE="),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        item("gAAAA", "a", "b"),
        item(None, "only words"),
        item(None),
    ]
    (turn,) = read(input=items).turns
    assert turn.parts == (
        Thinking("I see", "EuAB", Format.ANTHROPIC),
        Thinking("", "EuAC", Format.ANTHROPIC),
        RedactedThinking("Redacted", Format.ANTHROPIC),
        RedactedThinking("CgE=", Format.GEMINI, tool_use_id="c"),
        ToolUse("c", "f", "{}"),
        Thinking("a\n\nb", "gAAAA", Format.OPENAI, "rs_1"),
        Thinking("only words"),
    )


def test_tools_of_a_namespace_and_those_that_stand_in_the_input() -> None:
    space = {"type": "namespace", "name": "crm", "description": "", "tools": [FUNCTION, CUSTOM]}
    more = {"type": "additional_tools", "role": "developer", "tools": [{**FUNCTION, "name": "g"}]}
    called = {"type": "function_call", "call_id": "c", "namespace": "crm", "name": "f", "arguments": "{}"}
    conversation = read(tools=[space], input=[more, {"role": "user", "content": "x"}, called])
    assert [tool.name for tool in conversation.tools] == ["crm__f", "crm__patch", "g"]
    assert conversation.turns[1].parts[0].name == "crm__f"
    long = read(tools=[{**space, "name": "n" * 70}]).tools[0].name
    assert len(long) == 64


def test_tools_that_the_client_runs_are_functions() -> None:
    tools = [{"type": "local_shell"}, {"type": "shell", "environment": {"type": "local"}}, {"type": "apply_patch"}]
    patch = {"type": "create_file", "path": "a", "diff": "+x"}
    items = [
        {"role": "user", "content": "Go"},
        {"type": "local_shell_call", "id": "l", "call_id": "1", "status": "completed",
         "action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"type": "local_shell_call_output", "id": "1", "output": "a b"},
        {"type": "shell_call", "call_id": "2", "action": {"commands": ["ls"], "timeout_ms": None}},
        {"type": "shell_call_output", "call_id": "2",
         "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]},
        {"type": "apply_patch_call", "call_id": "3", "status": "completed", "operation": patch},
        {"type": "apply_patch_call_output", "call_id": "3", "status": "failed", "output": "no such file"},
    ]  # fmt: skip
    conversation = read(tools=tools, input=items, tool_choice={"type": "apply_patch"})
    assert [tool.name for tool in conversation.tools] == ["local_shell", "shell", "apply_patch"]
    assert conversation.tool_choice == ToolChoice("named", ("apply_patch",))
    uses = [part for turn in conversation.turns for part in turn.parts if isinstance(part, ToolUse)]
    assert [json.loads(use.arguments) for use in uses] == [
        {"command": ["ls"], "env": {}},
        {"commands": ["ls"]},
        {"operation": patch},
    ]
    results = [part for turn in conversation.turns for part in turn.parts if isinstance(part, ToolResult)]
    assert [(result.name, result.failed) for result in results] == [
        ("local_shell", False), ("shell", False), ("apply_patch", True),
    ]  # fmt: skip
    assert '"exit_code":0' in results[1].content[0].text


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ({"type": "web_search", "search_context_size": "low"}, "web_search"),
        ({"type": "mcp", "server_label": "x"}, "mcp"),
        ({"type": "shell", "environment": {"type": "container_auto"}}, "shell"),
    ],
)
def test_tools_of_the_providers_are_its_own(tool: dict[str, Any], kind: str) -> None:
    assert read(tools=[tool]).tools == (HostedTool(kind, tool),)


@pytest.mark.parametrize(
    ("choice", "understood"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("named", ("f",))),
        ({"type": "custom", "name": "patch"}, ToolChoice("named", ("patch",))),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "patch"}]},
            ToolChoice("required", ("patch",)),
        ),
    ],
)
def test_the_choice_of_a_tool(choice: Any, understood: ToolChoice) -> None:
    assert read(tools=[FUNCTION, CUSTOM], tool_choice=choice).tool_choice == understood


def test_the_form_of_the_answer() -> None:
    assert read(text={"format": {"type": "text"}}).output is None
    assert read(text={"format": {"type": "json_object"}}).output == OutputFormat()
    stated = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    assert read(text={"format": stated}).output == OutputFormat({"type": "object"}, "n", None, True)


def test_what_is_not_understood_is_told() -> None:
    conversation = read(
        truncation="auto",
        store=True,
        max_tool_calls=3,
        reasoning={"effort": "low", "mode": "pro"},
        include=["web_search_call.action.sources", "message.output_text.logprobs"],
        input=[{"type": "web_search_call", "id": "ws", "status": "completed"}, {"role": "user", "content": "x"}],
    )
    assert set(conversation.others) == {
        "truncation", "store", "max_tool_calls", "reasoning.mode", "include.web_search_call.action.sources",
        "input.web_search_call",
    }  # fmt: skip
    assert conversation.logprobs
    assert not read(truncation="disabled", store=False, stream_options={"include_obfuscation": False}).others


@pytest.mark.parametrize(
    ("more", "param", "fix"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "Send the whole conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation", "Send the whole conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "Send the whole conversation"),
        ({"background": True}, "background", "stream"),
        ({"prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm", "would be paid"),
        ({"generate": False}, "generate", "would be paid"),
        ({"moderation": {"model": "m", "policy": {}}}, "moderation", "Leave it out"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0", "provider that has Responses"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input.0", "provider that has Responses"),
        ({"input": [{"type": "compaction_trigger"}]}, "input.0", "Codex does by itself"),
        ({"input": [{"type": "computer_call_output", "call_id": "c"}]}, "input.0", "provider that has Responses"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice", "choose a model"),
    ],
)
def test_what_openai_alone_can_do_is_refused_with_a_way_out(more: dict[str, Any], param: str, fix: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        read(**more)
    assert caught.value.param == param
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ["x"]}, "input.0"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": "user"}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": [{"type": "image_url"}]}]}, "input.0.content.0.type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content.0.image_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input.0.content.0.file_data"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input.0.call_id"),
        ({"tools": [{"name": "f"}]}, "tools.0.type"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(more: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        read(**more)
    assert caught.value.param == param


def test_a_file_of_openais_stays_one() -> None:
    (turn,) = read(input=[{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]).turns
    assert turn.parts == (Image(FileId("file_1")),)


# ── What is answered


def asked(**more: Any) -> Call:
    return replace(call({**HELLO, "stream": True, **more}, provider="anthropic"), asked_at_s=1_795_239_000)


def written(stream: Iterable[Event], **more: Any) -> list[dict[str, Any]]:
    """What the client gets of the events, as its SDK reads them."""
    request = asked(**more)
    writer = CLIENT.writer(request, CLIENT.read_request(request.body.values), annotate)
    told = events(b"".join(writer.write(event) for event in stream))
    state: Any = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    for number, event in enumerate(told):
        assert event["sequence_number"] == number
        state.handle_event(TypeAdapter(ResponseStreamEvent).validate_python(event))
    if told[-1]["type"] == "response.completed":
        assert state._completed_response.output_text == Response.model_validate(told[-1]["response"]).output_text
    return told


def whole(answer: Answer, **more: Any) -> dict[str, Any]:
    request = asked(**more)
    conversation = CLIENT.read_request(request.body.values)
    response = json.loads(CLIENT.write_answer(request, conversation, answer, annotate))
    Response.model_validate(response)
    return response


def streamed(answer: Answer) -> list[Event]:
    """An answer's events, its texts in pieces."""
    found: list[Event] = [Begun(answer.id, answer.model)]
    for at, part in enumerate(answer.parts):
        match part:
            case ToolUse(id, name, arguments):
                found.append(PartBegun(at, ToolUse(id, name)))
                found += [ArgumentsAdded(at, piece) for piece in arguments]
            case RedactedThinking():
                found.append(PartBegun(at, part))
            case Thinking(text, signature, form, id):
                found.append(PartBegun(at, Thinking(id=id)))
                found += [TextAdded(at, piece) for piece in text]
                if signature and form:
                    found += [SignatureAdded(at, piece, form) for piece in signature]
            case Text(text, _, citations, logprobs):
                found.append(PartBegun(at, Text()))
                found += [TextAdded(at, piece) for piece in text]
                found += [CitationAdded(at, each) for each in citations]
                found += [LogprobsAdded(at, logprobs)] if logprobs else []
            case Refusal(text):
                found.append(PartBegun(at, Refusal()))
                found += [TextAdded(at, piece) for piece in text]
        found.append(PartEnded(at))
    found += [Counted(answer.usage, answer.terms)] if answer.usage else []
    return [*found, Ended(answer.finish, None, answer.native_finish)]


THOUGHT = Thinking("Hm", "sig", Format.ANTHROPIC)
ANSWERS = {
    "text": Answer((Text("Hello"),), Finish.END, "msg_1", "claude", usage=USED, terms=Terms(service_tier="priority")),
    "nothing": Answer((), Finish.END),
    "two texts": Answer((Text("Hel"), Text("lo", citations=(Citation("url", "https://a.example", "A"),))), Finish.END),
    "thinking": Answer((THOUGHT, RedactedThinking("xx", Format.ANTHROPIC), Text("So")), Finish.END, usage=USED),
    "own thinking": Answer((Thinking("Hm", "gA", Format.OPENAI, "rs_9"), Text("So")), Finish.END),
    "tools": Answer(
        (THOUGHT, Text("Let me"), ToolUse("c1", "f", '{"a":1}'), ToolUse("c2", "f"), Text("Wait")), Finish.TOOL_USE
    ),
    "free form": Answer((ToolUse("c1", "patch", '{"input":"*** Begin"}'), ToolUse("c2", "patch", "plain")), Finish.END),
    "namespace": Answer((ToolUse("c1", "crm__f", "{}"),), Finish.TOOL_USE),
    "local": Answer(
        (
            ToolUse("c1", "apply_patch", '{"operation":{"type":"delete_file","path":"a"}}'),
            ToolUse("c2", "local_shell", '{"command":["ls"],"timeout_ms":5}'),
            ToolUse("c3", "shell", '{"commands":["ls"]}'),
            ToolUse("c4", "shell", '{"broken":'),
        ),
        Finish.TOOL_USE,
    ),
    "refusal": Answer((Refusal("No."),), Finish.REFUSAL),
    "a refusal without words for it": Answer((Text("I"),), Finish.REFUSAL),
    "length": Answer((Text("Hel"),), Finish.LENGTH),
    "logprobs": Answer((Text("Hi", logprobs=(Logprob("Hi", -0.1, None, (Logprob("Ho", -2.0),)),)),), Finish.END),
    "document": Answer((Text("Hi", citations=(Citation("document", title="a.pdf", quote="H"),)),), Finish.END),
}
TOOLS = [
    FUNCTION,
    CUSTOM,
    {"type": "apply_patch"},
    {"type": "local_shell"},
    {"type": "shell", "environment": {"type": "local"}},
    {"type": "namespace", "name": "crm", "description": "", "tools": [FUNCTION]},
]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_stream_builds_the_response_that_is_written_whole(answer: Answer) -> None:
    assert folded(streamed(answer)).parts == answer.parts
    last = written(streamed(answer), tools=TOOLS)[-1]
    assert last["response"] == whole(answer, tools=TOOLS)


def output(name: str) -> list[dict[str, Any]]:
    return whole(ANSWERS[name], tools=TOOLS)["output"]


def test_a_whole_response_says_what_was_asked_and_what_was_used() -> None:
    more = {"instructions": "Be short.", "metadata": {"a": "b"}, "temperature": 0.5, "text": {"verbosity": "low"}}
    response = whole(ANSWERS["text"], **more)
    assert {name: response[name] for name in more} == more
    assert (response["id"], response["model"], response["created_at"]) == ("msg_1", "claude", 1_795_239_000)
    assert (response["status"], response["service_tier"], response["store"]) == ("completed", "priority", False)
    assert response["usage"] == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 0},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 42,
        "is_byok": True,
        "cost": 42,
        "tier": "priority",
    }
    assert whole(ANSWERS["nothing"])["usage"] is None
    made = whole(ANSWERS["nothing"])["id"]
    assert whole(ANSWERS["nothing"])["id"] == made
    assert whole(ANSWERS["nothing"], user="x")["id"] != made


def test_neighbouring_texts_are_parts_of_one_message() -> None:
    (message,) = output("two texts")
    first, second = message["content"]
    assert (first["text"], second["text"]) == ("Hel", "lo")
    assert second["annotations"] == [
        {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
    ]


def test_thoughts_travel_with_their_proof_and_come_back_as_they_were() -> None:
    shown, hidden, _ = output("thinking")
    assert shown["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert shown["encrypted_content"] == "ownkey:anthropic-claude-v1:sig"
    assert hidden["summary"] == []
    (turn,) = read(input=output("thinking")).turns
    assert turn.parts == ANSWERS["thinking"].parts
    own, _ = output("own thinking")
    assert (own["id"], own["encrypted_content"]) == ("rs_9", "gA")
    (turn,) = read(input=output("own thinking")).turns
    assert turn.parts == ANSWERS["own thinking"].parts


def test_calls_are_of_their_tools_kind() -> None:
    _, message, first, second, after = output("tools")
    assert [item["type"] for item in (message, after)] == ["message", "message"]
    assert (first["call_id"], first["name"], first["arguments"]) == ("c1", "f", '{"a":1}')
    assert second["arguments"] == "{}"
    assert [(item["type"], item["input"]) for item in output("free form")] == [
        ("custom_tool_call", "*** Begin"),
        ("custom_tool_call", "plain"),
    ]
    (spaced,) = output("namespace")
    assert (spaced["namespace"], spaced["name"]) == ("crm", "f")


def test_the_clients_own_tools_are_called_by_their_items() -> None:
    patch, shell, shells, broken = output("local")
    assert (patch["type"], patch["operation"]) == ("apply_patch_call", {"type": "delete_file", "path": "a"})
    assert shell["action"] == {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5}
    assert (shells["type"], shells["action"]["commands"]) == ("shell_call", ["ls"])
    assert (broken["type"], broken["arguments"]) == ("function_call", '{"broken":')


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("length", "max_output_tokens"),
        ("a refusal without words for it", "content_filter"),
        ("refusal", None),
        ("tools", None),
    ],
)
def test_why_it_ended(name: str, reason: str | None) -> None:
    response = whole(ANSWERS[name], tools=TOOLS)
    assert response["status"] == ("completed" if reason is None else "incomplete")
    assert response["incomplete_details"] == (None if reason is None else {"reason": reason})
    if name == "length":
        assert response["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize(
    ("name", "kind"), [("f", "function_call"), ("patch", "custom_tool_call"), ("shell", "function_call")]
)
def test_a_call_that_the_limit_has_cut_is_told_as_incomplete(name: str, kind: str) -> None:
    """An agent runs what it is told is complete, as soon as it is."""
    answer = Answer((ToolUse("c1", "f", "{}"), ToolUse("c2", name, '{"commands":["rm -r')), Finish.LENGTH)
    for output in (
        whole(answer, tools=TOOLS)["output"],
        written(streamed(answer), tools=TOOLS)[-1]["response"]["output"],
    ):
        assert [(item["type"], item["status"]) for item in output] == [
            ("function_call", "completed"), (kind, "incomplete"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("apply_patch", {"operation": {"type": "create_file", "path": "a"}}),
        ("apply_patch", {"operation": {"type": "rename_file", "path": "a", "diff": ""}}),
        ("apply_patch", {"operation": {"type": "delete_file"}}),
        ("local_shell", {"command": ["ls", 1]}),
        ("shell", {"commands": "ls"}),
    ],
)
def test_a_call_of_the_clients_own_tool_that_is_none_is_a_functions(name: str, arguments: Any) -> None:
    """The Vercel AI SDK refuses the whole answer for an item without a member that it demands."""
    answer = Answer((ToolUse("c1", name, json.dumps(arguments)),), Finish.TOOL_USE)
    (item,) = whole(answer, tools=TOOLS)["output"]
    assert (item["type"], item["name"], json.loads(item["arguments"])) == ("function_call", name, arguments)


def test_what_a_model_adds_to_a_call_of_the_clients_own_tool_is_left_out() -> None:
    given = {"command": ["ls"], "env": {"A": "1", "B": 2}, "timeout_ms": "5", "user": "root"}
    answer = Answer(
        (
            ToolUse("c1", "local_shell", json.dumps(given)),
            ToolUse("c2", "shell", '{"commands":["ls"],"timeout_ms":9,"x":1}'),
        ),
        Finish.TOOL_USE,
    )
    first, second = whole(answer, tools=TOOLS)["output"]
    assert (first["id"][:4], second["id"][:3]) == ("lsh_", "sh_")
    assert first["action"] == {"type": "exec", "command": ["ls"], "env": {"A": "1"}}
    assert second["action"] == {"commands": ["ls"], "timeout_ms": 9, "max_output_length": None}


def test_parts_that_overlap_come_one_after_the_other() -> None:
    stream = [
        Begun("x", "m"),
        PartBegun(0, ToolUse("c1", "f")),
        PartBegun(1, ToolUse("c2", "f")),
        ArgumentsAdded(1, '{"b"'),
        ArgumentsAdded(0, '{"a":1}'),
        ArgumentsAdded(1, ":2}"),
        PartEnded(1),
        PartBegun(2, Text("So")),
        PartEnded(0),
        PartEnded(2),
        Ended(Finish.TOOL_USE, None, None),
    ]
    told = written(stream, tools=TOOLS)
    places = [event["output_index"] for event in told if "output_index" in event]
    assert places == sorted(places)
    first, second, message = told[-1]["response"]["output"]
    assert (first["arguments"], second["arguments"]) == ('{"a":1}', '{"b":2}')
    assert message["content"][0]["text"] == "So"


def test_a_free_form_text_goes_on_as_it_comes_unless_it_stands_in_json() -> None:
    def deltas(*pieces: str) -> list[str]:
        stream = [Begun("x", "m"), PartBegun(0, ToolUse("c", "patch"))]
        stream += [ArgumentsAdded(0, piece) for piece in pieces]
        told = written([*stream, PartEnded(0), Ended(Finish.TOOL_USE, None, None)], tools=TOOLS)
        return [event["delta"] for event in told if event["type"] == "response.custom_tool_call_input.delta"]

    assert deltas(" ", "*** ", "Begin") == [" *** ", "Begin"]
    assert deltas('{"inp', 'ut":"a', 'b"}') == ["ab"]
    assert deltas('{"other"', ":1}") == ['{"other":1}']
