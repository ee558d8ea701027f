"""Bedrock's wire fixtures are what botocore reads and would send, and the translators do right by them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anthropic.types
import pytest
from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder
from pydantic import TypeAdapter

from local.simulator.eventstream import exception
from ownkey.domain.errors import ProviderFailure
from ownkey.domain.faults import fault_of
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Usage
from ownkey.providers import Translator, translator_of
from ownkey.providers.bedrock.answers import FINISHES, read_usage
from ownkey.providers.bedrock.api import ConverseApi
from ownkey.providers.crossing import Answer, Finish, ToolUse, folded
from tests.support.bedrock import (
    CONVERSE,
    INVOKED,
    frames,
    invoked_stream,
    operation,
    parsed,
    problems,
    service,
    streams,
)
from tests.support.providers import MESSAGES, Passed, annotate, call, events, passed

API = ConverseApi()
TWINS = ["", "_tools", "_thinking", "_citations"]
CALL = call({"model": "us.amazon.nova-pro-v1:0", "stream": True}, provider="bedrock")
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def read(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads(read(CONVERSE, name))]


def streamed(data: bytes) -> Answer:
    reader = API.reader(CALL)
    return folded([*reader.feed(data), *reader.close(orderly=True)])


@pytest.mark.parametrize("path", list(streams()), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_binary_streams_are_made_of_their_events(path: Path) -> None:
    assert path.read_bytes() == streams()[path], "python -m tests.support.bedrock"


def test_a_request_is_one_that_botocore_would_send() -> None:
    request = json.loads(read(CONVERSE, "request.json"))
    assert problems("Converse", request) == ""
    assert problems("ConverseStream", request) == ""


@pytest.mark.parametrize("twin", TWINS)
def test_answers_and_streams_are_read_by_botocore(twin: str) -> None:
    whole = parsed("Converse", read(CONVERSE, f"response{twin}.json"))
    assert whole["output"]["message"]["content"]
    assert whole["stopReason"] in service().shape_for("StopReason").enum
    found = frames(read(CONVERSE, f"stream{twin}.bin"), "ConverseStreamOutput")
    assert [next(iter(each)) for each in found][-2:] == ["messageStop", "metadata"]
    assert found[-1]["metadata"]["usage"] == whole["usage"]


@pytest.mark.parametrize("twin", TWINS)
def test_a_stream_and_its_whole_twin_are_one_answer(twin: str) -> None:
    whole = API.read_answer(CALL, read(CONVERSE, f"response{twin}.json"))
    assert streamed(read(CONVERSE, f"stream{twin}.bin")) == whole
    assert all(json.loads(part.arguments) for part in whole.parts if isinstance(part, ToolUse))


def test_every_reason_to_stop_is_known() -> None:
    failures = {"malformed_model_output", "malformed_tool_use"}
    assert FINISHES.keys() | failures == set(service().shape_for("StopReason").enum)
    assert FINISHES["guardrail_intervened"] is Finish.CONTENT_FILTER


@pytest.mark.parametrize("case", cases("usage.json"))
def test_usage_becomes_disjoint_buckets_that_add_up(case: dict[str, Any]) -> None:
    assert set(case["usage"]) <= set(service().shape_for("TokenUsage").members)
    usage = read_usage(case["usage"])
    assert usage == Usage(**case["buckets"])
    assert usage.total_tokens == case["total"] == case["usage"]["totalTokens"]


@pytest.mark.parametrize("case", cases("errors.json"))
@pytest.mark.parametrize("wire", ["bedrock", "anthropic_bedrock"])
def test_errors_become_those_of_our_tree(wire: str, case: dict[str, Any]) -> None:
    decode = API.decode_failure if wire == "bedrock" else passthrough().decode_failure
    failure = decode(case["status"], case["headers"], json.dumps(case["body"]).encode())
    assert isinstance(failure, ProviderFailure)
    assert (type(failure).__name__, failure.code) == (case["error"], case["code"])
    assert failure.retry_after_s == case["retry_after_s"]
    assert failure.message == case["body"]["message"]
    assert failure.details["provider_type"].endswith("Exception")
    fault = fault_of(failure)
    assert (fault.kind.value if fault else None) == case["fault"]


def test_every_error_of_the_service_is_among_them() -> None:
    told = {
        case["headers"].get("x-amzn-errortype", "").partition(":")[0]
        for case in json.loads(read(CONVERSE, "errors.json"))
    }
    for name in ("Converse", "ConverseStream", "InvokeModel", "CountTokens"):
        assert {shape.name for shape in operation(name).error_shapes} <= told


@pytest.mark.parametrize("stream", ["ConverseStreamOutput", "ResponseStream"])
def test_every_exception_within_a_stream_is_a_failure(stream: str) -> None:
    kinds = [name for name, shape in service().shape_for(stream).members.items() if shape.metadata.get("exception")]
    assert len(kinds) >= 5
    for kind in kinds:
        data = read(CONVERSE, "stream.bin")[:200] + b""
        head = data[: int.from_bytes(data[:4], "big")]
        with pytest.raises(ProviderFailure) as broken:
            list(API.reader(CALL).feed(head + exception(kind, "It broke.")))
        assert broken.value.message == "It broke."
        assert broken.value.details["provider_type"] == kind


# ── Anthropic's dialect at Bedrock


def passthrough(surface: Surface = Surface.MESSAGES) -> Translator:
    found = translator_of(surface, "anthropic_bedrock")
    assert found is not None
    return found


def claude(**more: Any) -> Passed:
    request = call(MESSAGES | {"stream": True}, provider="bedrock", model=CLAUDE)
    return passed(passthrough(), request, [read(INVOKED, "stream.bin")], **more)


def test_the_stream_is_read_by_anthropics_own_decoder() -> None:
    sent = list(AWSEventStreamDecoder().iter_bytes(iter([read(INVOKED, "stream.bin")])))
    assert [json.loads(each.data) for each in sent] == json.loads(read(INVOKED, "events.json"))
    for each in sent:
        TypeAdapter(anthropic.types.RawMessageStreamEvent).validate_python(json.loads(each.data))


def test_a_client_gets_the_stream_that_anthropic_itself_would_have_sent() -> None:
    result = claude()
    assert result.decoder.finished
    sent = json.loads(read(INVOKED, "events.json"))
    got = events(result.output)
    assert [each["type"] for each in got] == [each["type"] for each in sent]
    named = [line.removeprefix("event: ") for line in result.output.decode().splitlines() if line.startswith("event: ")]
    assert named == [each["type"] for each in sent]
    for each in got:
        TypeAdapter(anthropic.types.RawMessageStreamEvent).validate_python(each)
    assert got[-2]["usage"]["is_byok"] is True


def test_the_passed_stream_and_its_whole_twin_say_the_same() -> None:
    request = call(MESSAGES, provider="bedrock", model=CLAUDE)
    whole = passthrough().decode_whole(request, read(INVOKED, "response.json"), annotate)
    anthropic.types.Message.model_validate_json(whole.body)
    assert claude().decoder.reading == whole.reading
    assert whole.reading.usage.total_tokens == 2592


def test_a_throttled_stream_is_told_as_such() -> None:
    start = invoked_stream(json.loads(read(INVOKED, "events.json"))[:2])
    request = call(MESSAGES | {"stream": True}, provider="bedrock", model=CLAUDE)
    pieces = [start, exception("throttlingException", "Too many tokens.")]
    decoder = passed(passthrough(), request, pieces).decoder
    assert decoder.started
    assert (type(decoder.failure).__name__, str(decoder.failure)) == ("ProviderRateLimited", "Too many tokens.")


def test_a_request_to_anthropics_model_is_what_its_sdk_would_send() -> None:
    body = MESSAGES | {"stream": True, "provider": {"order": ["bedrock"]}, "service_tier": "auto", "kept": [1.0]}
    betas = ["context-1m-2025-08-07", "effort-2025-11-24"]
    headers = {"anthropic-beta": ", ".join(betas), "anthropic-version": "2023-06-01"}
    request = call(body, provider="bedrock", model=CLAUDE, client_headers=headers)
    sent = passthrough().encode_request(request)
    assert sent.url.endswith("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream")
    assert json.loads(sent.body) == {
        "max_tokens": MESSAGES["max_tokens"],
        "messages": MESSAGES["messages"],
        "kept": [1.0],
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": betas,
    }
    assert sent.dropped == ("service_tier",)
    assert not {"anthropic-beta", "anthropic-version"} & sent.headers.keys()


def test_beta_features_that_bedrock_does_not_know_are_dropped_and_told() -> None:
    """Bedrock: 400, "invalid beta flag" (anthropics/claude-code 49370, 56595); the header is Claude Code's."""
    header = "claude-code-20250219,interleaved-thinking-2025-05-14,advanced-tool-use-2025-11-20,fast-mode-2026-02-01"
    body = MESSAGES | {"anthropic_beta": ["tool-search-tool-2025-10-19", "oauth-2025-04-20", 7]}
    request = call(body, provider="bedrock", model=CLAUDE, client_headers={"anthropic-beta": header})
    sent = passthrough().encode_request(request)
    known = ["tool-search-tool-2025-10-19", "interleaved-thinking-2025-05-14"]
    assert json.loads(sent.body)["anthropic_beta"] == known
    unknown = ("oauth-2025-04-20", "claude-code-20250219", "fast-mode-2026-02-01")
    assert sent.dropped == tuple(f"anthropic-beta.{each}" for each in unknown)
    none = call(MESSAGES | {"anthropic_beta": ["one"]}, provider="bedrock", model=CLAUDE)
    assert "anthropic_beta" not in json.loads(passthrough().encode_request(none).body)


