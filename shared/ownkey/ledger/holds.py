"""Credits set aside before a platform attempt, so that the balance cannot go below zero whatever happens at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ownkey.domain.errors import InsufficientCredits
from ownkey.domain.ledger import Hold
from ownkey.domain.money import usd_string
from ownkey.ledger.reclaim import Reclaimed, Reclaimer, hold_key
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Key, Put, Update


class Holds:
    """Places holds; billing ends them, `reclaim` those of dead functions."""

    def __init__(
        self,
        db: DynamoDb,
        *,
        credits_table: str,
        records_table: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._table = credits_table
        self._reclaimer = Reclaimer(db, records_table=records_table, credits_table=credits_table)
        self._now = now

    async def place(self, hold: Hold) -> None:
        """Moves the amount from available to held, in one transaction with the hold's item.

        A repeat for the same attempt finds its hold and changes nothing. Where there is too little, what dead functions
        still hold is given back first.

        Raises:
            InsufficientCredits: the account has less available.
        """
        if await self._placed(hold):
            return
        if (await self.reclaim(hold.account_id)).released and await self._placed(hold):
            return
        raise InsufficientCredits(
            f"This request may cost up to ${usd_string(hold.amount_nanousd)} on the platform's key, "
            f"more than the account {hold.account_id} has available."
        )

    async def reclaim(self, account_id: str) -> Reclaimed:
        """Ends the account's expired holds; one query where there are none."""
        return await self._reclaimer.run(account_id, self._now())

    async def _placed(self, hold: Hold) -> bool:
        item = {"amount_nanousd": hold.amount_nanousd, "expires_at_s": hold.expires_at_s}
        try:
            await self._db.transact(
                [
                    Put(hold_key(self._table, hold), item, condition="attribute_not_exists(pk)"),
                    Update(
                        Key(self._table, keys.credits_of(hold.account_id), keys.BALANCE),
                        "SET available_nanousd = available_nanousd - :amount, held_nanousd = held_nanousd + :amount",
                        condition="available_nanousd >= :amount",
                        values={":amount": hold.amount_nanousd},
                    ),
                ]
            )
        except ConditionFailed as e:
            return 0 in e.failed
        return True
