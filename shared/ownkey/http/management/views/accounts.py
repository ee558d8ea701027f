"""How accounts and their members are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ownkey.domain.accounts import AccountHead, Member, Role
from ownkey.domain.invitations import Invitation
from ownkey.http.sessions import Session

Json = dict[str, Any]


def account(head: AccountHead, role: Role | None) -> Json:
    """An account as the caller sees it; role null: as the operator."""
    return {
        "id": head.id,
        "name": head.name,
        "role": role.value if role else None,
        "created_at": head.created_at,
        "disabled": head.disabled,
        "platform_allowed": head.platform_allowed,
        "on_disconnect": head.on_disconnect.value,
    }


def member(each: Member) -> Json:
    """A person in an account."""
    return {"user_id": each.user_id, "email": each.email, "role": each.role.value, "added_at": each.added_at}


def invitation(each: Invitation) -> Json:
    """An open invitation, as the account's members see it."""
    return {
        "id": each.id,
        "email": each.email,
        "role": each.role.value,
        "invited_by": each.invited_by,
        "invited_at": each.invited_at,
        "expires_at": each.expires_at,
    }


def received_invitation(each: Invitation, account_name: str) -> Json:
    """An open invitation, as whoever is invited sees it."""
    return {
        "id": each.id,
        "account_id": each.account_id,
        "account_name": account_name,
        "role": each.role.value,
        "invited_at": each.invited_at,
        "expires_at": each.expires_at,
    }


def settings(head: AccountHead, deployment: Mapping[str, bool]) -> Json:
    """What an account's requests go by. Pools and the KMS key have resources of their own; here they are read."""
    return {
        "account_id": head.id,
        "platform_allowed": head.platform_allowed,
        "on_disconnect": head.on_disconnect.value,
        "disabled": head.disabled,
        "pools": dict(head.pools),
        "kms_key_arn": head.kms_key_arn,
        "deployment": dict(deployment),
    }


def me(session: Session, email: str, accounts: Iterable[tuple[AccountHead, Role]]) -> Json:
    """Who calls, and where they belong."""
    return {
        "user_id": session.user_id,
        "email": email,
        "operator": session.operator,
        "accounts": [{"id": head.id, "name": head.name, "role": role.value} for head, role in accounts],
    }
