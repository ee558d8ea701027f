"""Has the books of each account counted again once a day: the days that are over, in turns of a few minutes.

How far it is stands in one item, written before and after each account. So whoever is stopped in between goes on with
the account that it was at; one that cannot be verified twice in a row is told of, and left to `tools.verify`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, Fact, settled_audit_id
from ownkey.domain.errors import OwnkeyError, StoreUnavailable
from ownkey.domain.times import rfc3339
from ownkey.ledger.differences import Difference
from ownkey.ledger.recount import Period
from ownkey.ledger.verify import Verifier
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.store import keys
from ownkey.store.aws import AwsError
from ownkey.store.dynamodb import DynamoDb, Item, Key, Put

_log = logging.getLogger(__name__)

BUDGET_S = 180.0
"""Of one run: the function has 300 s, and the last account must be finished too."""
ACTION = "ledger.differs"
DETAIL_TYPE = "Ledger Differs"
_SETTLED_AFTER = timedelta(hours=1)
"""Past midnight: then the day before is billed."""
_MOST_DAYS = 31
_NAMED = 5
"""Differences that an entry names; all of them are in the function's log."""


class EventsPort(Protocol):
    """Where events go."""

    async def put(self, detail_type: str, detail: Mapping[str, object]) -> None:
        """One event.

        Raises:
            StoreUnavailable: it may not have been taken.
        """


@dataclass(frozen=True, slots=True)
class Verified:
    """What one run did."""

    accounts: int = 0
    differences: int = 0
    unverified: int = 0
    """Accounts that could not be verified twice in a row."""
    left: int = 0
    """Accounts for the next run."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """How far all accounts are with some days."""

    first: date
    last: date
    after: str = ""
    """The last account that is done."""
    at_work: str = ""
    """The one that a run has begun with."""
    done: bool = False

    def to_item(self) -> Item:
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "after": self.after,
            "at_work": self.at_work,
            "done": self.done,
        }

    @staticmethod
    def from_item(item: Item) -> _Pass:
        first, last = (date.fromisoformat(item[name]) for name in ("first", "last"))
        return _Pass(first, last, item["after"], item["at_work"], item["done"])


class Verification:
    """One run verifies accounts until its time is up."""

    def __init__(
        self,
        db: DynamoDb,
        records_table: str,
        registry: Registry,
        verifier: Verifier,
        trail: AuditTrail,
        events: EventsPort,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._note_at = Key(records_table, keys.SWEEP_PARTITION, "verified")
        self._registry = registry
        self._verifier = verifier
        self._trail = trail
        self._events = events
        self._now = now
        self._monotonic = monotonic

    async def run(self, budget_s: float = BUDGET_S) -> Verified:
        """Goes on where the last run stopped; nothing to do once the days that are over are verified."""
        give_up_at, found = self._monotonic() + budget_s, Verified()
        at = await self._open()
        if at is None:
            return found
        waiting = [each for each in sorted(await self._registry.account_ids()) if each > at.after]
        while waiting and self._monotonic() < give_up_at:
            account_id = waiting.pop(0)
            if at.at_work == account_id:
                await self._tell_unverified(account_id, at)
                found = replace(found, unverified=found.unverified + 1)
            else:
                at = await self._note(replace(at, at_work=account_id))
                differences = await self._verify(account_id, at)
                if differences is None:
                    return replace(found, left=len(waiting) + 1)
                found = replace(found, accounts=found.accounts + 1, differences=found.differences + len(differences))
            at = await self._note(replace(at, after=account_id, at_work=""))
        if not waiting:
            await self._note(replace(at, done=True))
        return replace(found, left=len(waiting))

    async def _open(self) -> _Pass | None:
        """The days that are to be verified; None where all that are over are."""
        last = (self._now() - _SETTLED_AFTER).date() - timedelta(days=1)
        item = await self._db.get(self._note_at)
        if item is None:
            return _Pass(last, last)
        before = _Pass.from_item(item)
        if not before.done:
            return before
        if before.last >= last:
            return None
        return _Pass(max(before.last, last - timedelta(days=_MOST_DAYS)) + timedelta(days=1), last)

    async def _note(self, at: _Pass) -> _Pass:
        await self._db.write(Put(self._note_at, at.to_item()))
        return at

    async def _verify(self, account_id: str, at: _Pass) -> Sequence[Difference] | None:
        """None where it could not be done: the next run tries once more."""
        try:
            report = await self._verifier.account(account_id, Period(at.first, at.last), self._now())
            for each in report.differences:
                _log.error("the books differ", extra={"account_id": account_id, "difference": str(each)})
            if report.differences:
                named = [str(each) for each in report.differences]
                await self._tell(account_id, at, named)
        except (OwnkeyError, AwsError):
            _log.exception("an account could not be verified; the next run tries again", extra={"account": account_id})
            return None
        return report.differences

    async def _tell_unverified(self, account_id: str, at: _Pass) -> None:
        _log.error("an account could not be verified twice", extra={"account_id": account_id})
        await self._tell(account_id, at, ["it could not be verified: see the log of upkeep, and run tools.verify"])

    async def _tell(self, account_id: str, at: _Pass, named: Sequence[str]) -> None:
        facts: dict[str, Fact] = {
            "first_day": at.first.isoformat(),
            "last_day": at.last.isoformat(),
            "differences": len(named),
            "named": named[:_NAMED],
        }
        entry = AuditEntry(
            id=settled_audit_id(datetime.combine(at.last, datetime.min.time(), UTC), account_id, *sorted(named)),
            account_id=account_id,
            at=rfc3339(self._now()),
            actor_kind=ActorKind.SYSTEM,
            actor_id="upkeep",
            action=ACTION,
            outcome=AuditOutcome.FAILED,
            facts=facts,
        )
        if not await self._trail.append(entry):
            return
        try:
            await self._events.put(DETAIL_TYPE, {"id": entry.id, "account": account_id, **facts})
        except StoreUnavailable as e:
            _log.error("the event of a difference was lost; the log has it", exc_info=e, extra={"audit_id": entry.id})
