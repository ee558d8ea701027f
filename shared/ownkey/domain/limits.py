"""Budgets and rate limits: at most so many requests, tokens or dollars in a window, for an account or a part of it.

```
limit        what may be used: 60 requests a minute by one gateway key, 500 dollars a month by the account
claim        what one attempt has to do with one limit, fixed when it starts: which counter, how much it reserves
counter      of one limit in one period: `used`, and `committed` = used + what attempts under way have reserved
```
Windows are calendar ones, in UTC: a minute, a day, a month, or all time. An attempt belongs to the period in which it
starts, whenever it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from ownkey.domain.errors import BudgetExceeded, Quota, RateLimited
from ownkey.domain.money import usd_string

ALERTS = (50, 80, 100)
"""Percent of a limit at which its account is told."""


class LimitScope(StrEnum):
    """Whose use counts."""

    ACCOUNT = "account"
    GATEWAY_KEY = "gateway_key"
    USER = "user"
    """The end user that requests name."""
    TAG = "tag"


class Measure(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    SPEND = "spend"
    """Nano-dollars: what is charged and, where the limit says so, what the account's own keys cost."""


class Window(StrEnum):
    """How long a period is."""

    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


_START_CHARS: Mapping[Window, int] = {Window.MINUTE: 16, Window.DAY: 10, Window.MONTH: 7, Window.TOTAL: 0}
"""How much of a time (`2026-11-21T08:31:…`) names its period."""
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of an account."""

    id: str
    account_id: str
    scope: LimitScope
    value: str = ""
    """The gateway key's id, the user or the tag; empty for the account."""
    measure: Measure
    window: Window
    amount: int
    """Requests, tokens or nano-dollars."""
    include_byok: bool = True
    """Whether use of the account's own keys counts. False for spend alone: then only what is charged does."""
    hard: bool = True
    """Whether it refuses what would go beyond. A soft one only counts, and tells."""
    alerts: tuple[int, ...] = ALERTS
    """Percent."""
    created_at: str
    created_by: str
    updated_at: str

    @property
    def kind(self) -> tuple[LimitScope, str, Measure, Window, bool]:
        """What tells it from the account's other limits: two of one kind would only be the lower one."""
        return self.scope, self.value, self.measure, self.window, self.include_byok

    def applies_to(self, *, gateway_key_id: str, user: str | None, tags: Iterable[str]) -> bool:
        """Whether a request of the account is among those that count."""
        match self.scope:
            case LimitScope.ACCOUNT:
                return True
            case LimitScope.GATEWAY_KEY:
                return self.value == gateway_key_id
            case LimitScope.USER:
                return self.value == user
            case LimitScope.TAG:
                return self.value in tags


@dataclass(frozen=True, slots=True)
class Worst:
    """The most that an attempt may use, as far as that can be known before."""

    tokens: int
    cost_nanousd: int
    """The provider's."""
    charge_nanousd: int
    """From credits: 0 on BYOK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one attempt has to do with one limit. Stands in its record, so that whoever settles it needs no more."""

    limit_id: str
    scope: LimitScope
    value: str
    measure: Measure
    window: Window
    period: str
    """`2026-11-21T08:31`, `2026-11-21`, `2026-11`, or empty for all time."""
    amount: int
    """The limit's."""
    alerts: tuple[int, ...]
    reserved: int | None
    """None: the limit is soft, and nothing is reserved."""

    @property
    def ends_at(self) -> datetime | None:
        """When the period is over; None: never."""
        return period_end(self.window, self.period)

    @property
    def wait(self) -> datetime:
        """For an order of claims: those that are freed last are the greatest."""
        return self.ends_at or _NEVER

    def to_item(self) -> dict[str, Any]:
        """As it stands in items."""
        plain = {
            "scope": self.scope.value,
            "measure": self.measure.value,
            "window": self.window.value,
            "alerts": list(self.alerts),
        }
        values = {name: getattr(self, name) for name in Claim.__slots__} | plain
        return {name: value for name, value in values.items() if value is not None}

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> Claim:
        """The inverse of `to_item`."""
        parsed = {
            "scope": LimitScope(item["scope"]),
            "measure": Measure(item["measure"]),
            "window": Window(item["window"]),
            "alerts": tuple(item["alerts"]),
        }
        return Claim(**{"reserved": None} | {name: item[name] for name in Claim.__slots__ if name in item} | parsed)


@dataclass(frozen=True, slots=True)
class Counter:
    """What one limit's counter says in one period."""

    used: int = 0
    committed: int = 0
    """Used, or reserved by attempts under way."""


