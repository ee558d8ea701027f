"""`/api/accounts`: accounts, and the deposits that the operator grants them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT, Member, Role
from ownkey.domain.errors import Conflict, Forbidden
from ownkey.domain.money import parse_usd
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right, session_of
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, cut, read_cursor
from ownkey.http.management.auditing import note
from ownkey.http.management.idempotency import Idempotency
from ownkey.http.management.user_pool import UserPool
from ownkey.ledger.records import Deposit, Records
from ownkey.registry import Registry


def routes(
    access: Access,
    registry: Registry,
    user_pool: UserPool,
    records: Records,
    idempotency: Idempotency,
    now: Callable[[], datetime],
) -> APIRouter:
    """The endpoints."""
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
            head = await registry.create_account(account_id, body.name, now=rfc3339(now()), owner=owner)
            note(request, account_id=account_id, owner=owner.user_id)
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

    @router.get("/{account_id}/deposits")
    async def list_deposits(request: Request, account_id: str, limit: Limit = 50, cursor: Cursor = None) -> Response:
        await access.enter(request, Right.READ_MONEY, account_id)
        page = await records.deposits(account_id, limit=limit, cursor=read_cursor(cursor))
        return answer_page(map(views.deposit, page.deposits), page.next_cursor)

    @router.post("/{account_id}/deposits")
    async def request_deposit(request: Request, account_id: str, body: bodies.Deposit) -> Response:
        session = await access.operator(request, account_id)

        async def create(deposit_id: str) -> Response:
            amount_nanousd = parse_usd(body.amount_usd)
            wanted = Deposit(account_id, deposit_id, amount_nanousd, session.user_id, rfc3339(now()), body.note or "")
            await records.request_deposit(wanted)
            note(request, deposit_id=deposit_id, amount_nanousd=amount_nanousd)
            # Accepted, not done: the billing function alone moves money, and does so within seconds.
            return answer(views.deposit(wanted), 202)

        async def shown(deposit_id: str) -> Response:
            return answer(views.deposit(await records.deposit(account_id, deposit_id)), 202)

        return await idempotency.once(
            request,
            account_id=account_id,
            user_id=session.user_id,
            resource_id=ids.new_id(ids.DEPOSIT),
            create=create,
            shown=shown,
        )

    @router.get("/{account_id}/deposits/{deposit_id}")
    async def read_deposit(request: Request, account_id: str, deposit_id: str) -> Response:
        await access.enter(request, Right.READ_MONEY, account_id)
        return answer(views.deposit(await records.deposit(account_id, deposit_id)))

    return router
