"""`/api/accounts/{id}/members`: who belongs to an account. Owners are made and unmade by owners, or the operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain.accounts import Member, Role
from ownkey.domain.errors import Forbidden
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import GRANTS, Access, Caller, Right
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, cut
from ownkey.http.management.auditing import note
from ownkey.http.management.idempotency import Idempotency
from ownkey.http.management.user_pool import UserPool
from ownkey.registry import Registry


def routes(
    access: Access, registry: Registry, user_pool: UserPool, idempotency: Idempotency, now: Callable[[], datetime]
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/accounts/{account_id}/members")

    @router.get("")
    async def list_members(request: Request, account_id: str, limit: Limit = 50, cursor: Cursor = None) -> Response:
        await access.enter(request, Right.READ_MEMBERS, account_id)
        members, after = cut(await registry.members(account_id), limit, cursor, by=_place)
        return answer_page(map(views.member, members), after)

    @router.post("")
    async def add_member(request: Request, account_id: str, body: bodies.AddMember) -> Response:
        caller = await access.enter(request, Right.CHANGE_MEMBERS, account_id)

        async def create(_: str) -> Response:
            role, members = Role(body.role), await registry.members(account_id)
            check_may_give(caller, role, [each for each in members if each.email == body.email])
            user_id = await user_pool.user_id(body.email)
            seen = [each for each in members if each.user_id == user_id]
            check_may_give(caller, role, seen)
            member = Member(account_id, user_id, body.email, role, seen[0].added_at if seen else rfc3339(now()))
            await (registry.change_member(seen[0], member) if seen else registry.add_member(member))
            note(request, user_id=user_id, role=role.value, former_role=seen[0].role.value if seen else None)
            return etags.answer(views.member(member), 200 if seen else 201)

        async def shown(_: str) -> Response:
            user_id = await user_pool.user_id(body.email)
            return etags.answer(views.member(await registry.member(account_id, user_id)), 201)

        return await idempotency.once(
            request,
            account_id=account_id,
            user_id=caller.user_id,
            # The pool says who it is; adding the same person twice is one member whatever the id.
            resource_id="",
            create=create,
            shown=shown,
        )

    @router.get("/{user_id}")
    async def read_member(request: Request, account_id: str, user_id: str) -> Response:
        await access.enter(request, Right.READ_MEMBERS, account_id)
        return etags.answer(views.member(await registry.member(account_id, user_id)))

    @router.patch("/{user_id}")
    async def change_member(request: Request, account_id: str, user_id: str, body: bodies.ChangeMember) -> Response:
        caller = await access.enter(request, Right.CHANGE_MEMBERS, account_id)
        seen, role = await registry.member(account_id, user_id), Role(body.role)
        etags.check(request, views.member(seen))
        check_may_give(caller, role, [seen])
        changed = Member(account_id, user_id, seen.email, role, seen.added_at)
        await registry.change_member(seen, changed)
        note(request, role=role.value, former_role=seen.role.value)
        return etags.answer(views.member(changed))

    @router.delete("/{user_id}")
    async def remove_member(request: Request, account_id: str, user_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_MEMBERS, account_id)
        seen = await registry.member(account_id, user_id)
        etags.check(request, views.member(seen))
        check_may_give(caller, None, [seen])
        await registry.remove_member(seen)
        note(request, former_role=seen.role.value)
        return answer({"user_id": user_id, "deleted": True})

    return router


def check_may_give(caller: Caller, role: Role | None, current: Sequence[Member] = ()) -> None:
    """Whether the caller may make somebody this (None: no member any more) who is that: an admin cannot rise.

    Raises:
        Forbidden: it takes an owner.
    """
    touches_owner = role is Role.OWNER or any(each.role is Role.OWNER for each in current)
    if touches_owner and caller.role is not Role.OWNER and not caller.session.operator:
        raise Forbidden("Only an owner may add, change or remove an owner.", fix="Ask an owner of the account.")


def may_still_give(author: Role | None, role: Role) -> bool:
    """Whether somebody of this role (None: no member any more) may make another person that."""
    if author is None or Right.CHANGE_MEMBERS not in GRANTS[author]:
        return False
    return role is not Role.OWNER or author is Role.OWNER


def _place(member: Member) -> str:
    """By e-mail; two people may have had the same address one after the other."""
    return f"{member.email}#{member.user_id}"
