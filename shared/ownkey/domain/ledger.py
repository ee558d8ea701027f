"""Credits: balance, holds, entries. An account's balance is the sum of its entries, always.

A hold moves credits from `available` to `held` and is no entry; its end is: `settle` (the attempt's record arrived:
charge, rest released) or `release` (no record will come: all released).

```
(none) ──inference──▶ open ──billing, by the attempt's record──▶ settled  (item deleted, entry `charge`)
                        └────upkeep, expired and no record─────▶ released (item deleted, no money moved)
```
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """What moved the balance."""

    DEPOSIT = "deposit"
    CHARGE = "charge"


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's credits in nano-dollars; neither part is ever negative."""

    available_nanousd: int = 0
    held_nanousd: int = 0

    @property
    def total_nanousd(self) -> int:
        """What the entries sum to."""
        return self.available_nanousd + self.held_nanousd


@dataclass(frozen=True, slots=True)
class Hold:
    """The worst case of one platform attempt, set aside before the provider is called."""

    account_id: str
    attempt_id: str
    amount_nanousd: int
    expires_at_s: int
    """Epoch seconds after which no record of the attempt can still come from its function."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One append-only movement of an account's balance."""

    account_id: str
    id: str
    """Time-ordered, and derived from the cause: a repeated settlement meets its own entry."""
    kind: EntryKind
    amount_nanousd: int
    """Positive in, negative out."""
    cause: str
    """The attempt's or the deposit's id."""
    at: str
    overrun_nanousd: int = 0
    """The part of a charge beyond hold and balance: the operator's loss, not the account's debt."""
