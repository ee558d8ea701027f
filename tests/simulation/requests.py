"""One request as an inference environment makes it, attempt after attempt, by the router's own parts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from ownkey.domain.attempts import AttemptEnd, AttemptStart, Outcome, RequestFacts
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import BudgetExceeded, OwnkeyError, RateLimited
from ownkey.domain.ids import REQUEST, made_id
from ownkey.domain.ledger import shard_of
from ownkey.domain.limits import Limit, Worst, claims
from ownkey.domain.sharing import Donation
from ownkey.domain.usage import Usage, UsageSource
from ownkey.ledger.counters import Counters
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Records
from ownkey.router.attempt import Attempt
from ownkey.router.limits import Allowance
from ownkey.router.ports import AttemptLog, Ports
from ownkey.router.recorder import Recorder

FUNCTION_S = 60
"""From a request's arrival to its function's deadline."""
_SLEEP_S = 150.0
"""An environment that is frozen in the middle of a request wakes well behind its deadline."""


@dataclass(frozen=True, slots=True)
class Account:
    """As its snapshot says."""

    id: str
    shards: int
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Habits:
    """What a seed's requests are like."""

    platform: float
    """Of all attempts, those on the platform's credentials."""
    answers: float
    """Of all attempts, those that the provider answers."""
    sleeps: float
    """Of all steps of a request, those before which its environment is frozen."""
    beyond: float
    """Of all answers, those that use more than their worst case."""
    shared: float
    """Of all platform attempts, those on a credential that an account shares."""
    dearest: int
    """Nano-dollars held for one attempt, at most."""


class Told(AttemptLog):
    """The records, and what inference was told of each end that it wrote: that must stand."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.ends: dict[str, AttemptEnd] = {}

    async def start(self, start: AttemptStart) -> None:
        await self._records.start(start)

    async def end(self, start: AttemptStart, end: AttemptEnd) -> bool:
        first = await self._records.end(start, end)
        if first:
            self.ends[start.attempt_id] = end
        return first


class SimulatedAttempt(Attempt):
    """The router's attempt, of which only the provider is simulated: what it reserves, holds and records is its own."""

    def __init__(self, start: AttemptStart, ports: Ports, allowance: Allowance) -> None:
        self._recorder = Recorder(ports.attempts, start)
        self._ports = ports
        self._allowance = allowance
        self.numbered = False

    async def opened(self) -> None:
        """Everything before the provider is asked.

        Raises:
            OwnkeyError: it may not be.
        """
        await self._reserve()
        await self._place_hold()
        self.numbered = True
        self._recorder.write_intent()

    def ended(self, end: AttemptEnd) -> None:
        """The provider has answered, or not."""
        self._recorder.write_end(end)

    async def written(self) -> None:
        """Waits for the record."""
        await self._recorder.written()


