"""`/api/accounts`: accounts, their members, deposits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT, Member, Role
from ownkey.domain.errors import Conflict, Forbidden
from ownkey.domain.money import parse_usd, usd_string
from ownkey.http.management import bodies, views
from ownkey.http.management.access import Access, Caller, Right, session_of
from ownkey.http.management.answers import answer, answer_list
from ownkey.http.management.times import rfc3339
from ownkey.http.management.user_pool import UserPool
from ownkey.ledger.records import Deposit, Records
from ownkey.registry import Registry


def routes(
    access: Access, registry: Registry, user_pool: UserPool, records: Records, now: Callable[[], datetime]
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/accounts")

    @router.get("")
    async def list_accounts(request: Request) -> Response:
        session = session_of(request)
        roles = dict(await registry.accounts_of(session.user_id))
        heads = await registry.accounts() if session.operator else [await registry.account(each) for each in roles]
        return answer_list(views.account(head, roles.get(head.id)) for head in heads if head.id != PLATFORM_ACCOUNT)

    @router.post("")
    async def create_account(request: Request, body: bodies.CreateAccount) -> Response:
        session = await access.operator(request)
        account_id = body.id or ids.new_id(ids.ACCOUNT)
        if account_id == PLATFORM_ACCOUNT:
            raise Conflict("This id is the deployment's own.", fix="Choose another.")
        email = body.owner_email or await user_pool.email(session.user_id)
        owner_id = await user_pool.user_id(email)
        head = await registry.create_account(account_id, body.name, now=rfc3339(now()))
        await registry.add_member(Member(head.id, owner_id, email, Role.OWNER, rfc3339(now())))
        return answer(views.account(head, Role.OWNER if owner_id == session.user_id else None), 201)

    @router.get("/{account_id}")
    async def read_account(request: Request, account_id: str) -> Response:
        caller = await access.enter(request, Right.READ_ACCOUNT, account_id)
        return answer(views.account(await registry.account(account_id), caller.role))

    @router.patch("/{account_id}")
    async def update_account(request: Request, account_id: str, body: bodies.UpdateAccount) -> Response:
        caller = await access.enter(request, Right.CHANGE_ACCOUNT, account_id)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        return answer(views.account(await registry.update_account(account_id, **given), caller.role))

    @router.get("/{account_id}/members")
    async def list_members(request: Request, account_id: str) -> Response:
        await access.enter(request, Right.READ_MEMBERS, account_id)
        return answer_list(views.member(each) for each in await registry.members(account_id))

    @router.post("/{account_id}/members")
    async def add_member(request: Request, account_id: str, body: bodies.AddMember) -> Response:
        caller = await access.enter(request, Right.CHANGE_MEMBERS, account_id)
        role = Role(body.role)
        members = await registry.members(account_id)
        _check_change(caller, [each for each in members if each.email == body.email], role)
        user_id = await user_pool.user_id(body.email)
        current = [each for each in members if each.user_id == user_id]
        _check_change(caller, current, role)
        if role is not Role.OWNER:
            _check_owner_left(members, user_id)
        member = Member(account_id, user_id, body.email, role, current[0].added_at if current else rfc3339(now()))
        await registry.add_member(member)
        return answer(views.member(member), 200 if current else 201)

    @router.delete("/{account_id}/members/{user_id}")
    async def remove_member(request: Request, account_id: str, user_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_MEMBERS, account_id)
        members = await registry.members(account_id)
        _check_change(caller, [each for each in members if each.user_id == user_id], None)
        _check_owner_left(members, user_id)
        await registry.remove_member(account_id, user_id)
        return answer({"user_id": user_id, "deleted": True})

    @router.post("/{account_id}/deposits")
    async def deposit(request: Request, account_id: str, body: bodies.Deposit) -> Response:
        session = await access.operator(request, account_id)
        amount_nanousd = parse_usd(body.amount_usd)
        wanted = Deposit(
            account_id, ids.new_id(ids.DEPOSIT), amount_nanousd, session.user_id, rfc3339(now()), body.note or ""
        )
        await records.request_deposit(wanted)
        # Accepted, not done: the billing function alone moves money, and does so within seconds.
        return answer({"id": wanted.id, "amount_usd": usd_string(amount_nanousd), "state": "requested"}, 202)

    return router


def _check_change(caller: Caller, current: list[Member], role: Role | None) -> None:
    """Owners are made and unmade by owners (or the operator): an admin cannot rise."""
    touches_owner = role is Role.OWNER or any(each.role is Role.OWNER for each in current)
    if touches_owner and caller.role is not Role.OWNER and not caller.session.operator:
        raise Forbidden("Only an owner may add, change or remove an owner.", fix="Ask an owner of the account.")


def _check_owner_left(members: list[Member], without_user_id: str) -> None:
    owners = {each.user_id for each in members if each.role is Role.OWNER}
    if owners == {without_user_id}:
        raise Conflict("This is the account's last owner.", fix="Make somebody else an owner first.")
