"""Every form of credential, validated end to end: sealed, opened, exchanged, signed, and judged by a provider that
checks what it is shown.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.aws.sts import ISSUER, JWKS_PATH
from local.aws_keys import simulated_secret
from local.simulator import Simulator, start_simulator
from local.simulator.journal import Entry
from local.simulator.token_endpoints import FederationRule
from ownkey.catalog import Catalog, FormInput, read_form
from ownkey.domain.credentials import Binding
from ownkey.domain.scrub import Scrubber, unregister
from ownkey.store.aws import AwsClient
from ownkey.store.sts import Sts
from ownkey.tokens import TokenBroker
from ownkey.upstream import Upstream, UrlPolicy
from ownkey.validation import Candidate, Finding, Verdict
from ownkey.validation.validator import Validator
from ownkey.vault import Opener, Sealer
from tests.support.aws import boto, environ
from tests.support.kms import KMS_KEY, FakeKms

NOW = "2026-11-21T08:00:00Z"
ACCOUNT = "acme"
ACCESS_KEY_ID = "AKIASIM0000000000001"
TEMPORARY_ID = "ASIASIM0000000000001"
EMAIL = "ownkey@acme-prod.iam.gserviceaccount.com"
ORGANIZATION = "3f1c9d2e-7b4a-4c6d-9e8f-0a1b2c3d4e5f"
Members = dict[str, Any]


@cache
def rsa_key(_name: str) -> tuple[str, str]:
    """A private key and its public one, PEM."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def azure(**changes: str) -> Members:
    return {
        "azure_endpoint": "https://acme.openai.azure.com",
        "azure_api_key": "sim-0123456789abcdefghijklmnop",
        "azure_deployment": "gpt-5-4",
        **changes,
    }


def access_key(key_id: str = ACCESS_KEY_ID, **changes: str) -> Members:
    return {
        "aws_access_key_id": key_id,
        "aws_secret_access_key": simulated_secret(key_id),
        "aws_region": "us-east-1",
        **changes,
    }


def session(**changes: str) -> Members:
    inner = {
        "access_key_id": TEMPORARY_ID,
        "secret_access_key": simulated_secret(TEMPORARY_ID),
        "session_token": "IQoJb3JpZ2luX2VjEsim",
        "region": "eu-west-1",
        **changes,
    }
    return {"aws_credentials": inner}


def api_key(key: str = "ABSKsim-0123456789abcdefghij=") -> Members:
    return {"key": key, "aws_region": "us-west-2"}


def service_account(private_key: str = "", location: str = "global", **changes: str) -> Members:
    file = {
        "type": "service_account",
        "project_id": "acme-prod",
        "private_key_id": "0123456789abcdef0123",
        "private_key": private_key or rsa_key("vertex")[0],
        "client_email": EMAIL,
        **changes,
    }
    return {"vertex_service_account": file, "vertex_location": location}


@dataclass
class Bench:
    """A validator whose providers, token endpoints and STS are simulated, and all of them check."""

    simulator: Simulator
    catalog: Catalog
    validator: Validator
    sealer: Sealer
    aws_endpoint: str

    def read(self, provider: str, members: Members) -> FormInput:
        return read_form(self.catalog.provider(provider), members)

    async def candidate(self, provider: str, members: Members, *, account: str = ACCOUNT) -> Candidate:
        given = self.read(provider, members)
        destination = given.destination or given.base_url or self.catalog.provider(provider).base_url or ""
        binding = Binding(account, provider, "cred_1", 1, destination)
        sealed = await self.sealer.seal(binding, given.secrets, now=NOW) if given.secrets else None
        for secret in given.secrets.values():
            unregister(secret)
        candidate = Candidate(binding, sealed, {}, given.public, given.form.id)
        assert Candidate.from_json(json.loads(json.dumps(candidate.to_json()))) == candidate
        return candidate

    async def finding(self, provider: str, members: Members, *, account: str = ACCOUNT) -> Finding:
        return await self.validator.validate(await self.candidate(provider, members, account=account))

    def calls(self) -> list[Entry]:
        return self.simulator.journal.entries()

    def trust(self, provider: str, **facts: Any) -> None:
        jwks_url = self.aws_endpoint + JWKS_PATH
        tags = {"ownkey_account": ACCOUNT}
        rule = FederationRule(provider=provider, issuer=ISSUER, jwks_url=jwks_url, **{"tags": tags, **facts})
        self.simulator.tokens.trust(rule)


