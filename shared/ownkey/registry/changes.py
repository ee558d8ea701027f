"""Changes to an account's credentials: all or nothing, and the account's version rises with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import Credential, SealedSecret, StoredCredential
from ownkey.domain.errors import Conflict, NotFound
from ownkey.registry import items
from ownkey.registry.reads import join_credentials
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, Key, Put, Update, Write

MAX_CHANGES = 24
"""Of one transaction: DynamoDB takes 100 writes, a change is up to four, and the account's head is one."""


@dataclass(frozen=True, slots=True)
class CreateCredential:
    """A new credential with its first secret; None: keyless."""

    credential: Credential
    sealed: SealedSecret | None


@dataclass(frozen=True, slots=True)
class RotateCredential:
    """A new secret and what goes with it. The versions of `replaced` that `credential` no longer has are removed."""

    credential: Credential
    sealed: SealedSecret | None
    replaced: Credential


@dataclass(frozen=True, slots=True)
class UpdateCredential:
    """The public part changed, the secret did not. `seen_updated_at` is what the change was decided on."""

    credential: Credential
    seen_updated_at: str


@dataclass(frozen=True, slots=True)
class RetirePrevious:
    """The version before the current one goes; `replaced` still has it."""

    credential: Credential
    replaced: Credential


@dataclass(frozen=True, slots=True)
class ShredCredential:
    """The data keys of all its versions are deleted: nothing opens their secrets again. The public part stays."""

    credential: Credential
    replaced: Credential


@dataclass(frozen=True, slots=True)
class DeleteCredential:
    """The credential and its secrets go."""

    credential: Credential


@dataclass(frozen=True, slots=True)
class ShareCredential:
    """Its owner lets it serve others from now on, or no longer: `credential.shared`."""

    credential: Credential
    replaced: Credential


CredentialChange = (
    CreateCredential
    | RotateCredential
    | UpdateCredential
    | RetirePrevious
    | ShredCredential
    | DeleteCredential
    | ShareCredential
)


