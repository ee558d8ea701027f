"""Bugs to plant: each a slip that somebody could make in the ledger, and that the simulation must find."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from ownkey.domain import ledger as domain
from ownkey.domain.ledger import MovementKind
from ownkey.ledger import counters, escrow, reclaim, rollups, settlement, stream
from ownkey.ledger.records import Records
from ownkey.store.dynamodb import Check, DynamoDb, Write


@dataclass(frozen=True, slots=True)
class Bug:
    """How to plant it, and the first seed that finds it."""

    planted: Callable[[], AbstractContextManager[Any]]
    seed: int


Change = Callable[[Write], Write | None]


def _writes(change: Change) -> AbstractContextManager[Any]:
    """Every write of the product, changed or (None) left out."""
    transact, write = DynamoDb.transact, DynamoDb.write

    async def transacting(self: DynamoDb, actions: Sequence[Write], **options: Any) -> None:
        await transact(self, [each for each in map(change, actions) if each is not None], **options)

    async def writing(self: DynamoDb, action: Any) -> None:
        changed = change(action)
        if changed is not None and not isinstance(changed, Check):
            await write(self, changed)

    return patch.multiple(DynamoDb, transact=transacting, write=writing)


def _unconditional(said: str, where: str = "") -> Callable[[], AbstractContextManager[Any]]:
    """Writes without the condition that says so, at sort keys with this prefix."""

    def change(write: Write) -> Write:
        if write.condition is None or said not in write.condition or not write.key.sk.startswith(where):
            return write
        used = {name: value for name, value in write.values.items() if name in getattr(write, "expression", "")}
        return replace(write, condition=None, values=used, names=write.names if used or not write.values else {})

    return lambda: _writes(change)


def _without(said: str) -> Callable[[], AbstractContextManager[Any]]:
    """Writes to partitions with this prefix are left out."""
    return lambda: _writes(lambda write: None if write.key.pk.startswith(said) else write)


def _no_failures() -> AbstractContextManager[Any]:
    async def counted(work: Any, account_id: str) -> bool:
        await plain(work, account_id)
        return True

    plain = stream._counted
    return patch.object(stream, "_counted", counted)


def _no_margin() -> AbstractContextManager[Any]:
    def settled(**given: int) -> tuple[domain.Movement, ...]:
        return tuple(each for each in domain.settled(**given) if each.kind is not MovementKind.MARGIN)

    return patch.object(settlement, "settled", settled)


def _dropped_bucket() -> AbstractContextManager[Any]:
    plain = rollups.buckets
    return patch.object(rollups, "buckets", lambda record: plain(record)[:-1])


def _never_stands() -> AbstractContextManager[Any]:
    plain = counters.settling
    return patch.object(
        settlement.counters, "settling", lambda ended, table: plain(((each, False) for each, _ in ended), table)
    )


def _overrun_forgotten() -> AbstractContextManager[Any]:
    plain = settlement._cut_to
    return patch.object(settlement, "_cut_to", lambda available, chunk: plain(available + 1_000_000, chunk))


def _no_draw() -> AbstractContextManager[Any]:
    plain = escrow._given
    return patch.object(escrow, "_given", lambda table, account_id, shard, _: plain(table, account_id, shard, 0))


def _late_hold_stays() -> AbstractContextManager[Any]:
    plain = reclaim._readable

    def readable(item: Any) -> Any:
        record = plain(item)
        return record and replace(record, billed_at=None)

    return patch.object(reclaim, "_readable", readable)


def _request_forgotten() -> AbstractContextManager[Any]:
    plain = counters._to_reservation
    return patch.object(
        counters, "_to_reservation", lambda account_id, item: replace(plain(account_id, item), request_sent=False)
    )


def _first_end_lost() -> AbstractContextManager[Any]:
    async def end(self: Records, *_: Any) -> bool:
        return True

    return patch.object(Records, "end", end)


BUGS: Mapping[str, Bug] = {
    "a record is counted though its mark stands": Bug(_unconditional("attribute_not_exists(billed_at)"), seed=0),
    "a record is marked, and counts nothing": Bug(_without("ROLLUP#"), seed=0),
    "credits are taken though they are not there": Bug(_unconditional("available_nanousd >="), seed=0),
    "a hold is placed over another": Bug(_unconditional("attribute_not_exists(pk)", "HOLD#"), seed=130),
    "an attempt is ended twice": Bug(_unconditional("#state = :started"), seed=21),
    "an intent overwrites its end": Bug(_unconditional("attribute_not_exists(pk)", "req_"), seed=2),
    "a deposit is asked for again": Bug(_unconditional("attribute_not_exists(pk)", "dep_"), seed=43),
    "a limit's room is not looked at": Bug(_unconditional("committed <="), seed=3),
    "a reservation is ended twice": Bug(_unconditional("claims = :claims"), seed=12),
    "what was reserved stays reserved when it is settled": Bug(_never_stands, seed=1),
    "what failed is not named": Bug(_no_failures, seed=79),
    "a hold that came late stays": Bug(_late_hold_stays, seed=18),
    "a request that was sent is given back": Bug(_request_forgotten, seed=59),
    "the margin is not posted": Bug(_no_margin, seed=1),
    "an aggregate is forgotten": Bug(_dropped_bucket, seed=1),
    "a charge is not cut to what is there": Bug(_overrun_forgotten, seed=47),
    "what a sub-balance draws is not taken from the other": Bug(_no_draw, seed=4),
    "an end is said to be written and is not": Bug(_first_end_lost, seed=1),
}
