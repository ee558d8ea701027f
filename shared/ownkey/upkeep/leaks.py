"""The leak alarm: spend on a credential that no record explains.

An entry in the account's audit log, an event on the account's bus, and a mark that the credential's card shows. The
entry's id is made of what it is about, so that days which are looked at again raise it once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, Fact, settled_audit_id
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.money import usd_string
from ownkey.domain.reconciliation import Leak, LeakSettings, Reconciliation, Row
from ownkey.domain.times import parse_rfc3339, rfc3339
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.upkeep.reminders import EventsPort

_log = logging.getLogger(__name__)

ACTION = "credential.leak_suspected"
DETAIL_TYPE = "Credential Leak Suspected"


class LeakAlarm:
    """Raises the alarm for what a reconciliation found."""

    def __init__(
        self,
        registry: Registry,
        trail: AuditTrail,
        events: EventsPort,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._registry = registry
        self._trail = trail
        self._events = events
        self._now = now

    async def raise_for(
        self, run: Reconciliation, rows: Sequence[Row], credentials: Mapping[str, Credential]
    ) -> list[str]:
        """Raises it for each credential over the account's threshold; their ids.

        Args:
            credentials: Of the account, by id; one that is gone may leak all the same.
        """
        settings = await self._registry.leak_settings(run.account_id)
        found: list[str] = []
        for credential_id in dict.fromkeys(row.credential_id for row in rows if row.credential_id is not None):
            leak = leak_of(credential_id, run, rows, settings)
            if leak is not None:
                await self._raise(run, leak, credentials.get(credential_id), settings)
                found.append(credential_id)
        return found

    async def _raise(
        self, run: Reconciliation, leak: Leak, credential: Credential | None, settings: LeakSettings
    ) -> None:
        now = self._now()
        leak = replace(leak, found_at=rfc3339(now), version=credential.version if credential else 0)
        # The id's time is the days' end, not now: the same finding tomorrow is the same entry.
        entry_id = settled_audit_id(
            parse_rfc3339(f"{leak.last}T23:59:59Z"), leak.credential_id, str(leak.version), leak.last
        )
        if settings.disable and credential is not None and not credential.disabled:
            disabled = await self._registry.disable_credential(credential, rfc3339(now))
            leak = replace(leak, disabled=disabled)
        await self._registry.put_leak(run.account_id, leak, now)
        facts: dict[str, Fact] = {
            "credential_id": leak.credential_id,
            "version": leak.version,
            "provider": run.provider_id,
            "alias": credential.alias if credential else None,
            "unexplained_usd": usd_string(leak.amount_nanousd),
            "first": leak.first,
            "last": leak.last,
            "reconciliation_id": run.id,
            "disabled": leak.disabled,
        }
        entry = AuditEntry(
            id=entry_id,
            account_id=run.account_id,
            at=rfc3339(now),
            actor_kind=ActorKind.SYSTEM,
            actor_id="upkeep",
            action=ACTION,
            outcome=AuditOutcome.SUCCEEDED,
            facts=facts,
        )
        if not await self._trail.append(entry):
            return
        _log.error("spend that no record explains", extra={"account_id": run.account_id, **facts})
        try:
            await self._events.put(DETAIL_TYPE, {"id": entry.id, "account": run.account_id, **facts})
        except StoreUnavailable as e:
            _log.error("the event of an alarm was lost; the log has it", exc_info=e, extra={"audit_id": entry.id})


def leak_of(credential_id: str, run: Reconciliation, rows: Sequence[Row], settings: LeakSettings) -> Leak | None:
    """What no record explains of a credential; None where it is not more than the account puts up with.

    Days on which more was recorded than reported make up for nothing. Usage without a price is never put up with.
    """
    own = [row for row in rows if row.credential_id == credential_id]
    surplus = [row for row in own if row.unexplained_nanousd > 0 or row.unpriced_surplus]
    amount = sum(max(0, row.unexplained_nanousd) for row in surplus)
    if not surplus or (amount <= settings.threshold_nanousd and not any(row.unpriced_surplus for row in surplus)):
        return None
    days = sorted(row.day for row in surplus)
    return Leak(credential_id, 0, amount, days[0], days[-1], run.id, "")