@pytest.fixture
async def bench(aws_endpoint: str) -> AsyncIterator[Bench]:
    kms, aws = FakeKms(), AwsClient(environ=environ(aws_endpoint))
    async with await start_simulator() as simulator:
        names = ("openai", "anthropic", "azure", "bedrock", "vertex")
        catalog = Catalog.load({name: simulator.base_url(name) for name in names})
        upstream = Upstream(UrlPolicy([simulator.origin]))
        broker = TokenBroker(upstream, Sts(aws))
        validator = Validator(Opener(kms, on_open=lambda _: None), upstream, catalog, broker)
        simulator.tokens.trust_service_account(EMAIL, rsa_key("vertex")[1])
        yield Bench(simulator, catalog, validator, Sealer(kms, KMS_KEY), aws_endpoint)
        await upstream.close()
        await aws.close()


GOOD: list[tuple[str, str, Members]] = [
    ("azure", "acme.openai.azure.com/openai/v1/models", azure()),
    ("bedrock", "bedrock.us-east-1.amazonaws.com/foundation-models", access_key()),
    ("bedrock", "bedrock.us-gov-west-1.amazonaws.com/foundation-models", access_key(aws_region="us-gov-west-1")),
    ("bedrock", "bedrock.eu-west-1.amazonaws.com/foundation-models", session()),
    ("bedrock", "bedrock.us-west-2.amazonaws.com/foundation-models", api_key()),
    (
        "vertex",
        "aiplatform.googleapis.com/v1/projects/acme-prod/locations/global/endpoints",
        service_account(),
    ),
    (
        "vertex",
        "europe-west4-aiplatform.googleapis.com/v1/projects/acme-prod/locations/europe-west4/endpoints",
        service_account(location="europe-west4"),
    ),
]


@pytest.mark.parametrize(("provider", "asked", "members"), GOOD, ids=[asked.partition("/")[0] for _, asked, _ in GOOD])
async def test_a_good_credential_is_accepted_after_one_call(
    bench: Bench, provider: str, asked: str, members: Members
) -> None:
    assert await bench.finding(provider, members) == Finding(Verdict.ACCEPTED, None, 200)
    (call,) = bench.calls()
    assert call.path == f"/{provider}/v1/{asked}"
    assert len(bench.simulator.tokens.exchanges) == (provider == "vertex")


