"""A session counts when Cognito signed it for this client, as an access token, and it has not expired."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ownkey.domain.errors import InvalidSession, StoreUnavailable
from ownkey.http.sessions import Session, Sessions, SigningKeys
from tests.support.aws import boto

ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_pool"
CLIENT = "client-1"
USER = "0d2f7b1c-0000-4000-8000-000000000001"
OURS, THEIRS = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


class Jwks:
    """The pool's key endpoint on loopback: counts its calls, and can fail."""

    def __init__(self) -> None:
        self.keys = {"k1": OURS}
        self.status = 200
        self.calls = 0
        self.url = ""

    async def answer(self, _: web.Request) -> web.Response:
        self.calls += 1
        rows = [
            json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            | {"kid": kid, "use": "sig", "alg": "RS256"}
            for kid, key in self.keys.items()
        ]
        return web.json_response({"keys": rows}, status=self.status)


@pytest.fixture
async def jwks() -> AsyncIterator[Jwks]:
    endpoint, app = Jwks(), web.Application()
    app.router.add_get("/.well-known/jwks.json", endpoint.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    endpoint.url = f"http://{host}:{port}/.well-known/jwks.json"
    yield endpoint
    await runner.cleanup()


@pytest.fixture
def sessions(jwks: Jwks) -> Sessions:
    return Sessions(SigningKeys(jwks.url), issuer=ISSUER, client_id=CLIENT)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "iss": ISSUER,
        "sub": USER,
        "client_id": CLIENT,
        "token_use": "access",
        "iat": now,
        "exp": now + 600,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def token(key: Any = OURS, kid: str = "k1", algorithm: str = "RS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid})


def unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def confused() -> str:
    """An HMAC under the public key: what a verifier accepts that lets the token choose the algorithm."""
    public = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = unpadded(json.dumps({"alg": "HS256", "kid": "k1", "typ": "JWT"}).encode())
    body = unpadded(json.dumps(claims()).encode())
    signature = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{unpadded(signature)}"


async def test_a_members_token_is_a_session(sessions: Sessions) -> None:
    assert await sessions.check(f"Bearer {token()}") == Session(USER, operator=False)


async def test_the_operators_group_makes_an_operator(sessions: Sessions) -> None:
    session = await sessions.check(f"bearer {token(**{'cognito:groups': ['operator']})}")
    assert session.operator


@pytest.mark.parametrize(
    "presented",
    [
        pytest.param(lambda: token(key=THEIRS), id="signed by somebody else"),
        pytest.param(lambda: token(key=None, algorithm="none"), id="unsigned"),
        pytest.param(confused, id="HMAC under the public key"),
        pytest.param(lambda: token(algorithm="RS512"), id="another algorithm"),
        pytest.param(lambda: token(iss="https://cognito-idp.us-east-1.amazonaws.com/us-east-1_other"), id="issuer"),
        pytest.param(lambda: token(iss=ISSUER[:-1]), id="part of the issuer"),
        pytest.param(lambda: token(client_id="client-2"), id="another client"),
        pytest.param(lambda: token(token_use="id", aud=CLIENT), id="id token with a client"),
        pytest.param(lambda: token(token_use="id", aud=CLIENT, client_id=None), id="id token"),
        pytest.param(lambda: token(exp=int(time.time()) - 60), id="expired"),
        pytest.param(lambda: token(iat=int(time.time()) + 600), id="not yet issued"),
        pytest.param(lambda: token(exp=None), id="without expiry"),
        pytest.param(lambda: token(sub=None), id="without subject"),
        pytest.param(lambda: token(kid="k2"), id="unknown key id"),
        pytest.param(lambda: token()[:-4] + "AAAA", id="altered signature"),
        pytest.param(lambda: "sk-proj-not-a-token", id="not a token"),
        pytest.param(lambda: "..", id="empty parts"),
    ],
)
async def test_any_other_token_is_refused(sessions: Sessions, presented: Callable[[], str]) -> None:
    text = presented()
    with pytest.raises(InvalidSession) as refused:
        await sessions.check(f"Bearer {text}")
    assert text not in refused.value.message


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "token"])
async def test_no_bearer_token_is_no_session(sessions: Sessions, header: str | None) -> None:
    with pytest.raises(InvalidSession, match="no session token"):
        await sessions.check(header)


