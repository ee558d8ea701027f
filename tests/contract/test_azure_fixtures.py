"""Azure's wire fixtures are what OpenAI's SDK reads, and the translator does right by them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import openai.types.chat
import pytest

from ownkey.domain.errors import ProviderFailure
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Usage
from ownkey.providers import Call, Translator, translator_of
from ownkey.providers.azure.apis import chat
from ownkey.providers.crossing import Conversation, Role, Text, Turn, folded, text_of
from ownkey.providers.document import Document
from ownkey.providers.openai import read_usage
from tests.support.providers import annotate, call, events, fixture, passed

ENDPOINT = "https://acme.openai.azure.com"
STREAMS = ("stream.sse", "stream_async_filter.sse")


def translator() -> Translator:
    found = translator_of(Surface.CHAT, "azure")
    assert found is not None
    return found


def request(streamed: bool = False, *, model: str = "gpt-5.4", **fields: str) -> Call:
    body = json.loads(fixture("azure", "request.json")) | {"model": "openai/gpt-5.4"}
    made = call(body | ({"stream": True} if streamed else {}), provider="azure", model=model)
    return replace(made, base_url=ENDPOINT, fields={"host": "acme.openai.azure.com", "deployment": "gpt-5-4", **fields})


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads(fixture("azure", name))]


def chunks(stream: bytes) -> list[dict[str, Any]]:
    return [each for each in events(stream) if each != "[DONE]"]


def test_the_request_has_the_sdks_members_and_azures_own() -> None:
    types = openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming
    assert json.loads(fixture("azure", "request.json")).keys() - types.__annotations__.keys() - (
        types.__required_keys__ | types.__optional_keys__
    ) == {"data_sources"}


def test_answers_are_read_by_the_sdks_types() -> None:
    openai.types.chat.ChatCompletion.model_validate_json(fixture("azure", "response.json"))


@pytest.mark.parametrize(
    ("version", "url"),
    [
        (None, f"{ENDPOINT}/openai/v1/chat/completions"),
        ("2024-10-21", f"{ENDPOINT}/openai/deployments/gpt-5-4/chat/completions?api-version=2024-10-21"),
    ],
)
def test_the_deployment_is_asked_at_its_own_address(version: str | None, url: str) -> None:
    sent = translator().encode_request(request(**({"api_version": version} if version else {})))
    assert sent.url == url
    assert json.loads(sent.body) == json.loads(fixture("azure", "request.json"))
    assert (sent.auth.header, sent.auth.template) == ("api-key", "{key}")


@pytest.mark.parametrize(
    ("version", "url"),
    [
        (None, f"{ENDPOINT}/openai/v1/responses"),
        ("2024-10-21", f"{ENDPOINT}/openai/v1/responses"),
        ("2025-04-01-preview", f"{ENDPOINT}/openai/responses?api-version=2025-04-01-preview"),
    ],
)
def test_responses_stand_beside_the_deployments(version: str | None, url: str) -> None:
    asked = request(**({"api_version": version} if version else {}))
    asked = replace(asked, body=call({"model": "gpt-5.4", "input": "Hello"}).body)
    found = translator_of(Surface.RESPONSES, "azure")
    assert found is not None
    sent = found.encode_request(asked)
    assert (sent.url, json.loads(sent.body)["model"]) == (url, "gpt-5-4")


def test_a_whole_answer_keeps_what_the_filter_says() -> None:
    whole = translator().decode_whole(request(), fixture("azure", "response.json"), annotate)
    answer = json.loads(whole.body)
    assert answer["usage"].pop("is_byok") is True
    del answer["usage"]["cost"], answer["usage"]["tier"]
    assert answer == json.loads(fixture("azure", "response.json"))


@pytest.mark.parametrize("name", STREAMS)
def test_every_chunk_is_one_of_openais(name: str) -> None:
    """No client has to know that the filter speaks first, or in between."""
    out = chunks(passed(translator(), request(True), [fixture("azure", name)]).output)
    for each in out:
        read = openai.types.chat.ChatCompletionChunk.model_validate(each)
        assert all(choice.delta is not None for choice in read.choices)
        assert read.choices
    original = chunks(fixture("azure", name))
    assert out[0]["prompt_filter_results"] == original[0]["prompt_filter_results"]
    assert [each["choices"][0]["content_filter_results"] for each in out] == [
        each["choices"][0]["content_filter_results"] for each in original if each["choices"]
    ]
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in out) == "It is four degrees."


@pytest.mark.parametrize("name", STREAMS)
def test_the_usage_comes_where_it_was_asked_for(name: str) -> None:
    asking = request(True)
    body = asking.body.values | {"stream_options": {"include_usage": True}}
    out = chunks(passed(translator(), replace(asking, body=call(body).body), [fixture("azure", name)]).output)
    assert (out[-1]["choices"], out[-1]["usage"]["is_byok"]) == ([], True)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_and_its_whole_twin_say_the_same(name: str) -> None:
    whole = translator().decode_whole(request(), fixture("azure", "response.json"), annotate).reading
    decoder = passed(translator(), request(True), [fixture("azure", name)]).decoder
    assert (decoder.finished, decoder.failure) == (True, None)
    assert (decoder.reading.usage, decoder.reading.finish_reason) == (whole.usage, whole.finish_reason)


@pytest.mark.parametrize("name", STREAMS)
def test_any_cut_gives_the_same_stream(name: str) -> None:
    stream = fixture("azure", name)
    once = passed(translator(), request(True), [stream]).output
    for size in (1, 7, 64, 501):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert passed(translator(), request(True), pieces).output == once


@pytest.mark.parametrize("name", STREAMS)
def test_crossed_too_a_stream_and_its_whole_twin_are_one_answer(name: str) -> None:
    reader = chat().reader(request(True))
    found = folded([*reader.feed(fixture("azure", name)), *reader.close(orderly=True)])
    whole = chat().read_answer(request(), fixture("azure", "response.json"))
    assert found == whole
    assert text_of(found) == "It is four degrees."


def test_the_filter_alone_commits_nothing() -> None:
    """What it says of the prompt comes before the model has begun: another candidate may still answer."""
    first = fixture("azure", "stream.sse").split(b"\n\n")[0] + b"\n\n"
    found = passed(translator(), request(True), [first])
    assert (found.output, found.decoder.started) == (b"", False)


@pytest.mark.parametrize("case", cases("usage.json"))
def test_usage_becomes_disjoint_buckets_that_add_up(case: dict[str, Any]) -> None:
    openai.types.CompletionUsage.model_validate(case["usage"])
    usage = read_usage(case["usage"])
    assert usage == Usage(**case["buckets"])
    assert usage.total_tokens == case["total"]


@pytest.mark.parametrize("case", cases("errors.json"))
def test_errors_become_those_of_our_tree(case: dict[str, Any]) -> None:
    failure = translator().decode_failure(case["status"], case["headers"], json.dumps(case["body"]).encode())
    assert isinstance(failure, ProviderFailure)
    assert (type(failure).__name__, failure.code) == (case["error"], case["code"])
    assert failure.retry_after_s == case["retry_after_s"]
    assert failure.details["provider_status"] == case["status"]


@pytest.mark.parametrize(
    ("version", "asked"),
    [("", True), ("2024-10-21", True), ("2024-09-01-preview", True), ("2024-06-01", False), ("2023-05-15", False)],
)
def test_a_version_that_cannot_tell_a_streams_usage_is_not_asked_for_it(version: str, asked: bool) -> None:
    """Azure, before 2024-09-01-preview: 400, "Unrecognized request argument supplied: stream_options"."""
    fields = {"api_version": version} if version else {}
    sent = translator().encode_request(request(streamed=True, **fields))
    assert ("stream_options" in json.loads(sent.body)) is asked
    conversation = Conversation(turns=(Turn(Role.USER, (Text("Hi"),)),), stream=True, max_output_tokens=9)
    members = json.loads(chat().write_request(request(streamed=True, **fields), conversation).body)
    assert ("stream_options" in members) is asked
    assert members["max_completion_tokens" if asked else "max_tokens"] == 9
    assert members.keys() & {"max_tokens", "max_completion_tokens"} == {
        "max_completion_tokens" if asked else "max_tokens"
    }


@pytest.mark.parametrize(("model", "named"), [("gpt-5.4", "max_completion_tokens"), ("gpt-4o", "max_tokens")])
def test_models_that_reason_are_asked_as_at_openai(model: str, named: str) -> None:
    """Azure: 400, "Unsupported parameter: 'max_tokens' is not supported with this model"."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "top_k": 3, "user": "u"}
    made = replace(request(model=model), body=Document.parse(json.dumps(body).encode()))
    sent = translator().encode_request(made)
    members = json.loads(sent.body)
    assert members.keys() == {"messages", "model", "user", named}
    assert (members[named], sent.dropped) == (9, ("top_k",))


