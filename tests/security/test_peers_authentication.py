"""What other gateways were broken by: who calls, decided from what a caller may write."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from ownkey.domain import gateway_keys
from ownkey.domain.errors import InvalidGatewayKey, InvalidSession
from ownkey.domain.gateway_keys import GatewayKey, PresentedKey, digest_of, mint, present
from ownkey.domain.surfaces import Surface
from ownkey.http.sessions import Sessions, SigningKeys
from ownkey.registry import RequestView
from tests.security.test_guard_in_the_template import SETTINGS
from tests.support.aws import Tables
from tests.support.inference import CHAT, MESSAGES, World, world_with_simulator
from tests.support.management import NOW, Management, management
from tests.template.translation import FUNCTIONS, logical_id, resources

PUBLIC = {"/api/openapi.json"}
"""What needs no session."""
SOME_ID = "01m7z3pm3crjp7fwqke1q3wvy6"
INJECTIONS = (
    *("' OR '1'='1", "'; DROP TABLE keys; --", '" OR ""="', "1 UNION SELECT token FROM keys", "' AND SLEEP(5) --"),
    *('{"$ne": null}', "{{7*7}}", "${jndi:ldap://x}", "*", "%", "_", "a" * 100_000, "ok-acme-' OR 1=1 --", "\x00", "é"),
    *("ok-acme#HEAD-" + "A" * 49, "ok-../acme-" + "A" * 49, "attribute_exists(pk)", "#pk = :pk", "__proto__"),
)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as world:
        yield world


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route, its parameters filled with ids of the right look."""
    paths = app.openapi()["paths"].items()
    named = [(method.upper(), re.sub(r"\{(\w+)\}", rf"\1_{SOME_ID}", path)) for path, ways in paths for method in ways]
    assert len(named) > 20
    return named


