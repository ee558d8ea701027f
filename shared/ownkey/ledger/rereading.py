"""An account's records, read as they stand now: strongly consistent, the unreadable ones noted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any, TypeVar

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.ledger import Cause, Posting
from ownkey.ledger.differences import Difference, Kind
from ownkey.ledger.records import (
    OF_DEPOSITS,
    Deposit,
    Release,
    Reward,
    UnreadableRecord,
    to_deposit,
    to_record,
    to_release,
    to_reward,
)
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Key

_BATCH = 100
_Record = TypeVar("_Record")


class Reader:
    """Over the records table, for one account."""

    def __init__(self, db: DynamoDb, table: str, account_id: str) -> None:
        self._db = db
        self._table = table
        self.account_id = account_id
        self._unreadable: dict[str, str] = {}

    async def attempts(self, day: date) -> AsyncIterator[list[AttemptRecord]]:
        """The attempts of the requests of a day, those of one request together; a page of them in memory."""
        partition, after = keys.attempts(self.account_id, day.isoformat()), None
        open_request: list[AttemptRecord] = []
        while True:
            page = await self._db.query(self._table, partition, after_sk=after)
            records = open_request + self._read(page.items, to_record)
            grouped = [list(group) for _, group in groupby(records, key=_request_of)]
            after = page.next_sk
            open_request = grouped.pop() if after and grouped else []
            for each in grouped:
                yield each
            if after is None:
                return

    async def attempt(self, attempt_id: str) -> AttemptRecord | None:
        """One of them; None where there is none, or none that can be read."""
        try:
            partition = keys.attempts_of_request(self.account_id, attempt_id.partition("#")[0])
        except ValueError:
            return None
        row = await self._db.get(Key(self._table, partition, attempt_id))
        return next(iter(self._read([row] if row else [], to_record)), None)

    async def deposits(self) -> list[Deposit]:
        """All deposits."""
        return self._read(await self._db.query_all(self._table, keys.deposits(self.account_id)), to_deposit)

    async def releases(self, prefix: str = "") -> list[Release]:
        """All releases, or those of one attempt (its id, and `@`)."""
        rows = await self._db.query_all(self._table, keys.releases(self.account_id), prefix=prefix)
        return self._read(rows, to_release)

    async def rewards(self) -> list[Reward]:
        """All that the account was given, or is to be given, for sharing."""
        return self._read(await self._db.query_all(self._table, keys.rewards(self.account_id)), to_reward)

    async def earned(self, rewards: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """What these records of rewards, by account and id, say; those that are not there are left out."""
        found: dict[tuple[str, str], int] = {}
        for first in range(0, len(rewards), _BATCH):
            at = {Key(self._table, keys.rewards(each[0]), each[1]): each for each in rewards[first : first + _BATCH]}
            items = await self._db.batch_get(list(at))
            found |= {at[key]: item["amount_nanousd"] for key, item in items.items()}
        return found

    async def of_posting(self, posting: Posting) -> Sequence[AttemptRecord | Deposit | Release | Reward]:
        """The records that a posting may be of."""
        match posting.cause:
            case cause if cause in OF_DEPOSITS:
                row = await self._db.get(Key(self._table, keys.deposits(self.account_id), posting.cause_id))
                return self._read([row] if row else [], to_deposit)
            case Cause.REWARD:
                row = await self._db.get(Key(self._table, keys.rewards(self.account_id), posting.cause_id))
                return self._read([row] if row else [], to_reward)
            case Cause.RELEASE:
                return await self.releases(f"{posting.cause_id}@")
            case _:
                record = await self.attempt(posting.cause_id)
                return [record] if record else []

    def unreadable(self) -> list[Difference]:
        """Records that could not be read."""
        return [
            Difference(Kind.RECORD, self.account_id, item, "", None, None, f"it cannot be read: {reason}")
            for item, reason in self._unreadable.items()
        ]

    def _read(self, rows: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], _Record]) -> list[_Record]:
        found = []
        for row in rows:
            try:
                found.append(read(row))
            except UnreadableRecord as e:
                self._unreadable[f"{row['pk']} {row['sk']}"] = str(e)
        return found


def _request_of(record: AttemptRecord) -> str:
    return record.start.request.request_id
