"""`GET /v1/key`: what the holder of a gateway key may know of it. Named as in OpenRouter's `GET /api/v1/key`
(https://openrouter.ai/docs/api/api-reference/api-keys/get-current-key), where money is a number of dollars.

Never the key, nothing of other keys, no provider key's alias or mask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from ownkey.domain.limits import Counter as LimitCounter
from ownkey.domain.limits import Limit, LimitScope, Measure, Window, period_at, period_end, rfc3339, shown_amount
from ownkey.domain.money import usd_number
from ownkey.http.scope import scope_of
from ownkey.ledger.key_spending import KeySpending, Spent
from ownkey.registry import RequestView

Json = dict[str, Any]

_RESETS: Mapping[Window, str | None] = {Window.DAY: "daily", Window.MONTH: "monthly", Window.TOTAL: None}
"""What clients know, of the windows that a budget can have."""
_NO_RATE: Json = {"requests": -1, "interval": "1m", "note": "-1: no limit of requests a minute."}


class SpendingReads(Protocol):
    """`ownkey.ledger.key_spending.KeySpendings`, as far as inference needs it."""

    async def of(self, account_id: str, gateway_key_id: str, *, since: str, now: datetime) -> KeySpending:
        """What a gateway key has spent."""


class CounterReads(Protocol):
    """`ownkey.ledger.counters.Counters`, as far as its reading goes."""

    async def current(self, limits: Iterable[Limit], at: datetime) -> dict[str, LimitCounter]:
        """What is used of each limit, by id."""


def limits_of_key(view: RequestView) -> list[Limit]:
    """The limits that hold for whatever the gateway key is used for."""
    own = (LimitScope.ACCOUNT, LimitScope.GATEWAY_KEY)
    return [
        each
        for each in view.own.limits
        if each.scope in own and each.applies_to(gateway_key_id=view.key.id, user=None, tags=())
    ]


def key_info(view: RequestView, spending: KeySpending, used: Mapping[str, LimitCounter], now: datetime) -> Json:
    """The body.

    Args:
        used: What is used of each of `limits_of_key`, by the limit's id.
    """
    key, account = view.key, view.account
    limits = [(each, used[each.id]) for each in limits_of_key(view)]
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
            **_budget(limits),
            "rate_limit": _rate(limits),
            "limits": [_limit(limit, counter, now) for limit, counter in limits],
            **_spent(spending),
            "is_free_tier": False,
            "is_management_key": False,
            "is_provisioning_key": False,
            "creator_user_id": None,
        }
    }


def _spent(spending: KeySpending) -> Json:
    spans = {"": spending.ever, "_daily": spending.day, "_weekly": spending.week, "_monthly": spending.month}

    def amounts(each: Spent) -> dict[str, int]:
        return {"usage": each.charged_nanousd, "byok_usage": each.byok_nanousd}

    return {name + span: usd_number(nanousd) for span, each in spans.items() for name, nanousd in amounts(each).items()}


def _budget(limits: Iterable[tuple[Limit, LimitCounter]]) -> Json:
    """Clients know one limit: of the hard ones on the gateway key's spending, the one that has the least left."""
    budgets = [
        (max(0, limit.amount - counter.committed), limit)
        for limit, counter in limits
        if limit.hard and limit.scope is LimitScope.GATEWAY_KEY and limit.measure is Measure.SPEND
    ]
    if not budgets:
        return {"limit": None, "limit_remaining": None, "limit_reset": None, "include_byok_in_limit": False}
    left, limit = min(budgets, key=lambda each: each[0])
    return {
        "limit": usd_number(limit.amount),
        "limit_remaining": usd_number(left),
        "limit_reset": _RESETS.get(limit.window),
        "include_byok_in_limit": limit.include_byok,
    }


def _rate(limits: Iterable[tuple[Limit, LimitCounter]]) -> Json:
    rates = [
        limit.amount
        for limit, _ in limits
        if limit.hard and limit.measure is Measure.REQUESTS and limit.window is Window.MINUTE
    ]
    return {"requests": min(rates), "interval": "1m", "note": "See `limits`."} if rates else _NO_RATE


def _limit(each: Limit, counter: LimitCounter, now: datetime) -> Json:
    return {
        "scope": each.scope.value,
        "measure": each.measure.value,
        "window": each.window.value,
        "amount": shown_amount(each.measure, each.amount),
        "remaining": shown_amount(each.measure, max(0, each.amount - counter.committed)),
        "resets_at": rfc3339(period_end(each.window, period_at(each.window, now))),
        "include_byok": each.include_byok,
        "hard": each.hard,
    }


def _previous(view: RequestView) -> Json | None:
    """The secret before the presented one; null where it never had any."""
    if view.key.previous is None:
        return None
    return {"mask": view.key.previous.mask, "expires_at": view.key.as_previous().ends_at}


def _byok(view: RequestView) -> list[Json]:
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
