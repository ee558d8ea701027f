"""Aggregates of attempts by account, hour, day and month, source, gateway key, model, credential, app, user and tag.

What one attempt adds is a pure function of its record, so every aggregate can be rebuilt from the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import groupby

from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.usage import UsageSource
from ownkey.ledger.booking import booked_at, is_late
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key, Update

_ITEMS_A_QUERY = 1_000
_ITEMS_A_PAGE = 5_000
"""At most (and what is left of one row): about 2 MB."""
LAST_USED_DAYS = 31
"""How far back a credential's last use is looked for."""


class Dimension(StrEnum):
    """What usage can be broken down by."""

    TOTAL = "total"
    """The sum over sources; not kept by itself."""
    SOURCE = "source"
    """`byok` or `platform`."""
    PROVIDER = "provider"
    """The sum over a provider's models; not kept by itself."""
    GATEWAY_KEY = "gateway_key"
    MODEL = "model"
    """`<provider>/<model>`."""
    CREDENTIAL = "credential"
    """`<credential>@<version>`."""
    APP = "app"
    USER = "user"
    TAG = "tag"
    FEATURE = "feature"
    """Those of the tags that are `feature=<name>`; not kept by itself."""


class Granularity(StrEnum):
    """The length of a bucket of time. Hours are kept for sources alone."""

    HOUR = "H"
    DAY = "D"
    MONTH = "M"

    @property
    def chars(self) -> int:
        """How much of a time (RFC 3339) names the bucket: `2026-11-21T08`, `2026-11-21`, `2026-11`."""
        return _TIME_CHARS[self]


_TIME_CHARS = {Granularity.HOUR: 13, Granularity.DAY: 10, Granularity.MONTH: 7}
_FEATURE = "feature="
"""How a tag begins that says which of an app's features a request is for."""
_SUM_OF: Mapping[Dimension, tuple[Dimension, Callable[[str], str]]] = {
    Dimension.TOTAL: (Dimension.SOURCE, lambda _: ""),
    Dimension.PROVIDER: (Dimension.MODEL, lambda model: model.partition("/")[0]),
    Dimension.FEATURE: (Dimension.TAG, lambda tag: tag.removeprefix(_FEATURE)),
}
"""Dimensions that are sums of another's rows: which one's, and the value that each of its values belongs to."""


@dataclass(frozen=True, slots=True)
class RollupRow:
    """One aggregate: `time` is a month (`2026-11`), a day (`2026-11-21`) or an hour (`2026-11-21T08`)."""

    time: str
    value: str
    counters: Mapping[str, int]
    last_at: str


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Rows in order of time, then value; `next_cursor` continues, None at the end."""

    rows: tuple[RollupRow, ...]
    next_cursor: str | None


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


def kept_as(dimension: Dimension) -> Dimension:
    """The dimension whose rows are kept: itself, or the one that it is the sum of."""
    return _SUM_OF[dimension][0] if dimension in _SUM_OF else dimension


def feature_tag(feature: str) -> str:
    """The tag by which a request says which of its app's features it is for."""
    return f"{_FEATURE}{feature}"


def buckets(record: AttemptRecord) -> list[Bucket]:
    """The aggregates that an attempt belongs to, by the time at which it counts (`booking`)."""
    start, end, request = record.start, record.end, record.start.request
    if end is None:
        raise ValueError("an attempt that has not ended belongs to no aggregate")
    at = booked_at(end.ended_at, record.billed_at)
    values = [
        (Dimension.SOURCE, start.source.value),
        (Dimension.GATEWAY_KEY, request.gateway_key_id),
        (Dimension.MODEL, f"{start.provider_id}/{start.model_id}"),
        (Dimension.CREDENTIAL, f"{start.credential_id}@{start.credential_version}"),
        *((Dimension.TAG, tag) for tag in dict.fromkeys(request.tags)),
    ]
    values += [(Dimension.APP, request.app)] if request.app else []
    values += [(Dimension.USER, request.user)] if request.user else []
    kept = [(Granularity.HOUR, *values[0])]
    kept += [(unit, *value) for unit in (Granularity.DAY, Granularity.MONTH) for value in values]
    account_id = request.account_id
    return [Bucket(account_id, dimension, unit, at[: unit.chars], value) for unit, dimension, value in kept]


