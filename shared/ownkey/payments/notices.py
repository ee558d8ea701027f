"""What a payment provider tells: somebody paid, somebody must look, or nothing that concerns credits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ownkey.domain.audit import Fact
from ownkey.domain.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that has arrived for an account."""

    provider: str
    event_id: str
    payment_id: str
    """What is paid at most once, by the provider's name for it: whatever tells of it again tells of the same."""
    payment_intent: str | None
    account_id: str
    """As the payment names it; it may not exist."""
    amount_nanousd: int
    began_at_ms: int
    """Epoch milliseconds; the same in whatever tells of the payment."""


class Trouble(StrEnum):
    """Why somebody must look: credits are neither given nor taken by what is told."""

    REFUNDED = "refunded"
    DISPUTED = "disputed"
    NO_ACCOUNT = "no_account"
    """It names none, or none that there is."""
    CURRENCY = "currency"
    AMOUNT = "amount"
    """None, or more than a deposit may be."""
    MODE = "mode"
    """Test money in a live deployment, or real money in one for tests."""
    NOT_A_TOP_UP = "not_a_top_up"
    """A subscription, or a payment to somebody else's account with the provider."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something about money that a person decides. Facts never hold who paid."""

    provider: str
    event_id: str
    told_at_ms: int
    """Epoch milliseconds; the same however often the event comes."""
    trouble: Trouble
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Told, and of no concern: not paid (yet), or another matter."""

    provider: str
    event_id: str
    why: str


Notice = Payment | Concern | Nothing


class PaymentProvider(Protocol):
    """Who takes payments, and tells of them over HTTP."""

    @property
    def name(self) -> str:
        """In records and logs."""

    @property
    def signature_header(self) -> str:
        """In lower case."""

    def verify(self, body: bytes, signature: str, secrets: Sequence[Secret]) -> None:
        """Raises InvalidSignature unless one of the secrets signed these bytes, lately."""

    def read(self, body: bytes) -> Notice:
        """What verified bytes tell. Raises InvalidJson where they tell nothing that could be named."""
