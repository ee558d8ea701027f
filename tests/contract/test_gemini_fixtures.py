"""Google's wire fixtures are what its SDK sends and reads, and the translator does right by them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types
from pydantic import TypeAdapter

from ownkey.domain.errors import ProviderFailure, ProviderOverloaded
from ownkey.domain.usage import Terms, Usage
from ownkey.providers.crossing import (
    Audio,
    Begun,
    Citation,
    Conversation,
    Counted,
    Document,
    Finish,
    Format,
    HostedTool,
    Image,
    Inline,
    Link,
    LogprobsAdded,
    OutputFormat,
    PartBegun,
    Reasoning,
    RedactedThinking,
    Role,
    Text,
    TextAdded,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
    folded,
)
from ownkey.providers.gemini.api import GeminiApi
from ownkey.providers.gemini.usage import read_usage
from tests.support.providers import call, events, fixture

API = GeminiApi()
MODEL = "gemini-3.8-flash"
TWINS = ("", "_tools", "_thinking", "_safety", "_blocked")
MEMBERS: dict[str, Any] = {
    "contents": list[types.Content],
    "systemInstruction": types.Content,
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def to_gemini(model: str = MODEL) -> Any:
    return call({"model": model}, provider="gemini")


def read_json(name: str) -> Any:
    return json.loads(fixture("gemini", name))


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in read_json(name)]


def data(name: str) -> str:
    """The picture of `request.json`."""
    return read_json(name)["contents"][0]["parts"][1]["inlineData"]["data"]


def question(text: str) -> Turn:
    return Turn(Role.USER, (Text(text),))


def conversations() -> dict[str, tuple[str, Conversation]]:
    """What makes the requests, and the model it is asked of."""
    png = Inline("image/png", data("request.json"))
    signed, thought = "CiQBjz1rX0ltYWdpbmVkU2lnbmF0dXJlT25l", "CiQBjz1rX0ltYWdpbmVkU2lnbmF0dXJlVHdv"
    asked = (
        Text("What is the weather where this was taken?"),
        Image(png),
        Document(Link("https://files.example/report.pdf")),
        Audio(Inline("audio/wav", "UklGRg==")),
    )
    answered = (
        Thinking("I look at the picture.", thought, Format.GEMINI),
        RedactedThinking(signed, Format.GEMINI, tool_use_id="call_a"),
        ToolUse("call_a", "get_weather", '{"city":"Oslo"}'),
        ToolUse("call_b", "get_time"),
    )
    results = (
        ToolResult("call_a", "get_weather", (Text("4 degrees"), Image(png))),
        ToolResult("call_b", None, (Text("no clock"),), failed=True),
    )
    everything = Conversation(
        system=(Text("Be brief."),),
        turns=(
            Turn(Role.USER, asked),
            Turn(Role.ASSISTANT, answered),
            *(Turn(Role.USER, (each,)) for each in results),
            question("Well?"),
        ),
        tools=(Tool("get_weather", "The weather of a city", CITY, strict=True), Tool("get_time")),
        tool_choice=ToolChoice("auto", ("get_weather", "get_time")),
        reasoning=Reasoning(effort="low", visible=True),
        max_output_tokens=500,
        stop=("END",),
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        logprobs=True,
        top_logprobs=2,
    )
    schema = Conversation(
        turns=(question("Name a city."),),
        output=OutputFormat({**CITY, "$schema": "https://json-schema.org/draft/2020-12/schema"}, description="A city"),
        reasoning=Reasoning(budget_tokens=1024, visible=False),
    )
    search = Conversation(turns=(question("What happened today?"),), tools=(HostedTool("web_search", {}),))
    return {
        "request.json": (MODEL, everything),
        "request_schema.json": ("gemini-2.5-flash", schema),
        "request_search.json": (MODEL, search),
    }


@pytest.mark.parametrize("name", ["request.json", "request_schema.json", "request_search.json"])
def test_the_requests_are_what_the_sdk_would_send(name: str) -> None:
    request = read_json(name)
    assert request.keys() <= MEMBERS.keys()
    for member, values in request.items():
        TypeAdapter(MEMBERS[member]).validate_python(values)  # its models forbid what they do not know


@pytest.mark.parametrize("name", ["request.json", "request_schema.json", "request_search.json"])
def test_a_conversation_becomes_the_request(name: str) -> None:
    model, conversation = conversations()[name]
    written = API.write_request(to_gemini(model), conversation)
    assert json.loads(written.body) == read_json(name)
    assert written.dropped == ()
    assert written.url == f"https://generativelanguage.googleapis.com/v1beta/models/{model}:generateContent"


def test_a_count_has_all_that_is_counted() -> None:
    asked = Conversation(system=(Text("Be brief."),), turns=(question("Name a city."),), temperature=0.5)
    written = API.write_count(to_gemini(), asked)
    assert json.loads(written.body) == read_json("request_count.json")
    assert written.url == f"https://generativelanguage.googleapis.com/v1beta/models/{MODEL}:countTokens"
    counted = read_json("response_count.json")
    types.CountTokensResponse.model_validate({"totalTokens": counted["totalTokens"]})
    assert API.read_count(fixture("gemini", "response_count.json")) == 14


@pytest.mark.parametrize("name", [*(f"response{twin}.json" for twin in TWINS), "response_image.json"])
def test_answers_are_read_by_the_sdks_types(name: str) -> None:
    types.GenerateContentResponse.model_validate(read_json(name))


@pytest.mark.parametrize("twin", TWINS)
def test_streams_are_read_by_the_sdks_types(twin: str) -> None:
    for chunk in events(fixture("gemini", f"stream{twin}.sse").replace(b"\r\n", b"\n")):
        types.GenerateContentResponse.model_validate(chunk)


@pytest.mark.parametrize("twin", TWINS)
def test_a_stream_and_its_whole_twin_are_one_answer(twin: str) -> None:
    whole = API.read_answer(to_gemini(), fixture("gemini", f"response{twin}.json"))
    reader = API.reader(to_gemini())
    assert folded([*reader.feed(fixture("gemini", f"stream{twin}.sse")), *reader.close(orderly=True)]) == whole


def test_what_the_answers_say() -> None:
    said = API.read_answer(to_gemini(), fixture("gemini", "response.json"))
    (text,) = said.parts
    assert isinstance(text, Text)
    assert (said.id, said.model, said.finish) == ("mAitaLmkHPPlz7IPvtfUqQ4", MODEL, Finish.END)
    norway, weather = ("https://atlas.example/norway", "atlas.example"), ("https://weather.example/oslo",)
    assert text.citations == (
        Citation("url", *norway, start=0, end=16),
        Citation("url", *weather, "weather.example", start=19, end=27),
        Citation("url", *norway, start=19, end=27),
    )
    assert [text.text[each.start : each.end] for each in text.citations] == ["Oslo — in Norway", "is cold.", "is cold."]
    assert [(each.token, each.logprob, len(each.top)) for each in text.logprobs] == [
        ("Oslo", -0.25, 2),
        (" cold", -0.5, 1),
    ]
    assert said.usage == Usage(input=176, cache_read=1024, output=9, web_searches=2)


def test_calls_have_their_signature_before_them_and_an_id() -> None:
    called = API.read_answer(to_gemini(), fixture("gemini", "response_tools.json"))
    thought, words, signature, weather, time = called.parts
    assert (thought, words) == (Thinking("Both are needed."), Text("Let me look."))
    assert signature == RedactedThinking("CiQBjz1rX0ltYWdpbmVkU2lnbmF0dXJlT25l", Format.GEMINI, tool_use_id="fc_1")
    assert weather == ToolUse("fc_1", "get_weather", '{"city":"Oslo","days":2}')
    assert isinstance(time, ToolUse)
    assert (time.name, time.arguments, len(time.id)) == ("get_time", "{}", 29)
    assert (called.finish, called.native_finish) == (Finish.TOOL_USE, "STOP")


def test_a_texts_signature_comes_behind_it() -> None:
    thought = API.read_answer(to_gemini(), fixture("gemini", "response_thinking.json"))
    assert thought.parts == (
        Thinking("Count them: three."),
        Text("There are three"),
        RedactedThinking("CiQBjz1rX0ltYWdpbmVkU2lnbmF0dXJlVHdv", Format.GEMINI),
    )
    assert (thought.finish, thought.terms) == (Finish.LENGTH, Terms(service_tier="priority"))


def test_what_is_filtered_says_so() -> None:
    cut = API.read_answer(to_gemini(), fixture("gemini", "response_safety.json"))
    assert (cut.parts, cut.finish, cut.native_finish) == ((Text("First you"),), Finish.CONTENT_FILTER, "SAFETY")
    blocked = API.read_answer(to_gemini(), fixture("gemini", "response_blocked.json"))
    assert (blocked.parts, blocked.finish) == ((), Finish.CONTENT_FILTER)
    assert blocked.native_finish == "PROHIBITED_CONTENT"


def test_a_picture_is_left_out_and_counted() -> None:
    drawn = API.read_answer(to_gemini(), fixture("gemini", "response_image.json"))
    assert drawn.parts == (Text("Here it is."),)
    assert drawn.usage == Usage(input=12, image_input=258, output=4, image_output=1290)


@pytest.mark.parametrize("case", cases("usage.json"))
def test_usage_becomes_disjoint_buckets_that_add_up(case: dict[str, Any]) -> None:
    types.GenerateContentResponseUsageMetadata.model_validate(case["usage"])
    usage = read_usage(case["usage"])
    assert usage == Usage(**case["buckets"])
    assert usage.total_tokens == case["total"]


@pytest.mark.parametrize("case", cases("errors.json"))
def test_errors_become_those_of_our_tree(case: dict[str, Any]) -> None:
    for body in (case["body"], [case["body"]]):
        failure = API.decode_failure(case["status"], case["headers"], json.dumps(body).encode())
        assert isinstance(failure, ProviderFailure)
        assert (type(failure).__name__, failure.code) == (case["error"], case["code"])
        assert failure.retry_after_s == case["retry_after_s"]
        assert failure.details["provider_status"] == case["status"]
        assert failure.details["provider_type"] == case["body"]["error"]["status"]
        assert failure.message == case["body"]["error"]["message"]


def test_an_error_in_the_middle_of_a_stream_is_one() -> None:
    stream = fixture("gemini", "stream.sse").split(b"\r\n\r\n")[0]
    error = b'data: {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}'
    feed = API.reader(to_gemini()).feed(stream + b"\r\n\r\n" + error + b"\r\n\r\n")
    given = [type(next(feed)) for _ in range(5)]
    assert given == [Begun, PartBegun, TextAdded, LogprobsAdded, Counted]
    with pytest.raises(ProviderOverloaded, match="The model is overloaded"):
        next(feed)
