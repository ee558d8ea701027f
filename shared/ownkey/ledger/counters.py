"""What is used of an account's limits: reserved before an attempt, replaced by the real use when it is billed.

```
(none) ──inference──▶ reserved ──billing, by the attempt's record──▶ settled     the real use in the place of the worst
                        ├──inference, the attempt failed───────────▶ the next attempt's, in one transaction
                        ├──inference, nothing was sent─────────────▶ given back
                        └──upkeep, expired, no record to settle it─▶ given back
```
A reservation is one item under its attempt's id, and stands as long as the counters have it: every step that ends it
deletes it, on the condition that it is there. `committed` only ever exceeds a hard limit by what attempts used beyond
the worst case that they reserved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ownkey.domain.attempts import AttemptRecord, AttemptStart
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.limits import Claim, Counter, Limit, Measure, period_at, refusal
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, DynamoDb, Item, Key, Put, Update, Write

KEPT_AFTER = timedelta(days=2)
"""How long a counter outlives its period: for attempts that end late, and for whoever looks."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one attempt has reserved."""

    account_id: str
    attempt_id: str
    expires_at_s: int
    """Epoch seconds: when its function is over."""
    claims: tuple[Claim, ...]
    """Of hard limits."""
    request_sent: bool = False
    """By an attempt before, whose place this one took."""


class Counters:
    """Reserves and gives back. Billing's part is `settling`."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def reserve(self, wanted: Reservation, instead_of: Reservation | None = None) -> Reservation:
        """Reserves all of it or nothing, in one transaction. A repeat finds its own reservation and changes nothing.

        Args:
            instead_of: The reservation of the request's attempt before, which comes to nothing by this.

        Returns:
            What was reserved: without the request itself where that was counted with the attempt before.

        Raises:
            BudgetExceeded, RateLimited: a limit has too little left; nothing is reserved, and `instead_of` stands.
        """
        if not (instead_of or _reserving(wanted)):
            return wanted
        changes = sorted(_changes(wanted, instead_of), key=lambda change: change[0].wait, reverse=True)
        for claim, change in changes:
            if change > claim.amount:
                raise refusal(claim, change, 0, datetime.now(UTC))
        at = reservation_key(self._table, wanted.account_id, wanted.attempt_id)
        item = {
            "claims": _reserving(wanted),
            "expires_at_s": wanted.expires_at_s,
            "request_sent": True if instead_of else None,
        }
        writes: list[Write] = [Put(at, item, condition="attribute_not_exists(pk)")]
        if instead_of is not None:
            writes.append(ending(self._table, instead_of))
        first = len(writes)
        writes += [_commit(self._table, wanted.account_id, claim, change) for claim, change in changes]
        try:
            await self._db.transact(writes)
        except ConditionFailed as e:
            if 0 in e.failed:
                return wanted
            if e.index < first:
                # Billing was faster: the attempt before is settled, and the request counted with it.
                return await self.reserve(without_request(wanted))
            claim, change = changes[e.index - first]
            raise refusal(claim, change, (e.item or {}).get("committed", 0), datetime.now(UTC)) from e
        return wanted

    async def give_back(self, reservation: Reservation, *, request_sent: bool = False) -> bool:
        """Undoes a reservation whose attempt came to nothing; False where something else has ended it.

        Args:
            request_sent: An attempt before sent the request: that counts.
        """
        back = [
            _back(self._table, reservation.account_id, claim, request_sent=request_sent)
            for claim in reservation.claims
            if claim.reserved
        ]
        try:
            await self._db.transact([ending(self._table, reservation), *back])
        except ConditionFailed:
            return False
        return True

    async def expired(self, account_id: str, before_s: int) -> list[Reservation]:
        """The account's reservations whose functions were over before this epoch second."""
        items = await self._db.query_all(
            self._table,
            keys.reservations(account_id),
            filter_expression="expires_at_s < :before",
            values={":before": before_s},
        )
        return [_to_reservation(account_id, item) for item in items]

    async def read(self, account_id: str, wanted: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], Item]:
        """Counters as they stand, by limit id, window and period; those that never counted anything are left out."""
        at = {each: _counter_key(self._table, account_id, *each) for each in wanted}
        found: dict[Key, Item] = {}
        all_keys = list(at.values())
        for first in range(0, len(all_keys), 100):
            found |= await self._db.batch_get(all_keys[first : first + 100])
        return {each: found[key] for each, key in at.items() if key in found}

    async def current(self, limits: Iterable[Limit], at: datetime) -> dict[str, Counter]:
        """What is used of each of an account's limits in the period of `at`, by id."""
        of = {(each.id, each.window.value, period_at(each.window, at)): each for each in limits}
        account_id = next((each.account_id for each in of.values()), "")
        found = await self.read(account_id, of) if of else {}
        return {each.id: counted(found.get(key)) for key, each in of.items()}


def reservation_of(start: AttemptStart) -> Reservation | None:
    """What an attempt reserves; None where no hard limit applies to it."""
    hard = tuple(claim for claim in start.claims if claim.reserved)
    if not hard:
        return None
    return Reservation(start.request.account_id, start.attempt_id, start.expires_at_s, hard)


def ending(table: str, reservation: Reservation) -> Delete:
    """Ends a reservation; not another one under the same id, of which a call that comes late may know nothing."""
    at = reservation_key(table, reservation.account_id, reservation.attempt_id)
    return Delete(at, condition="claims = :claims", values={":claims": _reserving(reservation)})