def claims(limits: Iterable[Limit], *, byok: bool, worst: Worst, at: datetime) -> tuple[Claim, ...]:
    """What an attempt that starts now, on an own key or not, has to do with the limits that apply to its request."""
    return tuple(
        Claim(
            limit_id=limit.id,
            scope=limit.scope,
            value=limit.value,
            measure=limit.measure,
            window=limit.window,
            period=period_at(limit.window, at),
            amount=limit.amount,
            alerts=limit.alerts,
            reserved=_worst(limit.measure, worst, byok=byok) if limit.hard else None,
        )
        for limit in limits
        if limit.include_byok or not byok
    )


def period_at(window: Window, at: datetime) -> str:
    """The period of a window that a moment belongs to."""
    return at.astimezone(UTC).isoformat()[: _START_CHARS[window]]


def period_end(window: Window, period: str) -> datetime | None:
    """When a period is over; None: never."""
    match window:
        case Window.MINUTE:
            return _utc(period) + timedelta(minutes=1)
        case Window.DAY:
            return _utc(period) + timedelta(days=1)
        case Window.MONTH:
            return (_utc(f"{period}-01") + timedelta(days=31)).replace(day=1)
        case Window.TOTAL:
            return None


def reached(alerts: Iterable[int], amount: int, used: int) -> list[int]:
    """The thresholds, in percent, that a use has reached; lowest first."""
    return sorted(percent for percent in alerts if used * 100 >= percent * amount)


def _worst(measure: Measure, worst: Worst, *, byok: bool) -> int:
    match measure:
        case Measure.REQUESTS:
            return 1
        case Measure.TOKENS:
            return worst.tokens
        case Measure.SPEND:
            return worst.cost_nanousd if byok else worst.charge_nanousd


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_SUBJECTS: Mapping[LimitScope, str] = {
    LimitScope.ACCOUNT: "The account",
    LimitScope.GATEWAY_KEY: "This gateway key",
    LimitScope.USER: "The user of this request",
    LimitScope.TAG: "The tag {value!r}",
}
_SPANS: Mapping[Window, str] = {
    Window.MINUTE: "a minute",
    Window.DAY: "a day",
    Window.MONTH: "a month",
    Window.TOTAL: "in all",
}
_LONGEST_RETRY_S = 120.0
"""The SDKs wait for as long as that by themselves; told to come back later than that, they come back at once."""


def refusal(claim: Claim, requested: int, committed: int, now: datetime) -> BudgetExceeded | RateLimited:
    """The error of a request that a limit refuses.

    Args:
        requested: What it wanted to reserve.
        committed: What was used or reserved before.
    """
    remaining = max(0, claim.amount - committed)
    too_large = requested > claim.amount
    what = _SUBJECTS[claim.scope].format(value=claim.value)
    said = f"{what} may use {_shown(claim.measure, claim.amount)} {_SPANS[claim.window]}; "
    may_take = f"this request may take up to {_shown(claim.measure, requested)}"
    said += f"{may_take}." if too_large else f"{_shown(claim.measure, remaining)} left, and {may_take}."
    facts = {"limit": _facts(claim, requested, remaining)}
    smaller = "Ask for a shorter answer (`max_tokens`), or have the limit raised (PATCH /api/limits/{id})."
    if claim.measure is Measure.SPEND:
        return BudgetExceeded(said, fix=smaller if too_large else None, details=facts)
    wait_s = None if claim.ends_at is None else max(0.0, (claim.ends_at - now).total_seconds())
    quota = Quota(claim.measure.value, claim.amount, remaining, wait_s, rfc3339(claim.ends_at))
    hopeless = too_large or wait_s is None
    return RateLimited(
        said,
        quota=quota,
        retryable=False if wait_s is None or too_large or wait_s > _LONGEST_RETRY_S else None,
        fix=smaller if too_large else None,
        retry_after_s=None if hopeless else wait_s,
        details=facts,
    )


def rfc3339(at: datetime | None) -> str | None:
    """The end of a period as it is told."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def shown_amount(measure: Measure, amount: int) -> int | str:
    """As JSON says it: dollars as a decimal string, all else as a number."""
    return usd_string(amount) if measure is Measure.SPEND else amount


def _shown(measure: Measure, amount: int) -> str:
    return f"${usd_string(amount)}" if measure is Measure.SPEND else f"{amount} {measure.value}"


def _facts(claim: Claim, requested: int, remaining: int) -> dict[str, object]:
    return {
        "id": claim.limit_id,
        "scope": claim.scope.value,
        "value": claim.value or None,
        "measure": claim.measure.value,
        "window": claim.window.value,
        "amount": shown_amount(claim.measure, claim.amount),
        "remaining": shown_amount(claim.measure, remaining),
        "requested": shown_amount(claim.measure, requested),
        "resets_at": rfc3339(claim.ends_at),
    }
