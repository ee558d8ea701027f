"""Invitations: written by whoever may change members, accepted by whoever has the e-mail address.

An invitation gives no more than its author could give, neither when it is written nor when it is accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.accounts import Member, Role
from ownkey.domain.audit import ActorKind
from ownkey.domain.errors import Conflict, NotFound
from ownkey.domain.invitations import INVITATION_DAYS, Invitation
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Caller, Right, session_of
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, cut
from ownkey.http.management.auditing import Auditor, note
from ownkey.http.management.idempotency import Idempotency
from ownkey.http.management.members import check_may_give, may_still_give
from ownkey.http.management.user_pool import UserPool
from ownkey.registry import Registry

MAX_INVITATIONS = 100
"""Open ones of one account: each costs an e-mail."""


def routes(
    access: Access, registry: Registry, user_pool: UserPool, idempotency: Idempotency, now: Callable[[], datetime]
) -> APIRouter:
    """The account's side."""
    router = APIRouter(prefix="/api/accounts/{account_id}/invitations")

    @router.get("")
    async def list_invitations(request: Request, account_id: str, limit: Limit = 50, cursor: Cursor = None) -> Response:
        await access.enter(request, Right.READ_MEMBERS, account_id)
        every = await registry.invitations(account_id, now=now())
        invitations, after = cut(every, limit, cursor, by=lambda each: each.id)
        return answer_page(map(views.invitation, invitations), after)

    @router.post("")
    async def create_invitation(request: Request, account_id: str, body: bodies.CreateInvitation) -> Response:
        caller = await access.enter(request, Right.CHANGE_MEMBERS, account_id)

        async def create(invitation_id: str) -> Response:
            wanted = _invitation(caller, invitation_id, body, now())
            await _check(wanted, caller)
            await registry.create_invitation(wanted)
            note(request, invitation_id=invitation_id, role=wanted.role.value)
            return etags.answer(views.invitation(wanted), 201)

        async def shown(invitation_id: str) -> Response:
            invitation = await registry.invitation(account_id, invitation_id, now=now())
            return etags.answer(views.invitation(invitation), 201)

        return await idempotency.once(
            request,
            account_id=account_id,
            user_id=caller.user_id,
            resource_id=ids.new_id(ids.INVITATION),
            create=create,
            shown=shown,
        )

    async def _check(wanted: Invitation, caller: Caller) -> None:
        check_may_give(caller, wanted.role)
        invitations = await registry.invitations(wanted.account_id, now=now())
        if any(each.email == wanted.email for each in invitations):
            raise Conflict("This address is invited already.", fix="Revoke that invitation first.")
        if len(invitations) >= MAX_INVITATIONS:
            raise Conflict(f"An account has at most {MAX_INVITATIONS} open invitations.", fix="Revoke some first.")
        user_id = await user_pool.user_id(wanted.email)
        if await registry.role(user_id, wanted.account_id) is not None:
            raise Conflict("This person is a member of the account already.", fix="Change the member's role instead.")

    @router.get("/{invitation_id}")
    async def read_invitation(request: Request, account_id: str, invitation_id: str) -> Response:
        await access.enter(request, Right.READ_MEMBERS, account_id)
        return etags.answer(views.invitation(await registry.invitation(account_id, invitation_id, now=now())))

    @router.delete("/{invitation_id}")
    async def revoke_invitation(request: Request, account_id: str, invitation_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_MEMBERS, account_id)
        invitation = await registry.invitation(account_id, invitation_id, now=now())
        etags.check(request, views.invitation(invitation))
        check_may_give(caller, invitation.role)
        await registry.drop_invitation(invitation)
        return answer({"id": invitation_id, "deleted": True})

    return router


def received_routes(
    registry: Registry, user_pool: UserPool, auditor: Auditor, now: Callable[[], datetime]
) -> APIRouter:
    """The side of whoever is invited: by the e-mail address that the user pool says is theirs, and nothing else."""
    router = APIRouter(prefix="/api/invitations")

    async def received(request: Request, invitation_id: str) -> Invitation:
        email = await user_pool.verified_email(session_of(request).user_id)
        if email is None:
            raise NotFound("There is no such open invitation.")
        return await registry.invitation_to(email, invitation_id, now=now())

    @router.get("")
    async def list_received_invitations(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        email = await user_pool.verified_email(session_of(request).user_id)
        every = await registry.invitations_to(email, now=now()) if email else []
        invitations, after = cut(every, limit, cursor, by=lambda each: each.id)
        heads = await registry.accounts(list({each.account_id for each in invitations}))
        names = {head.id: head.name for head in heads}
        return answer_page((views.received_invitation(each, names[each.account_id]) for each in invitations), after)

    @router.post("/{invitation_id}/accept")
    async def accept_invitation(request: Request, invitation_id: str) -> Response:
        user_id, invitation = session_of(request).user_id, await received(request, invitation_id)
        await auditor.begin(request, invitation.account_id, ActorKind.USER, user_id)
        head = await registry.account(invitation.account_id)
        if await registry.role(user_id, head.id) is not None:
            raise Conflict("You are a member of this account already.", fix="Decline the invitation.")
        if not await _stands(invitation):
            raise Conflict(
                "Whoever invited you may no longer do so.", fix="Ask an owner of the account to invite you again."
            )
        member = Member(head.id, user_id, invitation.email, invitation.role, rfc3339(now()))
        await registry.accept_invitation(invitation, member)
        note(request, user_id=user_id, role=member.role.value)
        return answer(views.account(head, member.role))

    async def _stands(invitation: Invitation) -> bool:
        if invitation.invited_as is None:
            return True
        role = await registry.role(invitation.invited_by, invitation.account_id)
        return role is invitation.invited_as and may_still_give(role, invitation.role)

    @router.post("/{invitation_id}/decline")
    async def decline_invitation(request: Request, invitation_id: str) -> Response:
        invitation = await received(request, invitation_id)
        await auditor.begin(request, invitation.account_id, ActorKind.USER, session_of(request).user_id)
        await registry.drop_invitation(invitation)
        return answer({"id": invitation_id, "deleted": True})

    return router


def _invitation(caller: Caller, invitation_id: str, body: bodies.CreateInvitation, at: datetime) -> Invitation:
    return Invitation(
        id=invitation_id,
        account_id=caller.account_id,
        email=body.email,
        role=Role(body.role),
        invited_by=caller.user_id,
        invited_as=None if caller.session.operator else caller.role,
        invited_at=rfc3339(at),
        expires_at=rfc3339(at + timedelta(days=INVITATION_DAYS)),
    )
