"""Who calls the management API: Cognito access tokens, checked here (RS256, issuer, client, use, expiry).

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from ownkey.domain.errors import InvalidSession, StoreUnavailable
from ownkey.wire.client import Client, Origin, Patience
from ownkey.wire.http1 import request

OPERATOR_GROUP = "operator"
_ALGORITHM = "RS256"
_LEEWAY_S = 10
_REFETCH_S = 60.0
_PATIENCE = Patience(connect_s=2, silence_s=5, whole_s=5)
_MAX_BYTES = 65_536
_MALFORMED = "The session token is not valid."
"""All there is to say: the library's own messages can quote the token."""
_REQUIRED = ["exp", "iat", "iss", "sub", "client_id", "token_use"]


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. `user_id` is the pool's `sub`: it never changes and is never given out again."""

    user_id: str
    operator: bool


class SigningKeys:
    """The user pool's public keys, fetched when first needed and again, at most once a minute, for an unknown id."""

    def __init__(self, url: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._monotonic = monotonic
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at_s = -_REFETCH_S
        self._fetching = asyncio.Lock()

    async def get(self, key_id: str) -> jwt.PyJWK | None:
        """The key of this id; None where the pool has none.

        Raises:
            StoreUnavailable: the keys cannot be fetched, which says nothing about the session.
        """
        if key_id not in self._keys:
            async with self._fetching:
                if key_id not in self._keys and self._monotonic() - self._fetched_at_s >= _REFETCH_S:
                    self._keys = _signing_keys(await self._fetch())
                    self._fetched_at_s = self._monotonic()
        return self._keys.get(key_id)

    async def _fetch(self) -> Any:
        http = Client()
        try:
            origin = Origin.of(self._url)
            headers = {"host": origin.authority, "accept": "application/json"}
            answer = await http.ask(origin, request("GET", origin.prefix, headers, b""), _PATIENCE)
            if answer.status != 200:
                raise StoreUnavailable(f"The sign-in service answered {answer.status}.", retry_after_s=1)
            if len(answer.body) > _MAX_BYTES:
                raise StoreUnavailable("The sign-in service's keys are longer than any are.", retry_after_s=1)
            return json.loads(answer.body)
        except (OSError, ValueError) as e:
            raise StoreUnavailable("The sign-in service did not answer.", retry_after_s=1) from e
        finally:
            await http.close()


class Sessions:
    """Checks session tokens of one client of one user pool."""

    def __init__(self, keys: SigningKeys, *, issuer: str, client_id: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._client_id = client_id

    async def check(self, authorization: str | None) -> Session:
        """The session of an `Authorization` header.

        Raises:
            InvalidSession: absent, malformed, expired, or not this client's access token.
            StoreUnavailable: the pool's keys cannot be fetched.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise InvalidSession("The request has no session token.")
        claims = await self._claims(token.strip())
        # Cognito's access tokens have `client_id` where others have `aud`; its id tokens are for the page alone.
        if (claims["client_id"], claims["token_use"]) != (self._client_id, "access"):
            raise InvalidSession("This is not an access token of this deployment's sign-in.")
        groups = claims.get("cognito:groups") or ()
        return Session(user_id=str(claims["sub"]), operator=OPERATOR_GROUP in groups)

    async def _claims(self, token: str) -> dict[str, Any]:
        key = await self._keys.get(_key_id(token))
        if key is None:
            raise InvalidSession("The session token is signed by a key that the sign-in does not have.")
        try:
            return jwt.decode(
                token,
                key,
                # The algorithm is ours to say: the token's own word would let it choose `none`, or an HMAC under the
                # public key.
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={"require": _REQUIRED, "verify_aud": False},
            )
        except jwt.ExpiredSignatureError as e:
            raise InvalidSession("The session has expired.") from e
        except jwt.PyJWTError as e:
            raise InvalidSession(_MALFORMED) from e


def _key_id(token: str) -> str:
    try:
        return str(jwt.get_unverified_header(token).get("kid"))
    except jwt.PyJWTError as e:
        raise InvalidSession(_MALFORMED) from e


def _signing_keys(answer: Any) -> dict[str, jwt.PyJWK]:
    """The RSA signing keys of a JWK set (RFC 7517), by id."""
    rows = answer.get("keys", ()) if isinstance(answer, dict) else ()
    return {
        row["kid"]: jwt.PyJWK(row, algorithm=_ALGORITHM)
        for row in rows
        if row.get("kty") == "RSA" and row.get("use", "sig") == "sig" and "kid" in row
    }
