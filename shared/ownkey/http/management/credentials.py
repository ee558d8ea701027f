"""What management does with provider keys: check, have them proven, store all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypedDict

from ownkey.catalog import Catalog, Provider
from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import Conflict, InvalidParameter, NotFound
from ownkey.domain.secrets import Secret
from ownkey.http.management.key_format import read_key
from ownkey.http.management.proving import Proven, Prover, ValidationPort
from ownkey.http.management.times import rfc3339
from ownkey.registry import (
    CreateCredential,
    CredentialChange,
    DeleteCredential,
    Registry,
    RotateCredential,
    UpdateCredential,
)
from ownkey.upstream import UrlPolicy
from ownkey.validation import Candidate, Finding, Verdict
from ownkey.vault import Sealer

MAX_CREDENTIALS = 200
"""Of one account: what a snapshot holds is read and parsed by every new environment."""


class Given(TypedDict, total=False):
    """Settings of a credential that a request names, by their names in `Credential`; absent is unchanged."""

    alias: str
    priority: int
    weight: int
    disabled: bool
    always_use: bool
    allowed_models: tuple[str, ...] | None
    gateway_keys: tuple[str, ...] | None
    headers: Mapping[str, str | None]
    """A header set to None is removed."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A credential as it now stands, and what its owner should know."""

    credential: Credential
    warnings: tuple[str, ...] = ()


