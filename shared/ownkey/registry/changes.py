"""Changes to an account's credentials: all or nothing, and the account's version rises with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ownkey.domain.credentials import Credential, SealedSecret, StoredCredential
from ownkey.domain.errors import Conflict, NotFound
from ownkey.registry import items
from ownkey.registry.reads import join_credentials
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, Key, Put, Update, Write


@dataclass(frozen=True, slots=True)
class CreateCredential:
    """A new credential with its first secret."""

    credential: Credential
    sealed: SealedSecret


@dataclass(frozen=True, slots=True)
class RotateCredential:
    """A new secret (and what goes with it) in place of version `credential.version - 1`, which is removed."""

    credential: Credential
    sealed: SealedSecret


@dataclass(frozen=True, slots=True)
class UpdateCredential:
    """The public part changed, the secret did not. `seen_updated_at` is what the change was decided on."""

    credential: Credential
    seen_updated_at: str


@dataclass(frozen=True, slots=True)
class DeleteCredential:
    """The credential and its secret go."""

    credential: Credential


CredentialChange = CreateCredential | RotateCredential | UpdateCredential | DeleteCredential


class CredentialChanges(RegistryTable):
    """Reads and writes of credentials for management."""

    async def credentials(self, account_id: str) -> list[Credential]:
        """The account's credentials, oldest first, without their secrets."""
        return [stored.credential for stored in await self.stored_credentials(account_id)]

    async def stored_credentials(self, account_id: str) -> list[StoredCredential]:
        """The account's credentials with their sealed secrets, oldest first."""
        rows = await self._db.query_all(self._table, keys.account(account_id), prefix=keys.CREDENTIAL_PREFIX)
        return sorted(join_credentials(rows), key=lambda stored: stored.credential.id)

    async def credential(self, account_id: str, credential_id: str) -> StoredCredential:
        """One credential.

        Raises:
            NotFound: the account has none of this id (another account's id is as unknown as any).
        """
        # A credential's versions sort right behind it, and no id is a prefix of another.
        rows = await self._db.query_all(self._table, keys.account(account_id), prefix=keys.credential(credential_id))
        joined = [stored for stored in join_credentials(rows) if stored.credential.id == credential_id]
        if not joined:
            raise NotFound(f"There is no credential {credential_id}.")
        return joined[0]

    async def apply(self, account_id: str, changes: Sequence[CredentialChange]) -> None:
        """All changes in one transaction, at most 32.

        Raises:
            Conflict: somebody changed one of the credentials meanwhile; nothing was written.
            NotFound: the account does not exist.
        """
        if not changes:
            return
        writes: list[Write] = [self._raise_version(account_id)]
        for change in changes:
            writes += self._writes(change)
        try:
            await self._db.transact(writes)
        except ConditionFailed as e:
            if e.index == 0:
                raise NotFound(f"There is no account {account_id}.") from e
            raise Conflict("The credential was changed by somebody else meanwhile; nothing was stored.") from e

    def _raise_version(self, account_id: str) -> Update:
        return Update(
            self._key(keys.account(account_id), keys.HEAD),
            "ADD #version :one",
            condition="attribute_exists(pk)",
            names={"#version": "version"},
            values={":one": 1},
        )

    def _writes(self, change: CredentialChange) -> list[Write]:
        credential = change.credential
        item = items.from_credential(credential)
        public = self._at(credential)
        match change:
            case CreateCredential(sealed=sealed):
                return [
                    Put(public, item, condition="attribute_not_exists(pk)"),
                    Put(self._version_at(credential, sealed.version), items.from_sealed(sealed)),
                ]
            case RotateCredential(sealed=sealed):
                return [
                    Put(
                        public,
                        item,
                        condition="#version = :previous",
                        names={"#version": "version"},
                        values={":previous": credential.version - 1},
                    ),
                    Put(self._version_at(credential, sealed.version), items.from_sealed(sealed)),
                    Delete(self._version_at(credential, credential.version - 1)),
                ]
            case UpdateCredential(seen_updated_at=seen):
                return [
                    Put(
                        public,
                        item,
                        condition="#version = :version AND updated_at = :seen",
                        names={"#version": "version"},
                        values={":version": credential.version, ":seen": seen},
                    )
                ]
            case DeleteCredential():
                return [
                    Delete(
                        public,
                        condition="#version = :version",
                        names={"#version": "version"},
                        values={":version": credential.version},
                    ),
                    Delete(self._version_at(credential, credential.version)),
                ]

    def _at(self, credential: Credential) -> Key:
        return self._key(keys.account(credential.account_id), keys.credential(credential.id))

    def _version_at(self, credential: Credential, version: int) -> Key:
        return self._key(keys.account(credential.account_id), keys.credential_version(credential.id, version))
