"""A conversation of any dialect as a request of OpenAI's Responses, and their answers as anybody's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.simulator import responses_requests
from ownkey.domain.errors import OwnkeyError, ProviderFailure, ProviderInvalidResponse, UnsupportedParameter
from ownkey.providers import Call
from ownkey.providers.crossing import (
    Answer,
    Audio,
    CacheMark,
    Citation,
    Conversation,
    Document,
    FileId,
    Finish,
    Format,
    HostedTool,
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
from ownkey.providers.responses.api import ResponsesApi
from tests.support.crossing import files
from tests.support.providers import CATALOG, call

API = ResponsesApi()
SEALED = responses_requests.encrypted("I see")
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"city": {"type": "string"}}}
HELLO = (Turn(Role.USER, (Text("Hello"),)),)
TWINS = [
    (path, path.with_name(path.name.replace("response", "stream")).with_suffix(".sse"))
    for path in files("responses", "response")
    if path.suffix == ".json"
]


def aimed(model: str = "gpt-5.4-mini") -> Call:
    found = call({"model": model, "messages": []})
    return Call(found.body, {}, found.provider, model, found.base_url, {}, model=CATALOG.model("openai", model))


def sent(conversation: Conversation, model: str = "gpt-5.4-mini") -> dict[str, Any]:
    """The request's body, which the simulated OpenAI would take."""
    body = json.loads(API.write_request(aimed(model), conversation).body)
    responses_requests.check(body)
    return body


def dropped(conversation: Conversation, model: str = "gpt-5.4-mini") -> tuple[str, ...]:
    return API.write_request(aimed(model), conversation).dropped


def said(**more: Any) -> Conversation:
    return Conversation(**{"turns": HELLO, **more})


# ── What is said


def test_a_request_has_all_of_the_conversation_and_stores_nothing() -> None:
    assert sent(said(system=(Text("Be short."), Text("Be kind.")), stream=True, max_output_tokens=5)) == {
        "model": "gpt-5.4-mini",
        "input": [{"role": "user", "content": "Hello"}],
        "instructions": "Be short.\n\nBe kind.",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 16,
        "stream": True,
    }
    assert "include" not in sent(said(), "gpt-4o-mini")


