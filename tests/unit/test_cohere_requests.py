"""What a conversation is as Cohere's request: what crosses, what is dropped, what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.cohere.api import CohereApi
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
    Reasoning,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from ownkey.providers.translator import Encoded
from tests.support.providers import call

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER, TIME = Tool("get_weather", "The weather", SCHEMA), Tool("get_time")
HELLO = Turn(Role.USER, (Text("Hello"),))
PLAIN = Inline("text/plain", base64.b64encode(b"Oslo lies north.").decode())
PDF = Inline("application/pdf", "JVBERi0=")


def written(model: str = "command-a-03-2025", **conversation: Any) -> Encoded:
    request = call({"model": model}, provider="cohere")
    return CohereApi().write_request(request, Conversation(**{"turns": (HELLO,), **conversation}))


def sent(model: str = "command-a-03-2025", **conversation: Any) -> dict[str, Any]:
    return json.loads(written(model, **conversation).body)


def messages(*turns: Turn, **more: Any) -> list[dict[str, Any]]:
    return sent(turns=turns, **more)["messages"]


def test_a_plain_question() -> None:
    request = written(system=(Text("Be brief."), Text("And kind.")), max_output_tokens=50)
    assert request.url == "https://api.cohere.com/v2/chat"
    assert json.loads(request.body) == {
        "model": "command-a-03-2025",
        "messages": [{"role": "system", "content": "Be brief.\n\nAnd kind."}, {"role": "user", "content": "Hello"}],
        "stream": False,
        "max_tokens": 50,
    }
    assert request.dropped == ()


def test_a_turn_of_tools_goes_back_with_its_plan_and_its_results() -> None:
    assert messages(
        HELLO,
        Turn(Role.ASSISTANT, (Thinking("I look."), Text("Wait."), ToolUse("a", "get_weather", '{"city":"Oslo"}'))),
        Turn(Role.USER, (ToolResult("a", "get_weather", (Text("4"), Text("degrees"))), Text("Well?"))),
    )[1:] == [
        {
            "role": "assistant",
            "tool_plan": "I look.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
            ],
            "content": "Wait.",
        },
        {
            "role": "tool",
            "tool_call_id": "a",
            "content": "4\n\ndegrees",
        },
        {"role": "user", "content": "Well?"},
    ]


def test_results_that_failed_gave_nothing_or_a_picture() -> None:
    results = (
        ToolResult("a", None, (Text("no such city"),), failed=True),
        ToolResult("b", None),
        ToolResult("c", None, (Image(Link("https://pictures.example/a.png")),)),
    )
    assert messages(Turn(Role.USER, (*results, Text(""), Text("Well?")))) == [
        {"role": "tool", "tool_call_id": "a", "content": "Error: no such city"},
        {"role": "tool", "tool_call_id": "b", "content": "(nothing)"},
        {"role": "tool", "tool_call_id": "c", "content": "(nothing)"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What the tool call c gave besides text:"},
                {"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}},
                {"type": "text", "text": "Well?"},
            ],
        },
    ]


def test_signed_thinking_and_thinking_without_calls_stay_out() -> None:
    signed = Thinking("I look.", "sig", Format.ANTHROPIC)
    turn = Turn(Role.ASSISTANT, (signed, ToolUse("a", "get_time")))
    assert messages(turn) == [
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}],
        }
    ]
    assert messages(HELLO, Turn(Role.ASSISTANT, (Thinking("Hm."), Refusal("No.")))) == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "No."},
    ]


def test_images_and_documents() -> None:
    cited = Document(PLAIN, name="Almanac", context="of 1990", citations=True)
    parts = (
        Text("Look"),
        Image(Inline("image/png", "iVBORw0KGgo="), detail="low"),
        Image(Link("https://pictures.example/a.png")),
        Document(PLAIN, name="Notes"),
        cited,
    )
    body = sent(turns=(Turn(Role.USER, parts),))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}},
        {"type": "text", "text": "Notes\n\nOslo lies north."},
    ]
    assert body["documents"] == [
        {"id": "0", "data": {"title": "Almanac", "text": "Oslo lies north.", "context": "of 1990"}}
    ]


@pytest.mark.parametrize(
    ("choice", "tools", "stated"),
    [
        (None, ["get_weather", "get_time"], None),
        (ToolChoice("auto"), ["get_weather", "get_time"], None),
        (ToolChoice("none"), ["get_weather", "get_time"], "NONE"),
        (ToolChoice("required"), ["get_weather", "get_time"], "REQUIRED"),
        (ToolChoice("named", ("get_time",)), ["get_time"], "REQUIRED"),
        (ToolChoice("auto", ("get_time",)), ["get_time"], None),
    ],
)
def test_tool_choice(choice: ToolChoice | None, tools: list[str], stated: str | None) -> None:
    body = sent(tools=(WEATHER, TIME), tool_choice=choice)
    assert [each["function"]["name"] for each in body["tools"]] == tools
    assert body.get("tool_choice") == stated


def test_tools() -> None:
    assert sent(tools=(WEATHER, TIME))["tools"] == [
        {"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
    ]
    strict = Tool("get_weather", None, SCHEMA, strict=True)
    assert sent(tools=(strict,))["strict_tools"] is True
    mixed = written(tools=(strict, TIME))
    assert ("strict_tools" in json.loads(mixed.body), mixed.dropped) == (False, ("tools.strict",))


def test_a_free_form_tool_takes_its_text_as_an_argument() -> None:
    tool = Tool("run", free_form=True, grammar={"type": "lark"})
    request = written(tools=(tool,), turns=(HELLO, Turn(Role.ASSISTANT, (ToolUse("a", "run", 'say "hi"'),))))
    body = json.loads(request.body)
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert json.loads(body["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"input": 'say "hi"'}
    assert request.dropped == ("tools.grammar",)


def test_sampling_is_renamed_and_clamped() -> None:
    given = {"temperature": 1.5, "top_p": 1.0, "top_k": 1000, "presence_penalty": -2.0, "frequency_penalty": 0.5}
    request = written(**given, seed=7, stop=("END",), logprobs=True, top_logprobs=3)
    body = json.loads(request.body)
    assert {name: body[name] for name in ("temperature", "p", "k", "presence_penalty", "frequency_penalty")} == {
        "temperature": 1.5,
        "p": 0.99,
        "k": 500,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.5,
    }
    assert (body["seed"], body["stop_sequences"], body["logprobs"]) == (7, ["END"], True)
    assert request.dropped == ("top_logprobs",)


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        (Reasoning(effort="none"), {"type": "disabled"}),
        (Reasoning(budget_tokens=0), {"type": "disabled"}),
        (Reasoning(budget_tokens=500), {"type": "enabled", "token_budget": 500}),
        (Reasoning(effort="medium"), {"type": "enabled", "token_budget": 5_000}),
        (Reasoning(adaptive=True), {"type": "enabled"}),
    ],
)
def test_thinking_is_counted(reasoning: Reasoning, thinking: dict[str, Any]) -> None:
    assert sent("command-a-reasoning-08-2025", reasoning=reasoning, max_output_tokens=10_000)["thinking"] == thinking


def test_thinking_leaves_room_to_answer() -> None:
    short = sent("command-a-plus-05-2026", reasoning=Reasoning(effort="high"), max_output_tokens=100)
    assert short["thinking"]["token_budget"] == 99


def test_a_model_that_never_thinks_is_not_told_to() -> None:
    for effort, dropped in (("high", ("reasoning_effort",)), ("none", ())):
        request = written(
            "command-r-08-2024", reasoning=Reasoning(effort=effort), names={"reasoning": "reasoning_effort"}
        )
        assert ("thinking" in json.loads(request.body), request.dropped) == (False, dropped)


def test_a_schema() -> None:
    assert sent(output=OutputFormat(SCHEMA))["response_format"] == {"type": "json_object", "json_schema": SCHEMA}
    assert sent(output=OutputFormat())["response_format"] == {"type": "json_object"}


def test_what_only_tunes_is_dropped_and_named() -> None:
    request = written(
        turns=(Turn(Role.USER, (Text("Hello", CacheMark()),), name="ada"),),
        parallel_tool_calls=False,
        logit_bias={"1": 2},
        verbosity="low",
        user="ada",
        metadata={"team": "x"},
        service_tier="flex",
        cache_key="k",
        seed=-1,
        others={"store": True, "safety_mode": "STRICT"},
        names={"cache_key": "prompt_cache_key"},
    )
    assert set(request.dropped) == {
        *("messages.name", "cache_control", "parallel_tool_calls", "logit_bias", "verbosity", "user", "metadata"),
        *("service_tier", "prompt_cache_key", "seed", "store"),
    }
    assert json.loads(request.body)["safety_mode"] == "STRICT"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"choices": 2}, "n"),
    ({"output": OutputFormat(), "tools": (WEATHER,)}, "response_format"),
    ({"tools": (HostedTool("web_search", {}),)}, "tools"),
    ({"stop": tuple("abcdef")}, "stop"),
    ({"turns": (Turn(Role.USER, (Audio(PLAIN),)),)}, "messages"),
    ({"turns": (Turn(Role.USER, (Image(FileId("file-1")),)),)}, "messages"),
    ({"turns": (Turn(Role.USER, (Document(PDF),)),)}, "messages"),
    ({"turns": (Turn(Role.USER, (Document(Inline("text/plain", "%%"), citations=True),)),)}, "messages"),
    ({"turns": (Turn(Role.USER, (ToolResult("a", None, (Document(PDF),)),)),)}, "messages"),
    ({"turns": (Turn(Role.ASSISTANT, (Image(PDF),)),)}, "messages"),
    ({"turns": (Turn(Role.USER, (Document(PLAIN, citations=True),)),), "output": OutputFormat()}, "response_format"),
]


@pytest.mark.parametrize(("asked", "param"), REFUSED)
def test_what_changes_the_answer_is_refused(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        written(**asked, names={"choices": "n", "output": "response_format"})
    assert refused.value.param == param
    assert refused.value.message.startswith("Cohere cannot serve")
