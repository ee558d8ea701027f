"""What the router needs of the rooms below, as narrowly as it needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ownkey.catalog import Form, Provider
from ownkey.domain.attempts import AttemptEnd, AttemptStart
from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.health import Health, Mark
from ownkey.domain.ledger import Hold
from ownkey.domain.secrets import Secret
from ownkey.ledger.counters import Reservation
from ownkey.upstream import UpstreamRequest, UpstreamResponse


class Vault(Protocol):
    """`ownkey.vault.Opener`."""

    async def open(self, binding: Binding, sealed: SealedSecret) -> Mapping[str, Secret]:
        """The secret's fields. Raises CredentialUndecryptable or VaultUnavailable."""


class Tokens(Protocol):
    """`ownkey.tokens.TokenBroker`."""

    async def present(
        self,
        provider: Provider,
        credential_id: str,
        version: int,
        account_id: str,
        form: Form,
        public: Mapping[str, str],
        secret: Mapping[str, Secret],
    ) -> Mapping[str, Secret]:
        """The fields that authorise a request: the secret itself unless its form exchanges it.

        Raises CredentialsExhausted, another ProviderFailure of the token endpoint's, or StoreUnavailable.
        """

    def forget(self, account_id: str, credential_id: str, version: int) -> None:
        """Drops a token in hand: the provider refused it."""


class AttemptLog(Protocol):
    """`ownkey.ledger.records.Records`."""

    async def start(self, start: AttemptStart) -> None:
        """Writes the intent."""

    async def end(self, start: AttemptStart, end: AttemptEnd) -> bool:
        """Writes the end, whole; the first end counts."""


class CreditHolds(Protocol):
    """`ownkey.ledger.holds.Holds`."""

    async def place(self, hold: Hold) -> None:
        """Sets credits aside. Raises InsufficientCredits."""


class LimitCounters(Protocol):
    """`ownkey.ledger.counters.Counters`."""

    async def reserve(self, wanted: Reservation, instead_of: Reservation | None = None) -> Reservation:
        """Reserves all of it or nothing; gives what was. Raises BudgetExceeded or RateLimited."""

    async def give_back(self, reservation: Reservation, *, request_sent: bool = False) -> bool:
        """Undoes a reservation whose attempt sent nothing."""


class Transport(Protocol):
    """`ownkey.upstream.Upstream`."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """One request; raises UpstreamFailure or UnsafeBaseUrl."""


class HealthNotes(Protocol):
    """`ownkey.registry.health.HealthBook`."""

    async def change(
        self, account_id: str, key: str, decide: Callable[[Mark | None], Mark | None], *, seen: Health, at_ms: int
    ) -> None:
        """Puts into a mark's place what `decide` says of the one that stands there."""

    async def claim(self, account_id: str, probes: Mapping[str, Mark], at_ms: int) -> Health | None:
        """Takes the right to be the probe of all these marks. Not None: somebody else has; what stands there now."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them."""

    vault: Vault
    tokens: Tokens
    attempts: AttemptLog
    holds: CreditHolds
    counters: LimitCounters
    upstream: Transport
    health: HealthNotes