REJECTED: list[tuple[str, Members, str, int | None]] = [
    ("azure", azure(azure_api_key="f" * 32), "invalid subscription key", 401),
    ("bedrock", access_key(aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "signature", 403),
    ("bedrock", access_key("AKIAIOSFODNN7EXAMPLE"), "security token included in the request is invalid", 403),
    ("bedrock", access_key(TEMPORARY_ID), "security token included in the request is invalid", 403),
    ("bedrock", session(session_token="expired-IQoJb3JpZ2luX2Vj"), "expired", 403),
    ("bedrock", session(secret_access_key=simulated_secret("another")), "signature", 403),
    ("bedrock", api_key("ABSKQmVkcm9ja0FQSUtleS1l"), "make sure your API Key is valid", 403),
    ("vertex", service_account(private_key=rsa_key("other")[0]), "Signature", 401),
    ("vertex", service_account(client_email="nobody@acme-prod.iam.gserviceaccount.com"), "account not found", 400),
]


@pytest.mark.parametrize(
    ("provider", "members", "reason", "status"), REJECTED, ids=[f"{r[0]}-{r[2].split()[0]}" for r in REJECTED]
)
async def test_a_bad_credential_is_rejected_in_the_providers_words(
    bench: Bench, provider: str, members: Members, reason: str, status: int | None
) -> None:
    finding = await bench.finding(provider, members)
    assert (finding.verdict, finding.status) == (Verdict.REJECTED, status)
    assert reason in (finding.reason or "")
    assert len(bench.calls()) + len(bench.simulator.tokens.exchanges) == 1


async def test_a_private_key_that_is_none_is_rejected_without_asking_anybody(bench: Bench) -> None:
    broken = f"-----BEGIN PRIVATE KEY-----\n{'A' * 400}\n-----END PRIVATE KEY-----\n"
    finding = await bench.finding("vertex", service_account(private_key=broken))
    assert finding.verdict is Verdict.REJECTED
    assert "cannot be read" in (finding.reason or "")
    assert bench.calls() == bench.simulator.tokens.exchanges == []


async def test_a_genuine_credential_without_a_permission_is_accepted_with_the_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Keys of other tests are still live in this process, and share words with what providers say.
    for module in ("ownkey.validation.validator", "ownkey.providers.failures"):
        monkeypatch.setattr(f"{module}.scrub", Scrubber().scrub)
    bench.simulator.keys.set("bedrock", ACCESS_KEY_ID, "no-models-scope")
    key = "ABSKsim-limited000000000"
    bench.simulator.keys.set("bedrock", key, "no-models-scope")
    for provider, members, words in (
        ("bedrock", access_key(), "is not authorized to perform: bedrock:ListFoundationModels"),
        ("bedrock", api_key(key), "is not authorized to perform: bedrock:ListFoundationModels"),
        ("vertex", service_account(project_id="forbidden-prod"), "aiplatform.endpoints.list"),
    ):
        finding = await bench.finding(provider, members)
        assert (finding.verdict, finding.status) == (Verdict.ACCEPTED, 403)
        assert words in (finding.reason or "")


async def test_a_resource_that_takes_no_keys_rejects_one_and_a_firewall_says_nothing_of_it(bench: Bench) -> None:
    members = azure()
    bench.simulator.keys.set("azure", members["azure_api_key"], "no-models-scope")
    finding = await bench.finding("azure", members)
    assert (finding.verdict, finding.status) == (Verdict.REJECTED, 403)
    assert "Key based authentication is disabled" in (finding.reason or "")
    finding = await bench.finding("azure", azure(azure_endpoint="https://firewalled-acme.openai.azure.com"))
    assert (finding.verdict, finding.status) == (Verdict.UNREACHABLE, 403)
    assert "Firewall" in (finding.reason or "")


@pytest.mark.parametrize(("provider", "asked", "members"), GOOD, ids=[asked.partition("/")[0] for _, asked, _ in GOOD])
async def test_a_provider_in_trouble_rejects_nothing(bench: Bench, provider: str, asked: str, members: Members) -> None:
    for status in (500, 503):
        bench.simulator.scripts.add(provider, fail=str(status), times=1)
        finding = await bench.finding(provider, members)
        assert (finding.verdict, finding.status) == (Verdict.UNREACHABLE, status)


async def test_a_token_endpoint_out_of_reach_rejects_nothing(bench: Bench) -> None:
    candidate = await bench.candidate("vertex", service_account())
    form = replace(bench.catalog.provider("vertex").form("service_account"), token_url="http://127.0.0.1:1/token")
    provider = replace(bench.catalog.provider("vertex"), forms=(form,))
    bench.catalog._providers._known["vertex"] = provider
    finding = await bench.validator.validate(candidate)
    assert (finding.verdict, finding.status) == (Verdict.UNREACHABLE, None)
    assert bench.calls() == []


async def test_each_validation_of_a_service_account_proves_its_key_anew(bench: Bench) -> None:
    assert (await bench.finding("vertex", service_account())).verdict is Verdict.ACCEPTED
    bench.simulator.tokens.trust_service_account(EMAIL, rsa_key("rotated")[1])
    assert (await bench.finding("vertex", service_account())).verdict is Verdict.REJECTED


async def test_a_signature_of_another_day_is_refused(bench: Bench) -> None:
    bench.validator._now = lambda: datetime.now(UTC) - timedelta(days=1)
    finding = await bench.finding("bedrock", access_key())
    assert (finding.verdict, finding.reason) == (Verdict.REJECTED, "Signature expired")


# ── What is public is bound all the same


async def test_a_key_sealed_for_one_region_is_sent_to_no_other(bench: Bench) -> None:
    """Public fields are not sealed: whoever changes them behind the vault's back only spoils the credential."""
    candidate = await bench.candidate("bedrock", access_key())
    moved = replace(candidate, fields={"region": "eu-west-1"})
    assert (await bench.validator.validate(moved)).verdict is Verdict.UNREACHABLE
    assert bench.calls() == []
    elsewhere = replace(candidate, binding=replace(candidate.binding, destination=moved.binding.destination + "x"))
    assert (await bench.validator.validate(elsewhere)).verdict is Verdict.UNDECRYPTABLE


# ── Without a secret


async def test_openais_workload_identity(bench: Bench) -> None:
    members = {"identity_provider_id": "idp_1", "service_account_id": "svc_1"}
    audience = "https://api.openai.com/v1"
    bench.trust("openai", id="idp_1", audience=audience, service_account_id="svc_1")
    candidate = await bench.candidate("openai", members)
    assert candidate.sealed is None
    assert candidate.to_json()["candidate"]["sealed"] is None
    assert await bench.validator.validate(candidate) == Finding(Verdict.ACCEPTED, None, 200)
    (call,) = bench.calls()
    assert (call.path, call.auth) == ("/openai/v1/models", "bearer")
    other = await bench.finding("openai", members, account="mallory")
    assert other.verdict is Verdict.REJECTED


async def test_anthropics_workload_identity(bench: Bench) -> None:
    members = {"federation_rule_id": "fdrl_1", "organization_id": ORGANIZATION}
    audience = "https://api.anthropic.com"
    facts = {"audience": audience, "service_account_id": "svac_1", "organization_id": ORGANIZATION}
    bench.trust("anthropic", id="fdrl_1", **facts)
    assert await bench.finding("anthropic", members) == Finding(Verdict.ACCEPTED, None, 200)
    (call,) = bench.calls()
    assert (call.auth, call.headers["anthropic-beta"]) == ("bearer", "oauth-2025-04-20")
    assert "x-api-key" not in call.headers


async def test_a_rule_that_admits_every_account_is_refused(bench: Bench) -> None:
    members = {"identity_provider_id": "idp_1", "service_account_id": "svc_1"}
    bench.trust("openai", id="idp_1", audience="https://api.openai.com/v1", service_account_id="svc_1", tags=None)
    finding = await bench.finding("openai", members)
    assert finding.verdict is Verdict.REJECTED
    assert "other accounts" in (finding.reason or "")
    assert "Let the rule ask for this account" in (finding.fix or ""), "what to do is not lost on the way"


async def test_a_role_of_bedrock(bench: Bench) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": f"ownkey:{ACCOUNT}"}},
    }
    name = f"ownkey-bedrock-{uuid.uuid4().hex[:8]}"
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = boto("iam", bench.aws_endpoint).create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    members = {"role_arn": arn, "aws_region": "us-east-1"}
    assert await bench.finding("bedrock", members) == Finding(Verdict.ACCEPTED, None, 200)
    (call,) = bench.calls()
    assert call.auth == "sigv4"
    assert (await bench.finding("bedrock", members, account="mallory")).verdict is Verdict.REJECTED


