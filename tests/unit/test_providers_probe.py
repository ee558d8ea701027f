"""Validating a key: one call, and what its answer says of the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ownkey.catalog import Form, Provider, Scheme, Verdict, read_form
from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.domain.secrets import Secret
from ownkey.providers import ProbeRequest, key_probe, read_probe
from tests.support.providers import CATALOG

KEY = Secret("sk-sim-0123456789abcdefghij")
NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
GOLDEN = Path(__file__).parent.parent / "contract" / "fixtures" / "probes"


def probe_of(
    provider: str, base_url: str | None = None, headers: Mapping[str, str] | None = None, form: str = "key"
) -> ProbeRequest:
    row = CATALOG.provider(provider)
    return key_probe(row, row.form(form), base_url, {}, {"key": KEY}, headers or {}, NOW)


def test_the_call_is_the_rows_with_the_key_in_its_header() -> None:
    probe = probe_of("openai", headers={"organization": "org-1"})
    assert (probe.method, probe.url, probe.body) == ("GET", "https://api.openai.com/v1/models", b"")
    assert probe.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert probe.headers["openai-organization"] == "org-1"
    assert KEY.reveal() not in repr(probe)


def test_a_key_for_another_base_url_is_sent_there_alone() -> None:
    probe = probe_of("anthropic", "https://proxy.example/v1")
    assert probe.url == "https://proxy.example/v1/models?limit=1"
    assert probe.headers["x-api-key"] == KEY.reveal()
    assert probe.headers["anthropic-version"] == "2023-06-01"


def test_a_provider_without_a_base_url_needs_one() -> None:
    with pytest.raises(ValueError, match="base URL"):
        probe_of("openai-compatible")


SECRETS = {
    "key": KEY,
    "access_key_id": Secret("AKIAIOSFODNN7EXAMPLE"),
    "secret_access_key": Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "session_token": Secret("IQoJb3JpZ2luX2VjEXAMPLE"),
}
FORMS = [(provider, form) for provider in CATALOG.providers for form in provider.forms]


@pytest.mark.parametrize(("provider", "form"), FORMS, ids=[f"{provider.id}-{form.id}" for provider, form in FORMS])
def test_every_form_makes_a_call_that_keeps_its_secret_in_one_header(provider: Provider, form: Form) -> None:
    public = {each.name: each.example or "" for each in form.fields if not each.secret}
    public |= {"host": "acme.openai.azure.com"} if "host" in public else {}
    base_url = provider.address(form, public) or "https://llm.example/v1"
    presented = ("access_key_id", "secret_access_key", "session_token") if form.scheme.signs else ("key",)
    fields = {name: SECRETS[name] for name in presented}
    probe = key_probe(provider, form, base_url, public, fields, {}, NOW)
    assert probe.url.startswith("https://")
    assert "{" not in probe.url
    shown = {name: [header for header, value in probe.headers.items() if name in value] for name in text_of(fields)}
    if form.scheme.signs:
        assert list(shown.values()) == [["authorization"], [], ["x-amz-security-token"]]
    else:
        assert shown == {KEY.reveal(): [form.auth.header.lower()]}
    assert not [text for text in text_of(fields) if text in probe.url or text in repr(probe) or text in str(probe.body)]


def text_of(fields: Mapping[str, Secret]) -> list[str]:
    return [secret.reveal() for secret in fields.values()]


def test_public_fields_of_another_address_are_refused() -> None:
    row = CATALOG.provider("bedrock")
    sealed_for = "https://bedrock-runtime.us-east-1.amazonaws.com"
    with pytest.raises(UnsafeBaseUrl):
        key_probe(row, row.form("api_key"), sealed_for, {"region": "eu-west-1"}, SECRETS, {}, NOW)


BODIES: dict[str, dict[str, Any]] = {
    "azure-key": {
        "azure_endpoint": "https://your-resource.openai.azure.com",
        "azure_api_key": "your-azure-key-0123456789",
        "azure_deployment": "gpt-5-4",
    },
    "bedrock-access_key": {
        "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_region": "us-east-1",
    },
    "bedrock-session": {
        "aws_credentials": {
            "access_key_id": "ASIAIOSFODNN7EXAMPLE",
            "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "session_token": "IQoJb3JpZ2luX2VjEXAMPLE",
            "region": "us-east-1",
        }
    },
    "bedrock-api_key": {"key": "ABSKexample0123456789", "aws_region": "us-east-1"},
    "vertex-service_account": {
        "vertex_service_account": {
            "type": "service_account",
            "project_id": "your-project",
            "private_key_id": "0123456789abcdef",
            "private_key": f"-----BEGIN PRIVATE KEY-----\n{'A' * 120}\n-----END PRIVATE KEY-----\n",
            "client_email": "your-sa@your-project.iam.gserviceaccount.com",
        }
    },
}


@pytest.mark.parametrize("name", BODIES)
def test_each_probe_is_the_request_that_was_written_down(name: str) -> None:
    """The keys are AWS's documented examples; what an exchange brings is `token`."""
    row = CATALOG.provider(name.partition("-")[0])
    given = read_form(row, BODIES[name])
    presented = given.secrets if given.form.scheme in (Scheme.HEADER, Scheme.SIGV4) else {"key": Secret("token")}
    probe = key_probe(row, given.form, given.destination, given.public, presented, {}, NOW)
    made = {"method": probe.method, "url": probe.url, "headers": dict(probe.headers), "body": probe.body.decode()}
    assert made == json.loads((GOLDEN / f"{name}.json").read_text())


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
        # 403 where others have 401: what it says of the key tells it from a permission.
        ("sarvam", 403, said("Invalid API key", code="invalid_api_key_error"), Verdict.REJECTED),
        ("groq", 403, said("Invalid API Key"), Verdict.REJECTED),
        ("minimax", 403, b"", Verdict.REJECTED),
        # Each of its refusals is a 401, and the model is looked up before the key.
        ("opencode-zen", 401, said("Invalid API key.", type="AuthError"), Verdict.REJECTED),
        ("opencode-zen", 401, said("Model is not supported", type="ModelError"), Verdict.INCONCLUSIVE),
        ("opencode-zen", 401, said("No payment method", type="CreditsError"), Verdict.LIMITED),
        ("opencode-zen", 400, said("messages: too short"), Verdict.ACCEPTED),
        ("zai", 401, said("token expired or incorrect", code="1000"), Verdict.REJECTED),
        ("zai", 429, said("Insufficient balance", code="1113"), Verdict.LIMITED),
        ("poolside", 403, said("please check the api-key you provided"), Verdict.REJECTED),
        ("poolside", 404, said("please check the model you provided"), Verdict.ACCEPTED),
        ("poolside", 400, said("Invalid request body"), Verdict.INCONCLUSIVE),  # before the key is looked at
        # A model that is no more is looked up after the key.
        ("nvidia", 410, said("gone"), Verdict.ACCEPTED),
        ("nvidia", 401, said("Unauthorized"), Verdict.REJECTED),
    ],
)
def test_verdicts(provider: str, status: int, body: bytes, verdict: Verdict) -> None:
    answer = read_probe(CATALOG.provider(provider).forms[0], status, {}, body)
    assert answer.verdict is verdict
    assert (answer.reason is None) == (verdict is Verdict.ACCEPTED)


