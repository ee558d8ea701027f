"""The vendors' token endpoints: proofs in, short-lived tokens out, which the inference endpoints take as a bearer.

They stand under each provider's base URL with the vendor's host in the path, where the product looks for them on a
local stack. Proofs are verified: an identity token by the issuer's published keys, audience, times and claims against
the rule that the credential names; a service account's by the public key registered for it.

```
POST …/auth.openai.com/oauth/token           OpenAI: RFC 8693's token exchange, JSON
POST …/api.anthropic.com/v1/oauth/token      Anthropic: RFC 7523's JWT bearer grant, JSON
POST …/oauth2.googleapis.com/token           Google: RFC 7523's JWT bearer grant, a form
```
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
from aiohttp import web

from local.simulator.behaviour import digest_of
from local.simulator.keys import Keys
from local.simulator.refusals import Refusal, Refused

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_JWT = "urn:ietf:params:oauth:token-type:jwt"
_GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
_ANTHROPIC_BETAS = frozenset({"oauth-2025-04-20", "oidc-federation-2026-04-01"})
_BEARER_BETA = "oauth-2025-04-20"
_AWS_CLAIMS = "https://sts.amazonaws.com/"
_ALGORITHMS = ["RS256", "ES384"]
_HOUR_S = 3600
_JWKS_TIMEOUT = aiohttp.ClientTimeout(total=5)

_NO_BEARER = Refusal(401, "authentication_error", "OAuth authentication is currently not supported.")


@dataclass(frozen=True, slots=True)
class FederationRule:
    """What a vendor's customer has set up: which identity tokens stand for which service account.

    `id` is OpenAI's identity provider or Anthropic's federation rule. `subject` may end with `*`; `tags` are request
    tags that an identity token must have. None and empty ask for nothing.
    """

    provider: str
    id: str
    issuer: str
    jwks_url: str
    audience: str
    service_account_id: str
    subject: str | None = None
    tags: Mapping[str, str] | None = None
    organization_id: str | None = None
    lifetime_s: int = _HOUR_S


class Denied(Exception):
    """A token endpoint's refusal, in OAuth's words."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


