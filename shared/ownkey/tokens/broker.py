"""`TokenBroker`: what a credential's fields are presented as, after whatever exchange its form asks for."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256

from ownkey.catalog import KEY, Form, Provider, Scheme
from ownkey.domain.errors import (
    CredentialsExhausted,
    ProviderInvalidResponse,
    ProviderTimeout,
    ProviderUnreachable,
    UnsafeBaseUrl,
)
from ownkey.domain.scrub import register
from ownkey.domain.secrets import Secret
from ownkey.providers.exchanges import EXCHANGES, Exchange, Grant, TokenRequest, read_token
from ownkey.store.sts import Sts
from ownkey.tokens.held import HeldTokens, Minted, TokenKey
from ownkey.upstream import (
    Timeouts,
    Upstream,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamTimeout,
    UpstreamUnreachable,
)

ACCOUNT_TAG = "ownkey_account"
"""The claim of an identity token that says for which account it was made."""
EXTERNAL_ID_PREFIX = "ownkey:"
"""With the account's id behind it: the external id under which roles are assumed."""
_SESSION_PREFIX = "ownkey-"

DEADLINE_S = 12.0
"""For STS and the token endpoint together."""
_TIMEOUTS = Timeouts(connect_s=3.0, first_byte_s=10.0, idle_s=5.0)
_MAX_ANSWER_BYTES = 256 * 1024


class TokenBroker:
    """Presents credentials. Belongs to one event loop.

    Args:
        on_mint: Told of every secret that is had in exchange, so that it can be kept out of logs and answers.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        upstream: Upstream,
        sts: Sts,
        *,
        on_mint: Callable[[Secret], None] = register,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._upstream = upstream
        self._sts = sts
        self._on_mint = on_mint
        self._clock = clock
        self._held = HeldTokens(clock)

    async def present(
        self,
        provider: Provider,
        credential_id: str,
        version: int,
        account_id: str,
        form: Form,
        public: Mapping[str, str],
        secret: Mapping[str, Secret],
        *,
        fresh: bool = False,
    ) -> Mapping[str, Secret]:
        """The fields that authorise a request: `secret` itself unless the form's scheme exchanges it.

        A token is had once and kept until shortly before it ends; near its end a new one is fetched beside the request
        that finds it so. No request waits for an exchange but the first.

        Args:
            fresh: As a validation wants it. The token is had anew; and where nothing but the function's identity stands
                for the credential, it is proved that the vendor's rule refuses other accounts.

        Raises:
            CredentialsExhausted: STS or the token endpoint refused; or, with `fresh`, the rule admits other accounts.
            ProviderFailure: the token endpoint failed, and says nothing of the credential.
            StoreUnavailable: STS does not answer.
        """
        if not form.scheme.exchanges:
            return secret
        key = TokenKey(account_id, credential_id, version, _digest(provider, form, public, secret))
        mint = partial(self._mint, account_id, form, public, secret)
        fields = await self._held.get(key, mint, fresh=fresh)
        for each in fields.values():
            self._on_mint(each)
        if fresh and form.keyless:
            await self._refuse_if_open(form, public)
        return fields

    def forget(self, account_id: str, credential_id: str, version: int) -> None:
        """Drops a credential's token: the provider refused it before its time."""
        self._held.forget(account_id, credential_id, version)

    async def _mint(
        self, account_id: str, form: Form, public: Mapping[str, str], secret: Mapping[str, Secret]
    ) -> Minted:
        try:
            async with asyncio.timeout(DEADLINE_S):
                if form.scheme is Scheme.AWS_ROLE:
                    return await self._assume(account_id, public)
                return await self._exchange(EXCHANGES[form.scheme], account_id, form, public, secret)
        except TimeoutError:
            raise ProviderTimeout("The token endpoint did not answer in time.") from None

    async def _assume(self, account_id: str, public: Mapping[str, str]) -> Minted:
        keys = await self._sts.assume_role(
            public["role_arn"], f"{EXTERNAL_ID_PREFIX}{account_id}", f"{_SESSION_PREFIX}{account_id}"
        )
        fields = {
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
            "session_token": keys.session_token,
        }
        return Minted(fields, keys.expires_at_s - self._clock())

    async def _exchange(
        self,
        exchange: Exchange,
        account_id: str,
        form: Form,
        public: Mapping[str, str],
        secret: Mapping[str, Secret],
    ) -> Minted:
        identity = None
        if exchange.audience is not None:
            audience = public.get("audience") or exchange.audience
            identity = await self._sts.web_identity_token(audience, {ACCOUNT_TAG: account_id})
        assert form.token_url is not None
        grant = Grant(form.token_url, public, secret, identity, self._clock())
        status, headers, body = await self._ask(exchange.encode(grant))
        token = read_token(exchange.vendor, status, headers, body)
        return Minted({KEY: token.token}, token.lifetime_s)

    async def _ask(self, request: TokenRequest) -> tuple[int, Mapping[str, str], bytes]:
        asked = UpstreamRequest("POST", request.url, request.headers, request.body, _TIMEOUTS)
        try:
            async with await self._upstream.send(asked) as response:
                return response.status, response.headers, await response.read(_MAX_ANSWER_BYTES)
        except (UpstreamUnreachable, UnsafeBaseUrl):
            raise ProviderUnreachable("The token endpoint could not be reached.") from None
        except UpstreamTimeout:
            raise ProviderTimeout("The token endpoint did not answer in time.") from None
        except UpstreamFailure:
            raise ProviderInvalidResponse("The token endpoint's answer stopped before its end.") from None

    async def _refuse_if_open(self, form: Form, public: Mapping[str, str]) -> None:
        """Asks as an account that is nobody's. A rule that gives such a one a token gives every account one."""
        try:
            await self._mint(f"nobody-{uuid.uuid4().hex}", form, public, {})
        except CredentialsExhausted:
            return
        raise CredentialsExhausted(
            "The vendor's rule gives a token to other accounts of this gateway too: it does not ask for this one's "
            f"{ACCOUNT_TAG} (a role: for its external id).",
            fix="Let the rule ask for this account, then save the credential again (docs/decisions/0010-keyless.md).",
        )


def _digest(provider: Provider, form: Form, public: Mapping[str, str], secret: Mapping[str, Secret]) -> bytes:
    """Everything that decides about a token: another destination, rule or key can never meet a token in hand."""
    digest = sha256()
    parts = [provider.id, form.id, form.token_url or ""]
    parts += [part for name in sorted(public) for part in (name, public[name])]
    parts += [part for name in sorted(secret) for part in (name, secret[name].reveal())]
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big"))
        digest.update(raw)
    return digest.digest()
