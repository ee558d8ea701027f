"""How gateway keys are shown: everything but the key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ownkey.domain.gateway_keys import GatewayKey

Json = dict[str, Any]


def gateway_key(each: GatewayKey, now: datetime) -> Json:
    """A gateway key: everything but the key."""
    return {
        "id": each.id,
        "alias": each.alias,
        "mask": each.mask,
        "status": "revoked" if each.revoked_at else "expired" if each.expired(now) else "active",
        "created_at": each.created_at,
        "created_by": each.created_by,
        "expires_at": each.expires_at,
        "revoked_at": each.revoked_at,
        "usage_cost_mode": each.usage_cost_mode,
    }
