"""Gateway keys: created, listed, changed, rotated, revoked.

The item under a secret's digest is what counts. One more item lists the key under its id and names the digest of its
current secret; through a rotation's overlap the previous secret has an item too, and every change is made to both.
"""

from __future__ import annotations

from dataclasses import replace

from ownkey.domain.errors import Conflict, NotFound
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.registry import items
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import Check, ConditionFailed, Delete, Item, Key, Put, Update, Write

_READS = 3
"""Of a key that is being rotated at the same time."""
_REVOCATIONS = 5
"""Others may change the key while it is being revoked; it is revoked all the same."""
_BATCH = 100


class GatewayKeys(RegistryTable):
    """Reads and writes of gateway keys for management."""

    async def create_gateway_key(self, key: GatewayKey) -> None:
        """Stores a new key's digest and what goes with it.

        Raises:
            Conflict: the key exists already (an import repeated).
            NotFound: the account does not exist.
        """
        try:
            await self._db.transact(
                [
                    Check(self._key(keys.account(key.account_id), keys.HEAD), "attribute_exists(pk)"),
                    self._put_secret_item(key),
                    Put(self._key_row_at(key.account_id, key.id), {"digest": key.digest}, "attribute_not_exists(pk)"),
                ]
            )
        except ConditionFailed as e:
            if e.index == 0:
                raise NotFound(f"There is no account {key.account_id}.") from e
            raise Conflict("This gateway key exists already.") from e

    async def gateway_keys(self, account_id: str) -> list[GatewayKey]:
        """The account's keys, oldest first; revoked ones too."""
        rows = await self._db.query_all(self._table, keys.gateway_keys_of(account_id))
        found: list[GatewayKey] = []
        for first in range(0, len(rows), _BATCH):
            at = {row["sk"]: self._secret_at(row["digest"]) for row in rows[first : first + _BATCH]}
            read = await self._db.batch_get(list(at.values()))
            for key_id, each in at.items():
                current = _current(read.get(each))
                found.append(current or await self.gateway_key(account_id, key_id))
        return sorted(found, key=lambda key: key.id)

    async def gateway_key(self, account_id: str, key_id: str) -> GatewayKey:
        """One key of the account, with its current secret's digest.

        Raises:
            NotFound: the account has none of this id.
        """
        for _ in range(_READS):
            row = await self._db.get(self._key_row_at(account_id, key_id))
            current = _current(await self._db.get(self._secret_at(row["digest"]))) if row else None
            if current is not None:
                return current
        raise NotFound(f"There is no gateway key {key_id}.")

    async def update_gateway_key(self, key: GatewayKey, *, seen_updated_at: str | None) -> None:
        """Changes what is said of a key; the next request goes by it, whichever secret it presents.

        Args:
            seen_updated_at: The `updated_at` of the key that the change was decided on.

        Raises:
            Conflict: somebody changed it since.
        """
        writes: list[Write] = [self._replace_secret(key, seen_updated_at)]
        if key.previous is not None:
            retiring = key.as_previous()
            writes.append(
                Put(self._secret_at(retiring.digest), items.from_gateway_key(retiring), "attribute_exists(pk)")
            )
        await self._change_key(writes)

    async def rotate_gateway_key(self, key: GatewayKey, *, replaced: GatewayKey) -> None:
        """Stores the key's new secret; the one of `replaced` ends as `key.previous` says, one before it ends now.

        Raises:
            Conflict: somebody changed it since `replaced` was read.
        """
        writes: list[Write] = [
            self._put_secret_item(key),
            self._replace_secret(key.as_previous(), replaced.updated_at),
            Update(self._key_row_at(key.account_id, key.id), "SET digest = :digest", values={":digest": key.digest}),
        ]
        if replaced.previous is not None:
            writes.append(Delete(self._secret_at(replaced.previous.digest)))
        await self._change_key(writes)

    async def revoke_gateway_key(self, account_id: str, key_id: str, *, now: str) -> GatewayKey:
        """Revokes each of its secrets: the next request is refused. Revoking twice keeps the first time.

        Raises:
            NotFound: the account has none of this id.
            Conflict: it was being changed the whole time.
        """
        for _ in range(_REVOCATIONS):
            key = await self.gateway_key(account_id, key_id)
            if key.revoked_at is not None:
                return key
            revoked = replace(key, revoked_at=now, updated_at=now)
            try:
                await self.update_gateway_key(revoked, seen_updated_at=key.updated_at)
            except Conflict:
                continue
            return revoked
        raise Conflict(f"The gateway key {key_id} is being changed by others; it is not revoked.")

    async def _change_key(self, writes: list[Write]) -> None:
        try:
            await self._db.transact(writes)
        except ConditionFailed as e:
            raise Conflict("The gateway key was changed by somebody else meanwhile; nothing was stored.") from e

    def _put_secret_item(self, key: GatewayKey) -> Put:
        return Put(self._secret_at(key.digest), items.from_gateway_key(key), condition="attribute_not_exists(pk)")

    def _replace_secret(self, key: GatewayKey, seen_updated_at: str | None) -> Put:
        """The item of the key's digest, where nobody changed it since it was seen."""
        at, item = self._secret_at(key.digest), items.from_gateway_key(key)
        if seen_updated_at is None:
            return Put(at, item, condition="attribute_exists(pk) AND attribute_not_exists(updated_at)")
        return Put(at, item, condition="updated_at = :seen", values={":seen": seen_updated_at})

    def _secret_at(self, digest: str) -> Key:
        return self._key(keys.gateway_key(digest), keys.GATEWAY_KEY_SK)

    def _key_row_at(self, account_id: str, key_id: str) -> Key:
        return self._key(keys.gateway_keys_of(account_id), key_id)


def _current(item: Item | None) -> GatewayKey | None:
    """None: the secret was replaced after its digest was read."""
    key = items.to_gateway_key(item) if item else None
    return key if key is not None and key.retires_at is None else None
