"""Tells of credentials about to expire, as their owners noted it: 30, 7 and 1 days before, once each.

An entry in the account's audit log and an event on the account's bus (`docs/keys.md` has its shape). The entry's id is
made of what it is about, so that however often the schedule fires there is one; the event follows the entry.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, Fact, settled_audit_id
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.times import parse_rfc3339, rfc3339
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail

_log = logging.getLogger(__name__)

DAYS_BEFORE = (1, 7, 30)
ACTION = "credential.expiring"
DETAIL_TYPE = "Credential Expiring"


class EventsPort(Protocol):
    """Where events go."""

    async def put(self, detail_type: str, detail: Mapping[str, object]) -> None:
        """One event.

        Raises:
            StoreUnavailable: it may not have been taken.
        """


class Reminders:
    """One run looks at every credential once."""

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

    async def run(self) -> int:
        """Reminds of what has come due; how many reminders were new."""
        sent = 0
        for account_id in await self._registry.account_ids():
            for credential in await self._registry.credentials(account_id):
                sent += await self._remind(credential)
        return sent

    async def _remind(self, credential: Credential) -> bool:
        now = self._now()
        if (days := days_due(credential, now)) is None:
            return False
        assert credential.expires_at is not None
        due_at = parse_rfc3339(credential.expires_at) - timedelta(days=days)
        facts: dict[str, Fact] = {
            "credential_id": credential.id,
            "version": credential.version,
            "provider": credential.provider_id,
            "alias": credential.alias,
            "expires_at": credential.expires_at,
            "days": days,
        }
        entry = AuditEntry(
            id=settled_audit_id(due_at, credential.id, credential.expires_at, str(days)),
            account_id=credential.account_id,
            at=rfc3339(now),
            actor_kind=ActorKind.SYSTEM,
            actor_id="upkeep",
            action=ACTION,
            outcome=AuditOutcome.SUCCEEDED,
            facts=facts,
        )
        if not await self._trail.append(entry):
            return False
        try:
            await self._events.put(DETAIL_TYPE, {"id": entry.id, "account": credential.account_id, **facts})
        except StoreUnavailable as e:
            _log.error("the event of a reminder was lost; the log has it", exc_info=e, extra={"audit_id": entry.id})
        return True


def days_due(credential: Credential, now: datetime) -> int | None:
    """The reminder whose time has come, in days before the expiry; None: none, or it is past."""
    if credential.expires_at is None:
        return None
    left = parse_rfc3339(credential.expires_at) - now
    if left <= timedelta(0):
        return None
    return next((days for days in DAYS_BEFORE if left <= timedelta(days=days)), None)
