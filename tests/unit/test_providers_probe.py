"""Validating a key: one call, and what its answer says of the key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ownkey.catalog import Verdict
from ownkey.domain.secrets import Secret
from ownkey.providers import key_probe, read_probe
from tests.support.providers import CATALOG

KEY = Secret("sk-sim-0123456789abcdefghij")


def test_the_call_is_the_rows_with_the_key_in_its_header() -> None:
    probe = key_probe(CATALOG.provider("openai"), None, {"key": KEY}, {"organization": "org-1"})
    assert (probe.method, probe.url, probe.body) == ("GET", "https://api.openai.com/v1/models", b"")
    assert probe.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert probe.headers["openai-organization"] == "org-1"
    assert KEY.reveal() not in repr(probe)


def test_a_key_for_another_base_url_is_sent_there_alone() -> None:
    probe = key_probe(CATALOG.provider("anthropic"), "https://proxy.example/v1", {"key": KEY}, {})
    assert probe.url == "https://proxy.example/v1/models?limit=1"
    assert probe.headers["x-api-key"] == KEY.reveal()
    assert probe.headers["anthropic-version"] == "2023-06-01"


def test_a_provider_without_a_base_url_needs_one() -> None:
    with pytest.raises(ValueError, match="base URL"):
        key_probe(CATALOG.provider("openai-compatible"), None, {"key": KEY}, {})


@pytest.mark.parametrize("provider", CATALOG.providers, ids=lambda provider: provider.id)
def test_every_row_makes_a_call_that_keeps_the_key_out_of_the_url(provider) -> None:
    probe = key_probe(provider, None if provider.base_url else "https://llm.example/v1", {"key": KEY}, {})
    assert probe.url.startswith("https://")
    assert KEY.reveal() not in probe.url
    assert [name for name, value in probe.headers.items() if KEY.reveal() in value] == [provider.auth.header.lower()]


def said(message: str = "no", **members: Any) -> bytes:
    return json.dumps({"error": {"message": message} | members}).encode()


@pytest.mark.parametrize(
    ("provider", "status", "body", "verdict"),
    [
        ("openai", 200, b'{"object":"list","data":[]}', Verdict.ACCEPTED),
        ("openai", 401, said(code="invalid_api_key"), Verdict.REJECTED),
        # A restricted key without the scope for the list of models does inference all the same.
        ("openai", 403, said("Missing scopes: api.model.read", type="invalid_request_error"), Verdict.LIMITED),
        ("openai", 429, said(code="rate_limit_exceeded"), Verdict.LIMITED),
        ("openai", 429, said(code="insufficient_quota"), Verdict.LIMITED),
        ("openai", 429, b"<html>slow down</html>", Verdict.INCONCLUSIVE),
        ("openai", 500, said(type="server_error"), Verdict.INCONCLUSIVE),
        ("openai", 503, b"", Verdict.INCONCLUSIVE),
        ("openai", 302, b"", Verdict.INCONCLUSIVE),
        ("openai", 404, said(), Verdict.INCONCLUSIVE),
        ("anthropic", 200, b"{}", Verdict.ACCEPTED),
        ("anthropic", 401, said("invalid x-api-key", type="authentication_error"), Verdict.REJECTED),
        ("anthropic", 402, said(type="billing_error"), Verdict.LIMITED),
        ("anthropic", 400, said("Your credit balance is too low", type="invalid_request_error"), Verdict.LIMITED),
        ("anthropic", 529, said(type="overloaded_error"), Verdict.INCONCLUSIVE),
        ("xai", 400, said("Incorrect API key provided"), Verdict.REJECTED),
    ],
)
def test_verdicts(provider: str, status: int, body: bytes, verdict: Verdict) -> None:
    answer = read_probe(CATALOG.provider(provider), status, body)
    assert answer.verdict is verdict
    assert (answer.reason is None) == (verdict is Verdict.ACCEPTED)


def test_the_reason_is_the_providers_own() -> None:
    answer = read_probe(CATALOG.provider("anthropic"), 401, said("invalid x-api-key", type="authentication_error"))
    assert answer.reason == "invalid x-api-key"
