"""How gateway keys are shown: everything but the key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ownkey.domain.gateway_keys import GatewayKey
from ownkey.http.scope import scope_of

Json = dict[str, Any]


def gateway_key(each: GatewayKey, now: datetime, last_used: Mapping[str, str]) -> Json:
    """A gateway key: everything but the key. `last_used` is by digest of the secret."""
    uses = [last_used[digest] for digest in _digests(each) if digest in last_used]
    return {
        "id": each.id,
        "alias": each.alias,
        "mask": each.mask,
        "status": "revoked" if each.revoked_at else "expired" if each.expired(now) else "active",
        "created_at": each.created_at,
        "created_by": each.created_by,
        "updated_at": each.changed_at,
        "expires_at": each.expires_at,
        "revoked_at": each.revoked_at,
        "last_used_at": max(uses, default=None),
        "usage_cost_mode": each.usage_cost_mode,
        **scope_of(each),
        "restricted_by": each.restricted_by,
        "previous": _previous(each, now, last_used),
    }


def _previous(each: GatewayKey, now: datetime, last_used: Mapping[str, str]) -> Json | None:
    """The secret that the last rotation replaced."""
    if each.previous is None:
        return None
    return {
        "mask": each.previous.mask,
        "status": "active" if each.overlapping(now) else "ended",
        "expires_at": each.as_previous().ends_at,
        "last_used_at": last_used.get(each.previous.digest),
    }


def _digests(each: GatewayKey) -> tuple[str, ...]:
    return (each.digest,) if each.previous is None else (each.digest, each.previous.digest)
