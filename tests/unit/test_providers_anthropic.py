"""Messages to a provider of the same dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ownkey.domain.errors import ProviderInvalidResponse, ProviderOverloaded, ProviderStreamBroken
from ownkey.domain.secrets import Secret
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Terms, Usage
from ownkey.providers import translator_of
from ownkey.providers.credentials import auth_headers
from tests.support.providers import MESSAGES, annotate, call, events, fixture, passed

ANTHROPIC = translator_of(Surface.MESSAGES, Dialect.ANTHROPIC)
COUNTING = translator_of(Surface.COUNT_TOKENS, Dialect.ANTHROPIC)
assert ANTHROPIC is not None
assert COUNTING is not None
STREAM = MESSAGES | {"stream": True}
SSE = fixture("anthropic", "stream.sse")


def to_anthropic(body: dict[str, Any], **options: Any) -> Any:
    return call(body, provider="anthropic", **options)


def event(**values: Any) -> bytes:
    return f"event: {values['type']}\ndata: {json.dumps(values, separators=(',', ':'))}\n\n".encode()


START = event(
    type="message_start", message={"id": "msg_1", "model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}
)
TEXT = event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})
END = event(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 7})
STOP = event(type="message_stop")
PING = event(type="ping")


def test_the_clients_version_wins_over_the_rows() -> None:
    row = ANTHROPIC.encode_request(to_anthropic(MESSAGES)).headers
    assert row["anthropic-version"] == "2023-06-01"
    client = {"anthropic-version": "2026-10-21", "anthropic-beta": "b1,b2", "authorization": "Bearer ok-gateway"}
    headers = ANTHROPIC.encode_request(to_anthropic(STREAM, client_headers=client)).headers
    assert headers == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "b1,b2",
    }


@pytest.mark.parametrize(
    ("translator", "beta", "path"),
    [
        (ANTHROPIC, False, "/messages"),
        (ANTHROPIC, True, "/messages?beta=true"),
        (COUNTING, False, "/messages/count_tokens"),
        (COUNTING, True, "/messages/count_tokens?beta=true"),
    ],
)
def test_each_surface_has_its_path(translator, beta: bool, path: str) -> None:
    assert translator.encode_request(to_anthropic(MESSAGES, beta=beta)).url == "https://api.anthropic.com/v1" + path


def test_counting_tokens_uses_none() -> None:
    whole = COUNTING.decode_whole(call(MESSAGES), b'{"input_tokens": 14}', annotate)
    assert whole.body == b'{"input_tokens": 14}'
    assert whole.reading.usage == Usage()


@pytest.mark.parametrize("body", [b'{"input_tokens":"many"}', b"{}", b"no"])
def test_what_is_no_count_is_refused(body: bytes) -> None:
    with pytest.raises(ProviderInvalidResponse):
        COUNTING.decode_whole(call(MESSAGES), body, annotate)


@pytest.mark.parametrize("body", [b'{"type":"message"}', b"[]", b'{"content":"text"}'])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ProviderInvalidResponse):
        ANTHROPIC.decode_whole(call(MESSAGES), body, annotate)


def test_a_stream_is_passed_on_unchanged_but_for_the_final_usage() -> None:
    out, original = events(passed(ANTHROPIC, to_anthropic(STREAM), [SSE]).output), events(SSE)
    (delta,) = [each for each in out if each["type"] == "message_delta"]
    for name in ("is_byok", "cost", "tier"):
        del delta["usage"][name]
    assert out == original


def test_usage_is_the_first_events_with_the_lasts_over_it() -> None:
    reading = passed(ANTHROPIC, to_anthropic(STREAM), [SSE]).decoder.reading
    assert reading.usage == Usage(
        input=12, cache_read=500, cache_write_5m=300, cache_write_1h=1700, reasoning=50, output=30
    )
    assert (reading.terms.service_tier, reading.finish_reason, reading.response_id) == ("standard", "tool_use", "msg_1")


def test_null_counts_of_the_last_event_leave_those_of_the_first() -> None:
    end = event(
        type="message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": None, "output_tokens": 7}
    )
    assert passed(ANTHROPIC, to_anthropic(STREAM), [START, end, STOP]).decoder.reading.usage == Usage(input=5, output=7)


@pytest.mark.parametrize("text", ['"usage":{}', "message_stop", "event: message_stop", '"error":{}', "event: error"])
def test_text_that_looks_like_the_protocol_is_text(text: str) -> None:
    saying = event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    stream = passed(ANTHROPIC, to_anthropic(STREAM), [START, saying, END, STOP])
    assert events(stream.output)[1]["delta"]["text"] == text
    assert stream.decoder.finished


def test_pings_are_passed_on_and_are_no_beginning() -> None:
    decoder = ANTHROPIC.decode_stream(to_anthropic(STREAM), annotate)
    assert decoder.feed(PING) == PING
    assert not decoder.started
    decoder.feed(START)
    assert decoder.started


def test_an_error_event_is_held_back_and_named() -> None:
    error = event(type="error", error={"type": "overloaded_error", "message": "Overloaded"})
    stream = passed(ANTHROPIC, to_anthropic(STREAM), [START, TEXT, error, STOP])
    assert stream.output == START + TEXT
    assert isinstance(stream.decoder.failure, ProviderOverloaded)


def test_an_error_as_the_first_event_comes_before_the_beginning() -> None:
    error = event(type="error", error={"type": "overloaded_error", "message": "Overloaded"})
    stream = passed(ANTHROPIC, to_anthropic(STREAM), [PING, error])
    assert not stream.decoder.started
    assert isinstance(stream.decoder.failure, ProviderOverloaded)


@pytest.mark.parametrize("orderly", [True, False])
def test_a_stream_that_stops_early_is_broken_and_its_usage_so_far_is_known(orderly: bool) -> None:
    stream = passed(ANTHROPIC, to_anthropic(STREAM), [START, TEXT], orderly=orderly)
    assert isinstance(stream.decoder.failure, ProviderStreamBroken)
    assert stream.decoder.reading.usage == Usage(input=5, output=1)
    assert stream.decoder.estimated_output_tokens() >= 1


def test_a_missing_last_event_is_supplied() -> None:
    stream = passed(ANTHROPIC, to_anthropic(STREAM), [START, TEXT, END])
    assert stream.output.endswith(STOP)
    assert stream.decoder.finished


def test_the_text_of_an_answer_is_all_that_was_generated() -> None:
    content = [
        {"type": "thinking", "thinking": "a", "signature": "no"},
        {"type": "text", "text": "b"},
        {"type": "tool_use", "id": "no", "input": {"city": "c"}},
    ]
    assert ANTHROPIC.text_of_answer({"content": content}) == 'ab{"city": "c"}'


def test_the_terms_that_change_a_price_are_read() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "service_tier": "batch", "inference_geo": "us", "speed": "fast"}
    body = json.dumps({"type": "message", "content": [], "usage": usage}).encode()
    assert ANTHROPIC.decode_whole(call(MESSAGES), body, annotate).reading.terms == Terms(
        "batch", ("geo:us", "speed:fast")
    )


@pytest.mark.parametrize(
    ("version", "header"),
    [
        (None, "x-api-key"),
        ("2023-06-01", "x-api-key"),
        ("2026-10-21", "authorization"),
        ("2027-01-01", "authorization"),
    ],
)
def test_a_key_is_presented_as_the_vendors_sdk_of_that_version_does(version: str | None, header: str) -> None:
    headers = {"anthropic-version": version} if version else {}
    encoded = ANTHROPIC.encode_request(to_anthropic(MESSAGES, client_headers=headers))
    (presented,) = auth_headers(encoded.auth, {"key": Secret("sk-ant-1")}).items()
    assert presented == (header, "Bearer sk-ant-1" if header == "authorization" else "sk-ant-1")
