"""An account's credits, read: what is there now, and what there ever was."""

from __future__ import annotations

from dataclasses import dataclass

from ownkey.domain.ledger import Balance
from ownkey.ledger.escrow import Escrow
from ownkey.store.dynamodb import DynamoDb, Item


@dataclass(frozen=True, slots=True)
class Credits:
    """All that an account ever had, in nano-dollars; what is left is the difference."""

    granted_nanousd: int
    """Deposits, rewards and corrections."""
    charged_nanousd: int
    """For attempts on the platform's credentials."""


class Balances:
    """Reads over the credits table."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._escrow = Escrow(db, table)

    async def balance(self, account_id: str) -> Balance:
        """The account's credits; zero where it never had any."""
        items = await self._escrow.items(account_id)
        return Balance(_sum(items, "available_nanousd"), _sum(items, "held_nanousd"))

    async def credits(self, account_id: str) -> Credits:
        """What it was given and what it spent: billing counts charges in the write that takes them from the balance."""
        items = await self._escrow.items(account_id)
        charged, left = _sum(items, "charged_nanousd"), _sum(items, "available_nanousd") + _sum(items, "held_nanousd")
        return Credits(left + charged, charged)


def _sum(items: list[Item], name: str) -> int:
    return sum(item.get(name, 0) for item in items)
