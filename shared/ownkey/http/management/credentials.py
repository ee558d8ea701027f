"""What management does with provider keys: check, have them proven, store all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ownkey.catalog import Catalog, Provider
from ownkey.domain.accounts import PLATFORM_ACCOUNT, AccountHead
from ownkey.domain.credentials import Credential, StoredCredential
from ownkey.domain.errors import Conflict, InvalidParameter, NotFound
from ownkey.domain.ids import is_admin_credential
from ownkey.domain.times import rfc3339
from ownkey.http.management.drafting import (
    Given,
    Pasted,
    beside_previous,
    check_room,
    draft,
    find_provider,
    next_version,
    with_settings,
    with_share,
)
from ownkey.http.management.proving import Proven, Prover, ValidationPort
from ownkey.http.management.shaping import Shaped, Shaper
from ownkey.registry import (
    CreateCredential,
    CredentialChange,
    DeleteCredential,
    Registry,
    RetirePrevious,
    RotateCredential,
    ShredCredential,
    UpdateCredential,
)
from ownkey.validation import Candidate, Finding, Kept, Verdict
from ownkey.vault import Sealer


@dataclass(frozen=True, slots=True)
class Saved:
    """A credential as it now stands, and what its owner should know."""

    credential: Credential
    warnings: tuple[str, ...] = ()


Seen = Callable[[Sequence[StoredCredential]], None]
"""Told of a credential's versions before they are changed; raises where that is not what the client decided on."""


def _anything(_versions: Sequence[StoredCredential]) -> None:
    """For a client that does not say."""


