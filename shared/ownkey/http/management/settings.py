"""`/api/me`, who calls, and `/api/settings`, what an account's requests go by."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right, session_of
from ownkey.http.management.answers import answer
from ownkey.http.management.auditing import note
from ownkey.http.management.user_pool import UserPool
from ownkey.registry import Registry


def routes(access: Access, registry: Registry, user_pool: UserPool, deployment: Mapping[str, bool]) -> APIRouter:
    """The endpoints.

    Args:
        deployment: What the stack's parameters allow, by name: the same for every account.
    """
    router = APIRouter(prefix="/api")

    @router.get("/me")
    async def read_me(request: Request) -> Response:
        session = session_of(request)
        roles = dict(await registry.accounts_of(session.user_id))
        heads = await registry.accounts(list(roles))
        email = await user_pool.email(session.user_id)
        return answer(views.me(session, email, ((head, roles[head.id]) for head in heads)))

    @router.get("/settings")
    async def read_settings(request: Request) -> Response:
        caller = await access.enter(request, Right.READ_ACCOUNT)
        return etags.answer(views.settings(await registry.account(caller.account_id), deployment))

    @router.patch("/settings")
    async def update_settings(request: Request, body: bodies.UpdateSettings) -> Response:
        caller = await access.enter(request, Right.CHANGE_ACCOUNT)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        head = await registry.account(caller.account_id)
        etags.check(request, views.settings(head, deployment))
        changed = await registry.update_account(head, **given)
        note(request, **given)
        return etags.answer(views.settings(changed, deployment))

    return router
