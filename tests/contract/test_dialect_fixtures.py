"""Each dialect's wire fixtures are what the vendor's SDK reads, and the translator does right by them."""

from __future__ import annotations

import json
from typing import Any

import anthropic.types
import openai.types.chat
import pytest
from pydantic import TypeAdapter

from ownkey.domain.errors import ProviderFailure
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Usage
from ownkey.providers import Translator, translator_of
from ownkey.providers import anthropic as anthropic_dialect
from ownkey.providers import openai as openai_dialect
from tests.support.crossing import FOLDERS
from tests.support.providers import CATALOG, FIXTURES, annotate, call, events, fixture, passed

FILES = {"request.json", "response.json", "stream.sse", "usage.json", "errors.json"}
SURFACES = {Dialect.OPENAI: Surface.CHAT, Dialect.ANTHROPIC: Surface.MESSAGES}
RESPONSES: dict[Dialect, Any] = {
    Dialect.OPENAI: openai.types.chat.ChatCompletion,
    Dialect.ANTHROPIC: anthropic.types.Message,
}
CHUNKS: dict[Dialect, Any] = {
    Dialect.OPENAI: openai.types.chat.ChatCompletionChunk,
    Dialect.ANTHROPIC: anthropic.types.RawMessageStreamEvent,
}
USAGES: dict[Dialect, Any] = {Dialect.OPENAI: openai.types.CompletionUsage, Dialect.ANTHROPIC: anthropic.types.Usage}
REQUESTS: dict[Dialect, Any] = {
    Dialect.OPENAI: openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming,
    Dialect.ANTHROPIC: anthropic.types.message_create_params.MessageCreateParamsNonStreaming,
}
READ_USAGE = {Dialect.OPENAI: openai_dialect.read_usage, Dialect.ANTHROPIC: anthropic_dialect.read_usage}

families = pytest.mark.parametrize("family", list(SURFACES))


def translator(family: Dialect) -> Translator:
    found = translator_of(SURFACES[family], family)
    assert found is not None
    return found


def cases(name: str) -> list[Any]:
    return [
        pytest.param(family, case, id=f"{family}: {case['name']}")
        for family in SURFACES
        for case in json.loads(fixture(family, name))
    ]


@pytest.mark.parametrize(
    "provider", [each for each in CATALOG.providers if each.surfaces], ids=lambda provider: provider.id
)
def test_every_provider_that_serves_speaks_a_dialect_that_has_fixtures(provider) -> None:
    own = FIXTURES / provider.family
    for folder in [own] if own.is_dir() else [FIXTURES / FOLDERS[wire] for _, wire in provider.protocols]:
        found = list(folder.iterdir())
        assert {path.with_suffix(".sse").name if path.suffix == ".bin" else path.name for path in found} >= FILES


@families
def test_the_requests_have_the_sdks_types(family: Dialect) -> None:
    known = REQUESTS[family].__required_keys__ | REQUESTS[family].__optional_keys__
    request = json.loads(fixture(family, "request.json"))
    assert REQUESTS[family].__required_keys__ <= request.keys()
    assert request.keys() - known == {"a_field_of_tomorrow"}


@families
def test_answers_and_streams_are_read_by_the_sdks_types(family: Dialect) -> None:
    RESPONSES[family].model_validate_json(fixture(family, "response.json"))
    chunks = [e for e in events(fixture(family, "stream.sse")) if e != "[DONE]" and e.get("type") != "ping"]
    assert chunks
    for event in chunks:
        TypeAdapter(CHUNKS[family]).validate_python(event)


@families
def test_a_request_reaches_the_provider_byte_for_byte(family: Dialect) -> None:
    body = fixture(family, "request.json")
    assert translator(family).encode_request(call(body, provider=family)).body == body


@families
def test_a_renamed_model_changes_nothing_else(family: Dialect) -> None:
    body = fixture(family, "request.json")
    sent = json.loads(translator(family).encode_request(call(body, provider=family, model="other")).body)
    assert sent == json.loads(body) | {"model": "other"}


@families
def test_numbers_keep_their_spelling_when_a_member_changes(family: Dialect) -> None:
    body = b'{"model":"a","messages":[],"x":[1.0,1e2,12345678901234567890.123456789012345678]}'
    sent = translator(family).encode_request(call(body, provider=family, model="b")).body
    assert b'"x":[1.0,1e2,12345678901234567890.123456789012345678]' in sent


@families
def test_annotated_answers_are_still_read_by_the_sdk(family: Dialect) -> None:
    original = json.loads(fixture(family, "response.json"))
    whole = translator(family).decode_whole(
        call(json.loads(fixture(family, "request.json"))), fixture(family, "response.json"), annotate
    )
    answer = json.loads(whole.body)
    RESPONSES[family].model_validate(answer)
    assert answer["usage"].pop("is_byok") is True
    del answer["usage"]["cost"], answer["usage"]["tier"]
    assert answer == original


@families
def test_a_stream_and_its_whole_twin_say_the_same(family: Dialect) -> None:
    whole = (
        translator(family)
        .decode_whole(call(json.loads(fixture(family, "request.json"))), fixture(family, "response.json"), annotate)
        .reading
    )
    request = call(json.loads(fixture(family, "request.json")) | {"stream": True}, provider=family)
    stream = passed(translator(family), request, [fixture(family, "stream.sse")]).decoder
    assert stream.finished
    assert stream.failure is None
    assert stream.reading == whole


@families
def test_the_passed_stream_is_still_read_by_the_sdk(family: Dialect) -> None:
    asking = {"stream": True, "stream_options": {"include_usage": True}}
    request = call(json.loads(fixture(family, "request.json")) | asking, provider=family)
    out = events(passed(translator(family), request, [fixture(family, "stream.sse")]).output)
    original = events(fixture(family, "stream.sse"))
    assert len(out) == len(original)
    for event in out:
        if event != "[DONE]" and event.get("type") != "ping":
            TypeAdapter(CHUNKS[family]).validate_python(event)
    (annotated,) = [event for event in out if "is_byok" in str(event)]
    assert (
        annotated["usage"]["cost"]
        == translator(family)
        .decode_whole(call(json.loads(fixture(family, "request.json"))), fixture(family, "response.json"), annotate)
        .reading.usage.total_tokens
    )


@pytest.mark.parametrize(("family", "case"), cases("usage.json"))
def test_usage_becomes_disjoint_buckets_that_add_up(family: Dialect, case: dict[str, Any]) -> None:
    USAGES[family].model_validate(case["usage"])
    usage = READ_USAGE[family](case["usage"])
    assert usage == Usage(**case["buckets"])
    assert usage.total_tokens == case["total"]


@pytest.mark.parametrize(("family", "case"), cases("errors.json"))
def test_errors_become_those_of_our_tree(family: Dialect, case: dict[str, Any]) -> None:
    body = json.dumps(case["body"]).encode()
    failure = translator(family).decode_failure(case["status"], case["headers"], body)
    assert isinstance(failure, ProviderFailure)
    assert (type(failure).__name__, failure.code) == (case["error"], case["code"])
    assert failure.retry_after_s == case["retry_after_s"]
    assert failure.details["provider_status"] == case["status"]
    assert "********" not in failure.message
    assert failure.details["provider_type"] == case["body"]["error"]["type"]
