"""What the router needs of the rooms below, as narrowly as it needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ownkey.domain.attempts import AttemptEnd, AttemptStart
from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.ledger import Hold
from ownkey.domain.secrets import Secret
from ownkey.upstream import UpstreamRequest, UpstreamResponse


class Vault(Protocol):
    """`ownkey.vault.Opener`."""

    async def open(self, binding: Binding, sealed: SealedSecret) -> Mapping[str, Secret]:
        """The secret's fields. Raises CredentialUndecryptable or VaultUnavailable."""


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


class Transport(Protocol):
    """`ownkey.upstream.Upstream`."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """One request; raises UpstreamFailure or UnsafeBaseUrl."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them."""

    vault: Vault
    attempts: AttemptLog
    holds: CreditHolds
    upstream: Transport