def test_a_refusal_tells_what_the_filter_found() -> None:
    """Clients of Azure's read it of `innererror`; nothing but its words goes on."""
    found = {"hate": {"filtered": True, "severity": "high", "note": "x"}, "jailbreak": {"detected": False}, "A b": {}}
    for inner, results in (("innererror", "content_filter_result"), ("inner_error", "content_filter_results")):
        error = {"code": "content_filter", "message": "Filtered.", "param": "prompt", inner: {results: found}}
        failure = translator().decode_failure(400, {}, json.dumps({"error": error}).encode())
        assert (failure.status, failure.code, failure.param) == (400, "content_filter", "prompt")
        assert failure.details["content_filter_results"] == {
            "hate": {"filtered": True, "severity": "high"},
            "jailbreak": {"detected": False},
        }
    for strange in ([], "x", {"content_filter_result": [1]}, {"content_filter_result": {"hate": 1}}):
        error = {"code": "content_filter", "message": "Filtered.", "innererror": strange}
        failure = translator().decode_failure(400, {}, json.dumps({"error": error}).encode())
        assert "content_filter_results" not in failure.details


def test_a_deployment_that_is_not_there_is_the_credentials_to_correct() -> None:
    body = {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}
    failure = translator().decode_failure(404, {}, json.dumps(body).encode())
    assert (failure.status, failure.code) == (404, "DeploymentNotFound")
    assert "the credential's deployment" in failure.fix
