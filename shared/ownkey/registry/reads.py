"""What an inference request reads: one round trip of strongly consistent reads.

The account's id stands inside the gateway key, so one BatchGet brings the key's item, the heads of the account and of
the platform, and what is known of the health of both. An account's credentials are a snapshot cached under the head's
version: parsing a hundred items costs milliseconds, and is done once for each version.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ownkey.domain.accounts import PLATFORM_ACCOUNT, AccountHead
from ownkey.domain.credentials import Credential, PoolStrategy, StoredCredential
from ownkey.domain.errors import Forbidden, GatewayKeyExpired, GatewayKeyRevoked, InvalidGatewayKey
from ownkey.domain.gateway_keys import GatewayKey, PresentedKey
from ownkey.domain.health import HEALTHY, Health
from ownkey.domain.limits import Limit
from ownkey.registry import items
from ownkey.registry.health import health_at, to_health
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key

_CACHED_SNAPSHOTS = 256
_OF_A_SNAPSHOT = (keys.CREDENTIAL_PREFIX, keys.LIMIT_PREFIX)
_CREDENTIALS_AND_LIMITS = (keys.CREDENTIAL_PREFIX, f"{keys.LIMIT_PREFIX}\uffff")
"""One range of sort keys; what else stands between them is the account's head."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An account's credentials and limits, at least as new as the account's `version`."""

    account_id: str
    version: int
    credentials: tuple[StoredCredential, ...]
    pools: Mapping[str, PoolStrategy] = field(default_factory=dict)
    """Provider id → the order in which its credentials are used; absent: `fallback`."""
    limits: tuple[Limit, ...] = ()
    """All of the account's, whatever they are about."""


@dataclass(frozen=True, slots=True)
class RequestView:
    """Who asks, and the credentials that may serve: the account's own and the platform's, and how well they are."""

    key: GatewayKey
    account: AccountHead
    own: Snapshot
    platform: Snapshot
    own_health: Health = HEALTHY
    platform_health: Health = HEALTHY


class RequestReader(RegistryTable):
    """Reads for inference. Holds nothing but a cache that may vanish.

    Args:
        health_table: Where health's marks stand. None: nothing is known of it, for those who read no requests.
    """

    def __init__(self, db: DynamoDb, table: str, health_table: str | None = None) -> None:
        super().__init__(db, table)
        self._health_table = health_table
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
        wanted = [key_at, *self._about(PLATFORM_ACCOUNT)]
        if presented.account_id is not None:
            wanted += self._about(presented.account_id)
        found = await self._db.batch_get(wanted)
        gateway_key = _usable(found.get(key_at))
        account_at, platform_at = self._head(gateway_key.account_id), self._head(PLATFORM_ACCOUNT)
        if account_at not in found:
            # An imported key does not name its account: its head takes a second round trip.
            found |= await self._db.batch_get(self._about(gateway_key.account_id))
        head = found.get(account_at)
        if head is None:
            raise InvalidGatewayKey("The account of this gateway key no longer exists.")
        account = items.to_account(head)
        if account.disabled:
            raise Forbidden(f"The account {account.id} is disabled.", fix="Ask the operator of this gateway.")
        own, platform = await asyncio.gather(
            self._snapshot(account.id, head),
            self._snapshot(PLATFORM_ACCOUNT, found.get(platform_at, {})),
        )
        own_health, platform_health = self._health(account.id, found), self._health(PLATFORM_ACCOUNT, found)
        return RequestView(gateway_key, account, own, platform, own_health, platform_health)

    async def _snapshot(self, account_id: str, head: Item) -> Snapshot:
        version = head.get("version", 0)
        cached = self._snapshots.get(account_id)
        if cached is not None and cached.version == version:
            self._snapshots.move_to_end(account_id)
            return cached
        if version == 0:
            return Snapshot(account_id, 0, ())
        rows = await self._db.query_all(self._table, keys.account(account_id), between=_CREDENTIALS_AND_LIMITS)
        parts = {prefix: [row for row in rows if row["sk"].startswith(prefix)] for prefix in _OF_A_SNAPSHOT}
        # Kept under the version that was read *before* the rows: they are at least that new, and a change that slips
        # in between raises the head's version, so that the next request reads again.
        snapshot = Snapshot(
            account_id,
            version,
            join_credentials(parts[keys.CREDENTIAL_PREFIX]),
            _pools(head),
            tuple(items.to_limit(row) for row in parts[keys.LIMIT_PREFIX]),
        )
        self._snapshots[account_id] = snapshot
        self._snapshots.move_to_end(account_id)
        if len(self._snapshots) > _CACHED_SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return snapshot

    def _about(self, account_id: str) -> list[Key]:
        """What every request reads of an account."""
        head = self._head(account_id)
        return [head] if self._health_table is None else [head, health_at(self._health_table, account_id)]

    def _health(self, account_id: str, found: Mapping[Key, Item]) -> Health:
        return to_health(found.get(health_at(self._health_table, account_id))) if self._health_table else HEALTHY

    def _head(self, account_id: str) -> Key:
        return self._key(keys.account(account_id), keys.HEAD)


def _pools(head: Item) -> Mapping[str, PoolStrategy]:
    """The strategies by provider; one that a newer release knows counts as the default."""
    known = {strategy.value for strategy in PoolStrategy}
    return {provider: PoolStrategy(name) for provider, name in head.get("pools", {}).items() if name in known}


def join_credentials(rows: list[Item]) -> tuple[StoredCredential, ...]:
    """Credentials with the sealed secret of their current version, and of the previous one where that is kept.

    One whose secret is missing is left out: the rows were read while it was being rotated or removed, and the version
    that says so is already on its way to the next request. A keyless one has none to miss.
    """
    public: list[Credential] = []
    sealed: dict[tuple[str, int], Item] = {}
    for row in rows:
        _, _, names = row["sk"].partition("#")
        credential_id, _, version = names.partition("#V#")
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
