"""Credits set aside before a platform attempt, so that the balance cannot go below zero whatever happens at once."""

from __future__ import annotations

from ownkey.domain.errors import InsufficientCredits
from ownkey.domain.ledger import Hold
from ownkey.domain.money import usd_string
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Item, Key, Put, Update


class Holds:
    """Places holds; `settlement` and `upkeep` end them."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def place(self, hold: Hold) -> None:
        """Moves the amount from available to held, in one transaction with the hold's item.

        A repeat for the same attempt finds its hold and changes nothing.

        Raises:
            InsufficientCredits: the account has less available.
        """
        balance = Key(self._table, keys.credits_of(hold.account_id), keys.BALANCE)
        item = {"amount_nanousd": hold.amount_nanousd, "expires_at_s": hold.expires_at_s}
        try:
            await self._db.transact(
                [
                    Put(hold_key(self._table, hold), item, condition="attribute_not_exists(pk)"),
                    Update(
                        balance,
                        "SET available_nanousd = available_nanousd - :amount, held_nanousd = held_nanousd + :amount",
                        condition="available_nanousd >= :amount",
                        values={":amount": hold.amount_nanousd},
                    ),
                ]
            )
        except ConditionFailed as e:
            if 0 in e.failed:
                return
            raise InsufficientCredits(
                f"This request may cost up to ${usd_string(hold.amount_nanousd)} on the platform's key, "
                f"more than the account {hold.account_id} has available."
            ) from e


def hold_key(table: str, hold: Hold) -> Key:
    """Where an open hold stands."""
    return Key(table, keys.credits_of(hold.account_id), keys.hold(hold.attempt_id))


def to_hold(account_id: str, item: Item) -> Hold:
    """An open hold from its item."""
    attempt_id = item["sk"].removeprefix(keys.HOLD_PREFIX)
    return Hold(account_id, attempt_id, item["amount_nanousd"], item["expires_at_s"])