class CredentialDesk:
    """The use cases of `/api/byok`."""

    def __init__(
        self,
        registry: Registry,
        catalog: Catalog,
        sealer: Sealer,
        validation: ValidationPort,
        url_policy: UrlPolicy,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._catalog = catalog
        self._validation = validation
        self._url_policy = url_policy
        self._now = now
        self._prover = Prover(sealer, validation, self.timestamp)

    async def credentials(self, account_id: str) -> list[Credential]:
        """The account's credentials, oldest first."""
        return await self._registry.credentials(account_id)

    async def credential(self, account_id: str, credential_id: str) -> Credential:
        """One of them.

        Raises:
            NotFound: the account has none of this id.
        """
        return (await self._registry.credential(account_id, credential_id)).credential

    async def create(
        self, account_id: str, provider_name: str, pasted: str, *, base_url: str | None, given: Given
    ) -> Saved:
        """Saves a key that its provider accepts.

        Raises:
            BadRequest: it cannot be saved like this; nothing was asked of the provider.
            CredentialRejected, ProviderUnreachable: nothing was stored.
        """
        provider = self.provider(provider_name)
        key = read_key(pasted, param="key")
        existing = await self.credentials(account_id)
        check_room(existing, 1)
        drafted = self.draft(account_id, provider, taken=[each.alias for each in existing])
        wished = self._with(self._at(drafted, provider, base_url), provider, given)
        await self._check_gateway_keys(wished)
        proven = await self.prove(wished, key)
        await self.store(account_id, [CreateCredential(proven.credential, proven.sealed)])
        return Saved(proven.credential, proven.warnings)

    async def rotate(self, account_id: str, credential_id: str, pasted: str) -> Saved:
        """Replaces the secret at once, everything else stays.

        Raises:
            NotFound, BadRequest, CredentialRejected, ProviderUnreachable, Conflict: the old secret stays in force.
        """
        key = read_key(pasted, param="key")
        current = await self.credential(account_id, credential_id)
        return await self._rotate(self.next_version(current), key)

    async def update(
        self, account_id: str, credential_id: str, given: Given, *, destination: Destination, pasted: str | None
    ) -> Saved:
        """Changes what is given. A new destination takes the secret along, or is refused.

        Raises:
            NotFound, BadRequest, CredentialRejected, ProviderUnreachable, Conflict: nothing was changed.
        """
        key = None if pasted is None else read_key(pasted, param="key")
        current = await self.credential(account_id, credential_id)
        provider = self.provider(current.provider_id)
        wished = self._with(current, provider, given)
        if destination.named:
            wished = self._at(wished, provider, destination.base_url)
        await self._check_gateway_keys(wished)
        if key is not None:
            return await self._rotate(self.next_version(wished), key)
        if wished.destination != current.destination:
            raise InvalidParameter(
                "A key's destination cannot be changed without giving the key again.",
                fix="Send `key` in the same request.",
                param="base_url",
            )
        if wished == current:
            return Saved(current)
        changed = replace(wished, updated_at=self.timestamp())
        await self.store(account_id, [UpdateCredential(changed, current.updated_at)])
        return Saved(changed)

    async def delete(self, account_id: str, credential_id: str) -> None:
        """Removes the credential and its secret: the next request no longer uses it.

        Raises:
            NotFound: the account has none of this id.
        """
        await self.store(account_id, [DeleteCredential(await self.credential(account_id, credential_id))])

    async def validate(self, account_id: str, credential_id: str) -> tuple[Credential, Finding]:
        """Asks the provider about the stored key; an acceptance is noted, nothing else changes.

        Raises:
            NotFound: the account has none of this id.
        """
        stored = await self._registry.credential(account_id, credential_id)
        finding = await self._validation.validate(Candidate.of(stored.credential, stored.sealed, stored=True))
        if finding.verdict is not Verdict.ACCEPTED:
            return stored.credential, finding
        at = self.timestamp()
        noted = replace(stored.credential, validated_at=at, updated_at=at)
        try:
            await self.store(account_id, [UpdateCredential(noted, stored.credential.updated_at)])
        except Conflict:
            # It was changed while the provider was asked: the finding stands, the note is about what was replaced.
            return await self.credential(account_id, credential_id), finding
        return noted, finding

    def provider(self, name: str) -> Provider:
        """The provider that people mean by a name.

        Raises:
            InvalidParameter: there is none. The name is not repeated: it may be a key in the wrong place.
        """
        provider = self._catalog.find_provider(name)
        if provider is None:
            raise InvalidParameter(
                "There is no such provider in this deployment's catalog.",
                fix="Use a provider's name or id; `openai-compatible` takes any endpoint by its `base_url`.",
                param="provider",
            )
        return provider

    def draft(self, account_id: str, provider: Provider, *, taken: list[str]) -> Credential:
        """A new credential, named after its provider; without a secret yet."""
        at = self.timestamp()
        return Credential(
            id=ids.new_id(ids.CREDENTIAL),
            account_id=account_id,
            provider_id=provider.id,
            alias=_free_alias(provider.display_name, taken),
            mask="",
            version=1,
            destination=provider.base_url or "",
            created_at=at,
            updated_at=at,
        )

    def next_version(self, credential: Credential) -> Credential:
        """The credential as it stands once its next secret is proven."""
        return replace(credential, version=credential.version + 1)

    async def prove(self, credential: Credential, key: Secret) -> Proven:
        """The key, sealed for this credential and accepted by its provider; not stored yet.

        Raises:
            BadRequest, CredentialRejected, ProviderUnreachable, VaultUnavailable: as `Prover.prove`.
        """
        return await self._prover.prove(credential, self.provider(credential.provider_id), key)

    async def store(self, account_id: str, changes: list[CredentialChange]) -> None:
        """All changes or none. The platform's account comes into being with its first credential.

        Raises:
            Conflict: somebody changed one of the credentials meanwhile.
        """
        if account_id == PLATFORM_ACCOUNT:
            await self._found_platform()
        await self._registry.apply(account_id, changes)

    def timestamp(self) -> str:
        """Now, as items have it."""
        return rfc3339(self._now())

    async def _rotate(self, credential: Credential, key: Secret) -> Saved:
        proven = await self.prove(credential, key)
        await self.store(credential.account_id, [RotateCredential(proven.credential, proven.sealed)])
        return Saved(proven.credential, proven.warnings)

    def _at(self, credential: Credential, provider: Provider, base_url: str | None) -> Credential:
        """The credential for another destination: the user's own, or (None) the provider's."""
        if base_url is not None:
            return replace(credential, destination=self._url_policy.check(base_url), custom_base_url=True)
        if provider.base_url is None:
            raise InvalidParameter(
                f"{provider.display_name} has no base URL of its own.",
                fix="Send the endpoint's `base_url` with the key.",
                param="base_url",
            )
        return replace(credential, destination=provider.base_url, custom_base_url=False)

    def _with(self, credential: Credential, provider: Provider, given: Given) -> Credential:
        """The credential with the settings that were given."""
        merged = {**credential.headers, **given.get("headers", {})}
        headers = {name: value for name, value in merged.items() if value is not None}
        if unknown := headers.keys() - provider.credential_headers.keys():
            raise InvalidParameter(f"{provider.display_name} takes no {min(unknown)}.", param=min(unknown))
        changes: dict[str, Any] = {**given, "headers": headers}
        return replace(credential, **changes)

    async def _check_gateway_keys(self, credential: Credential) -> None:
        if credential.gateway_keys is None:
            return
        known = {key.id for key in await self._registry.gateway_keys(credential.account_id)}
        if not known.issuperset(credential.gateway_keys):
            raise InvalidParameter(
                "One of these gateway keys does not exist in the account.",
                fix="Use ids from GET /api/gateway-keys.",
                param="gateway_keys",
            )

    async def _found_platform(self) -> None:
        try:
            await self._registry.account(PLATFORM_ACCOUNT)
        except NotFound:
            try:
                await self._registry.create_account(PLATFORM_ACCOUNT, "Platform", now=self.timestamp())
            except Conflict:
                return  # Another operator's first credential was quicker.


@dataclass(frozen=True, slots=True)
class Destination:
    """What an update says of the base URL: nothing, the provider's own (None), or the user's."""

    named: bool = False
    base_url: str | None = None


def check_room(existing: Sequence[Credential], more: int) -> None:
    """Whether the account may have more credentials.

    Raises:
        Conflict: a snapshot would hold too many.
    """
    if len(existing) + more > MAX_CREDENTIALS:
        raise Conflict(f"An account has at most {MAX_CREDENTIALS} provider keys.", fix="Remove some first.")


def _free_alias(name: str, taken: list[str]) -> str:
    """The provider's name, numbered from the second credential on."""
    alias, number = name, 1
    while alias in taken:
        number += 1
        alias = f"{name} {number}"
    return alias
