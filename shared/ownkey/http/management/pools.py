"""`/api/pools`: in which order an account's credentials for one provider are used."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.catalog import Catalog
from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import Credential, PoolStrategy
from ownkey.domain.errors import NotFound
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import Cursor, Limit, answer_page, cut
from ownkey.http.management.auditing import note
from ownkey.http.management.credentials import CredentialDesk
from ownkey.registry import Registry


def routes(access: Access, registry: Registry, desk: CredentialDesk, catalog: Catalog) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/pools")

    def provider_id(name: str) -> str:
        found = catalog.find_provider(name)
        if found is None:
            raise NotFound("There is no such provider in this deployment's catalog.", fix="Use its name or id.")
        return found.id

    async def shown(head: AccountHead, provider: str) -> dict[str, Any]:
        pool = [each for each in await registry.credentials(head.id) if each.provider_id == provider]
        return views.pool(provider, _strategy(head, provider), pool, catalog)

    @router.get("")
    async def list_pools(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS)
        head = await desk.head(caller.account_id)
        pools: dict[str, list[Credential]] = defaultdict(list)
        for each in await registry.credentials(caller.account_id):
            pools[each.provider_id].append(each)
        rows, after = cut({*pools, *head.pools}, limit, cursor, by=str)
        return answer_page(
            (views.pool(each, _strategy(head, each), pools.get(each, ()), catalog) for each in rows), after
        )

    @router.get("/{provider}")
    async def read_pool(request: Request, provider: str) -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS)
        return etags.answer(await shown(await desk.head(caller.account_id), provider_id(provider)))

    @router.put("/{provider}")
    async def set_strategy(request: Request, provider: str, body: bodies.SetPool) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        found, strategy = provider_id(provider), PoolStrategy(body.strategy)

        async def unchanged(head: AccountHead) -> None:
            etags.check(request, await shown(head, found))

        await desk.head(caller.account_id)
        head = await registry.set_pool(caller.account_id, found, strategy, seen=unchanged)
        note(request, provider=found, strategy=body.strategy)
        return etags.answer(await shown(head, found))

    return router


def _strategy(head: AccountHead, provider_id: str) -> PoolStrategy:
    return PoolStrategy(head.pools.get(provider_id, PoolStrategy.FALLBACK))