class TokenEndpoints:
    """The rules and service accounts set up, and the tokens given out."""

    def __init__(self, keys: Keys) -> None:
        self.exchanges: list[dict[str, Any]] = []
        """One for each request: `{"provider": …, "granted": …, "reason": …}`."""
        self._keys = keys
        self._rules: dict[tuple[str, str], FederationRule] = {}
        self._service_accounts: dict[str, str] = {}
        self._used_proofs: set[str] = set()
        self._bearers: set[str | None] = set()
        self._owners: dict[str | None, str] = {}

    def trust(self, rule: FederationRule) -> None:
        """Sets up a rule."""
        self._rules[rule.provider, rule.id] = rule

    def trust_service_account(self, email: str, public_key: str) -> None:
        """Sets up a Google service account by its public key, PEM."""
        self._service_accounts[email] = public_key

    def clear(self) -> None:
        """As after the start."""
        self.exchanges.clear()
        for each in (self._rules, self._service_accounts, self._used_proofs, self._bearers, self._owners):
            each.clear()

    def check_bearer(self, key: str | None, scheme: str | None, headers: Mapping[str, str]) -> None:
        """Anthropic takes its tokens as a bearer alone, and with a beta flag. Raises Refused."""
        if digest_of(key) in self._bearers and (scheme != "bearer" or _BEARER_BETA not in _betas(headers)):
            raise Refused(_NO_BEARER)

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        table: dict[str, Callable[[web.Request], Awaitable[dict[str, Any]]]] = {
            "auth.openai.com/oauth/token": self._openai,
            "api.anthropic.com/v1/oauth/token": self._anthropic,
            "oauth2.googleapis.com/token": self._google,
        }
        return [web.post(f"/{{provider}}/v1/{path}", self._answering(exchange)) for path, exchange in table.items()]

    def _answering(
        self, exchange: Callable[[web.Request], Awaitable[dict[str, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            noted: dict[str, Any] = {"provider": request.match_info["provider"], "granted": True, "reason": None}
            self.exchanges.append(noted)
            try:
                return web.json_response(await exchange(request))
            except Denied as e:
                noted |= {"granted": False, "reason": str(e)}
                return web.json_response({"error": e.error, "error_description": str(e)}, status=e.status)

        return answer

    # ── The vendors

    async def _openai(self, request: web.Request) -> dict[str, Any]:
        members = await _json(request)
        if members.get("grant_type") != TOKEN_EXCHANGE or members.get("subject_token_type") != _JWT:
            raise Denied("unsupported_grant_type", "The grant or the subject token is of a type that is not supported.")
        rule = self._rule("openai", members.get("identity_provider_id"))
        claims = await self._identity(rule, members.get("subject_token"))
        if members.get("service_account_id") != rule.service_account_id:
            raise Denied("invalid_grant", "No enabled mapping matches the subject token.", 401)
        lifetime_s = min(_HOUR_S, int(claims["exp"] - self._keys.clock()))
        token = self._give(request, "oaiwif-" + secrets.token_urlsafe(48), lifetime_s, rule.id)
        issued = "urn:ietf:params:oauth:token-type:access_token"
        return {"access_token": token, "issued_token_type": issued, "token_type": "Bearer", "expires_in": lifetime_s}

    async def _anthropic(self, request: web.Request) -> dict[str, Any]:
        members = await _json(request)
        if _ANTHROPIC_BETAS - _betas(request.headers) or members.get("grant_type") != JWT_BEARER:
            raise Denied("unsupported_grant_type", "unsupported grant_type")
        rule = self._rule("anthropic", members.get("federation_rule_id"))
        claims = await self._identity(rule, members.get("assertion"))
        named = members.get("service_account_id", rule.service_account_id)
        if members.get("organization_id") != rule.organization_id or named != rule.service_account_id:
            raise Denied("invalid_grant", "The assertion was not accepted.", 401)
        if claims["jti"] in self._used_proofs:
            raise Denied("invalid_grant", "The assertion was used before.", 401)
        self._used_proofs.add(claims["jti"])
        lifetime_s = max(60, min(rule.lifetime_s, 2 * int(claims["exp"] - self._keys.clock())))
        token = self._give(request, "sk-ant-oat01-" + secrets.token_urlsafe(48), lifetime_s, rule.id)
        self._bearers.add(digest_of(token))
        return {"access_token": token, "token_type": "Bearer", "expires_in": lifetime_s}

    async def _google(self, request: web.Request) -> dict[str, Any]:
        form = await request.post()
        assertion = form.get("assertion")
        if form.get("grant_type") != JWT_BEARER or not isinstance(assertion, str):
            raise Denied("unsupported_grant_type", "Invalid grant_type")
        try:
            issuer = str(jwt.decode(assertion, options={"verify_signature": False}).get("iss"))
        except jwt.InvalidTokenError:
            raise Denied("invalid_grant", "Bad Request") from None
        public_key = self._service_accounts.get(issuer)
        if public_key is None:
            raise Denied("invalid_grant", "Invalid grant: account not found")
        claims = self._verified(assertion, public_key, ["RS256"], _GOOGLE_AUDIENCE, issuer, "Invalid JWT Signature.")
        if claims["exp"] - claims["iat"] > _HOUR_S or not claims.get("scope"):
            raise Denied("invalid_grant", "Invalid JWT: Token must be a short-lived token with a scope.")
        lifetime_s = _HOUR_S - 1
        token = self._give(request, "ya29." + secrets.token_urlsafe(48), lifetime_s, issuer)
        return {"access_token": token, "expires_in": lifetime_s, "token_type": "Bearer"}

    # ── Proofs

    def _rule(self, provider: str, rule_id: object) -> FederationRule:
        rule = self._rules.get((provider, str(rule_id)))
        if rule is None:
            raise Denied("invalid_grant", "There is no such rule.", 401)
        return rule

    async def _identity(self, rule: FederationRule, token: object) -> dict[str, Any]:
        """The claims of an identity token that fits the rule."""
        if not isinstance(token, str):
            raise Denied("invalid_request", "A token is missing.")
        key = await _published_key(rule.jwks_url, token)
        claims = self._verified(token, key, _ALGORITHMS, rule.audience, rule.issuer, "The signature is not valid.")
        if not _fits(str(claims["sub"]), rule.subject):
            raise Denied("invalid_grant", "The subject does not match.", 401)
        tagged = claims.get(_AWS_CLAIMS, {}).get("request_tags", {})
        if any(tagged.get(name) != value for name, value in (rule.tags or {}).items()):
            raise Denied("invalid_grant", "The claims do not match.", 401)
        return claims

    def _verified(
        self, token: str, key: Any, algorithms: list[str], audience: str, issuer: str, unsigned: str
    ) -> dict[str, Any]:
        # The times by this program's own clock, which tests set.
        options: Any = {"verify_exp": False, "verify_iat": False, "require": ["iss", "aud", "sub", "exp", "iat"]}
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms, options=options, audience=audience, issuer=issuer
            )
        except jwt.InvalidSignatureError:
            raise Denied("invalid_grant", unsigned, 401) from None
        except jwt.InvalidTokenError as e:
            raise Denied("invalid_grant", f"{e}.", 401) from None
        now_s = self._keys.clock()
        if not claims["iat"] - 60 <= now_s < claims["exp"]:
            raise Denied("invalid_grant", "The token has expired, or is not valid yet.", 401)
        return claims

    def owner_of(self, key: str | None) -> str | None:
        """Whose prompts a key caches: of a token whose it is, whichever of their tokens it be."""
        return self._owners.get(digest_of(key), key)

    def _give(self, request: web.Request, token: str, lifetime_s: int, owner: str) -> str:
        self._owners[digest_of(token)] = owner
        self._keys.set(request.match_info["provider"], token, until_s=self._keys.clock() + lifetime_s)
        return token


async def _published_key(jwks_url: str, token: str) -> Any:
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.InvalidTokenError:
        raise Denied("invalid_request", "The token is no JWT.") from None
    async with aiohttp.ClientSession(timeout=_JWKS_TIMEOUT) as http, http.get(jwks_url) as answer:
        published = jwt.PyJWKSet.from_dict(await answer.json())
    found = next((each for each in published.keys if each.key_id == key_id), None)
    if found is None:
        raise Denied("invalid_grant", "The issuer has no such key.", 401)
    return found.key


def _fits(subject: str, wanted: str | None) -> bool:
    if wanted is None:
        return True
    return subject.startswith(wanted[:-1]) if wanted.endswith("*") else subject == wanted


def _betas(headers: Mapping[str, str]) -> set[str]:
    return {flag.strip() for flag in headers.get("anthropic-beta", "").split(",")}


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        members = json.loads(await request.read())
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise Denied("invalid_request", "The body is no JSON object.")
    return members
