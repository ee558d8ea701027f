"""Aggregates of attempts by account, day and hour, gateway key, model, credential, app, user and tag.

What one attempt adds is a pure function of its record, so every aggregate can be rebuilt from the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.usage import UsageSource
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Key, Update

_LAST = "\uffff"
LAST_USED_DAYS = 31
"""How far back a credential's last use is looked for."""


class Dimension(StrEnum):
    """What usage can be broken down by."""

    TOTAL = "total"
    GATEWAY_KEY = "gateway_key"
    MODEL = "model"
    """`<provider>/<model>`."""
    CREDENTIAL = "credential"
    """`<credential>@<version>`."""
    APP = "app"
    USER = "user"
    TAG = "tag"


class Granularity(StrEnum):
    """The length of a bucket of time. Hours are kept for the total alone."""

    DAY = "D"
    HOUR = "H"


@dataclass(frozen=True, slots=True)
class RollupRow:
    """One aggregate: `time` is a day (`2026-11-21`) or an hour (`2026-11-21T08`), counters by name."""

    time: str
    value: str
    counters: Mapping[str, int]
    last_at: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """Which aggregate."""

    account_id: str
    dimension: Dimension
    granularity: Granularity
    time: str
    value: str

    def key(self, table: str) -> Key:
        """Where it stands."""
        return Key(
            table,
            keys.rollup(self.account_id, self.dimension),
            keys.rollup_bucket(self.granularity, self.time, self.value),
        )


def buckets(record: AttemptRecord) -> list[Bucket]:
    """The aggregates that an attempt belongs to, by the time at which it ended."""
    start, end, request = record.start, record.end, record.start.request
    if end is None:
        raise ValueError("an attempt that has not ended belongs to no aggregate")
    day, hour = end.ended_at[:10], end.ended_at[:13]
    values = [
        (Dimension.TOTAL, ""),
        (Dimension.GATEWAY_KEY, request.gateway_key_id),
        (Dimension.MODEL, f"{start.provider_id}/{start.model_id}"),
        (Dimension.CREDENTIAL, f"{start.credential_id}@{start.credential_version}"),
        *((Dimension.TAG, tag) for tag in dict.fromkeys(request.tags)),
    ]
    values += [(Dimension.APP, request.app)] if request.app else []
    values += [(Dimension.USER, request.user)] if request.user else []
    account_id = request.account_id
    return [
        Bucket(account_id, Dimension.TOTAL, Granularity.HOUR, hour, ""),
        *(Bucket(account_id, dimension, Granularity.DAY, day, value) for dimension, value in values),
    ]


def counters(record: AttemptRecord) -> Counter[str]:
    """What an attempt adds to each of its aggregates; zeros are left out."""
    start, end = record.start, record.end
    if end is None:
        raise ValueError("an attempt that has not ended counts nothing")
    byok = start.source is CredentialSource.BYOK
    counts = Counter(
        {
            "requests": int(start.number == 0),
            "attempts": 1,
            "succeeded": int(end.outcome is Outcome.SUCCEEDED),
            "failed": int(end.outcome is not Outcome.SUCCEEDED),
            "byok_attempts": int(byok),
            "platform_attempts": int(not byok),
            "unpriced_attempts": int(start.price_version is None),
            "estimated_attempts": int(end.usage_source is UsageSource.ESTIMATED),
            "cost_byok_nanousd": end.cost_nanousd if byok else 0,
            "cost_platform_nanousd": 0 if byok else end.cost_nanousd,
            "charge_nanousd": end.charge_nanousd,
            "latency_ms": end.latency_ms,
        }
    )
    counts.update(end.usage.to_item())
    return +counts


def updates(records: Iterable[AttemptRecord], table: str) -> list[Update]:
    """One update for each aggregate that the records belong to, with all they add."""
    added: dict[Bucket, Counter[str]] = {}
    last: dict[Bucket, str] = {}
    for record in records:
        counts = counters(record)
        ended_at = record.end.ended_at if record.end else ""
        for bucket in buckets(record):
            added.setdefault(bucket, Counter()).update(counts)
            last[bucket] = max(last.get(bucket, ""), ended_at)
    return [_update(bucket.key(table), counts, last[bucket]) for bucket, counts in added.items()]


class Rollups:
    """Reads aggregates."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def rows(
        self, account_id: str, dimension: Dimension, granularity: Granularity, *, first: str, last: str
    ) -> list[RollupRow]:
        """All rows of a dimension from the day or hour `first` to `last`, both included, in order of time."""
        between = (f"{granularity}#{first}", f"{granularity}#{last}{_LAST}")
        items = await self._db.query_all(
            self._table, keys.rollup(account_id, dimension), between=between, consistent=False
        )
        rows = []
        for item in items:
            _, time, value = item["sk"].split("#", 2)
            numbers = {name: count for name, count in item.items() if isinstance(count, int)}
            rows.append(RollupRow(time, value, numbers, item.get("last_at", "")))
        return rows

    async def versions_last_used(self, account_id: str, today: date) -> dict[str, str]:
        """When each credential's versions last served (RFC 3339), by `<credential>@<version>`.

        Those without a use in 31 days are left out.
        """
        rows = await self.rows(
            account_id,
            Dimension.CREDENTIAL,
            Granularity.DAY,
            first=(today - timedelta(days=LAST_USED_DAYS - 1)).isoformat(),
            last=today.isoformat(),
        )
        last: dict[str, str] = {}
        for row in rows:
            last[row.value] = max(last.get(row.value, ""), row.last_at)
        return last


def _update(key: Key, counts: Counter[str], last_at: str) -> Update:
    names = {f"#c{index}": name for index, name in enumerate(counts)}
    adds = ", ".join(f"#c{index} :c{index}" for index in range(len(counts)))
    values: dict[str, object] = {f":c{index}": count for index, count in enumerate(counts.values())}
    return Update(key, f"SET last_at = :last ADD {adds}", names=names, values=values | {":last": last_at})
