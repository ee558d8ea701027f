"""Gateway keys: created, listed, revoked. The item under the digest is what counts; a second one lists it."""

from __future__ import annotations

from ownkey.domain.errors import Conflict, NotFound
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.registry import items
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import Check, ConditionFailed, Put, Update


class GatewayKeys(RegistryTable):
    """Reads and writes of gateway keys for management."""

    async def create_gateway_key(self, key: GatewayKey) -> None:
        """Stores a new key's digest and what goes with it.

        Raises:
            Conflict: the key exists already (an import repeated).
            NotFound: the account does not exist.
        """
        at = self._key(keys.gateway_key(key.digest), keys.GATEWAY_KEY_SK)
        try:
            await self._db.transact(
                [
                    Check(self._key(keys.account(key.account_id), keys.HEAD), "attribute_exists(pk)"),
                    Put(at, items.from_gateway_key(key), condition="attribute_not_exists(pk)"),
                    Put(self._key(keys.gateway_keys_of(key.account_id), key.id), {"digest": key.digest}),
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
        for first in range(0, len(rows), 100):
            at = [self._key(keys.gateway_key(row["digest"]), keys.GATEWAY_KEY_SK) for row in rows[first : first + 100]]
            found += [items.to_gateway_key(item) for item in (await self._db.batch_get(at)).values()]
        return sorted(found, key=lambda key: key.id)

    async def gateway_key(self, account_id: str, key_id: str) -> GatewayKey:
        """One key of the account.

        Raises:
            NotFound: the account has none of this id.
        """
        row = await self._db.get(self._key(keys.gateway_keys_of(account_id), key_id))
        item = await self._db.get(self._key(keys.gateway_key(row["digest"]), keys.GATEWAY_KEY_SK)) if row else None
        if item is None:
            raise NotFound(f"There is no gateway key {key_id}.")
        return items.to_gateway_key(item)

    async def revoke_gateway_key(self, account_id: str, key_id: str, *, now: str) -> GatewayKey:
        """Revokes at once: the next request that presents it is refused. Revoking twice keeps the first time.

        Raises:
            NotFound: the account has none of this id.
        """
        key = await self.gateway_key(account_id, key_id)
        await self._db.write(
            Update(
                self._key(keys.gateway_key(key.digest), keys.GATEWAY_KEY_SK),
                "SET revoked_at = if_not_exists(revoked_at, :now)",
                condition="attribute_exists(pk)",
                values={":now": now},
            )
        )
        return await self.gateway_key(account_id, key_id)

    async def update_gateway_key(self, key: GatewayKey) -> None:
        """Changes what may change of a key: alias, expiry, cost mode. The next request goes by it.

        Raises:
            NotFound: there is no such key.
        """
        values = {":alias": key.alias, ":mode": key.usage_cost_mode}
        expression = "SET alias = :alias, usage_cost_mode = :mode"
        if key.expires_at is None:
            expression += " REMOVE expires_at"
        else:
            expression += ", expires_at = :expires_at"
            values[":expires_at"] = key.expires_at
        try:
            await self._db.write(
                Update(
                    self._key(keys.gateway_key(key.digest), keys.GATEWAY_KEY_SK),
                    expression,
                    condition="attribute_exists(pk)",
                    values=values,
                )
            )
        except ConditionFailed as e:
            raise NotFound(f"There is no gateway key {key.id}.") from e
