"""`GET /v1/key`: what the holder of a gateway key may know of it. Named as in OpenRouter's `GET /api/v1/key`.

Never the key, nothing of other keys, no provider key's alias or mask.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ownkey.http.scope import scope_of
from ownkey.registry import RequestView


def key_info(view: RequestView) -> dict[str, Any]:
    """The body."""
    key, account = view.key, view.account
    return {
        "data": {
            "id": key.id,
            "label": key.alias,
            "mask": key.mask,
            "status": "active",
            "account": {"id": account.id, "name": account.name},
            "created_at": key.created_at,
            "expires_at": key.ends_at,
            "rotated": key.retires_at is not None,
            "previous": _previous(view),
            "scope": scope_of(key),
            "byok": _byok(view),
            "platform_allowed": account.platform_allowed,
            "usage_cost_mode": key.usage_cost_mode,
            # A gateway key has no limit of its own, and what it used is the account's to read.
            "limit": None,
            "limit_remaining": None,
            "limit_reset": None,
            "include_byok_in_limit": False,
            "rate_limit": None,
            "usage": None,
            "byok_usage": None,
        }
    }


def _previous(view: RequestView) -> dict[str, Any] | None:
    """The secret before the presented one; null where it never had any."""
    if view.key.previous is None:
        return None
    return {"mask": view.key.previous.mask, "expires_at": view.key.as_previous().ends_at}


def _byok(view: RequestView) -> list[dict[str, Any]]:
    """How many own provider keys serve this gateway key, by provider."""
    providers = view.key.providers
    serving = Counter(
        stored.credential.provider_id
        for stored in view.own.credentials
        if not (stored.is_previous or stored.credential.disabled)
        and stored.credential.serves_key(view.key.id)
        and (providers is None or stored.credential.provider_id in providers)
    )
    return [{"provider": provider_id, "credentials": count} for provider_id, count in sorted(serving.items())]
