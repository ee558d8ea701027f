"""What becomes of a notice: a deposit that billing carries out, or an entry for the operator. Each once.

The deposit's id is made of the payment's, and it is put with its entry in the account's audit log in one transaction:
a notice that comes again, in another event or at the same moment, meets it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Protocol

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, Fact, settled_audit_id
from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.ledger import DepositKind
from ownkey.domain.times import rfc3339
from ownkey.ledger.records import Deposit, Records
from ownkey.payments.notices import Concern, Nothing, Notice, Payment, Trouble
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.store.aws import AwsError
from ownkey.store.dynamodb import ConditionFailed, DynamoDb

_log = logging.getLogger(__name__)

FUNCTION = "payments"
DEPOSITED = "deposit.requested"
NOTED = "payment.noted"
DETAIL_TYPE = "Payment Needs Attention"


class EventsPort(Protocol):
    """`ownkey.store.events.Events`."""

    async def put(self, detail_type: str, detail: Mapping[str, object]) -> None:
        """One event. Raises StoreUnavailable."""


class Desk:
    """Acts on notices. Safe to call again with any of them, from anywhere."""

    def __init__(
        self,
        db: DynamoDb,
        registry: Registry,
        records: Records,
        trail: AuditTrail,
        events: EventsPort,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._registry = registry
        self._records = records
        self._trail = trail
        self._events = events
        self._now = now

    async def act(self, notice: Notice) -> str:
        """Does what is to be done; what that was, in a word.

        Raises:
            StoreUnavailable: it may not have been done, and the provider should tell again.
        """
        match notice:
            case Payment():
                return await self._credit(notice)
            case Concern():
                return await self._note(notice)
            case Nothing():
                return "ignored"

    async def _credit(self, payment: Payment) -> str:
        if not await self._registry.has_account(payment.account_id):
            return await self._note(_unknown_account(payment))
        now = rfc3339(self._now())
        deposit = Deposit(
            payment.account_id,
            deposit_id(payment),
            payment.amount_nanousd,
            FUNCTION,
            now,
            kind=DepositKind.PAYMENT,
            provider=payment.provider,
            payment_id=payment.payment_id,
            payment_intent=payment.payment_intent,
            event_id=payment.event_id,
        )
        facts: dict[str, Fact] = {
            "deposit_id": deposit.id,
            "amount_nanousd": deposit.amount_nanousd,
            "payment_provider": payment.provider,
            "payment_id": payment.payment_id,
            "payment_intent": payment.payment_intent,
            "event_id": payment.event_id,
        }
        entry = self._entry(payment.account_id, payment.began_at_ms, DEPOSITED, facts, deposit.id)
        try:
            await self._db.transact([self._records.deposit_write(deposit), self._trail.write_of(entry)])
        except ConditionFailed:
            return "known"
        _log.info("a payment was taken", extra={"account_id": payment.account_id, **facts})
        return "deposited"

    async def _note(self, concern: Concern) -> str:
        facts: dict[str, Fact] = {
            "reason": concern.trouble.value,
            "payment_provider": concern.provider,
            "event_id": concern.event_id,
            **concern.facts,
        }
        entry = self._entry(PLATFORM_ACCOUNT, concern.told_at_ms, NOTED, facts, concern.provider, concern.event_id)
        new = await self._trail.append(entry)
        _log.warning("a payment needs the operator", extra=dict(facts))
        # Also of one that stands already: whoever put it may have died before this.
        try:
            await self._events.put(DETAIL_TYPE, {"id": entry.id, "account": PLATFORM_ACCOUNT, **facts})
        except (StoreUnavailable, AwsError) as e:
            _log.error("the event of a payment was lost; the log has it", exc_info=e, extra={"audit_id": entry.id})
        return "noted" if new else "known"

    def _entry(self, account_id: str, at_ms: int, action: str, facts: Mapping[str, Fact], *about: str) -> AuditEntry:
        return AuditEntry(
            id=settled_audit_id(datetime.fromtimestamp(at_ms / 1000, UTC), action, *about),
            account_id=account_id,
            at=rfc3339(self._now()),
            actor_kind=ActorKind.FUNCTION,
            actor_id=FUNCTION,
            action=action,
            outcome=AuditOutcome.SUCCEEDED,
            facts=facts,
        )


def deposit_id(payment: Payment) -> str:
    """The same for whatever tells of the payment, and sorted by when it began."""
    digest = sha256(f"{payment.provider}\x1f{payment.payment_id}".encode()).digest()
    return ids.made_id(ids.DEPOSIT, payment.began_at_ms, int.from_bytes(digest[:10], "big"))


def _unknown_account(payment: Payment) -> Concern:
    facts: dict[str, Fact] = {
        "payment_id": payment.payment_id,
        "payment_intent": payment.payment_intent,
        "named_account": payment.account_id,
        "amount_nanousd": payment.amount_nanousd,
    }
    return Concern(
        provider=payment.provider,
        event_id=payment.event_id,
        told_at_ms=payment.began_at_ms,
        trouble=Trouble.NO_ACCOUNT,
        facts=facts,
    )
