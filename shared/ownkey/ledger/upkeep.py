"""Ends what dead functions left behind, for every account: intents without an end, holds (`reclaim`), and what was
reserved of limits.

Looks only at what no function can still be working on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ownkey.domain.attempts import AttemptState
from ownkey.domain.errors import OwnkeyError
from ownkey.domain.ids import REQUEST, first_id
from ownkey.ledger.counters import Counters
from ownkey.ledger.reclaim import GRACE_S, Reclaimer
from ownkey.ledger.records import UnreadableRecord, to_record
from ownkey.store import keys
from ownkey.store.aws import AwsError
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Key, Put

_log = logging.getLogger(__name__)

_LONGEST_S = 900 + GRACE_S
_FIRST_SWEEP = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one run did."""

    abandoned: int = 0
    released: int = 0
    given_back: int = 0
    """Reservations."""
    failed: int = 0
    """Accounts."""


class Upkeep:
    """One run looks at every account once."""

    def __init__(
        self, db: DynamoDb, *, registry_table: str, records_table: str, credits_table: str, counters_table: str
    ) -> None:
        self._db = db
        self._registry = registry_table
        self._records_table = records_table
        self._reclaimer = Reclaimer(db, records_table=records_table, credits_table=credits_table)
        self._counters = Counters(db, counters_table)

    async def run(self, now: datetime) -> Swept:
        """Ends abandoned attempts, and gives back the holds and reservations without a record, over all accounts.

        A run continues where the last complete one stopped, so neither a pause of the schedule nor an account that
        cannot be looked at loses anything.
        """
        since = await self._swept_until(now)
        abandoned = released = given_back = failed = 0
        for row in await self._db.query_all(self._registry, keys.ACCOUNTS_PARTITION):
            try:
                abandoned += await self._end_abandoned(row["sk"], since, now)
                reclaimed = await self._reclaimer.run(row["sk"], now)
                if row.get("has_limits"):
                    given_back += await self._give_back(row["sk"], now)
            except (OwnkeyError, AwsError, ConditionFailed):
                _log.exception("an account could not be swept; the next run tries again", extra={"account": row["sk"]})
                failed += 1
                continue
            abandoned += reclaimed.abandoned
            released += reclaimed.released
        if not failed:
            await self._note_swept_until(now - timedelta(seconds=_LONGEST_S))
        return Swept(abandoned, released, given_back, failed)

    async def _give_back(self, account_id: str, now: datetime) -> int:
        """Reservations whose attempts left a record are billing's; those of attempts that were never sent end here."""
        given_back = 0
        for reservation in await self._counters.expired(account_id, int(now.timestamp()) - GRACE_S):
            request_id = reservation.attempt_id.partition("#")[0]
            partition = keys.attempts_of_request(account_id, request_id)
            item = await self._db.get(Key(self._records_table, partition, reservation.attempt_id))
            if item is None or "billed_at" in item:
                sent = reservation.request_sent
                given_back += await self._counters.give_back(reservation, request_sent=sent)
        return given_back

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
                try:
                    ended += await self._reclaimer.abandon(to_record(item), now)
                except UnreadableRecord as e:
                    _log.error("a record cannot be read", extra={"attempt_id": item["sk"], "reason": str(e)})
            day += timedelta(days=1)
        return ended

    async def _swept_until(self, now: datetime) -> datetime:
        item = await self._db.get(self._cursor())
        return datetime.fromisoformat(item["until"]) if item else now - _FIRST_SWEEP

    async def _note_swept_until(self, until: datetime) -> None:
        await self._db.write(Put(self._cursor(), {"until": until.astimezone(UTC).isoformat()}))

    def _cursor(self) -> Key:
        return Key(self._records_table, keys.SWEEP_PARTITION, "abandoned")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
