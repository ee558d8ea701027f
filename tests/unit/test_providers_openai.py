"""Chat completions to a provider of the same dialect."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.errors import (
    ProviderError,
    ProviderInvalidResponse,
    ProviderOverloaded,
    ProviderStreamBroken,
    UnsupportedParameter,
)
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Usage
from ownkey.providers import translator_of
from tests.support.providers import CHAT, annotate, call, events, fixture, passed

OPENAI = translator_of(Surface.CHAT, Dialect.OPENAI)
assert OPENAI is not None
STREAM = CHAT | {"stream": True}
ASKING = STREAM | {"stream_options": {"include_usage": True}}
SSE = fixture("openai", "stream.sse")


def chunk(**members: Any) -> bytes:
    return b"data: " + json.dumps({"id": "c1", "choices": []} | members, separators=(",", ":")).encode() + b"\n\n"


def delta(text: str = "Hi", finish: str | None = None, **members: Any) -> bytes:
    return chunk(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **members)


DONE = b"data: [DONE]\n\n"
USED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


# ── The request


def test_a_stream_always_asks_the_provider_for_usage() -> None:
    sent = json.loads(OPENAI.encode_request(call(STREAM)).body)
    assert sent == STREAM | {"stream_options": {"include_usage": True}}


def test_other_stream_options_stay() -> None:
    body = STREAM | {"stream_options": {"include_usage": False, "include_obfuscation": False}}
    sent = json.loads(OPENAI.encode_request(call(body)).body)
    assert sent["stream_options"] == {"include_usage": True, "include_obfuscation": False}


def test_options_of_the_wrong_kind_are_the_providers_to_refuse() -> None:
    request = call(STREAM | {"stream_options": "usage"})
    assert OPENAI.encode_request(request).body is request.body.raw


def test_a_client_that_asks_itself_has_its_bytes_passed_on() -> None:
    request = call(ASKING)
    assert OPENAI.encode_request(request).body is request.body.raw


@pytest.mark.parametrize("body", [STREAM, ASKING])
def test_a_provider_that_refuses_stream_options_gets_none(body: dict[str, Any]) -> None:
    sent = json.loads(OPENAI.encode_request(call(body | {"model": "mistral-large"}, provider="mistral")).body)
    assert "stream_options" not in sent


def test_the_gateways_own_field_does_not_reach_the_provider() -> None:
    sent = json.loads(OPENAI.encode_request(call(CHAT | {"provider": {"order": ["OpenAI"]}})).body)
    assert sent == CHAT


def test_headers_are_the_rows_the_credentials_and_few_of_the_clients() -> None:
    encoded = OPENAI.encode_request(
        call(
            CHAT,
            client_headers={
                "openai-beta": "assistants=v2",
                "authorization": "Bearer ok-gateway",
                "x-api-key": "ok-gateway",
                "cookie": "a=b",
                "openai-organization": "org-of-the-client",
                "x-forwarded-for": "203.0.113.1",
            },
            credential_headers={"organization": "org-1", "project": "proj-1", "unknown": "x"},
        )
    )
    assert encoded.url == "https://api.openai.com/v1/chat/completions"
    assert encoded.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "openai-beta": "assistants=v2",
        "openai-organization": "org-1",
        "openai-project": "proj-1",
    }


# ── A whole answer


def test_an_answer_without_usage_is_passed_on_as_it_is() -> None:
    body = b'{"id":"c1",\n "choices":[]}'
    whole = OPENAI.decode_whole(call(CHAT), body, annotate)
    assert whole.body is body
    assert whole.reading.usage is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>", ProviderInvalidResponse),
        (b"", ProviderInvalidResponse),
        (b'{"id":"c1"}', ProviderInvalidResponse),
        (b'{"choices":null}', ProviderInvalidResponse),
        (b'{"error":{"message":"late","code":502}}', ProviderError),
    ],
)
def test_a_good_status_with_no_answer_is_an_error(body: bytes, error: type) -> None:
    with pytest.raises(error):
        OPENAI.decode_whole(call(CHAT), body, annotate)


def test_the_text_of_an_answer_is_all_that_was_generated() -> None:
    message = {
        "content": "a",
        "refusal": "b",
        "reasoning_content": "c",
        "tool_calls": [{"id": "no", "function": {"name": "no", "arguments": "d"}}, {"custom": {"input": "e"}}],
    }
    assert OPENAI.text_of_answer({"choices": [{"message": message}, {"message": {"content": "f"}}]}) == "abcdef"


# ── A stream


def test_usage_that_was_not_asked_for_does_not_reach_the_client() -> None:
    stream = passed(OPENAI, call(STREAM), [SSE])
    assert b"usage" not in stream.output
    assert len(events(stream.output)) == len(events(SSE)) - 1
    assert stream.decoder.reading.usage == Usage(input=160, cache_read=1024, audio_input=16, output=6, reasoning=64)


def test_all_else_reaches_it_unchanged() -> None:
    expected = [event if event == "[DONE]" else without_usage(event) for event in events(SSE)]
    del expected[-2]  # the chunk that has nothing but usage
    assert events(passed(OPENAI, call(STREAM), [SSE]).output) == expected


def without_usage(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "usage"}


@pytest.mark.parametrize("spelling", [b'"usage":null', b'"usage": null', b'"usage" : null', b'"usage":\tnull'])
@pytest.mark.parametrize(
    "place", [b'{"id":"c1",%s,"choices":[]}', b'{"id":"c1","choices":[], %s}', b'{%s,"choices":[]}']
)
def test_null_usage_is_taken_out_however_it_is_spelled(spelling: bytes, place: bytes) -> None:
    output = passed(OPENAI, call(STREAM), [delta(), b"data: " + place % spelling + b"\n\n", DONE]).output
    assert b"usage" not in output


def test_usage_beside_the_last_text_leaves_the_text() -> None:
    stream = passed(OPENAI, call(STREAM), [delta("a"), delta("b", "stop", usage=USED), DONE])
    assert [event["choices"][0]["delta"]["content"] for event in events(stream.output)[:2]] == ["a", "b"]
    assert b"usage" not in stream.output
    assert stream.decoder.reading.usage == Usage(input=3, output=2)


def test_running_totals_count_once() -> None:
    totals = [delta(usage={"prompt_tokens": 3, "completion_tokens": n, "total_tokens": 3 + n}) for n in (1, 2, 3)]
    stream = passed(OPENAI, call(ASKING), [*totals, DONE])
    assert stream.decoder.reading.usage == Usage(input=3, output=3)
    assert [event["usage"]["cost"] for event in events(stream.output)[:3]] == [4, 5, 6]


@pytest.mark.parametrize(
    "text",
    [
        '"usage":null',
        ',"usage":null',
        '"finish_reason":"stop"',
        '"error":{}',
        "[DONE]",
        "data: [DONE]",
        '"error"',
        "}\n\n",
    ],
)
def test_text_that_looks_like_the_protocol_is_text(text: str) -> None:
    stream = passed(OPENAI, call(STREAM), [delta("a"), delta(text), delta("", "stop"), DONE])
    assert events(stream.output)[1]["choices"][0]["delta"]["content"] == text
    assert stream.decoder.finished
    assert stream.decoder.failure is None


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_comments_and_lines_of_data_as_the_standard_has_them(line_end: str) -> None:
    lines = [
        "\ufeff: a comment",
        "",
        "id: 7",
        'data: {"id":"c1","choices":[{"index":0,',
        'data: "delta":{"content":"a"},"finish_reason":',
        'data: "length"}],',
        'data: "usage":null}',
        "",
        "data:[DONE]",
        "",
        "",
    ]
    stream = passed(OPENAI, call(STREAM), [line_end.join(lines).encode()])
    assert stream.decoder.finished
    assert stream.decoder.reading.finish_reason == "length"
    assert b"usage" not in stream.output
    first, done = events(stream.output.removeprefix(b": a comment\n\n"))
    assert first["choices"][0]["delta"] == {"content": "a"}
    assert b"id: 7\n" in stream.output
    assert done == "[DONE]"


def test_nothing_is_passed_on_after_the_end() -> None:
    assert passed(OPENAI, call(STREAM), [delta(), DONE + delta("late"), delta("later")]).output == delta() + DONE


# ── A stream that goes wrong


def test_comments_alone_are_no_beginning() -> None:
    decoder = OPENAI.decode_stream(call(STREAM), annotate)
    assert decoder.feed(b": PROCESSING\n\n") == b": PROCESSING\n\n"
    assert not decoder.started
    decoder.feed(delta())
    assert decoder.started


def test_an_error_as_the_first_event_comes_before_the_beginning() -> None:
    decoder = OPENAI.decode_stream(call(STREAM), annotate)
    assert decoder.feed(b'data: {"error":{"message":"Overloaded","code":529}}\n\n') == b""
    assert not decoder.started
    assert isinstance(decoder.failure, ProviderOverloaded)


def test_an_error_event_ends_the_stream_and_is_not_passed_on() -> None:
    error = b'data: {"error":{"message":"it broke","type":"server_error"}}\n\n'
    stream = passed(OPENAI, call(STREAM), [delta(), error, delta("late"), DONE])
    assert stream.output == delta()
    assert isinstance(stream.decoder.failure, ProviderError)
    assert stream.decoder.failure.message == "it broke"


@pytest.mark.parametrize(
    "broken", [b'data: {"id":"c1","cho\n\n', b"data: <html>\n\n", b"data: 7\n\n", b"data: null\n\n"]
)
def test_an_event_that_is_no_json_ends_the_stream(broken: bytes) -> None:
    stream = passed(OPENAI, call(STREAM), [delta(), broken, delta("late")])
    assert stream.output == delta()
    assert isinstance(stream.decoder.failure, ProviderInvalidResponse)


@pytest.mark.parametrize("orderly", [True, False])
@pytest.mark.parametrize("tail", [b"", b'data: {"id":"c1","choices":[{"ind', b"data: "])
def test_a_stream_that_stops_early_is_broken(orderly: bool, tail: bytes) -> None:
    stream = passed(OPENAI, call(STREAM), [delta(), tail], orderly=orderly)
    assert stream.output == delta()
    assert isinstance(stream.decoder.failure, ProviderStreamBroken)


def test_a_connection_that_breaks_is_broken_even_after_a_finish_reason() -> None:
    stream = passed(OPENAI, call(STREAM), [delta("", "stop")], orderly=False)
    assert isinstance(stream.decoder.failure, ProviderStreamBroken)


def test_a_provider_that_never_says_done_is_helped_out() -> None:
    stream = passed(OPENAI, call(STREAM), [delta("a"), delta("", "stop")])
    assert stream.output.endswith(DONE)
    assert stream.decoder.finished


def test_a_last_event_without_its_blank_line_counts() -> None:
    stream = passed(OPENAI, call(STREAM), [delta("a", "stop"), b"data: [DONE]\n"])
    assert stream.output == delta("a", "stop") + DONE
    assert stream.decoder.finished


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ownkey.providers.sse.MAX_EVENT_BYTES", 1000)
    decoder = OPENAI.decode_stream(call(STREAM), annotate)
    for _ in range(20):
        decoder.feed(b"x" * 100)
    assert isinstance(decoder.failure, ProviderInvalidResponse)


def test_what_was_generated_can_be_estimated() -> None:
    words = [delta(f" word{n}") for n in range(50)]
    stream = passed(OPENAI, call(STREAM), words)
    assert 50 <= stream.decoder.estimated_output_tokens() <= 150


def test_an_estimate_reaches_beyond_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [delta(f" word{n:04}") for n in range(400)]
    all_of_it = passed(OPENAI, call(STREAM), words).decoder.estimated_output_tokens()
    monkeypatch.setattr("ownkey.providers.passthrough._KEPT_BYTES", 5_000)
    some_of_it = passed(OPENAI, call(STREAM), words).decoder.estimated_output_tokens()
    assert some_of_it == pytest.approx(all_of_it, rel=0.02)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": "12", "completion_tokens": 3},
        {"prompt_tokens": 12, "completion_tokens": True},
        {"prompt_tokens": 10**15, "completion_tokens": 3},
        {"total_tokens": 9},
    ],
)
def test_usage_that_cannot_be_leaned_on_is_none_so_that_the_answer_is_estimated(usage: dict[str, Any]) -> None:
    body = json.dumps({"id": "x", "choices": [], "usage": usage}).encode()
    assert OPENAI.decode_whole(call(CHAT), body, annotate).reading.usage is None


class TestByAnothersCredential:
    def test_a_file_that_is_stored_with_it_is_not_the_clients_to_name(self) -> None:
        part = {"type": "file", "file": {"file_id": "file-1"}}
        body = {**CHAT, "messages": [{"role": "user", "content": [part]}]}
        assert OPENAI.encode_request(call(body)).body == json.dumps(body).encode()
        with pytest.raises(UnsupportedParameter):
            OPENAI.encode_request(replace(call(body), own=False))

    def test_nothing_is_stored_with_it(self) -> None:
        encoded = OPENAI.encode_request(replace(call({**CHAT, "store": True}), own=False))
        assert (json.loads(encoded.body), encoded.dropped) == (CHAT, ("store",))

    def test_all_else_is_untouched(self) -> None:
        body = {**CHAT, "messages": [{"role": "user", "content": 'a "file_id"'}, None, {"content": [None]}]}
        assert OPENAI.encode_request(replace(call(body), own=False)).body == json.dumps(body).encode()