async def test_what_the_functions_identity_gets_goes_to_the_vendor_alone(bench: Bench) -> None:
    """Nothing seals the destination of a credential without a secret, so whatever is written there is not heeded."""
    members = {"identity_provider_id": "idp_1", "service_account_id": "svc_1"}
    bench.trust("openai", id="idp_1", audience="https://api.openai.com/v1", service_account_id="svc_1")
    candidate = await bench.candidate("openai", members)
    elsewhere = f"{bench.simulator.origin}/collector/v1"
    moved = replace(candidate, binding=replace(candidate.binding, destination=elsewhere))
    assert (await bench.validator.validate(moved)).verdict is Verdict.ACCEPTED
    assert [call.path for call in bench.calls()] == ["/openai/v1/models"]


# ── Nothing of the secret is left anywhere


@pytest.mark.parametrize(("provider", "asked", "members"), GOOD, ids=[asked.partition("/")[0] for _, asked, _ in GOOD])
async def test_no_secret_travels_or_stays_in_the_clear(
    bench: Bench, provider: str, asked: str, members: Members
) -> None:
    given = bench.read(provider, members)
    secrets = [secret.reveal() for name, secret in given.secrets.items() if name not in ("access_key_id",)]
    event = json.dumps((await bench.candidate(provider, members)).to_json())
    await bench.finding(provider, members)
    kept = json.dumps([entry.to_json() for entry in bench.calls()])
    assert not [secret for secret in secrets if secret in event or secret in kept or secret in repr(given)]
