"""What management does with admin credentials: check, have them proven, store. They read reports, and serve nothing.

They are credentials like others (`domain.credentials`), under ids of their own: sealed, rotated, removed, re-wrapped
and shredded alike. Requests never read them, and the role that serves requests may not open them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ownkey.catalog import Catalog, Provider
from ownkey.domain.credentials import Credential, StoredCredential
from ownkey.domain.errors import Conflict, InvalidParameter, NotFound
from ownkey.domain.ids import is_admin_credential
from ownkey.domain.times import rfc3339
from ownkey.http.management.credentials import CredentialDesk, Saved, Seen
from ownkey.http.management.drafting import Pasted, draft, find_provider, next_version
from ownkey.http.management.proving import Prover, ValidationPort
from ownkey.http.management.shaping import Shaper
from ownkey.registry import CreateCredential, DeleteCredential, Registry, RotateCredential
from ownkey.vault import Sealer


class AdminDesk:
    """The use cases of `/api/admin-credentials`."""

    def __init__(
        self,
        registry: Registry,
        catalog: Catalog,
        sealer: Sealer,
        validation: ValidationPort,
        shaper: Shaper,
        credentials: CredentialDesk,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._catalog = catalog
        self._shaper = shaper
        self._credentials = credentials
        self._now = now
        self._prover = Prover(sealer, validation, self._timestamp)

    async def all(self, account_id: str) -> list[Credential]:
        """The account's, oldest first."""
        return [each.credential for each in await self._registry.admin_credentials(account_id)]

    async def one(self, account_id: str, admin_id: str) -> StoredCredential:
        """One of them.

        Raises:
            NotFound: the account has none of this id.
        """
        if not is_admin_credential(admin_id):
            raise NotFound(f"There is no credential {admin_id}.")
        return await self._registry.credential(account_id, admin_id)

    async def create(self, account_id: str, admin_id: str, provider_name: str, members: Mapping[str, Any]) -> Saved:
        """Saves one that its provider lets read the report.

        Raises:
            BadRequest: it cannot be saved like this; nothing was asked of the provider.
            CredentialRejected, ProviderUnreachable, Conflict: nothing was stored.
        """
        provider = self.provider(provider_name)
        if any(each.provider_id == provider.id for each in await self.all(account_id)):
            raise Conflict(
                f"The account has an admin credential for {provider.display_name} already.",
                fix="Rotate it, or delete it first.",
            )
        drafted = draft(account_id, admin_id, provider, taken=(), at=self._timestamp())
        shaped = self._shaper.create(drafted, provider, Pasted(members))
        head = await self._credentials.head(account_id)
        proven = await self._prover.prove(shaped.credential, provider, shaped.secrets, head)
        created = CreateCredential(proven.credential, proven.sealed)
        await self._registry.apply(account_id, [created], sealed_for=proven.head)
        return Saved(proven.credential, proven.warnings)

    async def rotate(self, account_id: str, admin_id: str, members: Mapping[str, Any], *, seen: Seen) -> Saved:
        """A new secret in the place of the old one.

        Raises:
            NotFound, BadRequest, CredentialRejected, ProviderUnreachable, Conflict: the old secret stays in force.
        """
        current = await self._seen(account_id, admin_id, seen)
        provider = self.provider(current.provider_id)
        shaped = self._shaper.change(current, provider, Pasted(members))
        if not shaped.secrets:
            raise InvalidParameter("The new secret is missing.", param="key")
        head = await self._credentials.head(account_id)
        wished = next_version(shaped.credential)
        proven = await self._prover.prove(wished, provider, shaped.secrets, head)
        rotated = RotateCredential(proven.credential, proven.sealed, current)
        await self._registry.apply(account_id, [rotated], sealed_for=proven.head)
        return Saved(proven.credential, proven.warnings)

    async def delete(self, account_id: str, admin_id: str, *, seen: Seen) -> Credential:
        """Removes it and its secret: no report is read any more.

        Raises:
            NotFound: the account has none of this id.
        """
        current = await self._seen(account_id, admin_id, seen)
        await self._registry.apply(account_id, [DeleteCredential(current)])
        return current

    async def for_provider(self, account_id: str, provider_name: str) -> Credential:
        """The one that reads a provider's report.

        Raises:
            InvalidParameter: the provider has no report, or the account no admin credential for it.
        """
        provider = self.provider(provider_name)
        found = [each for each in await self.all(account_id) if each.provider_id == provider.id]
        if not found:
            raise InvalidParameter(
                f"The account has no admin credential for {provider.display_name}.",
                fix="Save one: POST /api/admin-credentials.",
                param="provider",
            )
        return found[0]

    def provider(self, name: str) -> Provider:
        """The provider that people mean by a name, as its admin credentials have it.

        Raises:
            InvalidParameter: there is none, or it has no report that is known here.
        """
        provider = find_provider(self._catalog, name)
        if provider.report is None:
            have = ", ".join(each.id for each in self._catalog.providers if each.report)
            raise InvalidParameter(
                f"{provider.display_name} has no report of usage that Ownkey reads.",
                fix=f"These have: {have}.",
                param="provider",
            )
        return provider.for_reports()

    async def _seen(self, account_id: str, admin_id: str, seen: Seen) -> Credential:
        stored = await self.one(account_id, admin_id)
        seen([stored])
        return stored.credential

    def _timestamp(self) -> str:
        return rfc3339(self._now())
