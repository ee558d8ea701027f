"""Limits as tests need them."""

from __future__ import annotations

from typing import Any

from ownkey.domain import ids
from ownkey.domain.limits import Limit, LimitScope, Measure, Window

CREATED = "2026-11-21T08:00:00Z"


def limit(**given: Any) -> Limit:
    """60 requests a minute by the account, hard, unless the test says otherwise."""
    values: dict[str, Any] = {
        "id": ids.new_id(ids.LIMIT),
        "account_id": "acme",
        "scope": LimitScope.ACCOUNT,
        "measure": Measure.REQUESTS,
        "window": Window.MINUTE,
        "amount": 60,
        "created_at": CREATED,
        "created_by": "user",
        "updated_at": CREATED,
    }
    return Limit(**values | given)
