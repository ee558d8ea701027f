"""Sub-balances: an account's credits in several partitions, for one that spends faster than a partition takes writes.

Each sub-balance has what is available and held there, and the holds that were taken from it. A hold is placed in the
one its attempt's id falls on, and ends there. Where that one has too little, what is missing comes from the others, in
the transaction that places the hold: nothing is ever on its way between two. Sub-balance 0 is where deposits go, and
its item says how many have been opened (`shards`, absent: 1), so that whoever sums them knows where to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key, Update

_MAX_READS = 20


class Escrow:
    """Reads an account's sub-balances, at one moment."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def items(self, account_id: str) -> list[Item]:
        """The items of all opened sub-balances, by number; none where the account never had credits."""
        first = await self._db.get(balance_key(self._table, account_id))
        if first is None:
            return []
        items = [first]
        for _ in range(_MAX_READS):
            if len(items) == (opened := items[0].get("shards", 1)):
                return items
            places = [balance_key(self._table, account_id, shard) for shard in range(opened)]
            found = await self._db.transact_get(places)
            items = [found.get(place, {}) for place in places]
        raise AssertionError("more sub-balances were opened than there can be")

    async def available(self, account_id: str) -> list[int]:
        """What can be spent in each."""
        return [item.get("available_nanousd", 0) for item in await self.items(account_id)] or [0]


def balance_key(table: str, account_id: str, shard: int = 0) -> Key:
    """Where a sub-balance stands."""
    return Key(table, keys.credits_of(account_id, shard), keys.BALANCE)


def draw(available: Sequence[int], home: int, amount: int) -> Mapping[int, int] | None:
    """What `home` takes from which other sub-balances so as to have `amount`; None where all together have less.

    The richest gives first, and half of what it has where that is more than what is missing: the next holds of `home`
    then find credits there.
    """
    missing = amount - (available[home] if home < len(available) else 0)
    drawn: dict[int, int] = {}
    for shard in sorted(range(len(available)), key=lambda each: (-available[each], each)):
        if missing <= 0:
            break
        if shard == home or not available[shard]:
            continue
        given = min(available[shard], max(missing, available[shard] // 2))
        drawn[shard] = given
        missing -= given
    return None if missing > 0 else drawn


def moved(
    table: str,
    account_id: str,
    shard: int,
    *,
    available: int,
    held: int,
    drawn: Mapping[int, int],
    charged: int = 0,
) -> list[Update]:
    """One movement of a sub-balance, signed, with what it draws from others. Every subtraction is conditional.

    Args:
        charged: Counted in the sub-balance as spent for good.
    """
    gained = sum(drawn.values())
    values: dict[str, object] = {":available": available + gained, ":held": held, ":zero": 0}
    conditions = []
    for name, change in (("available_nanousd", available + gained), ("held_nanousd", held)):
        if change < 0:
            conditions.append(f"{name} >= :{name}")
            values[f":{name}"] = -change
    expression = (
        "SET available_nanousd = if_not_exists(available_nanousd, :zero) + :available, "
        "held_nanousd = if_not_exists(held_nanousd, :zero) + :held"
    )
    if charged:
        expression += " ADD charged_nanousd :charged"
        values[":charged"] = charged
    home = Update(
        balance_key(table, account_id, shard), expression, condition=" AND ".join(conditions) or None, values=values
    )
    return [home, *(_given(table, account_id, other, amount) for other, amount in drawn.items())]


def opening(table: str, account_id: str, shard: int, updates: Sequence[Update]) -> list[Update]:
    """The updates, and the note in sub-balance 0 that there are as many as up to `shard`."""
    first = balance_key(table, account_id)
    note, condition = "SET shards = :shards", "(attribute_not_exists(shards) OR shards < :shards)"
    values: dict[str, object] = {":shards": shard + 1}
    others = [each for each in updates if each.key != first]
    for update in updates:
        if update.key == first:
            note = update.expression.replace("SET ", f"{note}, ", 1)
            condition = f"{update.condition} AND {condition}" if update.condition else condition
            values |= update.values
    return [*others, Update(first, note, condition=condition, values=values)]


def _given(table: str, account_id: str, shard: int, amount: int) -> Update:
    return Update(
        balance_key(table, account_id, shard),
        "SET available_nanousd = available_nanousd - :amount",
        condition="available_nanousd >= :amount",
        values={":amount": amount},
    )