def test_turns_become_items_in_their_order() -> None:
    image, pdf = Image(Inline("image/png", "iVBORw0KGgo="), "low"), Document(Inline("application/pdf", "JVBERi0="), "a")
    turns = (
        Turn(Role.USER, (Text("Look"), image, pdf, Document(Link("https://example.com/b.pdf")))),
        Turn(Role.SYSTEM, (Text("Quick!"),)),
        Turn(Role.ASSISTANT, (Thinking("I see", SEALED, Format.OPENAI, "rs_1"), Text("So"), ToolUse("c1", "f", "{}"))),
        Turn(Role.USER, (ToolResult("c1", "f", (Text("7"), Image(Link("https://example.com/a.png")))), Text("And?"))),
        Turn(Role.ASSISTANT, (Refusal("No."),)),
    )
    items = sent(Conversation(turns=turns))["input"]
    assert items[0]["content"][1:] == [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        {"type": "input_file", "file_url": "https://example.com/b.pdf"},
    ]
    summary = [{"type": "summary_text", "text": "I see"}]
    output = [
        {"type": "input_text", "text": "7"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
    ]
    assert items[1:] == [
        {"role": "developer", "content": "Quick!"},
        {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": SEALED},
        {"role": "assistant", "content": "So"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": output},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]


def test_what_others_have_thought_is_left_out_in_silence() -> None:
    thoughts = (Thinking("a", "s", Format.ANTHROPIC), RedactedThinking("b", Format.GEMINI), Thinking("c"))
    conversation = Conversation(turns=(*HELLO, Turn(Role.ASSISTANT, (*thoughts, Text("So"))), *HELLO))
    assert [item.get("role") for item in sent(conversation)["input"]] == ["user", "assistant", "user"]
    assert dropped(conversation) == ()
    own = RedactedThinking("gAAAA", Format.OPENAI)
    (_, item, _) = json.loads(
        API.write_request(aimed(), Conversation(turns=(*HELLO, Turn(Role.ASSISTANT, (own,)), *HELLO))).body
    )["input"]
    assert (item["type"], item["summary"], item["encrypted_content"]) == ("reasoning", [], "gAAAA")
    assert item["id"].startswith("rs_")


def test_a_free_form_tool_is_one_and_its_calls_are_text() -> None:
    tool = Tool("patch", "Patches.", free_form=True, grammar={"type": "grammar", "grammar": {"syntax": "lark"}})
    turns = (
        *HELLO,
        Turn(Role.ASSISTANT, (ToolUse("c1", "patch", "*** Begin"),)),
        Turn(Role.USER, (ToolResult("c1", "patch", (Text("done"),)),)),
    )
    body = sent(Conversation(turns=turns, tools=(tool,), tool_choice=ToolChoice("named", ("patch",))))
    stated = {"type": "grammar", "syntax": "lark"}
    assert body["tools"] == [{"type": "custom", "name": "patch", "description": "Patches.", "format": stated}]
    assert body["tool_choice"] == {"type": "custom", "name": "patch"}
    assert [item["type"] for item in body["input"][1:]] == ["custom_tool_call", "custom_tool_call_output"]


def test_long_ids_of_calls_are_replaced_the_same_way_on_both_sides() -> None:
    long = "x" * 200
    turns = (
        *HELLO,
        Turn(Role.ASSISTANT, (ToolUse(long, "f"),)),
        Turn(Role.USER, (ToolResult(long, "f", (Text("7"),)),)),
    )
    call_, output = sent(Conversation(turns=turns))["input"][1:]
    assert call_["call_id"] == output["call_id"]
    assert len(call_["call_id"]) <= 64
    assert call_["arguments"] == "{}"


# ── Tools, form, thought


def test_tools_are_strict_where_they_can_be() -> None:
    tools = (Tool("a", schema=CLOSED, strict=True), Tool("b", schema=OPEN, strict=True), Tool("c", schema=OPEN))
    body = sent(said(tools=tools, parallel_tool_calls=False, tool_choice=ToolChoice("required", ("a", "b"))))
    assert [(tool["name"], tool["strict"]) for tool in body["tools"]] == [("a", True), ("b", False), ("c", False)]
    assert body["parallel_tool_calls"] is False
    named = [{"type": "function", "name": name} for name in "ab"]
    assert body["tool_choice"] == {"type": "allowed_tools", "mode": "required", "tools": named}
    assert dropped(said(tools=tools)) == ("tools.strict",)


def test_the_web_is_searched_in_whosever_words() -> None:
    place = {"type": "approximate", "city": "Zürich", "country": "CH"}
    anthropics = HostedTool(
        "web_search", {"name": "web_search", "allowed_domains": ["a.example"], "user_location": place}
    )
    chats = HostedTool("web_search", {"search_context_size": "low", "user_location": {"approximate": {"city": "Bern"}}})
    assert sent(said(tools=(anthropics, chats)))["tools"] == [
        {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "user_location": place},
        {"type": "web_search", "search_context_size": "low", "user_location": {"type": "approximate", "city": "Bern"}},
    ]


def test_a_schema_is_held_where_openai_takes_it_as_a_strict_one() -> None:
    body = sent(said(output=OutputFormat(CLOSED, "place", strict=True), verbosity="low"))
    held = {"type": "json_schema", "name": "place", "schema": CLOSED, "strict": True}
    assert body["text"] == {"format": held, "verbosity": "low"}
    assert sent(said(output=OutputFormat()))["text"] == {"format": {"type": "json_object"}}
    assert sent(said(output=OutputFormat(OPEN)))["text"]["format"]["name"] == "answer"
    hint = {"type": "json_schema", "name": "answer", "schema": OPEN, "strict": False}
    loose = said(output=OutputFormat(OPEN, strict=True), names={"output.strict": "output_config.format"})
    assert sent(loose)["text"]["format"] == hint, "Anthropic's may have members that can be left out, OpenAI's may not"
    assert dropped(loose) == ("output_config.format",)


@pytest.mark.parametrize(
    ("model", "reasoning", "asked"),
    [
        ("gpt-5.4-mini", Reasoning(effort="xhigh", summary="detailed"), {"effort": "xhigh", "summary": "detailed"}),
        ("gpt-5.4-mini", Reasoning(effort="low", visible=True), {"effort": "low", "summary": "auto"}),
        ("gpt-5.4-mini", Reasoning(effort="none", visible=True), {"effort": "none"}),
        ("gpt-5-mini", Reasoning(effort="none"), {"effort": "minimal"}),
        ("o3", Reasoning(effort="max"), {"effort": "high"}),
        ("gpt-5.4-mini", Reasoning(adaptive=True), {"summary": "auto"}),
        ("gpt-5.4-mini", Reasoning(adaptive=True, visible=False), None),
        ("gpt-5.4-mini", Reasoning(budget_tokens=2_000), {"effort": "low", "summary": "auto"}),
        ("gpt-5.4-mini", Reasoning(effort="low"), {"effort": "low"}),
        ("gpt-4o-mini", Reasoning(effort="high"), None),
    ],
)
def test_the_effort_is_one_that_the_model_knows(model: str, reasoning: Reasoning, asked: Any) -> None:
    conversation = said(reasoning=reasoning, max_output_tokens=10_000)
    assert sent(conversation, model).get("reasoning") == asked
    assert dropped(conversation, model) == (("reasoning",) if model == "gpt-4o-mini" else ())


# ── What cannot be said


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"choices": 2}, "n"),
        ({"tools": (HostedTool("code_execution", {}),)}, "tools"),
        ({"tools": (HostedTool("web_search", {"blocked_domains": ["a.example"]}),)}, "tools"),
        ({"turns": (Turn(Role.USER, (Audio(Inline("audio/wav", "UklGRg==")),)),)}, "messages"),
        ({"turns": (Turn(Role.USER, (Image(FileId("file_1")),)),)}, "messages"),
    ],
)
def test_what_would_change_the_answer_is_refused(more: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        API.write_request(aimed(), said(**more, names={"choices": "n"}))
    assert caught.value.param == param
    assert caught.value.message.startswith("OpenAI cannot serve")


def test_what_only_tunes_is_dropped_under_the_clients_names() -> None:
    turns = (Turn(Role.USER, (Text("Hello", CacheMark()),), name="ada"),)
    conversation = Conversation(
        turns=turns,
        seed=7,
        top_k=3,
        presence_penalty=1,
        frequency_penalty=0,
        logit_bias={"1": 2},
        temperature=0.5,
        top_p=1,
        service_tier="batch",
        verbosity="chatty",
        metadata={"a": 1},
        others={"odd": 1},
        names={"cache": "cache_control"},
    )
    assert set(dropped(conversation)) == {
        "top_k", "seed", "presence_penalty", "logit_bias", "odd", "messages.name", "cache_control", "verbosity",
        "temperature", "service_tier", "metadata",
    }  # fmt: skip
    assert sent(said(temperature=3.0, top_p=0.5), "gpt-4o-mini")["temperature"] == 2


def test_labels_go_on() -> None:
    body = sent(said(user="u" * 100, metadata={"a": "b"}, cache_key="k", service_tier="flex", logprobs=True))
    assert len(body["safety_identifier"]) == 64
    assert (body["metadata"], body["prompt_cache_key"], body["service_tier"]) == ({"a": "b"}, "k", "flex")
    assert "message.output_text.logprobs" in body["include"]


# ── Answers


@pytest.mark.parametrize(("whole", "stream"), TWINS, ids=[path.name for path, _ in TWINS])
def test_a_stream_and_its_whole_twin_are_the_same_answer(whole: Any, stream: Any) -> None:
    read = API.read_answer(aimed(), whole.read_bytes())
    reader = API.reader(aimed())
    events = [*reader.feed(stream.read_bytes()), *reader.close(orderly=True)]
    assert folded(events) == read
    assert read.usage is not None


def test_stop_sequences_are_found_in_what_comes() -> None:
    whole, stream = TWINS[0]
    request = aimed()
    API.write_request(request, said(stop=("Zürich",)))
    answer = API.read_answer(request, whole.read_bytes())
    (text,) = answer.parts
    assert (text.text, text.citations) == ("You said: Say hello in ", ())
    assert (answer.finish, answer.stop_sequence) == (Finish.STOP_SEQUENCE, "Zürich")
    reader = API.reader(request)
    streamed = folded([*reader.feed(stream.read_bytes()), *reader.close(orderly=True)])
    assert text == streamed.parts[0]
    assert (streamed.finish, streamed.stop_sequence, streamed.usage) == (answer.finish, "Zürich", answer.usage)


def read(name: str) -> Answer:
    (path,) = [path for path, _ in TWINS if path.name == name]
    return API.read_answer(aimed(), path.read_bytes())


def test_answers_are_read() -> None:
    (text,) = read("response.json").parts
    assert isinstance(text, Text)
    assert text.citations[0] == Citation(
        "url", "https://example.com/found", "Found", start=0, end=len(text.text), place=text.citations[0].place
    )
    weather, time, patch = read("response_tools.json").parts
    assert [part.name for part in (weather, time, patch)] == ["get_weather", "get_time", "apply_patch"]
    assert patch.arguments == "sample"
    assert read("response_tools.json").finish is Finish.TOOL_USE
    thought, _ = read("response_thinking.json").parts
    assert isinstance(thought, Thinking)
    assert (thought.text, thought.format, thought.id) == ("The user says: Why?", Format.OPENAI, "rs_02")
    assert read("response_incomplete.json").finish is Finish.LENGTH
    assert read("response_incomplete.json").native_finish == "max_output_tokens"
    assert isinstance(read("response_refusal.json").parts[0], Refusal)
    assert read("response_refusal.json").finish is Finish.REFUSAL
    assert read("response_logprobs.json").parts[0].logprobs[0].top[1].token.endswith("~1")


def event(kind: str, **members: Any) -> bytes:
    return b"data: " + json.dumps({"type": f"response.{kind}", **members}).encode() + b"\n\n"


def test_a_provider_that_tells_less_is_understood() -> None:
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"}
    output = [thought, item, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]
    stream = (
        event("output_text.delta", output_index=1, content_index=0, delta="Hel")
        + event("output_item.added", output_index=2, item={**output[2], "arguments": ""})
        + event("function_call_arguments.delta", output_index=2, delta="{")
        + event("completed", response={"id": "r", "status": "completed", "output": output})
    )
    reader = API.reader(aimed())
    answer = folded([*reader.feed(stream), *reader.close(orderly=True)])
    assert answer.parts == (Text("Hello"), ToolUse("c", "f", "{}"), RedactedThinking("gA", Format.OPENAI, "rs_1"))


def test_summaries_of_several_parts_are_paragraphs() -> None:
    summary = [{"type": "summary_text", "text": text} for text in ("a", "", "b")]
    whole = {"status": "completed", "output": [{"type": "reasoning", "id": "rs_1", "summary": summary}]}
    stream = b"".join(
        event("reasoning_summary_text.delta", output_index=0, summary_index=at, item_id="rs_1", delta=part["text"])
        for at, part in enumerate(summary)
    ) + event("completed", response=whole)
    reader = API.reader(aimed())
    answer = folded(reader.feed(stream))
    assert answer == API.read_answer(aimed(), json.dumps(whole).encode())
    assert answer.parts == (Thinking("a\n\nb", id="rs_1"),)


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        event("failed", response={"id": "r", "error": None}),
        b'data: {"type":"error","code":"server_error","message":"It broke."}\n\n',
        event("output_text.delta", output_index="0", content_index=0, delta="x"),
        event("function_call_arguments.delta", output_index=0, delta="x"),
        event("output_item.added", output_index=0, item={"type": "function_call", "name": "f"}),
    ],
)
def test_what_cannot_be_read_is_the_providers_failure(data: bytes) -> None:
    with pytest.raises(ProviderFailure):
        list(API.reader(aimed()).feed(data))


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"output":7}', b'{"output":[7]}', b'{"output":[],"status":"failed"}'])
def test_an_answer_that_is_none(body: bytes) -> None:
    with pytest.raises(OwnkeyError) as caught:
        API.read_answer(aimed(), body)
    assert isinstance(caught.value, ProviderFailure | ProviderInvalidResponse)
