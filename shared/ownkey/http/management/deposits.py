"""`/api/accounts/{id}/deposits` and `/corrections`: credits that the operator grants, and what he puts right.

All of it is written down and asked for here, and carried out by billing, which alone moves money. What new accounts are
given and what payments bring stands in the same list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.errors import Conflict
from ownkey.domain.ledger import DepositKind
from ownkey.domain.money import parse_usd, usd_string
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, read_cursor
from ownkey.http.management.auditing import note
from ownkey.http.management.idempotency import Idempotency
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.statements import Statements


def routes(
    access: Access, records: Records, statements: Statements, idempotency: Idempotency, now: Callable[[], datetime]
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/accounts/{account_id}")

    async def asked_for(request: Request, wanted: Deposit) -> Response:
        """Accepted, not done: billing does it within seconds."""

        async def create(deposit_id: str) -> Response:
            deposit = replace(wanted, id=deposit_id)
            await refuse_what_is_not_there(deposit)
            await records.request_deposit(deposit)
            note(request, deposit_id=deposit_id, amount_nanousd=deposit.amount_nanousd, reason=deposit.note or None)
            return answer(views.deposit(deposit), 202)

        async def shown(deposit_id: str) -> Response:
            return answer(views.deposit(await records.deposit(wanted.account_id, deposit_id)), 202)

        return await idempotency.once(
            request,
            account_id=wanted.account_id,
            user_id=wanted.requested_by,
            resource_id=wanted.id,
            create=create,
            shown=shown,
        )

    async def refuse_what_is_not_there(deposit: Deposit) -> None:
        """Said at once where it can be seen; billing looks again, in the transaction that takes."""
        if deposit.amount_nanousd >= 0 or deposit.partial:
            return
        available = (await statements.balance(deposit.account_id)).available_nanousd
        if available + deposit.amount_nanousd < 0:
            raise Conflict(
                "The account has less than that to take back.",
                fix="Take back less, or set `partial` to take what there is: no balance goes below zero.",
                details={"available_usd": usd_string(available)},
            )

    @router.get("/deposits")
    async def list_deposits(request: Request, account_id: str, limit: Limit = 50, cursor: Cursor = None) -> Response:
        await access.enter(request, Right.READ_MONEY, account_id)
        page = await records.deposits(account_id, limit=limit, cursor=read_cursor(cursor))
        return answer_page(map(views.deposit, page.deposits), page.next_cursor)

    @router.post("/deposits")
    async def request_deposit(request: Request, account_id: str, body: bodies.Deposit) -> Response:
        session = await access.operator(request, account_id)
        amount_nanousd = parse_usd(body.amount_usd)
        wanted = Deposit(
            account_id, ids.new_id(ids.DEPOSIT), amount_nanousd, session.user_id, rfc3339(now()), body.note or ""
        )
        return await asked_for(request, wanted)

    @router.post("/corrections")
    async def request_correction(request: Request, account_id: str, body: bodies.Correction) -> Response:
        session = await access.operator(request, account_id)
        wanted = Deposit(
            account_id,
            ids.new_id(ids.DEPOSIT),
            parse_usd(body.amount_usd),
            session.user_id,
            rfc3339(now()),
            body.reason,
            kind=DepositKind.CORRECTION,
            partial=body.partial,
        )
        return await asked_for(request, wanted)

    @router.get("/deposits/{deposit_id}")
    async def read_deposit(request: Request, account_id: str, deposit_id: str) -> Response:
        await access.enter(request, Right.READ_MONEY, account_id)
        return answer(views.deposit(await records.deposit(account_id, deposit_id)))

    return router