def counters(record: AttemptRecord) -> Counter[str]:
    """What an attempt adds to each of its aggregates; zeros are left out."""
    start, end = record.start, record.end
    if end is None:
        raise ValueError("an attempt that has not ended counts nothing")
    byok, late = start.source is CredentialSource.BYOK, is_late(end.ended_at, record.billed_at)
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
            "late_attempts": int(late),
            "late_charge_nanousd": end.charge_nanousd if late else 0,
        }
    )
    counts.update(end.usage.to_item())
    counts.update({saved_counter(part): amount for part, amount in end.savings.to_item().items()})
    return Counter({name: count for name, count in counts.items() if count})


def saved_counter(part: str) -> str:
    """The counter of a part of the savings (`domain.savings`); the one kind that may be negative."""
    return f"saved_{part}_nanousd"


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
        """All rows of a dimension from the time `first` to `last`, both included, in order of time."""
        kept = kept_as(dimension)
        items = await self._db.query_all(
            self._table, keys.rollup(account_id, kept), between=_range(granularity, first, last), consistent=False
        )
        places = groupby(_belonging(items, dimension), key=lambda item: _place(item, dimension))
        return [_sum(list(part), dimension) for _, part in places]

    async def page(
        self,
        account_id: str,
        dimension: Dimension,
        granularity: Granularity,
        *,
        first: str,
        last: str,
        admits: Callable[[str], bool] | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> RowsPage:
        """Up to `limit` rows of the same, in the same order. The work is bounded: a short page need not be the last.

        Args:
            admits: Whether rows of a value are wanted; of the dimension that is kept, where this one is a sum.
            cursor: `next_cursor` of the page before.

        Raises:
            ValueError: the cursor is no place in the range.
        """
        kept = kept_as(dimension)
        between = _range(granularity, first, last)
        if cursor is not None and not between[0] <= cursor <= between[1]:
            raise ValueError("not a place in this range")
        plain = kept is dimension and admits is None
        rows, part, done, after, read = list[RollupRow](), list[Item](), cursor, cursor, 0
        while True:
            found = await self._db.query(
                self._table,
                keys.rollup(account_id, kept),
                between=between,
                after_sk=after,
                limit=limit - len(rows) + 1 if plain else _ITEMS_A_QUERY,
                consistent=False,
            )
            for item in _belonging(found.items, dimension):
                if part and _place(item, dimension) != _place(part[0], dimension):
                    rows.append(_sum(part, dimension))
                    part, done = [], part[-1]["sk"]
                    if len(rows) == limit:
                        return RowsPage(tuple(rows), done)
                if admits is None or admits(_split(item)[1]):
                    part.append(item)
            after, read = found.next_sk, read + len(found.items)
            if after is None:
                return RowsPage((*rows, *([_sum(part, dimension)] if part else ())), None)
            if read >= _ITEMS_A_PAGE and (rows or not part):
                return RowsPage(tuple(rows), done if part else after)

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


def _range(granularity: Granularity, first: str, last: str) -> tuple[str, str]:
    """Sort keys, both included."""
    return f"{granularity}#{first}", f"{granularity}#{last}{keys.LAST}"


def _split(item: Item) -> tuple[str, str]:
    """The time of an item, and the value that it is kept for."""
    _, time, value = item["sk"].split("#", 2)
    return time, value


def _place(item: Item, dimension: Dimension) -> tuple[str, str]:
    """The time and the value of the row that an item belongs to. Items of one row stand side by side."""
    time, value = _split(item)
    return time, _SUM_OF[dimension][1](value) if dimension in _SUM_OF else value


def _belonging(items: Iterable[Item], dimension: Dimension) -> Iterator[Item]:
    """Those of the kept items that the dimension has to do with: all, but where it is of some tags alone."""
    return (item for item in items if dimension is not Dimension.FEATURE or _split(item)[1].startswith(_FEATURE))


def _sum(items: Sequence[Item], dimension: Dimension) -> RollupRow:
    """One row of all that belongs to it."""
    counts = Counter[str]()
    for item in items:
        counts.update({name: count for name, count in item.items() if isinstance(count, int)})
    time, value = _place(items[0], dimension)
    return RollupRow(time, value, counts, max(item.get("last_at", "") for item in items))


def _update(key: Key, counts: Counter[str], last_at: str) -> Update:
    names = {f"#c{index}": name for index, name in enumerate(counts)}
    adds = ", ".join(f"#c{index} :c{index}" for index in range(len(counts)))
    values: dict[str, object] = {f":c{index}": count for index, count in enumerate(counts.values())}
    return Update(key, f"SET last_at = :last ADD {adds}", names=names, values=values | {":last": last_at})
