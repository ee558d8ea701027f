"""Cohere's wire fixtures are what its SDK reads, and the translator does right by them."""

from __future__ import annotations

import json
from typing import Any

import cohere
import pytest
from cohere.core.unchecked_base_model import construct_type
from cohere.v2.types.v2chat_stream_response import V2ChatStreamResponse
from pydantic import BaseModel, TypeAdapter

from ownkey.domain.errors import ProviderFailure
from ownkey.domain.usage import Usage
from ownkey.providers.cohere.answers_in import read_usage
from ownkey.providers.cohere.api import CohereApi
from ownkey.providers.crossing import Citation, Finish, Text, Thinking, ToolUse, folded
from tests.support.providers import call, events, fixture

API = CohereApi()
CALL = call({"model": "command-a-03-2025"}, provider="cohere")
TWINS = ("", "_tools", "_thinking")


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads(fixture("cohere", name))]


def unknown(value: Any) -> list[str]:
    """Members that the SDK's models do not know, at any depth: they let every member through."""
    if isinstance(value, BaseModel):
        return [*(value.model_extra or {}), *(each for v in dict(value).values() for each in unknown(v))]
    if isinstance(value, list):
        return [each for v in value for each in unknown(v)]
    return []


@pytest.mark.parametrize("name", ["request.json", "request_schema.json"])
def test_the_requests_are_what_the_sdk_takes(name: str) -> None:
    request = json.loads(fixture("cohere", name))
    types = cohere.types
    for member, kind in (
        ("messages", list[types.ChatMessageV2]),
        ("tools", list[types.ToolV2]),
        ("documents", list[types.Document]),
        ("response_format", types.ResponseFormatV2),
        ("thinking", types.Thinking),
        ("citation_options", types.CitationOptions),
    ):
        if member in request:
            TypeAdapter(kind).validate_python(request[member])
    taken = cohere.ClientV2.chat.__annotations__.keys()
    assert request.keys() - taken <= {"stream"}


@pytest.mark.parametrize("twin", TWINS)
def test_answers_and_streams_are_read_by_the_sdks_types(twin: str) -> None:
    whole = json.loads(fixture("cohere", f"response{twin}.json"))
    assert unknown(cohere.V2ChatResponse.model_validate(whole)) == []
    for event in events(fixture("cohere", f"stream{twin}.sse")):
        if event != "[DONE]":
            read = construct_type(type_=V2ChatStreamResponse, object_=event)
            assert read.type == event["type"]
            TypeAdapter(V2ChatStreamResponse).validate_python(event)


@pytest.mark.parametrize("twin", TWINS)
def test_a_stream_and_its_whole_twin_are_one_answer(twin: str) -> None:
    whole = API.read_answer(CALL, fixture("cohere", f"response{twin}.json"))
    reader = API.reader(CALL)
    assert folded([*reader.feed(fixture("cohere", f"stream{twin}.sse")), *reader.close(orderly=True)]) == whole


def test_what_the_answers_say() -> None:
    said = API.read_answer(CALL, fixture("cohere", "response.json"))
    (text,) = said.parts
    assert isinstance(text, Text)
    assert (text.text, said.finish, said.native_finish) == ("Oslo lies north.", Finish.END, "COMPLETE")
    assert [(each.kind, each.title, each.document_index, each.start, each.end) for each in text.citations] == [
        ("document", "Almanac", 0, 0, 4),
        ("document", None, None, 0, 4),
        ("url", "Atlas", None, 5, 9),
    ]
    assert text.citations[2] == Citation(
        "url", "https://atlas.example/oslo", "Atlas", start=5, end=9, place={"source": "atlas"}
    )
    assert [(each.token, each.logprob) for each in text.logprobs] == [
        ("Oslo", -0.25),
        (" lies north", -0.625),
        (".", -0.0625),
    ]
    called = API.read_answer(CALL, fixture("cohere", "response_tools.json"))
    assert called.finish is Finish.TOOL_USE
    assert called.parts == (
        Thinking("I will look up the weather, then the time."),
        ToolUse("get_weather_x1", "get_weather", '{"city":"Oslo"}'),
        ToolUse("get_time_x2", "get_time", '{"zone":"CET"}'),
    )
    thought = API.read_answer(CALL, fixture("cohere", "response_thinking.json"))
    assert thought.parts == (Thinking("Count them: three."), Text("There are three"))
    assert thought.finish is Finish.LENGTH


@pytest.mark.parametrize("case", cases("usage.json"))
def test_usage_is_what_is_billed_in_disjoint_buckets(case: dict[str, Any]) -> None:
    assert unknown(cohere.Usage.model_validate(case["usage"])) == []
    usage = read_usage(case["usage"])
    assert usage == Usage(**case["buckets"])
    assert usage.total_tokens == case["total"]


@pytest.mark.parametrize("case", cases("errors.json"))
def test_errors_become_those_of_our_tree(case: dict[str, Any]) -> None:
    failure = API.decode_failure(case["status"], case["headers"], json.dumps(case["body"]).encode())
    assert isinstance(failure, ProviderFailure)
    assert (type(failure).__name__, failure.code) == (case["error"], case["code"])
    assert failure.message == case["body"]["message"]
    assert failure.retry_after_s == case["retry_after_s"]
