"""The simulated token endpoints: the vendors' own SDKs get tokens there, and nobody else does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import anthropic
import httpx
import jwt
import openai
import pytest
from anthropic.lib.credentials import WorkloadIdentityCredentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from openai.auth import WorkloadIdentityAuth

from local.aws import AwsServer, start_aws
from local.aws.sts import ISSUER, JWKS_PATH, caller_arn
from local.simulator import Simulator, start_simulator
from local.simulator.token_endpoints import JWT_BEARER, TOKEN_EXCHANGE, FederationRule
from tests.local.aws_clients import Aws

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"
ORGANIZATION = "3f1c9d2e-7b4a-4c6d-9e8f-0a1b2c3d4e5f"
EMAIL = "vertex@example-project.iam.gserviceaccount.com"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with start_aws() as server:
        yield server


@pytest.fixture
async def simulator(aws: AwsServer) -> AsyncIterator[Simulator]:
    async with await start_simulator() as running:
        rule = FederationRule(
            provider="openai",
            id="idp_1",
            issuer=ISSUER,
            jwks_url=aws.endpoint_url + JWKS_PATH,
            audience=OPENAI,
            service_account_id="svc_1",
            subject=caller_arn("AKIA*"),
            tags={"ownkey_account": "acc_1"},
        )
        running.tokens.trust(rule)
        mine = {"provider": "anthropic", "id": "fdrl_1", "audience": ANTHROPIC, "service_account_id": "svac_1"}
        running.tokens.trust(replace(rule, **mine, organization_id=ORGANIZATION))
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=False, base_url=simulator.origin, timeout=5) as raw:
        yield raw


def identity(aws: AwsServer, audience: str, account: str = "acc_1", **more: Any) -> str:
    asked = {"SigningAlgorithm": "RS256", "Tags": [{"Key": "ownkey_account", "Value": account}], **more}
    sts = Aws(aws.endpoint_url).client("sts")
    return str(sts.get_web_identity_token(Audience=[audience], **asked)["WebIdentityToken"])


async def of_openai(http: httpx.AsyncClient, token: str, **change: str) -> httpx.Response:
    asked = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "identity_provider_id": "idp_1",
        "service_account_id": "svc_1",
    }
    return await http.post("/openai/v1/auth.openai.com/oauth/token", json=asked | change)


async def of_anthropic(http: httpx.AsyncClient, token: str, **change: str) -> httpx.Response:
    asked = {
        "grant_type": JWT_BEARER,
        "assertion": token,
        "federation_rule_id": "fdrl_1",
        "organization_id": ORGANIZATION,
    }
    betas = {"anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01"}
    path = "/anthropic/v1/api.anthropic.com/v1/oauth/token"
    return await http.post(path, json=asked | change, headers=betas)


def refused(response: httpx.Response, error: str = "invalid_grant") -> str:
    assert response.status_code in (400, 401), response.text
    assert response.json()["error"] == error
    return str(response.json()["error_description"])


# ── The vendors' own SDKs


async def test_openais_sdk_gets_a_token_and_an_answer(aws: AwsServer, simulator: Simulator) -> None:
    auth = WorkloadIdentityAuth(
        workload_identity={
            "identity_provider_id": "idp_1",
            "service_account_id": "svc_1",
            "provider": {"token_type": "jwt", "get_token": lambda: identity(aws, OPENAI)},
        },
        token_exchange_url=simulator.base_url("openai") + "/auth.openai.com/oauth/token",
    )
    token = await auth.get_token_async()
    with openai.OpenAI(api_key=token, base_url=simulator.base_url("openai"), max_retries=0) as client:
        answer = await asyncio.to_thread(lambda: client.chat.completions.create(**CHAT))  # type: ignore[call-overload]
    assert answer.choices[0].message.content == "You said: hello"


async def test_anthropics_sdk_gets_a_token_and_an_answer(aws: AwsServer, simulator: Simulator) -> None:
    def ask() -> str:
        credentials = WorkloadIdentityCredentials(
            identity_token_provider=lambda: identity(aws, ANTHROPIC),
            federation_rule_id="fdrl_1",
            organization_id=ORGANIZATION,
        )
        credentials.bind_base_url(simulator.base_url("anthropic") + "/api.anthropic.com")
        token = credentials().token
        credentials.close()
        # As the SDK's `AccessTokenAuth` presents it.
        headers = {"anthropic-beta": "oauth-2025-04-20"}
        base_url = f"{simulator.origin}/anthropic"
        said = [{"role": "user", "content": "hello"}]
        with anthropic.Anthropic(auth_token=token, base_url=base_url, default_headers=headers) as client:
            answer = client.messages.create(model="claude-opus-5", max_tokens=9, messages=said)  # type: ignore[arg-type]
        return str(answer.content[0].text)  # type: ignore[union-attr]

    assert (await asyncio.to_thread(ask)).startswith("You said")


# ── Refusals


async def test_a_token_of_another_account_is_refused(aws: AwsServer, http: httpx.AsyncClient) -> None:
    assert "claims" in refused(await of_openai(http, identity(aws, OPENAI, "acc_2")))
    assert "claims" in refused(await of_anthropic(http, identity(aws, ANTHROPIC, "acc_2")))


async def test_a_token_for_another_audience_is_refused(aws: AwsServer, http: httpx.AsyncClient) -> None:
    assert "udience" in refused(await of_openai(http, identity(aws, ANTHROPIC)))
    assert "udience" in refused(await of_anthropic(http, identity(aws, OPENAI)))


async def test_a_token_that_someone_else_signed_is_refused(aws: AwsServer, http: httpx.AsyncClient) -> None:
    genuine = identity(aws, OPENAI)
    claims = jwt.decode(genuine, options={"verify_signature": False})
    key_id = jwt.get_unverified_header(genuine)["kid"]
    forged = jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", {"kid": key_id})
    assert "signature" in refused(await of_openai(http, forged))
    assert "no such key" in refused(await of_openai(http, jwt.encode(claims, "k" * 40, "HS256", {"kid": "other"})))
    unsigned = jwt.encode(claims, None, "none", {"kid": key_id})
    refused(await of_openai(http, unsigned))
    assert "no JWT" in refused(await of_openai(http, "no token"), "invalid_request")


async def test_an_expired_token_is_refused(aws: AwsServer, simulator: Simulator, http: httpx.AsyncClient) -> None:
    token = identity(aws, OPENAI, DurationSeconds=60)
    simulator.keys.clock = lambda: time.time() + 61
    assert "expired" in refused(await of_openai(http, token))


async def test_another_subject_rule_or_service_account_is_refused(
    aws: AwsServer, simulator: Simulator, http: httpx.AsyncClient
) -> None:
    assert "no such rule" in refused(await of_openai(http, identity(aws, OPENAI), identity_provider_id="idp_2"))
    refused(await of_openai(http, identity(aws, OPENAI), service_account_id="svc_2"))
    refused(await of_anthropic(http, identity(aws, ANTHROPIC), organization_id="another"))
    refused(await of_anthropic(http, identity(aws, ANTHROPIC), service_account_id="svac_2"))
    jwks = aws.endpoint_url + JWKS_PATH
    simulator.tokens.trust(FederationRule("openai", "idp_1", ISSUER, jwks, OPENAI, "svc_1", subject="arn:another"))
    assert "subject" in refused(await of_openai(http, identity(aws, OPENAI)))


async def test_an_identity_token_is_taken_once_by_anthropic(aws: AwsServer, http: httpx.AsyncClient) -> None:
    token = identity(aws, ANTHROPIC)
    assert (await of_anthropic(http, token)).status_code == 200
    assert "used before" in refused(await of_anthropic(http, token))


async def test_the_grant_must_be_named_and_anthropics_betas_too(aws: AwsServer, http: httpx.AsyncClient) -> None:
    refused(await of_openai(http, identity(aws, OPENAI), grant_type="password"), "unsupported_grant_type")
    plain = await http.post("/anthropic/v1/api.anthropic.com/v1/oauth/token", json={"grant_type": JWT_BEARER})
    refused(plain, "unsupported_grant_type")
    refused(await http.post("/openai/v1/auth.openai.com/oauth/token", content=b"[]"), "invalid_request")


# ── Tokens and their lives


async def test_a_token_lives_no_longer_than_its_proof_and_is_refused_after(
    aws: AwsServer, simulator: Simulator, http: httpx.AsyncClient
) -> None:
    given = (await of_openai(http, identity(aws, OPENAI, DurationSeconds=900))).json()
    assert 890 < given["expires_in"] <= 900
    bearer = {"authorization": f"Bearer {given['access_token']}"}
    assert (await http.post("/openai/v1/chat/completions", json=CHAT, headers=bearer)).status_code == 200
    simulator.keys.clock = lambda: time.time() + 901
    assert (await http.post("/openai/v1/chat/completions", json=CHAT, headers=bearer)).status_code == 401


async def test_anthropics_tokens_live_at_most_twice_as_long_as_their_proof(
    aws: AwsServer, http: httpx.AsyncClient
) -> None:
    given = (await of_anthropic(http, identity(aws, ANTHROPIC, DurationSeconds=900))).json()
    assert 1780 < given["expires_in"] <= 1800


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer {token}", "anthropic-beta": "oauth-2025-04-20"}, 200),
        ({"authorization": "Bearer {token}", "anthropic-beta": "files-api, oauth-2025-04-20"}, 200),
        ({"authorization": "Bearer {token}"}, 401),
        ({"x-api-key": "{token}", "anthropic-beta": "oauth-2025-04-20"}, 401),
    ],
)
async def test_anthropic_takes_its_tokens_as_a_bearer_with_the_beta_alone(
    aws: AwsServer, http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    token = (await of_anthropic(http, identity(aws, ANTHROPIC))).json()["access_token"]
    sent = {name: value.format(token=token) for name, value in headers.items()}
    answer = await http.get("/anthropic/v1/models", headers={"anthropic-version": "2023-06-01", **sent})
    assert answer.status_code == status


# ── Google


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public(key: rsa.RSAPrivateKey) -> str:
    subject = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, subject).decode()


async def of_google(http: httpx.AsyncClient, key: Any, **change: Any) -> httpx.Response:
    now = int(time.time())
    claims = {
        "iss": EMAIL,
        "sub": EMAIL,
        "aud": "https://oauth2.googleapis.com/token",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "iat": now,
        "exp": now + 3600,
    }
    form = {"grant_type": JWT_BEARER, "assertion": jwt.encode(claims | change, key, "RS256")}
    return await http.post("/vertex/v1/oauth2.googleapis.com/token", data=form)


async def test_a_service_account_gets_a_token_for_its_own_signature(
    simulator: Simulator, http: httpx.AsyncClient, key: rsa.RSAPrivateKey
) -> None:
    assert "not found" in refused(await of_google(http, key))
    simulator.tokens.trust_service_account(EMAIL, public(key))
    given = (await of_google(http, key)).json()
    assert (given["expires_in"], given["token_type"]) == (3599, "Bearer")
    bearer = {"authorization": f"Bearer {given['access_token']}"}
    assert (await http.get("/vertex/v1/models", headers=bearer)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://evil.example/token"},
        {"exp": int(time.time()) - 5},
        {"exp": int(time.time()) + 7200},
        {"scope": ""},
    ],
)
async def test_an_assertion_that_is_not_for_google_or_not_for_now_is_refused(
    simulator: Simulator, http: httpx.AsyncClient, key: rsa.RSAPrivateKey, wrong: dict[str, Any]
) -> None:
    simulator.tokens.trust_service_account(EMAIL, public(key))
    refused(await of_google(http, key, **wrong))


async def test_an_assertion_by_another_key_is_refused(simulator: Simulator, http: httpx.AsyncClient) -> None:
    simulator.tokens.trust_service_account(EMAIL, public(rsa.generate_private_key(65537, 2048)))
    assert refused(await of_google(http, rsa.generate_private_key(65537, 2048))) == "Invalid JWT Signature."


# ── Steering


async def test_rules_and_service_accounts_are_set_up_over_the_admin_api_and_end_with_a_reset(
    aws: AwsServer, simulator: Simulator, http: httpx.AsyncClient
) -> None:
    rule = {
        "provider": "openai",
        "id": "idp_9",
        "issuer": ISSUER,
        "jwks_url": aws.endpoint_url + JWKS_PATH,
        "audience": OPENAI,
        "service_account_id": "svc_1",
    }
    assert (await http.post("/_sim/federation-rules", json=rule)).status_code == 201
    assert (await http.post("/_sim/federation-rules", json={"provider": "openai"})).status_code == 400
    account = {"email": EMAIL, "public_key": "pem"}
    assert (await http.post("/_sim/service-accounts", json=account)).status_code == 201
    assert (await of_openai(http, identity(aws, OPENAI, "anyone"), identity_provider_id="idp_9")).status_code == 200
    assert (await http.get("/_sim/exchanges")).json()["exchanges"] == [
        {"provider": "openai", "granted": True, "reason": None}
    ]
    simulator.reset()
    assert "no such rule" in refused(await of_openai(http, identity(aws, OPENAI), identity_provider_id="idp_9"))
