"""The credentials that other accounts share, for requests that nothing else serves.

They are looked for when the request has come to its end without an answer, and not before: a request that something
else serves reads nothing of them. What is read then is the accounts' state of that moment, so that a credential that is
no longer shared does not serve the next request, whatever is cached of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from ownkey.catalog import Provider
from ownkey.domain.credentials import Credential
from ownkey.domain.sharing import SharingTerms, guest, hindrance, lent
from ownkey.registry import Donor
from ownkey.router.candidates import Candidate, Moment, Supply
from ownkey.router.health import Watch
from ownkey.router.plan import Ask, Plan, Planner
from ownkey.router.pools import Draw, Draws


class DonorReads(Protocol):
    """`ownkey.registry.Registry`."""

    async def read_donors(self, providers: Sequence[str], *, beside: str) -> Sequence[Donor]:
        """Accounts that share credentials for the providers, as they are now."""


@dataclass(frozen=True, slots=True)
class Borrowing:
    """What one request would want of other accounts."""

    ask: Ask
    account_id: str
    """Who asks."""
    own: Supply
    plan: Plan
    """What there is without them."""
    draws: Draws


class Lending:
    """Over one deployment's terms."""

    def __init__(self, planner: Planner, donors: DonorReads, terms: SharingTerms, now_ms: Callable[[], int]) -> None:
        self.terms = terms
        self._planner = planner
        self._donors = donors
        self._now_ms = now_ms

    def beyond(self, wanted: Borrowing) -> Callable[[Watch], Awaitable[list[Candidate]]] | None:
        """How to find what may serve the request; None where nothing of others may."""
        ask = wanted.ask
        if not (self.terms.providers and ask.platform_allowed and ask.preferences.allow_fallbacks):
            return None
        providers = [each for each in wanted.plan.providers if self._permits(ask, each)]
        if not providers:
            return None

        async def found(watch: Watch) -> list[Candidate]:
            at_ms = self._now_ms()
            supplies = await self._supplies([each.id for each in providers], wanted.account_id, at_ms)
            moment = Moment(at_ms, _without_a_turn(wanted.draws))
            candidates = self._planner.shared(ask, wanted.own, supplies, moment)
            watch.lends(candidates, supplies)
            return candidates

        return found

    async def credentials(self, account_id: str) -> list[Credential]:
        """All that serves others, as an account that is none of their owners may know of them."""
        if not self.terms.providers:
            return []
        supplies = await self._supplies(sorted(self.terms.providers), account_id, self._now_ms())
        return [stored.credential for supply in supplies for stored in supply.credentials]

    def _permits(self, ask: Ask, provider: Provider) -> bool:
        return provider.id in self.terms.providers and ask.provider_in_scope(provider)

    async def _supplies(self, providers: Sequence[str], account_id: str, at_ms: int) -> list[Supply]:
        donors = await self._donors.read_donors(providers, beside=account_id)
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return list(supplies_of(donors, self.terms, at, account_id))


def supplies_of(donors: Iterable[Donor], terms: SharingTerms, at: datetime, account_id: str) -> Iterable[Supply]:
    """What each account lends to another, of all that it has: current versions alone, under nobody's name."""
    for donor in donors:
        credentials = [
            replace(stored, credential=lent(stored.credential))
            for stored in donor.credentials
            if not stored.is_previous and hindrance(terms, donor.account, stored.credential, at) is None
        ]
        if credentials:
            yield Supply(credentials, donor.health.seen_by(guest(account_id)), lender=donor.account.id)


def _without_a_turn(draws: Draws) -> Draws:
    """Chance alone: whose credential serves is drawn for each request."""

    def drawn(_: object) -> Draw:
        return draws(None)

    return drawn