def test_the_reason_is_the_providers_own() -> None:
    body = said("invalid x-api-key", type="authentication_error")
    answer = read_probe(CATALOG.provider("anthropic").forms[0], 401, {}, body)
    assert answer.reason == "invalid x-api-key"


def aws(code: str, message: str = "no") -> tuple[dict[str, str], bytes]:
    return {"x-amzn-errortype": f"{code}:http://internal.amazon.com/coral/"}, json.dumps({"Message": message}).encode()


NOT_AUTHORIZED = "User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:ListFoundationModels because …"


@pytest.mark.parametrize(
    ("status", "answer", "verdict"),
    [
        (403, aws("AccessDeniedException", NOT_AUTHORIZED), Verdict.LIMITED),
        (403, aws("AccessDeniedException", "Authentication failed: Please make sure …"), Verdict.REJECTED),
        (403, aws("UnrecognizedClientException"), Verdict.REJECTED),
        (403, aws("InvalidSignatureException"), Verdict.REJECTED),
        (403, aws("ExpiredTokenException"), Verdict.REJECTED),
        (429, aws("ThrottlingException"), Verdict.LIMITED),
        (500, aws("InternalServerException", NOT_AUTHORIZED), Verdict.INCONCLUSIVE),
        (503, ({}, b""), Verdict.INCONCLUSIVE),
        (200, ({}, NOT_AUTHORIZED.encode()), Verdict.ACCEPTED),
    ],
)
def test_what_aws_says_tells_a_good_key_from_a_bad_one(status: int, answer: Any, verdict: Verdict) -> None:
    headers, body = answer
    found = read_probe(CATALOG.provider("bedrock").form("access_key"), status, headers, body)
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (401, said("Access denied due to invalid subscription key", code="401"), Verdict.REJECTED),
        (403, said("Key based authentication is disabled", code="AuthenticationTypeDisabled"), Verdict.REJECTED),
        (403, said("Access denied due to Virtual Network/Firewall rules.", code="403"), Verdict.INCONCLUSIVE),
        (404, said("Resource not found", code="404"), Verdict.INCONCLUSIVE),
        (429, said("slow down", code="429"), Verdict.LIMITED),
    ],
)
def test_what_azure_says(status: int, body: bytes, verdict: Verdict) -> None:
    assert read_probe(CATALOG.provider("azure").forms[0], status, {}, body).verdict is verdict
