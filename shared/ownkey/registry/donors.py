"""The accounts that share credentials: found by a list, and read as any account is, by the version in its head.

The list says where to look and nothing else. Whether a credential serves others stands in its own item and its
account's head, which are read with the request: what the list has too much serves nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ownkey.domain.accounts import PLATFORM_ACCOUNT, AccountHead
from ownkey.domain.credentials import StoredCredential
from ownkey.domain.health import Health
from ownkey.registry import items
from ownkey.registry.reads import RequestReader
from ownkey.store import keys

MAX_LISTED = 200
"""Shared credentials of a provider that are looked at, the longest saved first."""
MAX_DONORS = 20
"""Accounts that a request reads, drawn from those; it makes at most eight attempts."""


@dataclass(frozen=True, slots=True)
class Donor:
    """An account that shares, with all of its credentials."""

    account: AccountHead
    credentials: tuple[StoredCredential, ...]
    health: Health


class DonorReader(RequestReader):
    """Reads for inference: two round trips, and a third where an account has changed."""

    async def read_donors(self, providers: Sequence[str], *, beside: str) -> list[Donor]:
        """Accounts that share credentials for any of the providers, drawn by chance, as they are now.

        Args:
            beside: An account that is none of them: whoever asks.

        Raises:
            StoreUnavailable: they cannot be read.
        """
        pages = await asyncio.gather(
            *(self._db.query(self._table, keys.shared(provider), limit=MAX_LISTED) for provider in providers)
        )
        listed = {row["account_id"] for page in pages for row in page.items} - {beside, PLATFORM_ACCOUNT}
        drawn = random.sample(sorted(listed), min(len(listed), MAX_DONORS))
        if not drawn:
            return []
        found = await self._db.batch_get([at for account_id in drawn for at in self._about(account_id)])
        heads = {account_id: head for account_id in drawn if (head := found.get(self._head(account_id)))}
        snapshots = await asyncio.gather(*(self._snapshot(*each) for each in heads.items()))
        return [
            Donor(items.to_account(heads[each.account_id]), each.credentials, self._health(each.account_id, found))
            for each in snapshots
        ]
