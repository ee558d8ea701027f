"""What is asked of token endpoints: beside what the vendors' own SDKs ask with the same facts."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import httpx2
import jwt
import openai.auth._workload as openai_workload
import pytest
from anthropic.lib.credentials import WorkloadIdentityCredentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ownkey.catalog import Catalog, Scheme
from ownkey.domain.errors import CredentialsExhausted
from ownkey.domain.secrets import Secret
from ownkey.providers.exchanges import EXCHANGES, Grant, TokenRequest

IDENTITY = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhcm4ifQ.c2lnbmF0dXJl"
NOW_S = 1_795_000_000.0
OPENAI = {"identity_provider_id": "idp_1", "service_account_id": "svc_1", "audience": "https://api.openai.com/v1"}
ANTHROPIC = {
    "federation_rule_id": "fdrl_01J8ZQ2M9K",
    "organization_id": "3f1c9d2e-7b4a-4c6d-9e8f-0a1b2c3d4e5f",
    "audience": "https://api.anthropic.com",
}
OPTIONAL = {"service_account_id": "svac_01J8ZQ2M9K", "workspace_id": "wrkspc_01J8ZQ2M9K"}


def form_of(scheme: Scheme) -> Any:
    """The form of this scheme in the catalog."""
    return next(form for provider in Catalog.load().providers for form in provider.forms if form.scheme is scheme)


def asked(scheme: Scheme, public: dict[str, str], secret: dict[str, Secret] | None = None) -> TokenRequest:
    exchange = EXCHANGES[scheme]
    identity = Secret(IDENTITY) if exchange.proves_identity else None
    return exchange.encode(Grant(form_of(scheme).token_url, public, secret or {}, identity, NOW_S))


class Captured:
    """An SDK's HTTP, that keeps what it was given and answers with a token."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.client = httpx2.Client(transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(200, json={"access_token": "t", "token_type": "Bearer", "expires_in": 600})


def test_openai_is_asked_as_its_sdk_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    captured = Captured()
    monkeypatch.setattr(openai_workload, "DefaultHttpx2Client", lambda **_: captured.client)
    provider = {"token_type": "jwt", "get_token": lambda: IDENTITY}
    identity = {"identity_provider_id": "idp_1", "service_account_id": "svc_1", "provider": provider}
    openai_workload.WorkloadIdentityAuth(workload_identity=identity).get_token()  # type: ignore[arg-type]
    (theirs,) = captured.requests
    ours = asked(Scheme.OPENAI_WORKLOAD_IDENTITY, OPENAI)
    assert ours.url == str(theirs.url)
    assert json.loads(ours.body) == json.loads(theirs.content)
    assert ours.headers["content-type"] == theirs.headers["content-type"]


@pytest.mark.parametrize("optional", [{}, OPTIONAL, {"workspace_id": "default"}])
def test_anthropic_is_asked_as_its_sdk_asks(optional: dict[str, str]) -> None:
    captured = Captured()
    facts = {name: ANTHROPIC[name] for name in ("federation_rule_id", "organization_id")} | optional
    WorkloadIdentityCredentials(identity_token_provider=lambda: IDENTITY, http_client=captured.client, **facts)()
    (theirs,) = captured.requests
    ours = asked(Scheme.ANTHROPIC_WORKLOAD_IDENTITY, ANTHROPIC | optional)
    assert ours.url == str(theirs.url)
    assert json.loads(ours.body) == json.loads(theirs.content)
    for name in ("content-type", "anthropic-beta"):
        assert ours.headers[name] == theirs.headers[name]


def test_google_is_asked_with_an_assertion_the_service_accounts_key_signed() -> None:
    key = rsa.generate_private_key(65537, 2048)
    email = "vertex@example-project.iam.gserviceaccount.com"
    secret = {"private_key": Secret(pem(key)), "private_key_id": Secret("9f8e7d")}
    ours = asked(Scheme.GOOGLE_SERVICE_ACCOUNT, {"client_email": email, "project_id": "example-project"}, secret)
    assert ours.url == "https://oauth2.googleapis.com/token"
    assert ours.headers["content-type"] == "application/x-www-form-urlencoded"
    form = {name: value for name, (value,) in parse_qs(ours.body.decode()).items()}
    assert form.keys() == {"grant_type", "assertion"}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert jwt.get_unverified_header(form["assertion"]) == {"alg": "RS256", "typ": "JWT", "kid": "9f8e7d"}
    claims = jwt.decode(
        form["assertion"],
        key.public_key(),
        ["RS256"],
        audience="https://oauth2.googleapis.com/token",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert (claims["iss"], claims["sub"]) == (email, email)
    assert (claims["iat"], claims["exp"]) == (NOW_S, NOW_S + 3600)
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"


def test_no_credential_says_where_its_proof_goes() -> None:
    for scheme, exchange in EXCHANGES.items():
        hostile = {"token_uri": "https://evil.example/token", "token_url": "https://evil.example/token"}
        public = OPENAI | ANTHROPIC | {"client_email": "a@b.iam.gserviceaccount.com"} | hostile
        secret = {"private_key": Secret(pem(rsa.generate_private_key(65537, 2048)))}
        request = asked(scheme, public, secret | {name: Secret(url) for name, url in hostile.items()})
        assert request.url == form_of(scheme).token_url
        assert b"evil" not in request.body
        assert exchange.vendor in ("OpenAI", "Anthropic", "Google")


@pytest.mark.parametrize("bad", ["", "no key at all", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"])
def test_a_private_key_that_cannot_be_read_is_the_credentials_fault(bad: str) -> None:
    with pytest.raises(CredentialsExhausted) as caught:
        asked(Scheme.GOOGLE_SERVICE_ACCOUNT, {"client_email": "a@b"}, {"private_key": Secret(bad)})
    assert "cannot be read" in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_request_does_not_print_its_proof() -> None:
    assert IDENTITY not in repr(asked(Scheme.OPENAI_WORKLOAD_IDENTITY, OPENAI))


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
