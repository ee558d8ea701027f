"""`TokenBroker` against an STS and token endpoints that verify what they are shown, and against ones that fail."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.aws import Controls
from local.aws.sts import ISSUER, JWKS_PATH
from local.simulator import Simulator, start_simulator
from local.simulator.token_endpoints import FederationRule
from ownkey.catalog import Catalog, Form, Provider, Scheme
from ownkey.domain.errors import (
    CredentialsExhausted,
    ProviderInvalidResponse,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnreachable,
    StoreUnavailable,
)
from ownkey.domain.scrub import scrub
from ownkey.domain.secrets import Secret
from ownkey.store.aws import AwsClient
from ownkey.store.sts import Sts
from ownkey.tokens import TokenBroker
from ownkey.upstream import Upstream, UpstreamBroken, UpstreamTimeout, UpstreamUnreachable, UrlPolicy
from tests.support.aws import boto, environ

EMAIL = "vertex@example-project.iam.gserviceaccount.com"
ORGANIZATION = "3f1c9d2e-7b4a-4c6d-9e8f-0a1b2c3d4e5f"
OPENAI = {"identity_provider_id": "idp_1", "service_account_id": "svc_1"}
ANTHROPIC = {"federation_rule_id": "fdrl_1", "organization_id": ORGANIZATION}
FUNCTION = "AKIAINFERENCE"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with await start_simulator() as running:
        yield running


@pytest.fixture
async def sts(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sts]:
    """STS as a function sees it whose role allows both calls."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", FUNCTION)
    aws = AwsClient(environ=environ(aws_endpoint))
    yield Sts(aws)
    await aws.close()


@pytest.fixture
async def upstream(simulator: Simulator) -> AsyncIterator[Upstream]:
    transport = Upstream(UrlPolicy([simulator.origin]))
    yield transport
    await transport.close()


@pytest.fixture
def broker(upstream: Upstream, sts: Sts) -> TokenBroker:
    return TokenBroker(upstream, sts)


def found(simulator: Simulator, scheme: Scheme) -> tuple[Provider, Form]:
    """The provider and form of a scheme, at the simulated vendors."""
    providers = Catalog.load().providers
    (name,) = {each.id for each in providers for form in each.forms if form.scheme is scheme}
    provider = Catalog.load({name: simulator.base_url(name)}).provider(name)
    return provider, next(form for form in provider.forms if form.scheme is scheme)


def trust(simulator: Simulator, aws_endpoint: str, scheme: Scheme, account: str | None = "acc_1") -> None:
    """What a careful customer sets up at the vendor; with `account` None, a careless one."""
    vendor = scheme.value.partition("_")[0]
    facts: dict[str, Any] = {
        "openai": {"id": "idp_1", "audience": "https://api.openai.com/v1", "service_account_id": "svc_1"},
        "anthropic": {
            "id": "fdrl_1",
            "audience": "https://api.anthropic.com",
            "service_account_id": "svac_1",
            "organization_id": ORGANIZATION,
        },
    }[vendor]
    tags = {"ownkey_account": account} if account else None
    rule = FederationRule(provider=vendor, issuer=ISSUER, jwks_url=aws_endpoint + JWKS_PATH, tags=tags, **facts)
    simulator.tokens.trust(rule)


async def present(
    broker: TokenBroker,
    found: tuple[Provider, Form],
    public: Mapping[str, str],
    secret: Mapping[str, Secret] | None = None,
    *,
    account: str = "acc_1",
    version: int = 1,
    fresh: bool = False,
) -> Mapping[str, Secret]:
    provider, form = found
    return await broker.present(provider, "cred_1", version, account, form, public, secret or {}, fresh=fresh)


KEYLESS = [(Scheme.OPENAI_WORKLOAD_IDENTITY, OPENAI), (Scheme.ANTHROPIC_WORKLOAD_IDENTITY, ANTHROPIC)]


# ── What is presented


@pytest.mark.parametrize(("name", "scheme"), [("openai", Scheme.HEADER), ("bedrock", Scheme.SIGV4)])
async def test_a_key_that_is_presented_as_it_is_costs_nothing(broker: TokenBroker, name: str, scheme: Scheme) -> None:
    provider = Catalog.load().find_provider(name)
    assert provider is not None
    form = next(form for form in provider.forms if form.scheme is scheme)
    secret = {"key": Secret("sk-sim-1")}
    assert await present(broker, (provider, form), {"region": "us-east-1"}, secret) is secret
    assert await present(broker, (provider, form), {}, secret, fresh=True) is secret


@pytest.mark.parametrize(("scheme", "public"), KEYLESS)
async def test_the_functions_identity_becomes_a_token_that_the_provider_takes(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str, scheme: Scheme, public: dict[str, str]
) -> None:
    trust(simulator, aws_endpoint, scheme)
    provider, form = found(simulator, scheme)
    fields = await present(broker, (provider, form), public)
    assert fields.keys() == {"key"}
    headers = form.auth.headers(fields["key"].reveal()) | dict(form.headers) | dict(provider.headers)
    async with httpx.AsyncClient(verify=False) as http:
        assert (await http.get(simulator.base_url(provider.id) + "/models", headers=headers)).status_code == 200


