"""What an account's postings moved in each month, by kind: written with them, so that no statement reads them all.

The item of a month has, for each kind of movement, how many there were and what they did to each part of the balance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ownkey.domain.ledger import MovementKind, Posting
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Key, Update

PARTITION = "movement"
"""In the place of a dimension."""
FIRST = "M#"
"""Before the month."""


@dataclass(frozen=True, slots=True)
class Moved:
    """All movements of one kind in a month."""

    count: int
    available_nanousd: int
    held_nanousd: int

    @property
    def amount_nanousd(self) -> int:
        """What the account has more, or less, by them."""
        return self.available_nanousd + self.held_nanousd


@dataclass(frozen=True, slots=True)
class Month:
    """A month's movements by kind; kinds without any are left out."""

    month: str
    kinds: Mapping[MovementKind, Moved]
    overrun_nanousd: int
    """Charges that neither hold nor balance covered: the operator's loss."""

    @property
    def amount_nanousd(self) -> int:
        """What the balance changed by."""
        return sum(each.amount_nanousd for each in self.kinds.values())


def updates(postings: Iterable[Posting], table: str) -> list[Update]:
    """One update for each account and month that the postings belong to."""
    months: dict[Key, Counter[str]] = {}
    for posting in postings:
        months.setdefault(key_of(table, posting.account_id, posting.at[:7]), Counter()).update(added(posting))
    return [_update(key, {name: count for name, count in counts.items() if count}) for key, counts in months.items()]


def added(posting: Posting) -> Counter[str]:
    """What a posting adds to the item of its month; zeros may be among it."""
    counts = Counter({"overrun_nanousd": posting.overrun_nanousd})
    for each in posting.movements:
        counts[f"{each.kind}_count"] += 1
        counts[f"{each.kind}_available_nanousd"] += each.available_nanousd
        counts[f"{each.kind}_held_nanousd"] += each.held_nanousd
    return counts


def key_of(table: str, account_id: str, month: str) -> Key:
    """Where a month's movements stand."""
    return Key(table, keys.rollup(account_id, PARTITION), f"{FIRST}{month}")


class Movements:
    """Reads them."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def months(self, account_id: str, *, last: str) -> list[Month]:
        """Every month with movements up to `last` (`2026-11`), in order: twelve small items a year."""
        items = await self._db.query_all(
            self._table, keys.rollup(account_id, PARTITION), between=(FIRST, f"{FIRST}{last}")
        )
        return [_month(item["sk"].removeprefix(FIRST), item) for item in items]


def _month(month: str, item: Mapping[str, int]) -> Month:
    kinds = {
        kind: Moved(
            item[f"{kind}_count"], item.get(f"{kind}_available_nanousd", 0), item.get(f"{kind}_held_nanousd", 0)
        )
        for kind in MovementKind
        if f"{kind}_count" in item
    }
    return Month(month, kinds, item.get("overrun_nanousd", 0))


def _update(key: Key, counts: Mapping[str, int]) -> Update:
    adds = ", ".join(f"{name} :c{index}" for index, name in enumerate(counts))
    return Update(key, f"ADD {adds}", values={f":c{index}": count for index, count in enumerate(counts.values())})
