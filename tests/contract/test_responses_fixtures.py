"""The wire fixtures of OpenAI's Responses are what its SDK reads, and passing them through does right by them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent, ResponseUsage
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from openai.types.responses.response_input_param import ResponseInputItemParam
from openai.types.responses.tool_param import ToolParam
from pydantic import TypeAdapter

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse, ProviderStreamBroken, UnsupportedParameter
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Terms, Usage
from ownkey.providers import Call, Translator, translator_of
from ownkey.providers.responses.passthrough import read_usage
from tests.support.providers import CATALOG, FIXTURES, annotate, call, events, fixture, passed

FOLDER = FIXTURES / "responses"
TWINS = sorted(path.name.removeprefix("response") for path in FOLDER.glob("response*.json"))
REQUEST = {"model": "gpt-5.4-mini", "input": "Hello"}


def translator() -> Translator:
    found = translator_of(Surface.RESPONSES, Dialect.OPENAI)
    assert found is not None
    return found


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads(fixture("responses", name))]


def requests() -> list[dict[str, Any]]:
    return [json.loads(fixture("responses", "request.json"))] + [
        case["body"] for case in json.loads(fixture("responses", "requests.json"))
    ]


def whole(name: str) -> bytes:
    return fixture("responses", f"response{name}")


def stream(name: str) -> bytes:
    return fixture("responses", f"stream{name.replace('.json', '.sse')}")


twins = pytest.mark.parametrize("name", TWINS)


@pytest.mark.parametrize("body", requests())
def test_the_requests_have_the_sdks_types(body: dict[str, Any]) -> None:
    known = ResponseCreateParamsStreaming.__required_keys__ | ResponseCreateParamsNonStreaming.__optional_keys__
    assert body.keys() - known <= {"a_field_of_tomorrow", "max_tool_calls"}
    if isinstance(body.get("input"), list):
        TypeAdapter(list[ResponseInputItemParam]).validate_python(body["input"])
    TypeAdapter(list[ToolParam]).validate_python(body.get("tools", []))


@twins
def test_answers_and_streams_are_read_by_the_sdks_types(name: str) -> None:
    Response.model_validate_json(whole(name))
    for number, event in enumerate(events(stream(name))):
        TypeAdapter(ResponseStreamEvent).validate_python(event)
        assert event["sequence_number"] == number


@pytest.mark.parametrize("body", requests())
def test_a_request_reaches_the_provider_byte_for_byte(body: dict[str, Any]) -> None:
    request = call(body)
    encoded = translator().encode_request(request)
    assert encoded.body is request.body.raw
    assert encoded.url == "https://api.openai.com/v1/responses"


def test_the_gateways_own_field_and_the_models_name_are_changed_alone() -> None:
    body = REQUEST | {"provider": {"order": ["openai"]}, "store": True}
    sent = json.loads(translator().encode_request(call(body, model="other")).body)
    assert sent == {"model": "other", "input": "Hello", "store": True}


@twins
def test_annotated_answers_are_still_read_by_the_sdk(name: str) -> None:
    answer = json.loads(translator().decode_whole(call(REQUEST), whole(name), annotate).body)
    Response.model_validate(answer)
    assert answer["usage"].pop("is_byok") is True
    del answer["usage"]["cost"], answer["usage"]["tier"]
    assert answer == json.loads(whole(name))


@twins
def test_a_stream_and_its_whole_twin_say_the_same(name: str) -> None:
    read = translator().decode_whole(call(REQUEST), whole(name), annotate)
    out = passed(translator(), call(REQUEST | {"stream": True}), [stream(name)])
    assert out.decoder.finished
    assert out.decoder.reading == read.reading
    *others, last = events(out.output)
    assert others == events(stream(name))[:-1]
    TypeAdapter(ResponseStreamEvent).validate_python(last)
    assert last["response"] == json.loads(read.body)


@pytest.mark.parametrize("case", cases("usage.json"))
def test_usage_becomes_disjoint_buckets_that_add_up(case: dict[str, Any]) -> None:
    ResponseUsage.model_validate(case["usage"])
    usage = read_usage(case["usage"])
    assert usage == Usage(**case["buckets"])
    assert usage.total_tokens == case["total"]


@pytest.mark.parametrize("case", cases("errors.json"))
def test_errors_become_those_of_our_tree(case: dict[str, Any]) -> None:
    failure = translator().decode_failure(case["status"], case["headers"], json.dumps(case["body"]).encode())
    assert (type(failure).__name__, failure.code) == (case["error"], case["code"])
    assert failure.retry_after_s == case["retry_after_s"]


def test_what_an_answer_says_of_itself() -> None:
    reading = translator().decode_whole(call(REQUEST), whole(".json"), annotate).reading
    assert (reading.response_id, reading.model) == ("resp_01", "gpt-5.4-mini-2026-03-17")
    assert reading.finish_reason == "completed"
    assert reading.terms == Terms(service_tier="default", search_context="low")
    assert reading.usage.web_searches == 1
    assert reading.usage.cache_read == 1_024
    cut = translator().decode_whole(call(REQUEST), whole("_incomplete.json"), annotate).reading
    assert cut.finish_reason == "max_output_tokens"


def test_searches_are_counted_where_the_provider_does_not() -> None:
    answer = json.loads(whole(".json"))
    del answer["tool_usage"]
    opened = {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": {"type": "open_page"}}
    answer["output"].append(opened)
    reading = translator().decode_whole(call(REQUEST), json.dumps(answer).encode(), annotate).reading
    assert reading.usage.web_searches == 1


# ── What goes wrong


@pytest.mark.parametrize("case", cases("failed.json"))
def test_a_failed_response_is_the_providers_failure(case: dict[str, Any]) -> None:
    failed = json.loads(whole(".json")) | {"status": "failed", "error": case["error"], "output": [], "usage": None}
    Response.model_validate(failed)
    with pytest.raises(ProviderFailure) as caught:
        translator().decode_whole(call(REQUEST), json.dumps(failed).encode(), annotate)
    assert type(caught.value).__name__ == case["kind"]
    event = {"type": "response.failed", "sequence_number": 2, "response": failed}
    begun = b"\n\n".join(stream(".json").split(b"\n\n")[:2]) + b"\n\n"
    data = b"event: response.failed\ndata: " + json.dumps(event).encode() + b"\n\n"
    out = passed(translator(), call(REQUEST | {"stream": True}), [begun, data])
    assert type(out.decoder.failure).__name__ == case["kind"]
    assert not out.decoder.started, "another candidate can still answer"
    assert out.output == begun


@pytest.mark.parametrize(
    "error",
    [
        {"code": "server_error", "message": "It broke.", "param": None},
        {"error": {"code": "server_error", "message": "It broke.", "type": "server_error"}},
    ],
    ids=["flat", "nested"],
)
def test_an_error_event_ends_the_stream(error: dict[str, Any]) -> None:
    head = b"\n\n".join(stream(".json").split(b"\n\n")[:5]) + b"\n\n"
    data = b"event: error\ndata: " + json.dumps({"type": "error", "sequence_number": 5, **error}).encode() + b"\n\n"
    out = passed(translator(), call(REQUEST | {"stream": True}), [head + data])
    assert out.decoder.started
    assert not out.decoder.finished
    assert out.decoder.failure.message == "It broke."
    assert out.output == head


def test_a_stream_without_its_last_event_was_cut() -> None:
    cut = b"\n\n".join(stream("_tools.json").split(b"\n\n")[:-2]) + b"\n\n"
    decoder = passed(translator(), call(REQUEST | {"stream": True}), [cut]).decoder
    assert isinstance(decoder.failure, ProviderStreamBroken)
    assert 10 < decoder.estimated_output_tokens() < 100


def test_an_answer_of_another_kind_is_refused() -> None:
    with pytest.raises(ProviderInvalidResponse):
        translator().decode_whole(call(REQUEST), b'{"choices":[]}', annotate)


# ── Whose credential it is


def lent(body: dict[str, Any]) -> Call:
    request = call(body)
    model = CATALOG.model("openai", body["model"])
    return Call(request.body, {}, request.provider, request.model_id, request.base_url, {}, model=model, own=False)


def test_nothing_is_stored_under_anothers_credential() -> None:
    sent = json.loads(translator().encode_request(lent(REQUEST | {"store": True, "include": ["a"]})).body)
    assert sent["store"] is False
    assert sent["include"] == ["a", "reasoning.encrypted_content"]
    plain = json.loads(translator().encode_request(lent({"model": "gpt-4o-mini", "input": "Hi"})).body)
    assert plain == {"model": "gpt-4o-mini", "input": "Hi", "store": False}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        (
            {"prompt_cache_options": {"comparison_response_id": "resp_1"}},
            "prompt_cache_options.comparison_response_id",
        ),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]}, "input"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools"),
        ({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "tools"),
        ({"input": [{"type": "additional_tools", "role": "developer", "tools": [{"type": "file_search"}]}]}, "tools"),
    ],
)
def test_nothing_stored_under_anothers_credential_is_named_and_no_tool_is_used_that_has_no_price(
    more: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        translator().encode_request(lent(REQUEST | more))
    assert caught.value.param == param
    assert translator().encode_request(call(REQUEST | more)).body


def test_an_answer_in_the_background_could_never_be_fetched() -> None:
    with pytest.raises(UnsupportedParameter, match="background"):
        translator().encode_request(call(REQUEST | {"background": True}))
