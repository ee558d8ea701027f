"""Balance, postings and their entries, read."""

from __future__ import annotations

from dataclasses import dataclass

from ownkey.domain.ledger import Balance, Cause, Entry, Movement, MovementKind, Posting
from ownkey.ledger.balances import Balances
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item

_FIRST = "0"
"""Below every posting's id: they begin with a date."""


@dataclass(frozen=True, slots=True)
class EntriesPage:
    """Entries newest first; `next_cursor` continues."""

    entries: tuple[Entry, ...]
    next_cursor: str | None


class Statements:
    """Reads over the credits and ledger tables."""

    def __init__(self, db: DynamoDb, credits_table: str, ledger_table: str) -> None:
        self._db = db
        self._balances = Balances(db, credits_table)
        self._ledger = ledger_table

    async def balance(self, account_id: str) -> Balance:
        """The account's credits; zero where it never had any."""
        return await self._balances.balance(account_id)

    async def entries(self, account_id: str, *, limit: int = 50, cursor: str | None = None) -> EntriesPage:
        """A page of the account's movements, newest first; those of one posting too, the last before the first.

        Args:
            cursor: `next_cursor` of the page before: the id of its last entry.

        Raises:
            ValueError: the cursor is no entry's id.
        """
        after_id, _, after_index = (cursor or "").rpartition("#")
        if cursor is not None and not (after_id > _FIRST and after_index.isascii() and after_index.isdigit()):
            raise ValueError("not an entry's id")
        page = await self._db.query(
            self._ledger,
            keys.ledger(account_id),
            between=(_FIRST, after_id) if cursor else None,
            newest_first=True,
            limit=limit + 1,  # each has one entry at least, and all of the first may be on the page before
            consistent=False,
        )
        found = [
            Entry(posting, index)
            for posting in map(to_posting, page.items)
            for index in reversed(range(len(posting.movements)))
            if posting.id != after_id or index < int(after_index)
        ]
        more = len(found) > limit or page.next_sk is not None
        return EntriesPage(tuple(found[:limit]), found[:limit][-1].id if more else None)


def posting_item(posting: Posting) -> Item:
    """A posting's item."""
    return {
        "cause": posting.cause.value,
        "cause_id": posting.cause_id,
        "at": posting.at,
        "movements": [
            {"kind": each.kind.value, "available_nanousd": each.available_nanousd, "held_nanousd": each.held_nanousd}
            for each in posting.movements
        ],
        "overrun_nanousd": posting.overrun_nanousd,
    }


def to_posting(item: Item) -> Posting:
    """A posting from its item, keys included."""
    return Posting(
        account_id=item["pk"].removeprefix(keys.LEDGER_PREFIX),
        id=item["sk"],
        cause=Cause(item["cause"]),
        cause_id=item["cause_id"],
        at=item["at"],
        movements=tuple(
            Movement(MovementKind(each["kind"]), each["available_nanousd"], each["held_nanousd"])
            for each in item["movements"]
        ),
        overrun_nanousd=item["overrun_nanousd"],
    )
