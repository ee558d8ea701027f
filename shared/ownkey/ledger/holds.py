"""Credits set aside before a platform attempt, so that the balance cannot go below zero whatever happens at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from ownkey.domain.errors import InsufficientCredits, StoreUnavailable
from ownkey.domain.ledger import Hold
from ownkey.domain.money import usd_string
from ownkey.ledger import escrow
from ownkey.ledger.reclaim import Reclaimed, Reclaimer, hold_key
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Put

_MAX_TRIES = 20


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
        self._escrow = escrow.Escrow(db, credits_table)
        self._now = now

    async def place(self, hold: Hold) -> None:
        """Moves the amount from available to held, in one transaction with the hold's item.

        A repeat for the same attempt finds its hold and changes nothing. Where its sub-balance has too little, it draws
        from the account's others; where all have, what dead functions still hold is given back first.

        Raises:
            InsufficientCredits: the account has less available: all its sub-balances together, at one moment.
            StoreUnavailable: credits were there and kept being taken by others.
        """
        if await self._placed(hold, {}):
            return
        reclaimed = False
        for _ in range(_MAX_TRIES):
            available = await self._escrow.available(hold.account_id)
            drawn = escrow.draw(available, hold.shard, hold.amount_nanousd)
            if drawn is not None:
                if await self._placed(hold, drawn, opens=hold.shard >= len(available)):
                    return
                continue
            if reclaimed or not (await self.reclaim(hold.account_id)).released:
                raise InsufficientCredits(
                    f"This request may cost up to ${usd_string(hold.amount_nanousd)} on the platform's key, "
                    f"more than the account {hold.account_id} has available."
                )
            reclaimed = True
        raise StoreUnavailable("The account's credits are being moved by others.", retry_after_s=1)

    async def reclaim(self, account_id: str) -> Reclaimed:
        """Ends the account's expired holds; one query where there are none."""
        return await self._reclaimer.run(account_id, self._now())

    async def _placed(self, hold: Hold, drawn: Mapping[int, int], *, opens: bool = False) -> bool:
        """Whether the hold stands now; False where its sub-balance, or one drawn from, has less than was thought."""
        amount = hold.amount_nanousd
        moves = escrow.moved(self._table, hold.account_id, hold.shard, available=-amount, held=amount, drawn=drawn)
        if opens:
            moves = escrow.opening(self._table, hold.account_id, hold.shard, moves)
        item = {"amount_nanousd": amount, "expires_at_s": hold.expires_at_s}
        put = Put(hold_key(self._table, hold), item, condition="attribute_not_exists(pk)")
        try:
            await self._db.transact([put, *moves])
        except ConditionFailed as e:
            return 0 in e.failed
        return True
