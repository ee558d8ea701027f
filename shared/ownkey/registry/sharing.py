"""What an account says of sharing its credentials: its consent, and which of them. The next request goes by it."""

from __future__ import annotations

from dataclasses import asdict

from ownkey.domain.accounts import AccountHead
from ownkey.domain.errors import NotFound
from ownkey.domain.sharing import Consent
from ownkey.registry import items
from ownkey.registry.table import RegistryTable
from ownkey.store.dynamodb import ConditionFailed, Update


class SharingSettings(RegistryTable):
    """Writes of an account's consent. Which credentials it shares is a change of those (`changes`)."""

    async def give_consent(self, account_id: str, consent: Consent) -> AccountHead:
        """Records a consent, once: one to the same text stays as it was given first.

        Raises:
            NotFound: there is no such account.
        """
        return await self._set(
            account_id,
            "SET sharing_consent = :consent ADD #version :one",
            "attribute_not_exists(sharing_consent) OR NOT (sharing_consent.#version = :seen AND "
            "sharing_consent.digest = :digest)",
            {":consent": asdict(consent), ":seen": consent.version, ":digest": consent.digest},
        )

    async def withdraw_consent(self, account_id: str) -> AccountHead:
        """Takes it back: none of the account's credentials serves others any more.

        Raises:
            NotFound: there is no such account.
        """
        return await self._set(
            account_id, "REMOVE sharing_consent ADD #version :one", "attribute_exists(sharing_consent)", {}
        )

    async def _set(self, account_id: str, expression: str, condition: str, values: dict[str, object]) -> AccountHead:
        at = self._head_at(account_id)
        update = Update(
            at,
            expression,
            condition=f"attribute_exists(pk) AND ({condition})",
            names={"#version": "version"},
            values={":one": 1, **values},
        )
        try:
            await self._db.write(update)
        except ConditionFailed as e:
            if e.item is None:
                raise NotFound(f"There is no account {account_id}.") from e
            return items.to_account(e.item)  # it is as it should be
        item = await self._db.get(at)
        if item is None:
            raise NotFound(f"There is no account {account_id}.")
        return items.to_account(item)
