"""What one request reserves of its account's limits, attempt after attempt: the next takes over from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ownkey.domain.attempts import AttemptStart
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.limits import Claim, Limit, claims
from ownkey.ledger.counters import Reservation, reservation_of, without_request
from ownkey.router.candidates import Candidate
from ownkey.router.job import Job
from ownkey.router.ports import LimitCounters
from ownkey.router.tariff import Tariff


class Allowance:
    """Belongs to one request. Without limits it does nothing, and costs nothing."""

    def __init__(self, limits: Sequence[Limit], counters: LimitCounters) -> None:
        self._limits = limits
        self._counters = counters
        self._standing: Reservation | None = None
        """What the last attempt that was sent has reserved."""
        self._request_counted = False
        """For good, by an attempt that nothing follows from any more."""
        self._taken_over = False
        """Whether what stands was passed on by an attempt that sent the request."""

    def claims(self, job: Job, candidate: Candidate, tariff: Tariff) -> tuple[Claim, ...]:
        """What an attempt with this candidate has to do with the limits."""
        if not self._limits:
            return ()
        worst = tariff.worst(job.body, candidate.model, job.input_tokens, job.surface)
        return claims(self._limits, byok=candidate.source is CredentialSource.BYOK, worst=worst, at=tariff.at)

    async def reserve(self, start: AttemptStart) -> AttemptStart:
        """Reserves what the attempt claims; gives the attempt with what was reserved.

        Raises:
            BudgetExceeded, RateLimited: a limit refuses it. StoreUnavailable: it may be reserved all the same.
        """
        wanted = reservation_of(start)
        if wanted is None:
            return start
        if self._request_counted:
            wanted = without_request(wanted)
        try:
            reserved = await self._counters.reserve(wanted, self._standing)
        except StoreUnavailable:
            self._standing = None  # it may have passed on to this attempt
            raise
        self._request_counted |= reserved is not wanted
        self._taken_over = self._standing is not None and reserved is wanted
        self._standing = reserved
        by_limit = {claim.limit_id: claim for claim in reserved.claims}
        return replace(start, claims=tuple(by_limit.get(claim.limit_id, claim) for claim in start.claims))

    async def give_back(self) -> None:
        """Undoes the last reservation, whose attempt sent nothing. What cannot be written is left to upkeep."""
        if self._standing is None:
            return
        reservation, self._standing = self._standing, None
        self._request_counted |= self._taken_over
        try:
            await self._counters.give_back(reservation, request_sent=self._taken_over)
        except StoreUnavailable:
            return
