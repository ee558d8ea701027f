"""The attempts of one request: one candidate after the other, until one of them answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from ownkey.domain.accounts import OnDisconnect
from ownkey.domain.errors import OwnkeyError, StoreUnavailable
from ownkey.router.attempt import Attempt, ClientLeft
from ownkey.router.candidates import Candidate
from ownkey.router.health import Watch
from ownkey.router.job import Job, Limits
from ownkey.router.limits import Allowance
from ownkey.router.plan import Plan
from ownkey.router.ports import Ports
from ownkey.router.verdict import Failure, final, remaining, verdict

logger = logging.getLogger(__name__)

Beyond = Callable[[Watch], Awaitable[list[Candidate]]]
"""Finds further candidates, once those of the plan are used up."""


class Run:
    """`answer()` tries the candidates; `finish()`, once the client has what there is, waits for all that is written."""

    def __init__(
        self, job: Job, plan: Plan, ports: Ports, limits: Limits, watch: Watch, beyond: Beyond | None = None
    ) -> None:
        self.attempts: list[Attempt] = []
        """Those made so far; the last one is the one that answered, if any did."""
        self._job = job
        self._plan = plan
        self._ports = ports
        self._limits = limits
        self._watch = watch
        self._beyond = beyond
        self._allowance = Allowance(job.account_limits, ports.counters)
        self._client_gone = False

    async def answer(self) -> Attempt:
        """The first attempt that has an answer.

        Raises:
            OwnkeyError: no candidate had one; the error says the most that can be done about it.
            ClientLeft: nobody waits for one any more.
        """
        failures: list[Failure] = []
        renewed: Candidate | None = None
        left = list(self._plan.candidates)
        while len(failures) < self._limits.max_attempts:
            left = left or await self._more(failures)
            if not left:
                break
            candidate, left = left[0], left[1:]
            if self._client_gone and self.stops_at_disconnect:
                raise ClientLeft
            if not await self._watch.admits(candidate):
                continue
            number = sum(attempt.numbered for attempt in self.attempts)
            attempt = Attempt(self._job, candidate, number, self._ports, self._limits, self._allowance)
            self.attempts.append(attempt)
            try:
                await attempt.begin()
            except OwnkeyError as error:
                failure = Failure(candidate, error)
                logger.info("an attempt failed", extra={"attempt": attempt.id, "code": error.code, **error.details})
                if attempt.token_refused and candidate is not renewed:
                    renewed, left = candidate, [candidate, *left]
                    continue
                self._watch.failed(candidate, attempt.error or error, sent=attempt.sent)
                failures.append(failure)
                left = remaining(failure, left)
                if final(failure):
                    break
            else:
                self._watch.answered(candidate)
                return attempt
        raise verdict(failures, [*self._plan.unwell, *self._watch.passed_over], self._watch.now_ms())

    @property
    def stops_at_disconnect(self) -> bool:
        """Whether `client_left` changes anything before there is an answer."""
        return self._job.on_disconnect is OnDisconnect.ABORT

    def client_left(self) -> None:
        """The client has gone: the attempt under way is told, and by the account's rule none follows."""
        self._client_gone = True
        for attempt in self.attempts[-1:]:
            attempt.client_left()

    async def _more(self, failures: list[Failure]) -> list[Candidate]:
        """What may still be tried where nothing of the plan is left: looked for once."""
        if self._beyond is None:
            return []
        beyond, self._beyond = self._beyond, None
        try:
            found = await beyond(self._watch)
        except StoreUnavailable:
            if not (failures or self._plan.unwell or self._watch.passed_over):
                raise
            logger.exception("credentials that are shared could not be read")
            return []
        for failure in failures:
            found = remaining(failure, found)
        return found

    async def finish(self) -> None:
        """Ends what is open, gives connections back, and returns when every record and mark is written."""
        for attempt in reversed(self.attempts):
            await attempt.finish()
        await self._watch.written()
