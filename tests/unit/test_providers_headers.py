"""Which of a provider's headers reach the client."""

from __future__ import annotations

import pytest

from ownkey.providers import forwarded_headers, upstream_request_id

SENT = {
    "Content-Type": "application/json",
    "Content-Length": "12",
    "Set-Cookie": "__cf_bm=1",
    "Server": "cloudflare",
    "X-Request-Id": "req_up",
    "X-RateLimit-Remaining-Requests": "9",
    "anthropic-ratelimit-tokens-reset": "2026-11-21T08:00:00Z",
    "openai-processing-ms": "7",
    "openai-organization": "org-1",
    "Access-Control-Allow-Origin": "*",
    "Location": "https://elsewhere.example",
}
LIMITS = {
    "x-ratelimit-remaining-requests": "9",
    "anthropic-ratelimit-tokens-reset": "2026-11-21T08:00:00Z",
    "openai-processing-ms": "7",
}


def test_limits_and_timings_go_on_and_nothing_else() -> None:
    assert forwarded_headers(SENT, owner=False) == LIMITS


def test_the_owner_of_a_key_sees_whose_it_is() -> None:
    assert forwarded_headers(SENT, owner=True) == LIMITS | {"openai-organization": "org-1"}


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({"x-request-id": "req_1"}, "req_1"),
        ({"request-id": "req_2"}, "req_2"),
        ({"x-request-id": "req_1", "request-id": "req_2"}, "req_1"),
        ({"x-amzn-requestid": "req_3"}, "req_3"),
        ({}, None),
    ],
)
def test_the_providers_own_request_id(headers: dict[str, str], request_id: str | None) -> None:
    assert upstream_request_id(headers) == request_id
