"""What providers say instead of an answer: any shape is read, no key is repeated."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ownkey.domain.errors import (
    CredentialsExhausted,
    ProviderError,
    ProviderInvalidResponse,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
)
from ownkey.domain.faults import fault_of
from ownkey.domain.scrub import register, unregister
from ownkey.providers.failures import MAX_MESSAGE_CHARS, decode_failure, failure_in_answer, read_retry_after

KEY = "key-9f8e7d6c5b4a-canary"


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "no", "type": "t", "code": "c"}}, "no", "c"),
        ({"error": {"message": "no", "code": 1234}}, "no", "1234"),
        ({"error": "no"}, "no", None),
        ({"error": "no", "code": "c"}, "no", "c"),
        ({"message": "no", "code": "c"}, "no", "c"),
        ({"detail": "no"}, "no", None),
        ({"detail": [{"loc": ["body", "x"], "msg": "no", "type": "extra_forbidden"}]}, "no", None),
        ({"errors": [{"message": "no", "code": "c"}]}, "no", "c"),
        ([{"error": {"message": "no", "code": 400}}], "no", "400"),
        ({"error": {"code": "c"}}, "The provider answered with status 422.", "c"),
        ({"error": {}}, "The provider answered with status 422.", None),
        ({"error": None}, "The provider answered with status 422.", None),
        ({}, "The provider answered with status 422.", None),
        ([], "The provider answered with status 422.", None),
        (7, "7", None),
        ("no", '"no"', None),
    ],
)
def test_every_shape_of_an_error_is_read(body: Any, message: str, code: str | None) -> None:
    failure = decode_failure(422, {}, json.dumps(body).encode())
    assert isinstance(failure, ProviderRefused)
    assert failure.message == message
    assert failure.details.get("provider_code") == code
    assert failure.status == 422


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"upstream connect error", "upstream connect error"),
        (b"", "The provider answered with status 502."),
        (b"\xff\xfe\x00", "\ufffd\ufffd"),
        (
            b"<!DOCTYPE html><html><head><title>502 Bad\nGateway</title></head><body>x</body></html>",
            "The provider answered with a web page: 502 Bad Gateway",
        ),
        (b"<html><body>nothing</body></html>", "The provider answered with status 502."),
        (b"[" * 100_000, "[" * MAX_MESSAGE_CHARS),
    ],
)
def test_what_is_no_json_is_read_too(body: bytes, message: str) -> None:
    failure = decode_failure(502, {}, body)
    assert isinstance(failure, ProviderError)
    assert failure.message == message


@pytest.mark.parametrize(
    ("status", "error", "passed_status"),
    [
        (400, ProviderRefused, 400),
        (404, ProviderRefused, 404),
        (405, ProviderRefused, 405),
        (413, ProviderRefused, 413),
        (422, ProviderRefused, 422),
        (451, ProviderRefused, 451),
        (401, CredentialsExhausted, 502),
        (402, CredentialsExhausted, 502),
        (403, CredentialsExhausted, 502),
        (408, ProviderTimeout, 504),
        (409, ProviderError, 502),
        (429, ProviderRateLimited, 429),
        (499, ProviderError, 502),
        (500, ProviderError, 502),
        (502, ProviderError, 502),
        (503, ProviderOverloaded, 503),
        (504, ProviderTimeout, 504),
        (529, ProviderOverloaded, 503),
        (599, ProviderError, 502),
        (302, ProviderInvalidResponse, 502),
    ],
)
def test_each_status_has_its_error(status: int, error: type, passed_status: int) -> None:
    failure = decode_failure(status, {}, b'{"error":{"message":"no"}}')
    assert type(failure) is error
    assert failure.status == passed_status
    assert failure.details["provider_status"] == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}),
        (429, {"error": {"message": "You exceeded your quota", "type": "insufficient_quota"}}),
        (400, {"error": {"message": "Your credit balance is too low to access the API."}}),
        (402, {"error": {"message": "Insufficient Balance"}}),
        (429, {"error": {"message": "Your account is suspended", "type": "exceeded_current_quota_error"}}),  # Moonshot
        (400, {"error": {"message": "Access denied", "code": "Arrearage"}}),  # Alibaba
        (403, {"error": {"message": "Please pay", "code": "AccountOverdueError"}}),  # Volcengine
        (403, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}),  # Novita
        (401, {"type": "error", "error": {"type": "CreditsError", "message": "No payment method."}}),  # OpenCode Zen
        (401, {"type": "error", "error": {"type": "MonthlyLimitError", "message": "Limit reached."}}),
    ],
)
def test_an_account_without_money_is_the_keys_trouble_whatever_the_status(status: int, body: Any) -> None:
    assert isinstance(decode_failure(status, {}, json.dumps(body).encode()), CredentialsExhausted)


def test_a_model_that_is_not_there_is_not_the_keys_trouble_though_it_comes_with_401() -> None:
    body = {"type": "error", "error": {"type": "ModelError", "message": "Model gpt-99 is not supported"}}
    failure = decode_failure(401, {}, json.dumps(body).encode())
    assert isinstance(failure, ProviderRefused)
    assert (failure.status, failure.details["provider_status"]) == (404, 401)
    assert fault_of(failure) is None


@pytest.mark.parametrize("kind", ["AuthError", "authentication_error", "Invalid model_error key"])
def test_every_other_401_is_the_keys_trouble(kind: str) -> None:
    body = {"error": {"type": kind, "message": "No such model: ModelError"}}
    assert isinstance(decode_failure(401, {}, json.dumps(body).encode()), CredentialsExhausted)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error": {"message": f"Bad key {KEY}.", "code": KEY, "type": KEY, "param": KEY}}),
        json.dumps({"error": f"Bad key {KEY}."}),
        f"Bad key {KEY}",
        f"<html><title>Bad key {KEY}</title></html>",
        json.dumps({"error": {"message": "x" * 990 + KEY}}),
        json.dumps({"error": {"message": "x" * 1990 + KEY}}),
    ],
)
def test_a_key_that_the_provider_repeats_is_cut_out(body: str) -> None:
    register(KEY)
    try:
        failure = decode_failure(400, {}, body.encode())
        in_stream = failure_in_answer(json.loads(body)) if body.startswith("{") else failure
    finally:
        unregister(KEY)
    for each in (failure, in_stream):
        everything = json.dumps([each.message, each.code, each.param, each.details])
        assert not any(KEY[start : start + 8] in everything for start in range(len(KEY) - 8))


def test_messages_are_bounded_and_printable() -> None:
    failure = decode_failure(400, {}, json.dumps({"error": {"message": "a\r\nb\x00" + "c" * 10_000}}).encode())
    assert failure.message.startswith("a  b ccc")
    assert len(failure.message) <= MAX_MESSAGE_CHARS


NOW = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "20", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": "Sat, 21 Nov 2026 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 07:00:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1e9"}, 86_400.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers, lambda: NOW) == seconds


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, ProviderOverloaded),
        ({"type": "rate_limit_error", "message": "slow"}, ProviderRateLimited),
        ({"code": "rate_limit_exceeded", "message": "slow"}, ProviderRateLimited),
        ({"code": 429, "message": "slow"}, ProviderRateLimited),
        ({"code": 502, "message": "bad"}, ProviderError),
        ({"type": "authentication_error", "message": "key"}, CredentialsExhausted),
        ({"type": "invalid_request_error", "message": "bad"}, ProviderRefused),
        ({"type": "server_error", "message": "bad"}, ProviderError),
        ({"message": "bad", "code": True}, ProviderError),
        ("bad", ProviderError),
    ],
)
def test_an_error_inside_an_answer_is_classed_by_its_words(error: Any, failure: type) -> None:
    assert type(failure_in_answer({"error": error})) is failure


@pytest.mark.parametrize("message", ["Incorrect API key provided: xa***01.", "API key expired. Renew it."])
def test_a_bad_request_that_begins_with_the_key_is_about_the_key(message: str) -> None:
    failure = decode_failure(400, {}, json.dumps({"code": "invalid argument", "error": message}).encode())
    assert isinstance(failure, CredentialsExhausted)


def test_a_clients_own_words_in_a_bad_request_take_no_key_out_of_service() -> None:
    body = {"error": {"message": "Invalid value for `user`: 'invalid API key'", "type": "invalid_request_error"}}
    assert isinstance(decode_failure(400, {}, json.dumps(body).encode()), ProviderRefused)
