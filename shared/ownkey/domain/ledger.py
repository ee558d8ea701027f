"""Credits: balance, holds, postings. An account's balance is the sum of all movements and of its open holds, always.

```
(none) ──inference──▶ open ──billing, by the attempt's record──▶ settled  (item deleted, posting of the attempt)
                        └──expired, and no record came─────────▶ released (item deleted, posting of the release)
```
What a hold moves is written down when it ends, with what became of it: until then the open hold's item stands for it.

    available = Σ `available_nanousd` of all movements − Σ amounts of open holds
    held      = Σ `held_nanousd` of all movements (each posting's are 0 together) + Σ amounts of open holds
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum

MAX_SHARDS = 16
"""Sub-balances of one account."""


class MovementKind(StrEnum):
    """What a movement is."""

    DEPOSIT = "deposit"
    HOLD = "hold"
    """From available to held, before a platform attempt."""
    RELEASE = "release"
    """Back: what of a hold was not used."""
    SETTLE = "settle"
    """The provider's cost."""
    MARGIN = "margin"
    """The operator's margin on it."""
    REWARD = "reward"
    """For sharing a credential."""
    CORRECTION = "correction"
    """By the operator, either way."""
    SIGN_UP = "sign_up"
    """What the operator gives every new account."""


class Cause(StrEnum):
    """What a posting is about."""

    DEPOSIT = "deposit"
    """By the operator, or by a payment."""
    SIGN_UP = "sign_up"
    ATTEMPT = "attempt"
    RELEASE = "release"
    """A hold that ended without any record of its attempt."""
    REWARD = "reward"
    CORRECTION = "correction"


class DepositKind(StrEnum):
    """What asks billing to move credits that no attempt moves."""

    DEPOSIT = "deposit"
    """The operator grants them."""
    PAYMENT = "payment"
    """A payment provider said that they were paid for."""
    SIGN_UP = "sign_up"
    """The account is new."""
    CORRECTION = "correction"
    """The operator puts something right: negative where it takes back."""

    @property
    def moves(self) -> tuple[MovementKind, Cause]:
        """What its movement and its posting are called."""
        return _MOVES[self]


_MOVES = {
    DepositKind.DEPOSIT: (MovementKind.DEPOSIT, Cause.DEPOSIT),
    DepositKind.PAYMENT: (MovementKind.DEPOSIT, Cause.DEPOSIT),
    DepositKind.SIGN_UP: (MovementKind.SIGN_UP, Cause.SIGN_UP),
    DepositKind.CORRECTION: (MovementKind.CORRECTION, Cause.CORRECTION),
}


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's credits in nano-dollars; neither part is ever negative."""

    available_nanousd: int = 0
    held_nanousd: int = 0

    @property
    def total_nanousd(self) -> int:
        """What all movements sum to."""
        return self.available_nanousd + self.held_nanousd


@dataclass(frozen=True, slots=True)
class Hold:
    """The worst case of one platform attempt, set aside before the provider is called."""

    account_id: str
    attempt_id: str
    amount_nanousd: int
    expires_at_s: int
    """Epoch seconds after which no record of the attempt can still come from its function."""
    shard: int = 0
    """The sub-balance that it is taken from, and ends in."""


def shard_of(attempt_id: str, shards: int) -> int:
    """Which of an account's sub-balances an attempt's hold is taken from: always the same, all alike often."""
    return zlib.crc32(attempt_id.encode()) % shards


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of a balance, signed: positive in, negative out."""

    kind: MovementKind
    available_nanousd: int
    held_nanousd: int = 0

    @property
    def amount_nanousd(self) -> int:
        """What the account has more, or less, after it."""
        return self.available_nanousd + self.held_nanousd


@dataclass(frozen=True, slots=True)
class Posting:
    """All that one cause moved: one append-only item of the ledger."""

    account_id: str
    id: str
    """`<at>#<cause>#<cause's id>`: time-ordered, and a repeated settlement meets its own posting."""
    cause: Cause
    cause_id: str
    """The attempt's, the deposit's, … id."""
    at: str
    movements: tuple[Movement, ...]
    overrun_nanousd: int = 0
    """The part of a charge beyond hold and balance: the operator's loss, not the account's debt."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement with its posting: what the API lists."""

    posting: Posting
    index: int
    """Of the movement, from 0."""

    @property
    def id(self) -> str:
        """Time-ordered."""
        return f"{self.posting.id}#{self.index}"

    @property
    def movement(self) -> Movement:
        """Itself."""
        return self.posting.movements[self.index]

    @property
    def overrun_nanousd(self) -> int:
        """The posting's, said once: with its settlement."""
        return self.posting.overrun_nanousd if self.movement.kind is MovementKind.SETTLE else 0


def posting(
    account_id: str, cause: Cause, cause_id: str, at: str, *movements: Movement, overrun_nanousd: int = 0
) -> Posting:
    """What one cause moved at a time (RFC 3339)."""
    return Posting(account_id, f"{at}#{cause}#{cause_id}", cause, cause_id, at, movements, overrun_nanousd)


def rewarded(amount_nanousd: int) -> tuple[Movement, ...]:
    """The movements of a reward for sharing."""
    return (Movement(MovementKind.REWARD, amount_nanousd),)


def released(amount_nanousd: int) -> tuple[Movement, ...]:
    """The movements of a hold that came to nothing."""
    return (
        Movement(MovementKind.HOLD, -amount_nanousd, amount_nanousd),
        Movement(MovementKind.RELEASE, amount_nanousd, -amount_nanousd),
    )


def settled(
    *, held_nanousd: int, cost_nanousd: int, charge_nanousd: int, overrun_nanousd: int = 0
) -> tuple[Movement, ...]:
    """The movements of an ended attempt: its hold, what is taken of it for cost and margin, and the rest given back.

    What the hold does not cover comes from what is available. An overrun is cut from the margin first, then the cost.
    Movements of nothing are left out, but for the settlement of a charge that was cut to nothing.
    """
    taken = charge_nanousd - overrun_nanousd
    cost = min(cost_nanousd, taken)
    movements, left = list[Movement](), held_nanousd
    if held_nanousd:
        movements.append(Movement(MovementKind.HOLD, -held_nanousd, held_nanousd))
    for kind, amount in ((MovementKind.SETTLE, cost), (MovementKind.MARGIN, taken - cost)):
        from_hold = min(left, amount)
        left -= from_hold
        if amount or (kind is MovementKind.SETTLE and charge_nanousd):
            movements.append(Movement(kind, from_hold - amount, -from_hold))
    if left:
        movements.append(Movement(MovementKind.RELEASE, left, -left))
    return tuple(movements)
