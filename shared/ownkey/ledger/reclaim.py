"""Ends the holds that dead functions left open.

A hold past its function's deadline whose attempt left no record at all is released, and a `Release` in the records
table tells billing, which posts it. One whose attempt left an intent is ended as abandoned, at the estimate in the
intent, and billing settles it like any other. One whose attempt has ended is billing's already; one that outlives its
attempt's settlement, because the call that placed it came late, is released too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from ownkey.domain.attempts import RECORD_SCHEMA, AttemptEnd, AttemptRecord, Outcome
from ownkey.domain.ledger import Hold
from ownkey.domain.sampling import Sampler
from ownkey.domain.usage import UsageSource
from ownkey.ledger import escrow
from ownkey.ledger.records import RELEASED, Records, Release, UnreadableRecord, to_record
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, DynamoDb, Item, Key, Put

_log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""Of a run beside a request: its function is paid for, and may have another one to answer."""
GRACE_S = 30
"""Beyond a function's deadline: its last write may still be on the way, and clocks differ."""


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What one run did for an account."""

    released: int = 0
    abandoned: int = 0


class Reclaimer:
    """Safe to run anywhere, any number of times, beside anything: each hold ends once."""

    def __init__(self, db: DynamoDb, *, records_table: str, credits_table: str) -> None:
        self._db = db
        self._records_table = records_table
        self._credits = credits_table
        self._records = Records(db, records_table)

    async def run(self, account_id: str, now: datetime) -> Reclaimed:
        """Ends every expired hold of an account. What is released can be spent when this returns."""
        released = abandoned = 0
        for hold in await self._expired(account_id, now):
            item = await self._db.get(self._record_key(hold))
            record = _readable(item) if item else None
            # A hold that outlives its attempt's settlement was placed by a call that came after all.
            if item is None or (record and record.billed_at):
                released += await self._release(hold, now)
            elif record and record.end is None:
                abandoned += await self.abandon(record, now)
        return Reclaimed(released, abandoned)

    async def abandon(self, record: AttemptRecord, now: datetime) -> bool:
        """Ends an attempt whose function died, at its intent's estimate; False where it had ended."""
        start = record.start
        end = AttemptEnd(
            outcome=Outcome.ABANDONED,
            ended_at=_rfc3339(now),
            status=None,
            usage=start.estimated_usage,
            usage_source=UsageSource.ESTIMATED,
            cost_nanousd=start.estimated_cost_nanousd,
            charge_nanousd=start.estimated_charge_nanousd,
            error_code="abandoned",
        )
        return await self._records.end(start, end)

    async def _expired(self, account_id: str, now: datetime) -> list[Hold]:
        past = int(now.timestamp()) - GRACE_S
        rows = await self._db.query_all(
            self._credits,
            keys.credits_of(account_id),
            filter_expression="attribute_exists(shards) OR expires_at_s < :past",
            values={":past": past},
        )
        holds = [to_hold(account_id, row) for row in rows if row["sk"] != keys.BALANCE]
        opened = next((row["shards"] for row in rows if row["sk"] == keys.BALANCE), 1)
        for shard in range(1, opened):
            rows = await self._db.query_all(
                self._credits,
                keys.credits_of(account_id, shard),
                prefix=keys.HOLD_PREFIX,
                filter_expression="expires_at_s < :past",
                values={":past": past},
            )
            holds += [to_hold(account_id, row, shard) for row in rows]
        return holds

    def _record_key(self, hold: Hold) -> Key:
        request_id = hold.attempt_id.partition("#")[0]
        return Key(self._records_table, keys.attempts_of_request(hold.account_id, request_id), hold.attempt_id)

    async def _release(self, hold: Hold, now: datetime) -> bool:
        amount = hold.amount_nanousd
        release = Release(hold.account_id, hold.attempt_id, amount, _rfc3339(now))
        try:
            await self._db.transact(
                [
                    Delete(
                        hold_key(self._credits, hold), condition="amount_nanousd = :amount", values={":amount": amount}
                    ),
                    *escrow.moved(self._credits, hold.account_id, hold.shard, available=amount, held=-amount, drawn={}),
                    Put(
                        Key(self._records_table, keys.releases(release.account_id), release.id),
                        {
                            "attempt_id": release.attempt_id,
                            "amount_nanousd": release.amount_nanousd,
                            "released_at": release.released_at,
                            "state": RELEASED,
                            "record_schema": RECORD_SCHEMA,
                        },
                        condition="attribute_not_exists(pk)",
                    ),
                ]
            )
        except ConditionFailed as e:
            if 0 not in e.failed:  # else another run, or billing, ended it
                _log.error("a hold is not in its balance", extra={"attempt_id": hold.attempt_id, "failed": e.failed})
            return False
        return True


class NowAndThen:
    """Reclaims after answers, so that what dead functions hold comes back with the account's next request.

    Args:
        reclaim: `Holds.reclaim`.
    """

    def __init__(self, reclaim: Callable[[str], Awaitable[Reclaimed]], sampler: Sampler) -> None:
        self._reclaim = reclaim
        self._sampler = sampler

    async def note(self, account_id: str) -> None:
        """Ends the account's expired holds, unless this environment did so less than a minute ago.

        Takes at most `PATIENCE_S`, and never fails: what is left, upkeep ends within its minute.
        """
        if not self._sampler.due(account_id):
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                done = await self._reclaim(account_id)
        except Exception:  # noqa: BLE001 - the answer is out, and upkeep comes
            _log.exception("an account's expired holds could not be ended", extra={"account_id": account_id})
            return
        if done != Reclaimed():
            _log.info("holds of dead functions ended", extra={"account_id": account_id, "released": done.released})


def hold_key(table: str, hold: Hold) -> Key:
    """Where an open hold stands."""
    return Key(table, keys.credits_of(hold.account_id, hold.shard), keys.hold(hold.attempt_id))


def to_hold(account_id: str, item: Item, shard: int = 0) -> Hold:
    """An open hold from its item."""
    attempt_id = item["sk"].removeprefix(keys.HOLD_PREFIX)
    return Hold(account_id, attempt_id, item["amount_nanousd"], item["expires_at_s"], shard)


def _readable(item: Item) -> AttemptRecord | None:
    try:
        return to_record(item)
    except UnreadableRecord as e:
        _log.error("a record cannot be read", extra={"attempt_id": item["sk"], "reason": str(e)})
        return None


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
