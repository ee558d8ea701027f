"""Tells an account that it has used 50, 80, 100 % of a limit: once each in a period.

An entry in the account's audit log, written in one transaction with the mark on the counter, and an event on the bus
(docs/limits.md has its shape). It goes by what the counter says, not by what was just billed: where a run of billing
died in between, the next one tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, Fact, new_audit_id
from ownkey.domain.errors import OwnkeyError, StoreUnavailable
from ownkey.domain.limits import Claim, reached, shown_amount
from ownkey.domain.limits import rfc3339 as time_of
from ownkey.domain.times import rfc3339
from ownkey.ledger.counters import Counters, counted, mark_alerted
from ownkey.store.aws import AwsError
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Item, Put

_log = logging.getLogger(__name__)

ACTION = "budget.threshold"
DETAIL_TYPE = "Budget Threshold Reached"


class EventsPort(Protocol):
    """`ownkey.store.events.Events`."""

    async def put(self, detail_type: str, detail: Mapping[str, object]) -> None:
        """One event. Raises StoreUnavailable."""


class AuditPort(Protocol):
    """`ownkey.registry.audit.AuditTrail`."""

    def write_of(self, entry: AuditEntry) -> Put:
        """The write of an entry, for a transaction."""


class Alerts:
    """Looks after each settlement. Never in the way of money: what fails is logged, and tried with the next one."""

    def __init__(
        self,
        db: DynamoDb,
        counters_table: str,
        trail: AuditPort,
        events: EventsPort,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._table = counters_table
        self._counters = Counters(db, counters_table)
        self._trail = trail
        self._events = events
        self._now = now

    async def check(self, account_id: str, settled: Iterable[AttemptRecord]) -> int:
        """Tells what the limits of these attempts have reached; how many alerts were new. Reads nothing without any."""
        watched = {
            (claim.limit_id, claim.window.value, claim.period): claim
            for record in settled
            for claim in record.start.claims
            if claim.alerts
        }
        if not watched:
            return 0
        try:
            found = await self._counters.read(account_id, watched)
            return sum([await self._tell_all(account_id, watched[at], item) for at, item in found.items()])
        except (OwnkeyError, AwsError):
            _log.exception("alerts of an account could not be checked", extra={"account_id": account_id})
            return 0

    async def _tell_all(self, account_id: str, claim: Claim, item: Item) -> int:
        used = counted(item).used
        due = [percent for percent in reached(claim.alerts, claim.amount, used) if f"alerted_{percent}" not in item]
        return sum([await self._tell(account_id, claim, percent, used) for percent in due])

    async def _tell(self, account_id: str, claim: Claim, percent: int, used: int) -> bool:
        now = self._now()
        entry = AuditEntry(
            id=new_audit_id(now),
            account_id=account_id,
            at=rfc3339(now),
            actor_kind=ActorKind.SYSTEM,
            actor_id="billing",
            action=ACTION,
            outcome=AuditOutcome.SUCCEEDED,
            facts=_facts(claim, percent, used),
        )
        try:
            mark = mark_alerted(self._table, account_id, claim, percent, entry.at)
            await self._db.transact([mark, self._trail.write_of(entry)])
        except ConditionFailed:
            return False  # somebody else was faster
        try:
            await self._events.put(DETAIL_TYPE, {"id": entry.id, "account": account_id, **entry.facts})
        except StoreUnavailable as e:
            _log.error("the event of an alert was lost; the log has it", exc_info=e, extra={"audit_id": entry.id})
        return True


def _facts(claim: Claim, percent: int, used: int) -> dict[str, Fact]:
    return {
        "limit_id": claim.limit_id,
        "scope": claim.scope.value,
        "value": claim.value or None,
        "measure": claim.measure.value,
        "window": claim.window.value,
        "period": claim.period or None,
        "percent": percent,
        "used": shown_amount(claim.measure, used),
        "amount": shown_amount(claim.measure, claim.amount),
        "resets_at": time_of(claim.ends_at),
        "hard": claim.reserved is not None,
    }
