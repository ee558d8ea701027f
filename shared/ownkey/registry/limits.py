"""An account's budgets and rate limits: they stand beside its credentials, so that no request reads more for them."""

from __future__ import annotations

from collections import Counter

from ownkey.domain.errors import Conflict, InvalidParameter, NotFound
from ownkey.domain.limits import Limit, LimitScope
from ownkey.registry import items
from ownkey.registry.changes import raise_version
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, Key, Put, Update, Write

MAX_LIMITS = 200
"""Of one account: each is read with every new snapshot."""
MAX_LIMITS_OF_ONE = {LimitScope.ACCOUNT: 6, LimitScope.GATEWAY_KEY: 6, LimitScope.USER: 6, LimitScope.TAG: 2}
"""All that apply to a request of ten tags fit the transaction that bills it."""
_ATTEMPTS = 4


class AccountLimits(RegistryTable):
    """Reads and writes of limits for management. Every change raises the account's version: the next request has it."""

    async def limits(self, account_id: str) -> list[Limit]:
        """The account's limits, oldest first."""
        rows = await self._db.query_all(self._table, keys.account(account_id), prefix=keys.LIMIT_PREFIX)
        return [items.to_limit(row) for row in rows]

    async def limit(self, account_id: str, limit_id: str) -> Limit:
        """One of them.

        Raises:
            NotFound: the account has none of this id.
        """
        item = await self._db.get(self._limit_at(account_id, limit_id))
        if item is None:
            raise NotFound(f"There is no limit {limit_id}.")
        return items.to_limit(item)

    async def create_limit(self, limit: Limit) -> None:
        """Stores a new one.

        Raises:
            Conflict: there is one of its kind already, or the account is being changed by others.
            InvalidParameter: there are as many as there may be.
            NotFound: there is no such account.
        """
        for _ in range(_ATTEMPTS):
            head = await self._db.get(self._head_at(limit.account_id))
            if head is None:
                raise NotFound(f"There is no account {limit.account_id}.")
            # Read after the version that the write is bound to: none is added in between.
            _check_room(limit, await self.limits(limit.account_id))
            if await self._created(limit, head["version"]):
                return
        raise Conflict("The account is being changed by others.")

    async def update_limit(self, limit: Limit, *, seen_updated_at: str) -> None:
        """Changes one. `seen_updated_at` is what the change was decided on.

        Raises:
            Conflict: it was changed or removed since.
        """
        put = Put(
            self._limit_at(limit.account_id, limit.id),
            items.from_limit(limit),
            condition="updated_at = :seen",
            values={":seen": seen_updated_at},
        )
        await self._change(limit.account_id, put)

    async def delete_limit(self, limit: Limit) -> None:
        """Removes one; what it counted is forgotten.

        Raises:
            Conflict: it was removed meanwhile.
        """
        at = self._limit_at(limit.account_id, limit.id)
        await self._change(limit.account_id, Delete(at, condition="attribute_exists(pk)"))

    async def _created(self, limit: Limit, seen_version: int) -> bool:
        head = Update(
            self._head_at(limit.account_id),
            "SET #version = :next",
            condition="#version = :seen",
            names={"#version": "version"},
            values={":seen": seen_version, ":next": seen_version + 1},
        )
        at = self._limit_at(limit.account_id, limit.id)
        put = Put(at, items.from_limit(limit), condition="attribute_not_exists(pk)")
        # Upkeep looks for what dead functions have reserved only where there ever was a limit.
        listed = Update(
            self._key(keys.ACCOUNTS_PARTITION, limit.account_id), "SET has_limits = :true", values={":true": True}
        )
        try:
            await self._db.transact([head, put, listed])
        except ConditionFailed:
            return False
        return True

    async def _change(self, account_id: str, write: Write) -> None:
        try:
            await self._db.transact([raise_version(self._head_at(account_id)), write])
        except ConditionFailed as e:
            raise Conflict("The limit was changed by somebody else meanwhile; nothing was stored.") from e

    def _limit_at(self, account_id: str, limit_id: str) -> Key:
        return self._key(keys.account(account_id), keys.limit(limit_id))


def _check_room(limit: Limit, others: list[Limit]) -> None:
    same = next((each for each in others if each.kind == limit.kind), None)
    if same is not None:
        raise Conflict(
            f"There is a limit of this kind already: {same.id}.", fix=f"Change it (PATCH /api/limits/{same.id})."
        )
    if len(others) >= MAX_LIMITS:
        raise InvalidParameter(f"An account has at most {MAX_LIMITS} limits.", fix="Remove one that is not needed.")
    of_one = Counter((each.scope, each.value) for each in others)
    most = MAX_LIMITS_OF_ONE[limit.scope]
    if of_one[limit.scope, limit.value] >= most:
        raise InvalidParameter(
            f"The scope {limit.scope.value} has at most {most} limits for each value.",
            fix="Remove one that is not needed.",
        )
