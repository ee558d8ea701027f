"""What one request learns of credentials and providers, and what it may find out for all.

`Monitor` belongs to an environment, `Watch` to one request. Nothing here delays a request but the claim to be a probe:
what is learnt is written beside the next attempt, or after the answer, and `written()` waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import OwnkeyError
from ownkey.domain.faults import Fault, fault_of, shows_life
from ownkey.domain.health import (
    Health,
    HealthState,
    Mark,
    Scope,
    after_fault,
    claimed,
    counted,
    provider_key,
    released,
    scope_of,
)
from ownkey.domain.sharing import guest
from ownkey.router.candidates import Candidate, Dropped, Supply
from ownkey.router.ports import HealthNotes

logger = logging.getLogger(__name__)

_REMEMBERED_PROVIDERS = 1_024
_CLAIMS = 3
"""Tries to become a probe while others change what stands there."""

Decide = Callable[[Mark | None], Mark | None]
_At = tuple[str, str]
"""A mark: whose item (`Candidate.side`), and its key."""


class Monitor:
    """An environment's view of the providers it calls.

    Args:
        now_ms: Epoch milliseconds.
    """

    def __init__(self, notes: HealthNotes, now_ms: Callable[[], int]) -> None:
        self.notes = notes
        self.now_ms = now_ms
        self._lately: dict[tuple[str, str], tuple[int, int | None]] = {}
        """Of each provider, for each account: failures in a row, and when it answered before."""

    def watch(self, account_id: str, own: Supply, platform: Supply) -> Watch:
        """For one request of an account."""
        sides = {CredentialSource.BYOK.value: (account_id, own.health)}
        return Watch(self, sides | {CredentialSource.PLATFORM.value: (PLATFORM_ACCOUNT, platform.health)})

    def answered(self, account_id: str, provider: str) -> None:
        """Remembers that a provider answers."""
        self._remember((account_id, provider), 0, self.now_ms())

    def failed(self, account_id: str, provider: str) -> bool:
        """Remembers that a provider failed. Whether that counts."""
        failures, answered_ms = self._lately.get((account_id, provider), (0, None))
        self._remember((account_id, provider), failures + 1, answered_ms)
        return counted(failures + 1, answered_ms, self.now_ms())

    def _remember(self, at: tuple[str, str], failures: int, answered_ms: int | None) -> None:
        self._lately.pop(at, None)
        self._lately[at] = failures, answered_ms
        if len(self._lately) > _REMEMBERED_PROVIDERS:
            del self._lately[next(iter(self._lately))]


class Watch:
    """See the module. Belongs to one request and one event loop."""

    def __init__(self, monitor: Monitor, sides: Mapping[str, tuple[str, Health]]) -> None:
        self.passed_over: list[Dropped] = []
        """Candidates that were not tried, since meanwhile their health forbids it."""
        self._monitor = monitor
        self._sides = dict(sides)
        self._account_id = sides[CredentialSource.BYOK][0]
        self._probing: dict[_At, Mark] = {}
        self._down: dict[_At, Mark] = {}
        self._told: set[_At] = set()
        """Of what this request has said already how it is."""
        self._tasks: list[asyncio.Task[None]] = []

    def lends(self, candidates: Iterable[Candidate], supplies: Iterable[Supply]) -> None:
        """Credentials that other accounts share have come in: their marks are about their owners' items."""
        health = {each.lender: each.health for each in supplies}
        for candidate in candidates:
            account_id = candidate.credential.account_id
            self._sides[candidate.side] = account_id, health[account_id]

    async def admits(self, candidate: Candidate) -> bool:
        """Whether a candidate may be tried now; claims the right to be the probe of what it may end."""
        blocking = self._down.get(_provider_at(candidate)) if self._down else None
        if blocking is None and candidate.probes:
            blocking = await self._claim(candidate)
        if blocking is not None:
            self.passed_over.append(candidate.dropped(blocking))
        return blocking is None

    def answered(self, candidate: Candidate) -> None:
        """The candidate's provider answers: what it was the probe of is over."""
        account_id, health = self._sides[candidate.side]
        self._monitor.answered(account_id, _provider_at(candidate)[1])
        if health:
            for key in candidate.health_keys:
                self._clear((candidate.side, key))

    def failed(self, candidate: Candidate, error: OwnkeyError, *, sent: bool) -> None:
        """The candidate failed.

        Args:
            sent: Whether its provider was asked at all.
        """
        side, (credential, model, provider) = candidate.side, candidate.health_keys
        fault = fault_of(error, by_token=sent and candidate.form.scheme.exchanges)
        if fault is not None and candidate.lent:
            fault = replace(fault, reason=None)  # its owner reads the marks, and what is said is about a request
        if fault is not None and scope_of(fault) is not Scope.PROVIDER:
            self._mark((side, credential if scope_of(fault) is Scope.CREDENTIAL else model), fault)
        elif fault is not None and sent:
            self._provider_failed((side, provider), fault)
        if sent and shows_life(error):
            self._monitor.answered(self._sides[side][0], provider)
            self._clear((side, provider))

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._monitor.now_ms()

    async def written(self) -> None:
        """Waits until what was learnt is written. Cancelling the wait does not cancel the writing."""
        for at in list(self._probing):
            self._release(at)
        for task in self._tasks:
            await asyncio.shield(task)

    async def _claim(self, candidate: Candidate) -> Mark | None:
        """None: the candidate may go, as the probe where one is needed. Else what stands in its way."""
        side = candidate.side
        account_id, health = self._sides[side]
        held = {key for each, key in (*self._probing, *self._told) if each == side}
        probes = {key: mark for key, mark in candidate.probes.items() if key not in held}
        now_ms = self._monitor.now_ms()
        try:
            for _ in range(_CLAIMS):
                standing = await self._monitor.notes.claim(account_id, probes, now_ms) if probes else None
                if standing is None:
                    won = {key: claimed(mark, now_ms) for key, mark in probes.items()}
                    self._probing |= {(side, key): mark for key, mark in won.items()}
                    self._sides[side] = account_id, health.with_marks(won)
                    return None
                health = standing.seen_by(self._by(side) or self._account_id)
                blocking, probes = health.look(candidate.health_keys, now_ms)
                if blocking is not None:
                    return blocking
        except Exception:  # the table cannot be written, so nobody can be the only one
            logger.exception("a probe could not be claimed", extra={"account_id": account_id})
        return next((claimed(mark, now_ms) for mark in probes.values()), None)

    def _provider_failed(self, at: _At, fault: Fault) -> None:
        """Counts at most once a request: one that breaks its provider opens no breaker by its own retries."""
        side, key = at
        counts = self._monitor.failed(self._sides[side][0], key)
        probe = self._probing.get(at)
        if probe is not None:
            # The provider's other credentials need not be tried: this was the one request that may.
            by = self._by(side)
            self._down[at] = after_fault(probe, fault, self._monitor.now_ms(), probing=True, by=by) or probe
            self._mark(at, fault)
        elif counts and at not in self._told:
            self._mark(at, fault)

    def _mark(self, at: _At, fault: Fault) -> None:
        probe, now_ms = self._probing.pop(at, None), self._monitor.now_ms()

        def decide(old: Mark | None) -> Mark | None:
            return after_fault(old, fault, now_ms, probing=probe is not None and old == probe, by=self._by(at[0]))

        self._change(at, decide)

    def _by(self, side: str) -> str | None:
        """Whose request it is, where the marks are another's: the operator's, or a lender's."""
        if side == CredentialSource.PLATFORM:
            return self._account_id
        return None if side == CredentialSource.BYOK else guest(self._account_id)

    def _clear(self, at: _At) -> None:
        """Takes away a mark that this request disproves: it was its probe, or the failures were only being counted."""
        seen = self._probing.pop(at, None)
        if seen is None:
            side, key = at
            mark = self._sides[side][1].marks.get(key)
            seen = mark if mark is not None and mark.state is HealthState.SUSPECT else None
        if seen is not None:
            self._change(at, lambda old: None if old == seen else old)

    def _release(self, at: _At) -> None:
        """Gives back the right to be a probe: this request found out nothing."""
        probe = self._probing.pop(at)
        self._change(at, lambda old: released(old) if old is not None and old == probe else old)

    def _change(self, at: _At, decide: Decide) -> None:
        self._told.add(at)
        side, key = at
        account_id, health = self._sides[side]
        change = self._monitor.notes.change(account_id, key, decide, seen=health, at_ms=self._monitor.now_ms())
        self._tasks.append(asyncio.create_task(_logged(change, key)))


def _provider_at(candidate: Candidate) -> _At:
    return candidate.side, provider_key(candidate.provider.id, candidate.credential.destination)


async def _logged(change: Awaitable[None], key: str) -> None:
    try:
        await change
    except Exception:  # the answer must not suffer; the next request that fails learns it anew
        logger.exception("a mark could not be written", extra={"mark": key})
