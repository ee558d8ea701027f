"""What token endpoints answer: the token and its life, or a designed failure in the vendor's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ownkey.domain.errors import (
    CredentialsExhausted,
    ProviderError,
    ProviderInvalidResponse,
    ProviderOverloaded,
    ProviderRateLimited,
)
from ownkey.domain.scrub import register, unregister
from ownkey.providers.exchanges import read_token

# As the vendors' SDKs read them (openai-python 3.52, anthropic-sdk-python 2.11, google-auth).
TOKENS = [
    {"access_token": "oai-token", "issued_token_type": "urn:x", "token_type": "Bearer", "expires_in": 900},
    {"access_token": "sk-ant-oat01-AbC_d-1", "expires_in": 1800},
    {"access_token": "ya29.c.b0Aaekm1K~x+y/z==", "expires_in": 3599, "token_type": "bearer"},
]


def read(status: int, body: Any, headers: dict[str, str] | None = None) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_token("OpenAI", status, headers or {}, raw)


@pytest.mark.parametrize("members", TOKENS)
def test_a_token_and_its_life_are_read(members: dict[str, Any]) -> None:
    got = read(200, members)
    assert (got.token.reveal(), got.lifetime_s) == (members["access_token"], members["expires_in"])
    assert members["access_token"] not in repr(got)


def test_no_token_lives_longer_than_a_day() -> None:
    assert read(200, {"access_token": "t", "expires_in": 10**9}).lifetime_s == 86_400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>It works</html>",
        b"[1]",
        {},
        {"access_token": "t"},
        {"access_token": "", "expires_in": 900},
        {"access_token": "two words", "expires_in": 900},
        {"access_token": "t\r\nx-evil: 1", "expires_in": 900},
        {"access_token": 7, "expires_in": 900},
        {"access_token": "t", "expires_in": 0},
        {"access_token": "t", "expires_in": -5},
        {"access_token": "t", "expires_in": True},
        {"access_token": "t", "expires_in": "900"},
        {"access_token": "t", "expires_in": 900, "token_type": "mac"},
        {"access_token": "t", "expires_in": 900, "token_type": None},
        b'{"access_token": "t", "expires_in": NaN}',
        b'{"access_token": "t", "expires_in": Infinity}',
    ],
)
def test_an_answer_without_a_token_that_can_be_used_is_no_answer(body: Any) -> None:
    with pytest.raises(ProviderInvalidResponse):
        read(200, body)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, "invalid_grant: Invalid JWT"),
        (401, {"error": "invalid_grant"}, "refused: invalid_grant"),
        (401, {"type": "error", "error": {"type": "authentication_error", "message": "No such rule"}}, "No such rule"),
        (403, {"error": {"message": "Country not supported", "code": "region"}}, "Country not supported"),
        (404, b"Not Found", "Not Found"),
        (422, {}, "422"),
    ],
)
def test_a_refusal_is_the_credentials_in_the_vendors_words(status: int, body: Any, said: str) -> None:
    with pytest.raises(CredentialsExhausted) as caught:
        read(status, body)
    assert caught.value.message.startswith("OpenAI's token endpoint refused: ")
    assert said in caught.value.message
    assert caught.value.details["provider_status"] == status


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, ProviderRateLimited), (500, ProviderError), (502, ProviderError), (503, ProviderOverloaded)],
)
def test_a_failing_endpoint_says_nothing_of_the_credential(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(status, {"error": "temporarily_unavailable"}, {"retry-after": "3"})


def test_a_redirect_is_not_followed_and_is_no_answer() -> None:
    with pytest.raises(ProviderInvalidResponse):
        read(302, b"", {"location": "https://evil.example"})


def test_what_a_careless_endpoint_repeats_of_the_proof_is_cut_out() -> None:
    identity = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhcm46YXdzIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
    secret = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj"
    register(secret)
    try:
        with pytest.raises(CredentialsExhausted) as caught:
            read(400, {"error": "invalid_grant", "error_description": f"bad assertion {identity} signed by {secret}"})
    finally:
        unregister(secret)
    assert "bad assertion" in caught.value.message
    for gone in (identity, identity.split(".")[1], secret):
        assert gone not in caught.value.message


def test_a_long_or_unprintable_answer_becomes_a_short_line() -> None:
    with pytest.raises(CredentialsExhausted) as caught:
        read(400, {"error": "invalid_grant", "error_description": "x\n\x00" * 5_000})
    assert len(caught.value.message) < 600
    assert caught.value.message.isprintable()