async def ask(app: FastAPI, method: str, path: str, headers: Mapping[str, str], body: Any = None) -> httpx.Response:
    """One request, its headers as they are."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://ownkey.example") as client:
        return await client.request(method, path, headers=dict(headers), json=body)


# ── Injection


async def test_what_is_presented_as_a_key_is_never_part_of_a_question(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM CVE-2026-42208: the text of the `Authorization` header became part of an SQL statement.

    Root cause: a query made of text. Here format and checksum are read first, and a table is asked for a SHA-256.
    """
    asked: list[PresentedKey] = []
    reads = world.registry.read_for_request

    async def counted(presented: PresentedKey) -> RequestView:
        asked.append(presented)
        return await reads(presented)

    monkeypatch.setattr(world.registry, "read_for_request", counted)
    for text in INJECTIONS:
        for name, value in (("authorization", f"Bearer {text}"), ("x-api-key", text)):
            sent = {name.encode(): value.encode("utf-8")}
            transport = httpx.ASGITransport(world.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                response = await client.post("/v1/chat/completions", headers=list(sent.items()), json=CHAT)
            assert response.status_code == 401, text
    assert asked == []
    await world.post("/v1/chat/completions", CHAT)
    assert [each.digest for each in asked] == [hashlib.sha256(world.registry.secret.encode()).hexdigest()]


async def test_no_id_reaches_beyond_its_own_item(api: Management) -> None:
    """LiteLLM CVE-2026-42208, as it would be here: an id that names another item by the separators of our own keys."""
    saved = await api.save()
    key = await api.gateway_key()
    await api.save("oz", key="sk-proj-of-somebody-else-0123456789abcdef")
    (foreign,) = (await api.ok("GET", "/api/byok", by="oz"))["data"]
    ids = [f"{saved['id']}#V#00000001", "#V#", f"../other/{foreign['id']}", f"{foreign['id']}", "HEAD"]
    ids += [f"x#CRED#{saved['id']}", f"{saved['id']}%00", f"{saved['id']} ", saved["id"].upper(), *INJECTIONS]
    for text in (each for each in ids if len(each) < 1_000):
        for path in (f"/api/byok/{quote(text, safe='')}", f"/api/gateway-keys/{quote(text, safe='')}"):
            for method, body in (("GET", None), ("PATCH", {"alias": "x"}), ("DELETE", None)):
                response = await api.call(method, path, json=body) if body else await api.call(method, path)
                assert response.status_code in (404, 405), (method, path, response.text)
        headers = {"x-ownkey-account": text.encode("utf-8")}
        if text.isprintable():
            response = await api.call("GET", "/api/byok", headers=headers)
            assert response.status_code == 404, text
    assert (await api.ok("GET", f"/api/byok/{saved['id']}"))["id"] == saved["id"]
    assert (await api.ok("GET", f"/api/gateway-keys/{key['id']}"))["status"] == "active"
    assert len(await api.registry.credentials("other")) == 1


# ── The Host header


HOSTS = (
    *("localhost:4000/#@ownkey.example", "ownkey.example/api/openapi.json", "ownkey.example/api/openapi.json?"),
    *("ownkey.example/api/openapi.json#", "ownkey.example/v1/models?", "x/../../api/openapi.json", "x\\api", "", " "),
    *("evil.example", "127.0.0.1", "ownkey.example@/health", "ownkey.example/health#", "[::1]", "a/b?c#d@e"),
)


async def test_the_host_header_decides_nothing(api: Management) -> None:
    """LiteLLM CVE-2026-49468: who may call was decided on a path put together with the Host header; with `#` in it
    the check saw a public route, the router a protected one.

    Root cause: two readings of one path. Here no path is looked at before the session has been checked.
    """
    for host in HOSTS:
        for method, path in routes(api.app):
            if path in PUBLIC:
                continue
            response = await ask(api.app, method, path, {"host": host})
            assert response.status_code == 401, (host, method, path)
        as_member = {"host": host, "authorization": "Bearer mia"}
        assert (await ask(api.app, "GET", "/api/byok", as_member)).status_code == 200
        assert (await ask(api.app, "POST", "/api/byok", as_member, {"provider": "x", "key": "y"})).status_code == 403


async def test_nor_does_it_for_inference(world: World) -> None:
    """LiteLLM CVE-2026-49468, where the models are."""
    for host in HOSTS:
        for path, body in (("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES), ("/v1/models", None)):
            method = "POST" if body else "GET"
            assert (await ask(world.app, method, path, {"host": host}, body)).status_code == 401
    assert world.simulator.journal.entries() == []


@pytest.mark.parametrize("name", ["x-original-url", "x-rewrite-url", "x-forwarded-path", "x-forwarded-prefix"])
async def test_no_other_header_decides_it_either(api: Management, name: str) -> None:
    """LiteLLM CVE-2026-49468: by the headers that proxies leave behind."""
    for method, path in routes(api.app):
        if path not in PUBLIC:
            assert (await ask(api.app, method, path, {name: "/api/openapi.json"})).status_code == 401


# ── Rights that callers give themselves


async def test_a_key_cannot_be_made_to_reach_more_than_its_maker(api: Management) -> None:
    """LiteLLM CVE-2026-47101: a key's `allowed_routes` were stored as they were sent, admin's routes included.

    Root cause: a credential that says what it may. Here a gateway key opens no route of management, whatever its scope.
    """
    wishes = ({"allowed_routes": ["/*"]}, {"role": "owner"}, {"operator": True}, {"account_id": "other"},
              {"surfaces": ["management"]}, {"surfaces": ["/api/byok"]}, {"surfaces": ["*"]}, {"id": "gk_1"},
              {"created_by": "ann"}, {"digest": "0" * 64})  # fmt: skip
    for wish in wishes:
        status, _ = await api.refused("POST", "/api/gateway-keys", by="mia", json=wish)
        assert status == 400, wish
    made = await api.gateway_key(by="mia", surfaces=[surface.value for surface in Surface])
    for wish in wishes:
        path = f"/api/gateway-keys/{made['id']}"
        assert (await api.refused("PATCH", path, by="mia", json=wish))[0] == 400, wish


async def test_a_gateway_key_opens_no_route_of_management(tables: Tables) -> None:
    """LiteLLM CVE-2026-47101: with the real check of sessions in front."""
    keys = SigningKeys("http://127.0.0.1:9/jwks.json")
    sessions = Sessions(keys, issuer="https://issuer.example", client_id="client")
    async with management(tables, sessions=sessions) as api:
        secret = mint("acme").reveal()
        await api.registry.create_gateway_key(GatewayKey("gk_1", "acme", "x", digest_of(secret), "ok-…", NOW, "ann"))
        for method, path in routes(api.app):
            for sent in ({"authorization": f"Bearer {secret}"}, {"x-api-key": secret}, {"cookie": f"session={secret}"}):
                if path not in PUBLIC:
                    assert (await ask(api.app, method, path, sent)).status_code == 401, (method, path)


async def test_nobody_raises_himself(api: Management) -> None:
    """LiteLLM CVE-2026-47101 and what it was chained with: a role that its bearer may write."""
    for by, role in (("mia", "owner"), ("mia", "admin"), ("bea", "member"), ("adi", "owner")):
        body = {"email": f"{by}@acme.example", "role": role}
        status, error = await api.refused("POST", "/api/accounts/acme/members", by=by, json=body)
        assert (status, error["code"]) == (403, "forbidden"), (by, role)
    people = (await api.ok("GET", "/api/accounts/acme/members"))["data"]
    assert {each["user_id"]: each["role"] for each in people} == {
        "ann": "owner",
        "adi": "admin",
        "mia": "member",
        "bea": "billing",
    }


# ── One key for everything


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_function_holds_a_secret_of_its_own(name: str) -> None:
    """LiteLLM GHSA-7hp6-4w63-5g45: one master key signed the sessions and encrypted the vault; whoever had it had both.

    Root cause: a symmetric secret in the environment. Here there is none: KMS wraps, the user pool signs.
    """
    variables = resources("AWS::Lambda::Function")[logical_id(name)]["Environment"]["Variables"]
    assert variables.keys() >= set(SETTINGS[name].required_variables()) - {"AWS_REGION"}
    named = {each for each in variables if any(word in each for word in ("KEY", "SECRET", "SALT", "PASSWORD", "TOKEN"))}
    assert named <= {"VAULT_KEY_ID", "IMPORTED_GATEWAY_KEYS", "KEYLESS_CREDENTIALS", "STRIPE_WEBHOOK_SECRET_ARN"}
    # Where one is kept, which is all that payments is told; it signs nothing of ours.
    assert variables.get("STRIPE_WEBHOOK_SECRET_ARN") in (None, {"Ref": "StripeWebhookSecretArn"})
    assert variables.get("VAULT_KEY_ID", {"Fn::GetAtt": ["VaultKey", "Arn"]}) == {"Fn::GetAtt": ["VaultKey", "Arn"]}


async def test_a_session_is_signed_by_the_user_pool_and_by_nothing_that_a_function_knows() -> None:
    """LiteLLM GHSA-7hp6-4w63-5g45: no value of a function's environment, nor the public key, signs a session."""
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key())) | {"kid": "k1", "use": "sig", "alg": "RS256"}
    keys = SigningKeys("http://127.0.0.1:9/jwks.json")
    keys._keys = {"k1": jwt.PyJWK(jwk)}
    sessions = Sessions(keys, issuer="https://issuer.example", client_id="client")
    now = int(time.time())
    claims = {"iss": "https://issuer.example", "sub": "u", "client_id": "client", "token_use": "access", "iat": now}
    claims["exp"] = now + 600
    assert (await sessions.check(f"Bearer {jwt.encode(claims, own, 'RS256', {'kid': 'k1'})}")).user_id == "u"
    public = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    known = [
        b"",
        b"secret",
        public,
        b"arn:aws:kms:eu-west-1:123456789012:key/vault",
        b"client",
        json.dumps(jwk).encode(),
    ]
    for secret in known:
        for algorithm in ("HS256", "none"):
            with pytest.raises(InvalidSession):
                await sessions.check(f"Bearer {_hmac_token(claims, secret, algorithm)}")


def _hmac_token(claims: Mapping[str, Any], secret: bytes, algorithm: str) -> str:
    def encoded(value: Any) -> str:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    signed = f"{encoded({'alg': algorithm, 'kid': 'k1', 'typ': 'JWT'})}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


# ── What a key is looked up by


def twin(secret: str, at: int) -> str:
    """A well-formed key that differs in the one character at `at`, and in the checksum."""
    text = secret[: -gateway_keys._CRC_CHARS]
    changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    return changed + gateway_keys._checksum(changed)


async def test_a_key_is_looked_up_by_all_of_it(api: Management) -> None:
    """LiteLLM CVE-2026-35030: a cache of who is who was keyed by the first 20 characters of a token.

    Root cause: a prefix for a key. Here the partition key is the SHA-256 of the whole, and no cache stands before it.
    """
    secret = (await api.gateway_key())["key"]
    first = len("ok-acme-")
    twins = [twin(secret, at) for at in range(first, len(secret) - 6)]
    for stranger in [*twins, *twins[-3:]]:
        presented, known = present(stranger), present(secret)
        assert presented is not None
        assert known is not None
        assert presented.digest[:8] != known.digest[:8]
        with pytest.raises(InvalidGatewayKey):
            await api.registry.read_for_request(presented)
        assert (await api.registry.read_for_request(known)).key.account_id == "acme"


async def test_two_keys_with_one_beginning_are_two(api: Management) -> None:
    """LiteLLM CVE-2026-35030: both exist, and each is its own account's, whatever its text says."""
    secret = (await api.gateway_key())["key"]
    other = twin(secret, len(secret) - 7)
    assert other[:-7] == secret[:-7]
    digest = digest_of(other)
    await api.registry.create_gateway_key(GatewayKey("gk_other", "other", "x", digest, "ok-…", NOW, "oz"))
    for text, account in ((secret, "acme"), (other, "other"), (secret, "acme")):
        presented = present(text)
        assert presented is not None
        view = await api.registry.read_for_request(presented)
        assert (view.key.account_id, view.account.id) == (account, account)


# ── By which header


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ({"surfaces": ("models",)}, "surface_not_allowed"),
        ({"models": ("claude-*",)}, "model_not_allowed"),
        ({"addresses": ("203.0.113.7",)}, "address_not_allowed"),
    ],
)
async def test_a_key_is_held_to_its_limits_by_whichever_header_it_comes(
    world: World, scope: dict[str, Any], code: str
) -> None:
    """Open WebUI CVE-2026-45339: the limits of a key held for `Authorization`, and not for `x-api-key`.

    Root cause: the check stood in the reader of one header. Here every header ends in one `PresentedKey`.
    """
    world.registry.key = replace(world.registry.key, **scope)
    key = world.registry.secret
    bearer = {"authorization": f"Bearer {key}"}
    ways = [bearer, {"x-api-key": key}, {"X-API-KEY": key}, {"authorization": f"bEaReR  {key}"}]
    ways.append(bearer | {"x-api-key": key})
    for way in ways:
        response = await ask(world.app, "POST", "/v1/chat/completions", way, CHAT)
        assert (response.status_code, response.json()["error"]["code"]) == (403, code)
    for ignored in (
        {"api-key": key},
        {"cookie": f"token={key}"},
        {"x-goog-api-key": key},
        {"authorization": f"Basic {key}"},
    ):
        assert (await ask(world.app, "POST", "/v1/chat/completions", ignored, CHAT)).status_code == 401
    assert (await ask(world.app, "POST", f"/v1/chat/completions?key={key}&api_key={key}", {}, CHAT)).status_code == 401
    assert world.simulator.journal.entries() == []
