"""How limits are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ownkey.domain.limits import Counter, Limit, period_at, period_end, rfc3339, shown_amount

Json = dict[str, Any]


def limit(each: Limit, counter: Counter, now: datetime) -> Json:
    """A limit, and how much of it is used in the period of `now`. Amounts of spend are strings of dollars."""
    period = period_at(each.window, now)
    return {
        "id": each.id,
        "scope": each.scope.value,
        "value": each.value or None,
        "measure": each.measure.value,
        "window": each.window.value,
        "amount": shown_amount(each.measure, each.amount),
        "include_byok": each.include_byok,
        "hard": each.hard,
        "alerts": list(each.alerts),
        "created_at": each.created_at,
        "created_by": each.created_by,
        "updated_at": each.updated_at,
        "current": {
            "used": shown_amount(each.measure, counter.used),
            "reserved": shown_amount(each.measure, counter.committed - counter.used),
            "remaining": shown_amount(each.measure, max(0, each.amount - counter.committed)),
            "resets_at": rfc3339(period_end(each.window, period)),
        },
    }