def reservation_key(table: str, account_id: str, attempt_id: str) -> Key:
    """Where a reservation stands."""
    return Key(table, keys.reservations(account_id), attempt_id)


def counted(item: Item | None) -> Counter:
    """What a counter says."""
    return Counter(item.get("used", 0), item.get("committed", 0)) if item else Counter()


def without_request(wanted: Reservation) -> Reservation:
    """The same for a request that has been counted already."""
    claims = (replace(each, reserved=0) if each.measure is Measure.REQUESTS else each for each in wanted.claims)
    return replace(wanted, claims=tuple(claims))


def mark_alerted(table: str, account_id: str, claim: Claim, percent: int, at: str) -> Update:
    """Notes on the counter that the account was told of a threshold, where it was not yet."""
    return Update(
        _claim_key(table, account_id, claim),
        "SET #alerted = :at",
        condition="attribute_not_exists(#alerted)",
        names={"#alerted": f"alerted_{percent}"},
        values={":at": at},
    )


def settling(ended: Iterable[tuple[AttemptRecord, bool]], table: str) -> list[Update]:
    """One update for each counter that ended attempts belong to, with all they change.

    Args:
        ended: Each with whether its reservation still stands, and is deleted in the same transaction.
    """
    used: dict[Key, int] = {}
    committed: dict[Key, int] = {}
    claims: dict[Key, Claim] = {}
    for record, stands in ended:
        for claim in record.start.claims:
            at = _claim_key(table, record.start.request.account_id, claim)
            amount = used_by(record, claim, stands=stands)
            claims[at] = claim
            used[at] = used.get(at, 0) + amount
            committed[at] = committed.get(at, 0) + amount - ((claim.reserved or 0) if stands else 0)
    return [
        _add(at, claim, {"used": used[at], "committed": committed[at]})
        for at, claim in claims.items()
        if used[at] or committed[at]
    ]


def used_by(record: AttemptRecord, claim: Claim, *, stands: bool) -> int:
    """What an ended attempt has used of a limit.

    A request is counted where its reservation ends, or by its first attempt where nothing was reserved.
    """
    start, end = record.start, record.end
    if end is None:
        raise ValueError("an attempt that has not ended has used nothing yet")
    match claim.measure:
        case Measure.REQUESTS if claim.reserved is None:
            return int(start.number == 0)
        case Measure.REQUESTS:
            return (claim.reserved or 0) if stands else 0
        case Measure.TOKENS:
            return end.usage.total_tokens
        case Measure.SPEND:
            return end.cost_nanousd if start.source is CredentialSource.BYOK else end.charge_nanousd


def _reserving(reservation: Reservation) -> list[dict[str, Any]]:
    """The claims that reserve anything, as they stand in items."""
    return [claim.to_item() for claim in reservation.claims if claim.reserved]


def _changes(wanted: Reservation, instead_of: Reservation | None) -> list[tuple[Claim, int]]:
    """By how much each counter changes; those that do not are left out."""
    changes: dict[tuple[str, str], tuple[Claim, int]] = {
        (claim.limit_id, claim.period): (claim, claim.reserved or 0) for claim in wanted.claims
    }
    for claim in instead_of.claims if instead_of else ():
        mine, change = changes.get((claim.limit_id, claim.period), (claim, 0))
        changes[claim.limit_id, claim.period] = mine, change - (claim.reserved or 0)
    return [(claim, change) for claim, change in changes.values() if change]


def _commit(table: str, account_id: str, claim: Claim, change: int) -> Update:
    """More only where the limit has room for it; less always."""
    update = _add(_claim_key(table, account_id, claim), claim, {"committed": change})
    if change <= 0:
        return update
    return replace(
        update,
        condition="attribute_not_exists(committed) OR committed <= :room",
        values={**update.values, ":room": claim.amount - change},
    )


def _back(table: str, account_id: str, claim: Claim, *, request_sent: bool) -> Update:
    at, reserved = _claim_key(table, account_id, claim), claim.reserved or 0
    if request_sent and claim.measure is Measure.REQUESTS:
        return _add(at, claim, {"used": reserved})
    return _add(at, claim, {"committed": -reserved})


def _add(at: Key, claim: Claim, changes: Mapping[str, int]) -> Update:
    adds = ", ".join(f"{name} :{name}" for name in changes)
    values: dict[str, object] = {f":{name}": change for name, change in changes.items()}
    if claim.ends_at is None:
        return Update(at, f"ADD {adds}", values=values)
    gone_s = int((claim.ends_at + KEPT_AFTER).timestamp())
    return Update(at, f"SET ttl_s = :gone ADD {adds}", values={**values, ":gone": gone_s})


def _claim_key(table: str, account_id: str, claim: Claim) -> Key:
    return _counter_key(table, account_id, claim.limit_id, claim.window.value, claim.period)


def _counter_key(table: str, account_id: str, limit_id: str, window: str, period: str) -> Key:
    return Key(table, keys.counters(account_id, limit_id), keys.counter(window, period))


def _to_reservation(account_id: str, item: Item) -> Reservation:
    claims = tuple(Claim.from_item(each) for each in item["claims"])
    return Reservation(account_id, item["sk"], item["expires_at_s"], claims, item.get("request_sent", False))
