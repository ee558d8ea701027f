"""Credentials as they are shown: each with its versions, when those last served, and how they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from ownkey.catalog import Catalog
from ownkey.domain.credentials import StoredCredential
from ownkey.domain.reconciliation import Leak
from ownkey.http.management import views
from ownkey.registry.health import HealthBook

LastUsed = Callable[[str], Awaitable[Mapping[str, str]]]
"""Account id → when each version of its credentials last served, by `<credential>@<version>`."""
Leaks = Callable[[str], Awaitable[Mapping[str, Leak]]]
"""Account id → spend that no record explains, by credential."""


class Cards:
    """Puts together what is known of credentials."""

    def __init__(
        self, catalog: Catalog, last_used: LastUsed, health: HealthBook, leaks: Leaks, now: Callable[[], datetime]
    ) -> None:
        self._catalog = catalog
        self._last_used = last_used
        self._health = health
        self._leaks = leaks
        self._now = now

    async def of(self, account_id: str, stored: Sequence[StoredCredential]) -> list[dict[str, Any]]:
        """The credentials of an account, in their order; versions of one stand together, the current one first."""
        last_used, health, leaks = await asyncio.gather(
            self._last_used(account_id), self._health.read(account_id), self._leaks(account_id)
        )
        shown = views.Shown(self._catalog, last_used, health, int(self._now().timestamp() * 1000), leaks)
        return [views.credential(list(versions), shown) for _, versions in groupby(stored, key=_id)]

    def unadorned(self, versions: Sequence[StoredCredential]) -> dict[str, Any]:
        """One credential without what changes by itself: what its tag is made of."""
        return views.credential(versions, views.Shown(self._catalog))


def _id(stored: StoredCredential) -> str:
    return stored.credential.id
