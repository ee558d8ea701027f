"""What an attempt cost less than it would have on the stated baseline (docs/savings.md).

The baseline: what was asked for, at its published price, with every cached token as plain input, bought through the
platform with its margin. The parts lead from there to what was paid one after the other, so they always add up:

    baseline − routing − byok − caching = paid      (the cost on a key of one's own, the charge on the platform's)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Savings:
    """Nano-dollars, by what saved them; negative where it cost more. Fixed when the attempt is priced."""

    byok: int = 0
    """The platform's margin, and the difference between the published prices and the credential's own."""
    caching: int = 0
    """What reading the provider's prompt cache spared, less what writing it cost on top."""
    routing: int = 0
    """What was asked for, less what served in its place; 0 where that is the same."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.byok + self.caching + self.routing

    def to_item(self) -> dict[str, int]:
        """The parts that are not zero."""
        return {name: amount for name, amount in asdict(self).items() if amount}

    @staticmethod
    def from_item(item: Mapping[str, int]) -> Savings:
        """The inverse of `to_item`; a part that a later version knows is an error."""
        return Savings(**{name: int(amount) for name, amount in item.items()})


NO_SAVINGS = Savings()
SAVINGS_PARTS = tuple(f.name for f in fields(Savings))