class Requests:
    """Makes requests; belongs to one world."""

    def __init__(
        self,
        habits: Habits,
        donors: Sequence[str],
        ports: Ports,
        chance: random.Random,
        now: Callable[[], datetime],
    ) -> None:
        self._habits = habits
        self._donors = donors
        self._ports = ports
        self._chance = chance
        self._now = now
        self.slept = 0
        self.sent: set[str] = set()
        """Requests of which an attempt went to the provider."""
        self.served = 0
        self.refused = 0

    async def make(self, account: Account) -> None:
        """One request: candidates in turn, until one of them answers."""
        chance, now = self._chance, self._now()
        facts = RequestFacts(
            request_id=made_id(REQUEST, int(now.timestamp() * 1000), chance.getrandbits(80)),
            account_id=account.id,
            gateway_key_id=f"gk_{chance.randint(1, 2)}",
            surface="chat",
            requested_model="gpt-4o-mini",
            streamed=chance.random() < 0.5,
            user=chance.choice((None, "ann")),
            tags=chance.choice(((), ("team=a",), ("team=a", "b"))),
        )
        limits = [
            each
            for each in account.limits
            if each.applies_to(gateway_key_id=facts.gateway_key_id, user=facts.user, tags=facts.tags)
        ]
        allowance, attempts = Allowance(limits, self._ports.counters), list[SimulatedAttempt]()
        expires_at_s = int(now.timestamp()) + FUNCTION_S
        for _ in range(chance.choice((1, 1, 2, 3))):
            start = self._start(account, facts, limits, sum(each.numbered for each in attempts), expires_at_s)
            attempt = SimulatedAttempt(start, self._ports, allowance)
            attempts.append(attempt)
            await self._freeze()
            try:
                await attempt.opened()
            except (BudgetExceeded, RateLimited):
                self.refused += 1
                break
            except OwnkeyError:
                self.refused += 1
                continue
            self.sent.add(facts.request_id)
            await asyncio.sleep(chance.expovariate(1.0))
            await self._freeze()
            end = self._end(start)
            attempt.ended(end)
            if end.outcome not in (Outcome.REFUSED, Outcome.FAILED):
                self.served += 1
                break
        for attempt in reversed(attempts):
            await attempt.written()

    async def _freeze(self) -> None:
        if self._chance.random() < self._habits.sleeps:
            self.slept += 1
            await asyncio.sleep(_SLEEP_S)

    def _start(
        self, account: Account, facts: RequestFacts, limits: list[Limit], number: int, expires_at_s: int
    ) -> AttemptStart:
        chance, habits, now = self._chance, self._habits, self._now()
        platform = chance.random() < habits.platform
        hold = chance.randint(1, habits.dearest) if platform else 0
        cost = chance.randint(0, habits.dearest) if not platform else hold * 20 // 21
        worst = Worst(tokens=chance.randint(1, 200), cost_nanousd=cost, charge_nanousd=hold)
        start = AttemptStart(
            request=facts,
            number=number,
            provider_id=chance.choice(("openai", "anthropic")),
            model_id="model",
            source=CredentialSource.PLATFORM if platform else CredentialSource.BYOK,
            credential_id="cred_1",
            credential_version=1,
            credential_alias="main",
            started_at=_rfc3339(now),
            expires_at_s=expires_at_s,
            estimated_usage=Usage(input=worst.tokens // 2),
            estimated_cost_nanousd=worst.cost_nanousd // 2,
            estimated_charge_nanousd=hold // 2,
            price_version="test",
            hold_nanousd=hold,
            claims=claims(limits, byok=not platform, worst=worst, at=now),
            donation=self._donation() if platform and chance.random() < habits.shared else None,
        )
        return replace(start, hold_shard=shard_of(start.attempt_id, account.shards)) if hold else start

    def _donation(self) -> Donation:
        chance = self._chance
        reward_id = made_id("rew", 0, chance.getrandbits(80))
        return Donation(chance.choice(self._donors), "cred_2", 1, reward_id, reward_basis_points=500)

    def _end(self, start: AttemptStart) -> AttemptEnd:
        chance, habits = self._chance, self._habits
        if chance.random() < habits.answers:
            outcome = chance.choice((Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.BROKEN, Outcome.CANCELLED))
            part = chance.uniform(1.0, 3.0) if chance.random() < habits.beyond else chance.random()
        else:
            outcome, part = chance.choice((Outcome.REFUSED, Outcome.FAILED)), 0.0
        platform = start.source is CredentialSource.PLATFORM
        charge = int(start.hold_nanousd * part)
        return AttemptEnd(
            outcome=outcome,
            ended_at=_rfc3339(self._now()),
            status=200 if part else 500,
            usage=Usage(input=int(100 * part), cache_read=int(7 * part), output=int(50 * part)),
            usage_source=UsageSource.PROVIDER if part else UsageSource.NONE,
            cost_nanousd=charge * 20 // 21 if platform else int(habits.dearest * part),
            charge_nanousd=charge,
            latency_ms=chance.randint(1, 900),
        )


def ports(attempts: AttemptLog, holds: Holds, counters: Counters) -> Ports:
    """Those that a simulated attempt uses; it has no others."""
    none = cast("object", None)
    return Ports(
        vault=none,  # type: ignore[arg-type]
        tokens=none,  # type: ignore[arg-type]
        attempts=attempts,
        holds=holds,
        counters=counters,
        upstream=none,  # type: ignore[arg-type]
        health=none,  # type: ignore[arg-type]
    )


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
