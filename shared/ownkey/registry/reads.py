"""What an inference request reads: one round trip of strongly consistent reads.

The account's id stands inside the gateway key, so one BatchGet brings the key's item, the account's head and the
platform's head. An account's credentials are a snapshot cached under the head's version: parsing a hundred items costs
milliseconds, and is done once for each version.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from ownkey.domain.accounts import PLATFORM_ACCOUNT, AccountHead
from ownkey.domain.credentials import Credential, StoredCredential
from ownkey.domain.errors import Forbidden, GatewayKeyExpired, GatewayKeyRevoked, InvalidGatewayKey
from ownkey.domain.gateway_keys import GatewayKey, PresentedKey
from ownkey.registry import items
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key

_CACHED_SNAPSHOTS = 256


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An account's credentials, at least as new as the account's `version`."""

    account_id: str
    version: int
    credentials: tuple[StoredCredential, ...]


@dataclass(frozen=True, slots=True)
class RequestView:
    """Who asks, and the credentials that may serve: the account's own and the platform's."""

    key: GatewayKey
    account: AccountHead
    own: Snapshot
    platform: Snapshot


class RequestReader(RegistryTable):
    """Reads for inference. Holds nothing but a cache that may vanish."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        super().__init__(db, table)
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    async def read_for_request(self, presented: PresentedKey) -> RequestView:
        """Everything that routing needs to know of a presented gateway key.

        Raises:
            InvalidGatewayKey: nobody has this key.
            GatewayKeyRevoked, GatewayKeyExpired: it no longer counts.
            Forbidden: the account is disabled.
            StoreUnavailable: the table cannot be read; says nothing about the key.
        """
        key_at = self._key(keys.gateway_key(presented.digest), keys.GATEWAY_KEY_SK)
        platform_at = self._head(PLATFORM_ACCOUNT)
        wanted = [key_at, platform_at]
        if presented.account_id is not None:
            wanted.append(self._head(presented.account_id))
        found = await self._db.batch_get(wanted)
        gateway_key = _usable(found.get(key_at))
        account_at = self._head(gateway_key.account_id)
        # An imported key does not name its account: its head takes a second round trip.
        head = found.get(account_at) or await self._db.get(account_at)
        if head is None:
            raise InvalidGatewayKey("The account of this gateway key no longer exists.")
        account = items.to_account(head)
        if account.disabled:
            raise Forbidden(f"The account {account.id} is disabled.", fix="Ask the operator of this gateway.")
        own, platform = await asyncio.gather(
            self._snapshot(account.id, account.version),
            self._snapshot(PLATFORM_ACCOUNT, found.get(platform_at, {}).get("version", 0)),
        )
        return RequestView(gateway_key, account, own, platform)

    async def _snapshot(self, account_id: str, version: int) -> Snapshot:
        cached = self._snapshots.get(account_id)
        if cached is not None and cached.version == version:
            self._snapshots.move_to_end(account_id)
            return cached
        if version == 0:
            return Snapshot(account_id, 0, ())
        rows = await self._db.query_all(self._table, keys.account(account_id), prefix=keys.CREDENTIAL_PREFIX)
        # Kept under the version that was read *before* the rows: they are at least that new, and a change that slips
        # in between raises the head's version, so that the next request reads again.
        snapshot = Snapshot(account_id, version, join_credentials(rows))
        self._snapshots[account_id] = snapshot
        self._snapshots.move_to_end(account_id)
        if len(self._snapshots) > _CACHED_SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return snapshot

    def _head(self, account_id: str) -> Key:
        return self._key(keys.account(account_id), keys.HEAD)


def join_credentials(rows: list[Item]) -> tuple[StoredCredential, ...]:
    """Credentials with the sealed secret of their current version, and of the previous one where that is kept.

    One whose secret is missing is left out: the rows were read while it was being rotated or removed, and the version
    that says so is already on its way to the next request. A keyless one has none to miss.
    """
    public: list[Credential] = []
    sealed: dict[tuple[str, int], Item] = {}
    for row in rows:
        credential_id, _, version = row["sk"].removeprefix(keys.CREDENTIAL_PREFIX).partition("#V#")
        if version:
            sealed[credential_id, int(version)] = row
        else:
            public.append(items.to_credential(row))
    versions = [
        version
        for credential in public
        for version in ([credential] if credential.previous is None else [credential, credential.as_previous()])
    ]
    return tuple(
        StoredCredential(each, None if each.keyless else items.to_sealed(sealed[each.id, each.version]))
        for each in versions
        if each.keyless or (each.id, each.version) in sealed
    )


def _usable(item: Item | None) -> GatewayKey:
    if item is None:
        raise InvalidGatewayKey("This gateway key does not exist.")
    key = items.to_gateway_key(item)
    if key.revoked_at is not None:
        raise GatewayKeyRevoked(f"The gateway key {key.alias!r} was revoked.")
    now = datetime.now(UTC)
    if key.expired(now):
        raise GatewayKeyExpired(f"The gateway key {key.alias!r} expired at {key.expires_at}.")
    if key.retired(now):
        raise GatewayKeyExpired(
            f"The gateway key {key.alias!r} was rotated; the secret before ended at {key.retires_at}.",
            fix="Present the secret that the rotation showed, or rotate the gateway key again.",
        )
    return key
