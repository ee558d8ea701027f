"""Ends what dead functions left behind.

An attempt whose function died has an intent and no end: past its deadline it is ended as abandoned, at the estimate
in its intent, and the stream settles it like any other. A hold without any record (its function died in between) is
released. Both look only at what no function can still be working on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ownkey.domain.attempts import AttemptEnd, AttemptRecord, AttemptState, Outcome
from ownkey.domain.ids import REQUEST, first_id
from ownkey.domain.ledger import Hold
from ownkey.domain.usage import UsageSource
from ownkey.ledger.holds import hold_key, to_hold
from ownkey.ledger.records import Records, to_record
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, DynamoDb, Key, Put, Update

GRACE_S = 30
"""Beyond a function's deadline: its last write may still be on the way, and clocks differ."""
_LONGEST_S = 900 + GRACE_S
_FIRST_SWEEP = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one run did."""

    abandoned: int = 0
    released: int = 0


class Upkeep:
    """One run looks at every account once."""

    def __init__(self, db: DynamoDb, *, registry_table: str, records_table: str, credits_table: str) -> None:
        self._db = db
        self._registry = registry_table
        self._records_table = records_table
        self._credits = credits_table
        self._records = Records(db, records_table)

    async def run(self, now: datetime) -> Swept:
        """Ends abandoned attempts and releases holds without a record, over all accounts.

        A run continues where the last complete one stopped, so a pause of the schedule loses nothing.
        """
        since = await self._swept_until(now)
        abandoned = released = 0
        for row in await self._db.query_all(self._registry, keys.ACCOUNTS_PARTITION):
            abandoned += await self._end_abandoned(row["sk"], since, now)
            released += await self._release_holds(row["sk"], now)
        await self._note_swept_until(now - timedelta(seconds=_LONGEST_S))
        return Swept(abandoned, released)

    async def _end_abandoned(self, account_id: str, since: datetime, now: datetime) -> int:
        ended, day = 0, since.date()
        while day <= now.date():
            items = await self._db.query_all(
                self._records_table,
                keys.attempts(account_id, day.isoformat()),
                between=(first_id(REQUEST, _ms(since)), first_id(REQUEST, _ms(now) + 1)),
                consistent=False,
                filter_expression="#state = :started AND expires_at_s < :past",
                names={"#state": "state"},
                values={":started": AttemptState.STARTED.value, ":past": int(now.timestamp()) - GRACE_S},
            )
            for item in items:
                ended += await self._abandon(to_record(item), now)
            day += timedelta(days=1)
        return ended

    async def _abandon(self, record: AttemptRecord, now: datetime) -> bool:
        start = record.start
        end = AttemptEnd(
            outcome=Outcome.ABANDONED,
            ended_at=now.isoformat(timespec="milliseconds"),
            status=None,
            usage=start.estimated_usage,
            usage_source=UsageSource.ESTIMATED,
            cost_nanousd=start.estimated_cost_nanousd,
            charge_nanousd=start.estimated_charge_nanousd,
            error_code="abandoned",
        )
        return await self._records.end(start, end)

    async def _release_holds(self, account_id: str, now: datetime) -> int:
        items = await self._db.query_all(
            self._credits,
            keys.credits_of(account_id),
            prefix=keys.HOLD_PREFIX,
            filter_expression="expires_at_s < :past",
            values={":past": int(now.timestamp()) - GRACE_S},
        )
        released = 0
        for item in items:
            hold = to_hold(account_id, item)
            if not await self._has_record(hold):
                released += await self._release(hold)
        return released

    async def _has_record(self, hold: Hold) -> bool:
        """Whether the attempt left a record: then its end settles the hold, and this is not the place to."""
        request_id = hold.attempt_id.partition("#")[0]
        at = Key(self._records_table, keys.attempts_of_request(hold.account_id, request_id), hold.attempt_id)
        return await self._db.get(at) is not None

    async def _release(self, hold: Hold) -> bool:
        amount = {":amount": hold.amount_nanousd}
        try:
            await self._db.transact(
                [
                    Delete(hold_key(self._credits, hold), condition="amount_nanousd = :amount", values=amount),
                    Update(
                        Key(self._credits, keys.credits_of(hold.account_id), keys.BALANCE),
                        "SET available_nanousd = available_nanousd + :amount, held_nanousd = held_nanousd - :amount",
                        condition="held_nanousd >= :amount",
                        values=amount,
                    ),
                ]
            )
        except ConditionFailed as e:
            if 0 in e.failed:
                return False
            raise
        return True

    async def _swept_until(self, now: datetime) -> datetime:
        item = await self._db.get(self._cursor())
        return datetime.fromisoformat(item["until"]) if item else now - _FIRST_SWEEP

    async def _note_swept_until(self, until: datetime) -> None:
        await self._db.write(Put(self._cursor(), {"until": until.astimezone(UTC).isoformat()}))

    def _cursor(self) -> Key:
        return Key(self._records_table, keys.SWEEP_PARTITION, "abandoned")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
