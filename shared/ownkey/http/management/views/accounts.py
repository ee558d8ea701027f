"""How accounts and their members are shown."""

from __future__ import annotations

from typing import Any

from ownkey.domain.accounts import AccountHead, Member, Role

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
    }


def member(each: Member) -> Json:
    """A person in an account."""
    return {"user_id": each.user_id, "email": each.email, "role": each.role.value, "added_at": each.added_at}