class CredentialChanges(RegistryTable):
    """Reads and writes of credentials for management."""

    async def credentials(self, account_id: str) -> list[Credential]:
        """The account's credentials, oldest first, without their secrets."""
        return [each.credential for each in await self.stored_credentials(account_id) if not each.is_previous]

    async def stored_credentials(self, account_id: str) -> list[StoredCredential]:
        """The account's credentials with their sealed secrets, oldest first; a previous version behind its current."""
        return await self._joined(account_id, keys.CREDENTIAL_PREFIX)

    async def admin_credentials(self, account_id: str) -> list[StoredCredential]:
        """The account's admin credentials, which read providers' reports and serve no request; oldest first."""
        return await self._joined(account_id, keys.ADMIN_PREFIX)

    async def all_secrets(self, account_id: str) -> list[StoredCredential]:
        """Everything that is sealed for the account, whatever it is for."""
        return await self.stored_credentials(account_id) + await self.admin_credentials(account_id)

    async def _joined(self, account_id: str, prefix: str) -> list[StoredCredential]:
        rows = await self._db.query_all(self._table, keys.account(account_id), prefix=prefix)
        return sorted(join_credentials(rows), key=lambda stored: (stored.credential.id, stored.is_previous))

    async def credential(self, account_id: str, credential_id: str) -> StoredCredential:
        """One credential, with the secret of its current version.

        Raises:
            NotFound: the account has none of this id (another account's id is as unknown as any).
        """
        return (await self.credential_versions(account_id, credential_id))[0]

    async def credential_versions(self, account_id: str, credential_id: str) -> list[StoredCredential]:
        """One credential with each of its secrets, the current one first.

        Raises:
            NotFound: as `credential`.
        """
        # A credential's versions sort right behind it, and no id is a prefix of another.
        rows = await self._db.query_all(self._table, keys.account(account_id), prefix=keys.credential(credential_id))
        joined = [stored for stored in join_credentials(rows) if stored.credential.id == credential_id]
        if not joined or joined[0].is_previous:
            raise NotFound(f"There is no credential {credential_id}.")
        return joined

    async def apply(
        self, account_id: str, changes: Sequence[CredentialChange], *, sealed_for: AccountHead | None = None
    ) -> None:
        """All changes in one transaction, at most `MAX_CHANGES`.

        Args:
            sealed_for: The account as it was when the secrets were sealed: where it has another KMS key by now,
                nothing is stored. Else a re-wrapping under way could pass a secret that is not there yet.

        Raises:
            Conflict: somebody changed one of the credentials, or the account's KMS key, meanwhile.
            NotFound: the account does not exist.
        """
        if not changes:
            return
        writes: list[Write] = [raise_version(self._head_at(account_id), sealed_for)]
        for change in changes:
            writes += self._writes(change)
        try:
            await self._db.transact(writes)
        except ConditionFailed as e:
            if e.index == 0 and e.item is None:
                raise NotFound(f"There is no account {account_id}.") from e
            raise Conflict("The credential was changed by somebody else meanwhile; nothing was stored.") from e

    async def note_validated(self, credential: Credential, *, at: str) -> None:
        """Notes when the current version was last found good. Nothing routes by it: the account's version stays.

        Does nothing where the credential was rotated or removed meanwhile.
        """
        update = Update(
            self._at(credential),
            "SET validated_at = :at",
            condition="#version = :version",
            names={"#version": "version"},
            values={":at": at, ":version": credential.version},
        )
        try:
            await self._db.write(update)
        except ConditionFailed:
            return  # The note is about what was replaced.

    def _writes(self, change: CredentialChange) -> Iterator[Write]:
        credential = change.credential
        match change:
            case CreateCredential(sealed=sealed):
                yield Put(self._at(credential), items.from_credential(credential), "attribute_not_exists(pk)")
                yield from self._put_secret(credential, sealed)
            case RotateCredential(sealed=sealed, replaced=replaced):
                yield self._put_public(credential, replaced.version, replaced.updated_at)
                yield from self._put_secret(credential, sealed)
                yield from self._drop(replaced, set(replaced.versions()) - set(credential.versions()))
                yield from self._unlisted(replaced)
            case UpdateCredential(seen_updated_at=seen):
                yield self._put_public(credential, credential.version, seen)
            case RetirePrevious(replaced=replaced):
                yield self._put_public(credential, replaced.version, replaced.updated_at)
                yield from self._drop(replaced, set(replaced.versions()) - set(credential.versions()))
            case ShredCredential(replaced=replaced):
                yield self._put_public(credential, replaced.version, replaced.updated_at)
                for version in credential.versions():
                    yield Update(
                        self._version_at(credential, version),
                        "SET wrapped_key = :nothing",
                        condition="attribute_exists(pk)",
                        values={":nothing": b""},
                    )
            case DeleteCredential():
                yield Delete(
                    self._at(credential),
                    condition="#version = :version",
                    names={"#version": "version"},
                    values={":version": credential.version},
                )
                yield from self._drop(credential, set(credential.versions()))
                yield from self._unlisted(credential)
            case ShareCredential(replaced=replaced):
                yield self._put_public(credential, replaced.version, replaced.updated_at)
                if credential.shared:
                    yield Put(self._listed_at(credential), {"account_id": credential.account_id})
                else:
                    yield from self._unlisted(replaced)

    def _put_public(self, credential: Credential, seen_version: int, seen_updated_at: str) -> Put:
        """The public part, where nobody changed it since it was seen."""
        return Put(
            self._at(credential),
            items.from_credential(credential),
            condition="#version = :version AND updated_at = :seen",
            names={"#version": "version"},
            values={":version": seen_version, ":seen": seen_updated_at},
        )

    def _put_secret(self, credential: Credential, sealed: SealedSecret | None) -> Iterator[Write]:
        if sealed is not None:
            yield Put(self._version_at(credential, sealed.version), items.from_sealed(sealed))

    def _drop(self, credential: Credential, versions: set[int]) -> Iterator[Write]:
        if not credential.keyless:
            yield from (Delete(self._version_at(credential, version)) for version in sorted(versions))

    def _unlisted(self, credential: Credential) -> Iterator[Write]:
        # Of one for chosen gateway keys the row may stay, as it serves nobody: many are changed in one transaction.
        if credential.shared_version is not None and credential.gateway_keys is None:
            yield Delete(self._listed_at(credential))

    def _listed_at(self, credential: Credential) -> Key:
        """Where those look that ask what other accounts share."""
        return self._key(keys.shared(credential.provider_id), credential.id)

    def _at(self, credential: Credential) -> Key:
        return self._key(keys.account(credential.account_id), keys.credential(credential.id))

    def _version_at(self, credential: Credential, version: int) -> Key:
        return self._key(keys.account(credential.account_id), keys.credential_version(credential.id, version))


def raise_version(head_at: Key, sealed_for: AccountHead | None = None) -> Update:
    """The account's version one higher; with `sealed_for` only where the account still has that KMS key."""
    condition, values = "attribute_exists(pk)", {}
    if sealed_for is not None and sealed_for.kms_key_arn is None:
        condition += " AND attribute_not_exists(kms_key_arn)"
    elif sealed_for is not None:
        condition, values = "kms_key_arn = :arn", {":arn": sealed_for.kms_key_arn}
    return Update(head_at, "ADD #version :one", condition, {"#version": "version"}, {":one": 1, **values})