async def test_a_clock_a_few_seconds_off_is_forgiven(sessions: Sessions) -> None:
    assert await sessions.check(f"Bearer {token(exp=int(time.time()) - 5)}")


async def test_the_keys_are_fetched_once(sessions: Sessions, jwks: Jwks) -> None:
    for _ in range(3):
        await sessions.check(f"Bearer {token()}")
    assert jwks.calls == 1


async def test_a_new_key_is_fetched_but_junk_ids_do_not_hammer_the_pool(jwks: Jwks) -> None:
    now_s = 1000.0
    sessions = Sessions(SigningKeys(jwks.url, monotonic=lambda: now_s), issuer=ISSUER, client_id=CLIENT)
    await sessions.check(f"Bearer {token()}")
    jwks.keys["k2"] = THEIRS
    rotated = f"Bearer {token(key=THEIRS, kid='k2')}"
    for _ in range(3):
        with pytest.raises(InvalidSession):
            await sessions.check(rotated)
    assert jwks.calls == 1
    now_s += 61
    assert await sessions.check(rotated)
    assert jwks.calls == 2


async def test_a_sign_in_out_of_reach_is_not_the_sessions_fault(sessions: Sessions, jwks: Jwks) -> None:
    jwks.status = 500
    with pytest.raises(StoreUnavailable):
        await sessions.check(f"Bearer {token()}")
    jwks.status = 200
    assert await sessions.check(f"Bearer {token()}")  # the failure is not remembered


async def test_keys_without_end_are_not_read_for_keys(sessions: Sessions, jwks: Jwks) -> None:
    jwks.keys = {f"k{n}": OURS for n in range(200)}
    with pytest.raises(StoreUnavailable):
        await sessions.check(f"Bearer {token()}")


async def test_where_nobody_listens_it_is_the_sign_in_that_does_not_answer(jwks: Jwks) -> None:
    for url in (jwks.url.replace("http:", "https:"), "http://127.0.0.1:9/jwks.json"):
        with pytest.raises(StoreUnavailable):
            await Sessions(SigningKeys(url), issuer=ISSUER, client_id=CLIENT).check(f"Bearer {token()}")


async def test_against_a_user_pool(aws_endpoint: str) -> None:
    """A real sign-in: the access token counts, the id token does not."""
    cognito = boto("cognito-idp", aws_endpoint)
    pool = cognito.create_user_pool(PoolName="people", UsernameAttributes=["email"])["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="pages", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    user = cognito.admin_create_user(UserPoolId=pool, Username="ann@acme.example")["User"]
    cognito.admin_set_user_password(
        UserPoolId=pool, Username="ann@acme.example", Password="Correct-horse-1", Permanent=True
    )
    cognito.create_group(UserPoolId=pool, GroupName="operator")
    cognito.admin_add_user_to_group(UserPoolId=pool, Username="ann@acme.example", GroupName="operator")
    signed_in = cognito.initiate_auth(
        ClientId=client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ann@acme.example", "PASSWORD": "Correct-horse-1"},
    )["AuthenticationResult"]
    sessions = Sessions(
        SigningKeys(f"{aws_endpoint}/{pool}/.well-known/jwks.json"),
        issuer=f"https://cognito-idp.us-east-1.amazonaws.com/{pool}",
        client_id=client,
    )
    subject = next(row["Value"] for row in user["Attributes"] if row["Name"] == "sub")
    assert await sessions.check(f"Bearer {signed_in['AccessToken']}") == Session(subject, operator=True)
    with pytest.raises(InvalidSession):
        await sessions.check(f"Bearer {signed_in['IdToken']}")