async def test_a_service_accounts_key_becomes_a_token(broker: TokenBroker, simulator: Simulator) -> None:
    key = rsa.generate_private_key(65537, 2048)
    public_key = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    simulator.tokens.trust_service_account(EMAIL, public_key.decode())
    at = found(simulator, Scheme.GOOGLE_SERVICE_ACCOUNT)
    secret = {"private_key": Secret(private_key.decode()), "private_key_id": Secret("9f8e7d")}
    fields = await present(broker, at, {"client_email": EMAIL, "project_id": "p", "location": "us"}, secret)
    assert fields["key"].reveal().startswith("ya29.")
    other = rsa.generate_private_key(65537, 2048)
    wrong = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(CredentialsExhausted, match=r"Google's token endpoint refused: .*Signature"):
        await present(broker, at, {"client_email": EMAIL}, {"private_key": Secret(wrong.decode())})


async def test_a_role_becomes_temporary_keys_under_the_accounts_external_id(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str
) -> None:
    at = found(simulator, Scheme.AWS_ROLE)
    public = {"role_arn": a_role(aws_endpoint, "ownkey:acc_1"), "region": "us-east-1"}
    fields = await present(broker, at, public)
    assert fields.keys() == {"access_key_id", "secret_access_key", "session_token"}
    with pytest.raises(CredentialsExhausted, match="AWS STS refused the role"):
        await present(broker, at, public, account="acc_2")


# ── Warm requests


@pytest.mark.parametrize(("scheme", "public"), KEYLESS)
async def test_a_warm_request_asks_neither_sts_nor_the_vendor(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str, scheme: Scheme, public: dict[str, str]
) -> None:
    trust(simulator, aws_endpoint, scheme)
    at = found(simulator, scheme)
    first = await present(broker, at, public)
    Controls(aws_endpoint).reset_calls()
    for _ in range(100):
        assert await present(broker, at, public) == first
    assert FUNCTION not in Controls(aws_endpoint).calls()["by_access_key"]
    assert len(simulator.tokens.exchanges) == 1


async def test_another_version_account_or_rule_is_another_token(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str
) -> None:
    scheme = Scheme.OPENAI_WORKLOAD_IDENTITY
    trust(simulator, aws_endpoint, scheme, account=None)
    at = found(simulator, scheme)
    tokens = [
        await present(broker, at, OPENAI),
        await present(broker, at, OPENAI, version=2),
        await present(broker, at, OPENAI, account="acc_2"),
        await present(broker, at, OPENAI | {"audience": "https://api.openai.com/v1"}),
        await present(broker, at, OPENAI, fresh=False),
    ]
    values = [each["key"].reveal() for each in tokens]
    assert len(set(values)) == 4
    assert values[0] == values[4]


async def test_a_token_the_provider_refused_is_forgotten(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str
) -> None:
    trust(simulator, aws_endpoint, Scheme.OPENAI_WORKLOAD_IDENTITY)
    at = found(simulator, Scheme.OPENAI_WORKLOAD_IDENTITY)
    first = await present(broker, at, OPENAI)
    broker.forget("acc_2", "cred_1", 1)
    assert await present(broker, at, OPENAI) == first
    broker.forget("acc_1", "cred_1", 1)
    assert await present(broker, at, OPENAI) != first


async def test_tokens_are_kept_out_of_logs_and_answers(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str
) -> None:
    trust(simulator, aws_endpoint, Scheme.OPENAI_WORKLOAD_IDENTITY)
    fields = await present(broker, found(simulator, Scheme.OPENAI_WORKLOAD_IDENTITY), OPENAI)
    keys = await present(
        broker, found(simulator, Scheme.AWS_ROLE), {"role_arn": a_role(aws_endpoint, "ownkey:acc_1"), "region": "x"}
    )
    for secret in (fields["key"], keys["secret_access_key"], keys["session_token"]):
        assert secret.reveal() not in scrub(f"provider said: {secret.reveal()} is unknown")


# ── Tenants


@pytest.mark.parametrize(("scheme", "public"), KEYLESS)
async def test_one_accounts_rule_serves_no_other_account(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str, scheme: Scheme, public: dict[str, str]
) -> None:
    trust(simulator, aws_endpoint, scheme, account="acc_1")
    at = found(simulator, scheme)
    await present(broker, at, public, account="acc_1")
    with pytest.raises(CredentialsExhausted, match="token endpoint refused"):
        await present(broker, at, public, account="acc_2")


