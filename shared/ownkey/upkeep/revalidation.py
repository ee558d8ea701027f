"""Has stored credentials asked about again: those that were refused or did not open at each run, all others once a day.

`validation` alone opens them, and notes what it finds as their health. At which second of the day a credential's turn
comes is made of its id: the questions spread over the day by themselves, and nothing is kept of those not answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Protocol

from ownkey.domain.credentials import StoredCredential
from ownkey.domain.errors import GatewayFailure
from ownkey.domain.health import Health
from ownkey.domain.times import parse_rfc3339, rfc3339
from ownkey.registry import Registry
from ownkey.registry.health import HealthBook
from ownkey.validation import Candidate, Finding, Kept, Verdict

_log = logging.getLogger(__name__)

EVERY = timedelta(minutes=15)
"""As the schedule in the template has it."""
BUDGET_S = 240.0
"""Of one run; the function has 300 s, and a question takes up to 20."""
_AT_ONCE = 4
_LATE = timedelta(minutes=2)
"""How much later than it should a run may come, without anybody's turn being lost."""
_FRESH = timedelta(hours=23)
"""A validation so recent stands for the day's."""
_DAY_S = 86_400


class ValidationPort(Protocol):
    """The function that may decrypt."""

    async def validate(self, candidate: Candidate) -> Finding:
        """What the provider says.

        Raises:
            GatewayFailure: the function failed, or did not answer.
        """


@dataclass(frozen=True, slots=True)
class Revalidated:
    """What one run found, by verdict; `unanswered` of the function itself, `left` for want of time."""

    verdicts: Mapping[str, int] = field(default_factory=dict)
    unanswered: int = 0
    left: int = 0


class Revalidation:
    """One run asks about every credential that is due."""

    def __init__(
        self,
        registry: Registry,
        health: HealthBook,
        validation: ValidationPort,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._health = health
        self._validation = validation
        self._now = now
        self._monotonic = monotonic

    async def run(self, budget_s: float = BUDGET_S) -> Revalidated:
        """Asks about what is due, first about what was refused."""
        give_up_at = self._monotonic() + budget_s
        waiting = await self._due()
        found: list[Finding | None] = []

        async def work() -> None:
            while waiting and self._monotonic() < give_up_at:
                found.append(await self._ask(waiting.pop(0)))

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
        verdicts = Counter(each.verdict.value for each in found if each is not None)
        return Revalidated(dict(verdicts), unanswered=found.count(None), left=len(waiting))

    async def _due(self) -> list[StoredCredential]:
        now, marked, daily = self._now(), list[StoredCredential](), list[StoredCredential]()
        for account_id in await self._registry.account_ids():
            health = await self._health.read(account_id)
            for stored in await self._registry.stored_credentials(account_id):
                if not _can_be_asked_about(stored):
                    continue
                if _was_refused(stored, health):
                    marked.append(stored)
                elif _has_its_turn(stored, now):
                    daily.append(stored)
        return marked + sorted(daily, key=lambda each: each.credential.validated_at or "")

    async def _ask(self, stored: StoredCredential) -> Finding | None:
        credential = stored.credential
        about = {"account_id": credential.account_id, "credential_id": credential.id, "version": credential.version}
        try:
            finding = await self._validation.validate(Candidate.of(credential, stored.sealed, kept=Kept.FINDING))
            if finding.verdict is Verdict.ACCEPTED and not stored.is_previous:
                await self._registry.note_validated(credential, at=rfc3339(self._now()))
        except GatewayFailure as e:
            _log.warning("a credential could not be asked about", extra={**about, "reason": e.message})
            return None
        return finding


def _can_be_asked_about(stored: StoredCredential) -> bool:
    """Nobody wants to know of a disabled one, and a shredded one opens never again."""
    shredded = stored.sealed is not None and not stored.sealed.wrapped_key
    return not stored.credential.disabled and not shredded


def _was_refused(stored: StoredCredential, health: Health) -> bool:
    return health.wants_validation(stored.credential.id, stored.credential.version)


def _has_its_turn(stored: StoredCredential, now: datetime) -> bool:
    """Whether its second of the day has just passed, and nobody has asked today."""
    credential = stored.credential
    ago_s = (int(now.timestamp()) - turn_of(credential.id)) % _DAY_S
    if ago_s >= (EVERY + _LATE).total_seconds():
        return False
    last = credential.validated_at
    return stored.is_previous or last is None or now - parse_rfc3339(last) >= _FRESH


def turn_of(credential_id: str) -> int:
    """The second of the day (UTC) at which a credential's turn comes."""
    return int.from_bytes(sha256(credential_id.encode()).digest()[:4], "big") % _DAY_S