class CredentialDesk:
    """The use cases of `/api/byok`."""

    def __init__(
        self,
        registry: Registry,
        catalog: Catalog,
        sealer: Sealer,
        validation: ValidationPort,
        shaper: Shaper,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._catalog = catalog
        self._validation = validation
        self._shaper = shaper
        self._now = now
        self._prover = Prover(sealer, validation, self.timestamp)

    async def credentials(self, account_id: str) -> list[StoredCredential]:
        """The account's credentials, oldest first; a previous version right behind its current one."""
        return await self._registry.stored_credentials(account_id)

    async def credential(self, account_id: str, credential_id: str) -> list[StoredCredential]:
        """One of them with each of its versions, the current one first.

        Raises:
            NotFound: the account has none of this id; admin credentials have a desk of their own.
        """
        if is_admin_credential(credential_id):
            raise NotFound(f"There is no credential {credential_id}.")
        return await self._registry.credential_versions(account_id, credential_id)

    async def create(
        self, account_id: str, credential_id: str, provider_name: str, *, pasted: Pasted, given: Given
    ) -> Saved:
        """Saves a credential that its provider accepts, under a new id.

        Raises:
            BadRequest: it cannot be saved like this; nothing was asked of the provider.
            CredentialRejected, ProviderUnreachable, Conflict: nothing was stored.
        """
        provider = self.provider(provider_name)
        existing = await self._registry.credentials(account_id)
        check_room(existing, 1)
        taken = [each.alias for each in existing]
        drafted = draft(account_id, credential_id, provider, taken=taken, at=self.timestamp())
        shaped = self._shaper.create(with_settings(drafted, provider, given), provider, pasted)
        await self._check_gateway_keys(shaped.credential)
        proven = await self.prove(shaped, await self.head(account_id))
        await self.store(account_id, [CreateCredential(proven.credential, proven.sealed)], proven.head)
        return Saved(proven.credential, proven.warnings)

    async def rotate(
        self,
        account_id: str,
        credential_id: str,
        *,
        pasted: Pasted,
        expires_at: str | None = None,
        share_percent: int | None = None,
        seen: Seen = _anything,
    ) -> Saved:
        """A new secret, everything else stays. It replaces the old one at once, or stands beside it.

        Args:
            expires_at: When the new secret ends; what was noted of the old one says nothing of it.
            share_percent: How much of the traffic stays on the old one; None: it is removed.

        Raises:
            NotFound, BadRequest, CredentialRejected, ProviderUnreachable, Conflict: the old secret stays in force.
        """
        current = await self._seen(account_id, credential_id, seen)
        wished = replace(current, expires_at=expires_at)
        shaped = self._shaper.change(wished, self.provider(current.provider_id), pasted)
        if not shaped.secrets:
            raise InvalidParameter(
                "The new secret is missing.",
                fix="Send it in the form that the credential has, or another.",
                param="key",
            )
        return await self._rotate(current, shaped, share_percent)

    async def update(
        self,
        account_id: str,
        credential_id: str,
        *,
        pasted: Pasted,
        given: Given,
        share_percent: int | None = None,
        seen: Seen = _anything,
    ) -> Saved:
        """Changes what is given. A new destination takes the secret along, or is refused.

        Args:
            share_percent: How much of the traffic is to stay on the previous version; None: unchanged.

        Raises:
            NotFound, BadRequest, CredentialRejected, ProviderUnreachable, Conflict: nothing was changed.
        """
        versions = await self.credential(account_id, credential_id)
        seen(versions)
        current = versions[0].credential
        provider = self.provider(current.provider_id)
        wished = with_settings(current, provider, given)
        if share_percent is not None:
            wished = with_share(wished, share_percent)
        shaped = self._shaper.change(wished, provider, pasted)
        wished = shaped.credential
        await self._check_gateway_keys(wished)
        if shaped.secrets or (wished.keyless and _identity(wished) != _identity(current)):
            expires_at = given.get("expires_at") if shaped.secrets else wished.expires_at
            return await self._rotate(current, replace(shaped, credential=replace(wished, expires_at=expires_at)))
        _check_same_secret(wished, current, provider)
        if wished == current:
            return Saved(current)
        changed = await self._changed(wished, versions[0])
        await self.store(account_id, [UpdateCredential(changed.credential, current.updated_at)])
        return changed

    async def retire(self, account_id: str, credential_id: str, *, seen: Seen = _anything) -> Credential:
        """Removes the previous version: the current one alone serves.

        Raises:
            NotFound: the account has no such credential.
            Conflict: there is no previous version (any more).
        """
        current = await self._seen(account_id, credential_id, seen)
        if current.previous is None:
            raise Conflict("The credential has no previous version.", fix="There is nothing left to retire.")
        retired = replace(current, previous=None, updated_at=self.timestamp())
        await self.store(account_id, [RetirePrevious(retired, current)])
        return retired

    async def shred(self, account_id: str, credential_id: str, *, seen: Seen = _anything) -> Credential:
        """Deletes the data keys of all its versions: nothing opens them again, backups of the table aside.

        Raises:
            NotFound: the account has no such credential.
            InvalidParameter: it stores no secret.
        """
        current = await self._seen(account_id, credential_id, seen)
        if current.keyless:
            raise InvalidParameter("The credential stores no secret.", fix="Delete it instead.")
        shredded = replace(current, updated_at=self.timestamp())
        await self.store(account_id, [ShredCredential(shredded, current)])
        return shredded

    async def delete(self, account_id: str, credential_id: str, *, seen: Seen = _anything) -> Credential:
        """Removes the credential and its secrets: the next request no longer uses it.

        Raises:
            NotFound: the account has none of this id.
        """
        current = await self._seen(account_id, credential_id, seen)
        await self.store(account_id, [DeleteCredential(current)])
        return current

    async def validate(self, account_id: str, credential_id: str) -> tuple[Credential, Finding]:
        """Asks the provider about the stored key; an acceptance is noted, nothing else changes.

        Raises:
            NotFound: the account has none of this id.
        """
        stored = (await self.credential(account_id, credential_id))[0]
        finding = await self._validation.validate(Candidate.of(stored.credential, stored.sealed, kept=Kept.FINDING))
        if finding.verdict is Verdict.ACCEPTED:
            await self._registry.note_validated(stored.credential, at=self.timestamp())
        return stored.credential, finding

    def provider(self, name: str) -> Provider:
        """The provider that people mean by a name; see `find_provider`."""
        return find_provider(self._catalog, name)

    async def head(self, account_id: str) -> AccountHead:
        """The account. The platform's comes into being with its first credential.

        Raises:
            NotFound: there is none of this id.
        """
        if account_id == PLATFORM_ACCOUNT:
            await self._found_platform()
        return await self._registry.account(account_id)

    async def prove(self, shaped: Shaped, head: AccountHead) -> Proven:
        """The credential, sealed and accepted by its provider; not stored yet.

        Raises:
            BadRequest, CredentialRejected, ProviderUnreachable, VaultUnavailable: as `Prover.prove`.
        """
        provider = self.provider(shaped.credential.provider_id)
        return await self._prover.prove(shaped.credential, provider, shaped.secrets, head)

    async def store(
        self, account_id: str, changes: Sequence[CredentialChange], sealed_for: AccountHead | None = None
    ) -> None:
        """All changes or none.

        Raises:
            Conflict: somebody changed one of the credentials, or the account's KMS key, meanwhile.
        """
        await self._registry.apply(account_id, changes, sealed_for=sealed_for)

    def timestamp(self) -> str:
        """Now, as items have it."""
        return rfc3339(self._now())

    async def _seen(self, account_id: str, credential_id: str, seen: Seen) -> Credential:
        versions = await self.credential(account_id, credential_id)
        seen(versions)
        return versions[0].credential

    async def _changed(self, wished: Credential, stored: StoredCredential) -> Saved:
        """With other fields it is asked about with the secret that is stored; settings are nobody's business."""
        if wished.fields == stored.credential.fields:
            return Saved(replace(wished, updated_at=self.timestamp()))
        head = await self.head(wished.account_id)
        proven = await self._prover.prove_stored(wished, self.provider(wished.provider_id), stored.sealed, head)
        return Saved(proven.credential, proven.warnings)

    async def _rotate(self, current: Credential, shaped: Shaped, share_percent: int | None = None) -> Saved:
        wished = next_version(shaped.credential)
        if share_percent is not None:
            wished = beside_previous(wished, current, share_percent=share_percent)
        proven = await self.prove(replace(shaped, credential=wished), await self.head(current.account_id))
        change = RotateCredential(proven.credential, proven.sealed, current)
        await self.store(current.account_id, [change], proven.head)
        return Saved(proven.credential, proven.warnings)

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


def _identity(credential: Credential) -> tuple[object, ...]:
    """What a provider is asked about: a change of it is proven before it counts."""
    return credential.form, credential.fields, credential.destination


def _check_same_secret(wished: Credential, current: Credential, provider: Provider) -> None:
    """A stored secret stays in the form and for the address that it was saved in and for."""
    if (wished.form, wished.destination) != (current.form, current.destination):
        raise InvalidParameter(
            "A key's destination cannot be changed without giving the key again.",
            fix="Send the secret in the same request.",
            param=_changed_member(wished, current, provider),
        )


def _changed_member(wished: Credential, current: Credential, provider: Provider) -> str:
    """The member of the request that leads elsewhere."""
    fields = provider.form(wished.form).fields
    changed = (each.wire for each in fields if wished.fields.get(each.name) != current.fields.get(each.name))
    return next(changed, "base_url")
