"""What one gateway key has spent: today, this week, this month, ever; read in one round trip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ownkey.ledger.rollups import Bucket, Dimension, Granularity
from ownkey.store.dynamodb import DynamoDb

_MAX_MONTHS = 90
"""That "ever" reaches back: what one round trip can read beside the days of a week."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Nano-dollars."""

    charged_nanousd: int
    """From credits."""
    byok_nanousd: int
    """On the account's own keys, as their providers bill it."""


@dataclass(frozen=True, slots=True)
class KeySpending:
    """By the calendar, in UTC; a week begins on Monday."""

    ever: Spent
    day: Spent
    week: Spent
    month: Spent


class KeySpendings:
    """Reads the aggregates by gateway key."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def of(self, account_id: str, gateway_key_id: str, *, since: str, now: datetime) -> KeySpending:
        """What is billed by now; a request shows some seconds after its end.

        Args:
            since: When the gateway key was made (RFC 3339): nothing is older.
        """
        today = now.astimezone(UTC).date()
        months, days = _months(since, today), _days_of_week(today)

        def bucket(unit: Granularity, time: str) -> Bucket:
            return Bucket(account_id, Dimension.GATEWAY_KEY, unit, time, gateway_key_id)

        of_months = {month: bucket(Granularity.MONTH, month).key(self._table) for month in months}
        of_days = {day: bucket(Granularity.DAY, day).key(self._table) for day in days}
        found = await self._db.batch_get([*of_months.values(), *of_days.values()])

        def spent(keys: Iterable[str]) -> Spent:
            items = [found.get(of_months.get(each) or of_days[each], {}) for each in keys]
            return Spent(
                sum(item.get("charge_nanousd", 0) for item in items),
                sum(item.get("cost_byok_nanousd", 0) for item in items),
            )

        return KeySpending(ever=spent(months), day=spent(days[-1:]), week=spent(days), month=spent(months[-1:]))


def _months(since: str, today: date) -> list[str]:
    """`2026-11`, the last one today's."""
    months, first = list[str](), today.replace(day=1)
    while len(months) < _MAX_MONTHS:
        months.append(first.isoformat()[:7])
        if months[-1] <= since[:7]:
            break
        first = (first - timedelta(days=1)).replace(day=1)
    return months[::-1]


def _days_of_week(today: date) -> list[str]:
    return [(today - timedelta(days=back)).isoformat() for back in range(today.weekday(), -1, -1)]
