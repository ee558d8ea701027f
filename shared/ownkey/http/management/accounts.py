"""`/api/accounts`: accounts, and what the operator gives each new one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT, Member, Role
from ownkey.domain.errors import Conflict, Forbidden
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right, session_of
from ownkey.http.management.answers import Cursor, Limit, answer_page, cut
from ownkey.http.management.auditing import note
from ownkey.http.management.idempotency import Idempotency
from ownkey.http.management.user_pool import UserPool
from ownkey.ledger.records import Records, sign_up_credit
from ownkey.registry import Registry


def routes(
    access: Access,
    registry: Registry,
    user_pool: UserPool,
    records: Records,
    idempotency: Idempotency,
    now: Callable[[], datetime],
    sign_up_credit_nanousd: int = 0,
) -> APIRouter:
    """The endpoints.

    Args:
        sign_up_credit_nanousd: What every new account is given, once.
    """
    router = APIRouter(prefix="/api/accounts")

    @router.get("")
    async def list_accounts(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        session = session_of(request)
        roles = dict(await registry.accounts_of(session.user_id))
        every = await registry.account_ids() if session.operator else roles
        shown, after = cut((each for each in every if each != PLATFORM_ACCOUNT), limit, cursor, by=str)
        heads = await registry.accounts(shown)
        return answer_page((views.account(head, roles.get(head.id)) for head in heads), after)

    @router.post("")
    async def create_account(request: Request, body: bodies.CreateAccount) -> Response:
        session = await access.operator(request)
        if body.id == PLATFORM_ACCOUNT:
            raise Conflict("This id is the deployment's own.", fix="Choose another.")

        async def create(account_id: str) -> Response:
            email = body.owner_email or await user_pool.email(session.user_id)
            owner = Member(account_id, await user_pool.user_id(email), email, Role.OWNER, rfc3339(now()))
            gift = sign_up_credit(account_id, sign_up_credit_nanousd, by=session.user_id, at=owner.added_at)
            # In one transaction: there is no account without it, and none gets it twice.
            once = records.deposit_write(gift) if sign_up_credit_nanousd else None
            head = await registry.create_account(account_id, body.name, now=owner.added_at, owner=owner, once=once)
            note(request, account_id=account_id, owner=owner.user_id)
            if once is not None:
                note(request, deposit_id=gift.id, amount_nanousd=gift.amount_nanousd)
            return etags.answer(views.account(head, Role.OWNER if owner.user_id == session.user_id else None), 201)

        async def shown(account_id: str) -> Response:
            head, role = await registry.account(account_id), await registry.role(session.user_id, account_id)
            return etags.answer(views.account(head, role), 201)

        return await idempotency.once(
            request,
            account_id=PLATFORM_ACCOUNT,
            user_id=session.user_id,
            resource_id=body.id or ids.new_id(ids.ACCOUNT),
            create=create,
            shown=shown,
        )

    @router.get("/{account_id}")
    async def read_account(request: Request, account_id: str) -> Response:
        caller = await access.enter(request, Right.READ_ACCOUNT, account_id)
        return etags.answer(views.account(await registry.account(account_id), caller.role))

    @router.patch("/{account_id}")
    async def update_account(request: Request, account_id: str, body: bodies.UpdateAccount) -> Response:
        caller = await access.enter(request, Right.CHANGE_ACCOUNT, account_id)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        if "disabled" in given and not caller.session.operator:
            raise Forbidden("Only an operator of the deployment disables an account.", fix="Ask the operator.")
        head = await registry.account(account_id)
        etags.check(request, views.account(head, caller.role))
        changed = await registry.update_account(head, **given)
        note(request, **given)
        return etags.answer(views.account(changed, caller.role))

    return router