def test_a_fast_mode_is_left_out_and_told_with_its_beta() -> None:
    headers = {"anthropic-beta": "fast-mode-2026-02-01"}
    request = call(MESSAGES | {"speed": "fast"}, provider="bedrock", model=CLAUDE, client_headers=headers)
    sent = passthrough().encode_request(request)
    assert not {"speed", "anthropic_beta"} & json.loads(sent.body).keys()
    assert sent.dropped == ("speed", "anthropic-beta.fast-mode-2026-02-01")


def test_marks_of_a_cache_go_without_their_scope() -> None:
    """Bedrock: "cache_control.ephemeral.scope: Extra inputs are not permitted" (Wei-Shaw/claude-relay-service 965)."""
    mark, plain = {"type": "ephemeral", "ttl": "1h", "scope": "global"}, {"type": "ephemeral", "ttl": "1h"}
    said, tool = {"type": "text", "text": "Hi"}, {"name": "t", "input_schema": {"properties": {"scope": {}}}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [said | {"cache_control": mark}]}

    def body(mark: Any) -> dict[str, Any]:
        marked = said | {"cache_control": mark}
        turns = [{"role": "user", "content": [marked, result | {"content": [marked]}]}]
        return MESSAGES | {"system": [marked], "tools": [tool | {"cache_control": mark}], "messages": turns}

    for translator in (passthrough(), passthrough(Surface.COUNT_TOKENS)):
        sent = translator.encode_request(call(body(mark), provider="bedrock", model=CLAUDE))
        request = json.loads(sent.body)
        if "input" in request:
            request = json.loads(base64.b64decode(request["input"]["invokeModel"]["body"]))
            request.pop("max_tokens")
        assert {name: request[name] for name in ("system", "tools", "messages")} == {
            name: body(plain)[name] for name in ("system", "tools", "messages")
        }
    assert passthrough().encode_request(call(body(mark), provider="bedrock", model=CLAUDE)).dropped == (
        "cache_control.scope",
    )


def test_tokens_are_counted_of_the_very_request() -> None:
    translator = passthrough(Surface.COUNT_TOKENS)
    body = {name: value for name, value in MESSAGES.items() if name != "max_tokens"}
    sent = translator.encode_request(call(body, provider="bedrock", model=CLAUDE))
    assert sent.url.endswith(f"/model/{CLAUDE.removeprefix('us.').replace(':', '%3A')}/count-tokens")
    request = json.loads(sent.body)
    assert problems("CountTokens", request) == ""
    counted = json.loads(base64.b64decode(request["input"]["invokeModel"]["body"]))
    assert counted == {"messages": MESSAGES["messages"], "max_tokens": 1, "anthropic_version": "bedrock-2023-05-31"}
    whole = translator.decode_whole(call(body, provider="bedrock"), b'{"inputTokens":14}', annotate)
    assert json.loads(whole.body) == {"input_tokens": 14}
