"""What an account says of its credentials as a whole: the order within a pool, the KMS key they are wrapped under."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import PoolStrategy
from ownkey.domain.errors import Conflict, NotFound
from ownkey.domain.rewraps import RewrapJob
from ownkey.registry import items
from ownkey.registry.rewraps import new_job
from ownkey.registry.table import RegistryTable
from ownkey.store.dynamodb import ConditionFailed, Update

_ATTEMPTS = 4

Seen = Callable[[AccountHead], Awaitable[None]]
"""Told of the account as a change is about to be made on it; raises where that is not what the client decided on."""


class AccountSettings(RegistryTable):
    """Writes of the account's head that concern its credentials: the next request goes by them."""

    async def set_pool(
        self, account_id: str, provider_id: str, strategy: PoolStrategy, *, seen: Seen | None = None
    ) -> AccountHead:
        """In which order the account's credentials for a provider are used.

        Raises:
            NotFound: there is no such account.
            Conflict: others keep changing it.
            Whatever `seen` raises: nothing is changed. What it reads of credentials is what the change is made on, as
            every change to one raises the account's version.
        """
        at = self._head_at(account_id)
        for _ in range(_ATTEMPTS):
            item = await self._db.get(at)
            if item is None:
                raise NotFound(f"There is no account {account_id}.")
            head = items.to_account(item)
            if seen is not None:
                await seen(head)
            changed = replace(head, pools={**head.pools, provider_id: strategy.value}, version=head.version + 1)
            try:
                await self._db.write(
                    Update(
                        at,
                        "SET pools = :pools, #version = :version",
                        condition="#version = :seen",
                        names={"#version": "version"},
                        values={":pools": changed.pools, ":version": changed.version, ":seen": head.version},
                    )
                )
            except ConditionFailed:
                continue
            return changed
        raise Conflict("The account is being changed by others.")

    async def set_kms_key(self, seen: AccountHead, arn: str | None, job: RewrapJob) -> None:
        """The KMS key that the account's secrets are wrapped under from now on; None: the deployment's.

        With it begins the job that brings the stored ones there: there is no change without one.

        Raises:
            NotFound: there is no such account.
            Conflict: it has another KMS key than was seen.
        """
        expression, values = ("REMOVE kms_key_arn", {}) if arn is None else ("SET kms_key_arn = :arn", {":arn": arn})
        condition = "attribute_exists(pk) AND attribute_not_exists(kms_key_arn)"
        if seen.kms_key_arn is not None:
            condition, values = "kms_key_arn = :seen", values | {":seen": seen.kms_key_arn}
        head = Update(
            self._head_at(seen.id),
            f"{expression} ADD #version :one",
            condition=condition,
            names={"#version": "version"},
            values={":one": 1, **values},
        )
        try:
            await self._db.transact([head, new_job(self._table, job)])
        except ConditionFailed as e:
            if e.item is None:
                raise NotFound(f"There is no account {seen.id}.") from e
            raise Conflict("The account's KMS key was changed by somebody else meanwhile.") from e
