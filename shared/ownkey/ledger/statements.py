"""Balance and ledger entries, read."""

from __future__ import annotations

from dataclasses import dataclass

from ownkey.domain.ledger import Balance, Entry, EntryKind
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key


@dataclass(frozen=True, slots=True)
class EntriesPage:
    """Entries newest first; `next_cursor` continues."""

    entries: tuple[Entry, ...]
    next_cursor: str | None


class Statements:
    """Reads over the credits and ledger tables."""

    def __init__(self, db: DynamoDb, credits_table: str, ledger_table: str) -> None:
        self._db = db
        self._credits = credits_table
        self._ledger = ledger_table

    async def balance(self, account_id: str) -> Balance:
        """The account's credits; zero where it never had any."""
        item = await self._db.get(Key(self._credits, keys.credits_of(account_id), keys.BALANCE))
        return Balance(item["available_nanousd"], item["held_nanousd"]) if item else Balance()

    async def entries(self, account_id: str, *, limit: int = 50, cursor: str | None = None) -> EntriesPage:
        """A page of the account's movements, newest first."""
        page = await self._db.query(
            self._ledger, keys.ledger(account_id), newest_first=True, limit=limit, after_sk=cursor, consistent=False
        )
        return EntriesPage(tuple(to_entry(item) for item in page.items), page.next_sk)


def entry_item(entry: Entry) -> Item:
    """A ledger entry's item."""
    return {name: getattr(entry, name) for name in Entry.__slots__} | {"kind": entry.kind.value}


def to_entry(item: Item) -> Entry:
    """The inverse of `entry_item`."""
    return Entry(**{name: item[name] for name in Entry.__slots__} | {"kind": EntryKind(item["kind"])})