@pytest.mark.parametrize(("scheme", "public"), KEYLESS)
async def test_a_rule_that_asks_for_no_account_does_not_pass_validation(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str, scheme: Scheme, public: dict[str, str]
) -> None:
    trust(simulator, aws_endpoint, scheme, account=None)
    at = found(simulator, scheme)
    with pytest.raises(CredentialsExhausted, match="other accounts") as caught:
        await present(broker, at, public, fresh=True)
    assert "ownkey_account" in caught.value.message
    trust(simulator, aws_endpoint, scheme, account="acc_1")
    await present(broker, at, public, fresh=True)


async def test_a_role_that_asks_for_no_external_id_does_not_pass_validation(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str
) -> None:
    at = found(simulator, Scheme.AWS_ROLE)
    with pytest.raises(CredentialsExhausted, match="other accounts"):
        await present(broker, at, {"role_arn": a_role(aws_endpoint, None), "region": "us-east-1"}, fresh=True)
    bound = {"role_arn": a_role(aws_endpoint, "ownkey:acc_1"), "region": "us-east-1"}
    await present(broker, at, bound, fresh=True)


def a_role(aws_endpoint: str, external_id: str | None) -> str:
    """A role that trusts the gateway's AWS account, under an external id if it is a careful one."""
    condition = {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {}
    principal = {"AWS": "arn:aws:iam::123456789012:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **condition}
    made = boto("iam", aws_endpoint).create_role(
        RoleName=f"ownkey-bedrock-{uuid.uuid4().hex[:8]}",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    return str(made["Role"]["Arn"])


# ── What fails


async def test_a_function_whose_role_may_not_prove_itself_says_so(
    broker: TokenBroker, simulator: Simulator, aws_endpoint: str
) -> None:
    statement = {"effect": "Allow", "actions": ["sts:GetWebIdentityToken"], "resources": ["*"]}
    Controls(aws_endpoint).set_policies({FUNCTION: [statement]})
    try:
        with pytest.raises(CredentialsExhausted, match=r"AWS STS refused the identity token \(AccessDenied\)"):
            await present(broker, found(simulator, Scheme.OPENAI_WORKLOAD_IDENTITY), OPENAI)
    finally:
        Controls(aws_endpoint).set_policies({})


class Failing:
    """A transport that answers as told."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    async def send(self, request: Any) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self

    async def __aenter__(self) -> Any:
        self.status, self.headers, self._body = self.outcome
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read(self, _: int) -> bytes:
        if isinstance(self._body, Exception):
            raise self._body
        return self._body  # type: ignore[no-any-return]


class Known:
    """STS that knows the function."""

    async def web_identity_token(self, audience: str, tags: Mapping[str, str]) -> Secret:
        return Secret("eyJhbGciOiJSUzI1NiJ9.e30.c2ln")


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (UpstreamUnreachable("x"), ProviderUnreachable),
        (UpstreamTimeout("x"), ProviderTimeout),
        ((200, {}, UpstreamBroken("x")), ProviderInvalidResponse),
        ((200, {}, b"<html>"), ProviderInvalidResponse),
        ((429, {"retry-after": "3"}, b"{}"), ProviderRateLimited),
        ((401, {}, b'{"error": "invalid_grant"}'), CredentialsExhausted),
    ],
)
async def test_a_failing_token_endpoint_is_a_designed_error(outcome: Any, error: type[Exception]) -> None:
    provider = Catalog.load().provider("openai")
    form = next(form for form in provider.forms if form.scheme is Scheme.OPENAI_WORKLOAD_IDENTITY)
    broker = TokenBroker(Failing(outcome), Known())  # type: ignore[arg-type]
    with pytest.raises(error):
        await present(broker, (provider, form), OPENAI)


async def test_a_token_endpoint_that_may_not_be_called_is_not_called(sts: Sts, simulator: Simulator) -> None:
    strict = TokenBroker(Upstream(UrlPolicy()), sts)
    with pytest.raises(ProviderUnreachable):
        await present(strict, found(simulator, Scheme.OPENAI_WORKLOAD_IDENTITY), OPENAI)
    assert simulator.tokens.exchanges == []


async def test_sts_out_of_reach_says_nothing_of_the_credential(
    upstream: Upstream, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ownkey.store.aws._FIRST_BACKOFF_S", 0.0)
    nowhere = Sts(AwsClient(environ={"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "us-east-1"}))
    broker = TokenBroker(upstream, nowhere)
    with pytest.raises(StoreUnavailable):
        await present(broker, found(simulator, Scheme.OPENAI_WORKLOAD_IDENTITY), OPENAI)


async def test_no_token_is_presented_after_its_end(
    upstream: Upstream, sts: Sts, simulator: Simulator, aws_endpoint: str
) -> None:
    now = [time.time()]
    broker = TokenBroker(upstream, sts, clock=lambda: now[0])
    trust(simulator, aws_endpoint, Scheme.OPENAI_WORKLOAD_IDENTITY)
    at = found(simulator, Scheme.OPENAI_WORKLOAD_IDENTITY)
    first = await present(broker, at, OPENAI)
    now[0] += 900
    assert await present(broker, at, OPENAI) != first
