"""Everything re-counted from the records: what the aggregates, the ledger and the balance must say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from local.running import Running
from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.ledger import MAX_SHARDS, Balance, Cause, MovementKind, Posting
from ownkey.ledger import rollups
from ownkey.ledger.records import to_record
from ownkey.ledger.rollups import Dimension, Granularity, Rollups
from ownkey.ledger.statements import Statements, to_posting
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, decode_item
from tests.support.aws import boto


@dataclass(frozen=True)
class Books:
    """What stands in the tables of a running stack for one account."""

    attempts: tuple[AttemptRecord, ...]
    differences: tuple[str, ...]
    """Between what was stored and what the records say; empty is right."""


async def audit(up: Running, db: DynamoDb, account_id: str) -> Books:
    """Re-sums an account from its records and names every difference."""
    names = up.stack.resources
    attempts = [record for record in _attempts(up) if record.start.request.account_id == account_id]
    ended = [record for record in attempts if record.end]
    differences = [f"{r.start.attempt_id} was never counted" for r in ended if not r.billed_at]

    expected: Counter[str] = Counter()
    for record in ended:
        expected.update(rollups.counters(record))
    for dimension in (Dimension.TOTAL, Dimension.MODEL, Dimension.CREDENTIAL, Dimension.GATEWAY_KEY):
        rows = await Rollups(db, names["RollupsTable"]).rows(
            account_id, dimension, Granularity.DAY, first="2000-01-01", last="2999-12-31"
        )
        stored: Counter[str] = Counter()
        for row in rows:
            stored.update(row.counters)
        if stored != expected:
            differences.append(f"{dimension}: stored {dict(stored)}, records say {dict(expected)}")

    differences += await money(db, names["CreditsTable"], names["LedgerTable"], account_id, ended)
    return Books(tuple(attempts), tuple(differences))


async def money(
    db: DynamoDb, credits_table: str, ledger_table: str, account_id: str, ended: Sequence[AttemptRecord]
) -> list[str]:
    """What is wrong between balance, open holds, ledger and the attempts that ended, to the nano-dollar."""
    differences = []
    balance = await Statements(db, credits_table, ledger_table).balance(account_id)
    postings = [to_posting(item) for item in await db.query_all(ledger_table, keys.ledger(account_id))]
    movements = [each for posting in postings for each in posting.movements]
    open_nanousd = 0
    for shard in range(MAX_SHARDS):
        rows = await db.query_all(credits_table, keys.credits_of(account_id, shard))
        held = sum(row["amount_nanousd"] for row in rows if row["sk"] != keys.BALANCE)
        open_nanousd += held
        for row in rows:
            if row["sk"] == keys.BALANCE and row["held_nanousd"] != held:
                differences.append(f"sub-balance {shard} says {row['held_nanousd']} held, its holds {held}")
            if row["sk"] == keys.BALANCE and min(row["held_nanousd"], row["available_nanousd"]) < 0:
                differences.append(f"sub-balance {shard} is negative: {row}")
    expected = Balance(
        sum(each.available_nanousd for each in movements) - open_nanousd,
        sum(each.held_nanousd for each in movements) + open_nanousd,
    )
    if balance != expected:
        differences.append(f"{balance} is not what movements and open holds sum to, {expected}")
    differences += [
        f"{each.id} leaves something held" for each in postings if sum(m.held_nanousd for m in each.movements)
    ]
    by_attempt = {each.cause_id: each for each in postings if each.cause is Cause.ATTEMPT}
    released = {each.cause_id for each in postings if each.cause is Cause.RELEASE}
    for record in ended:
        attempt_id = record.start.attempt_id
        differences += wrong_posting(record, by_attempt.pop(attempt_id, None), released=attempt_id in released)
    differences += [f"a posting of {attempt_id}, which never ended" for attempt_id in by_attempt]
    return differences


def wrong_posting(record: AttemptRecord, posting: Posting | None, *, released: bool) -> list[str]:
    """Where the charge is not in the cost, the margin and the overrun of its posting, each as much as it must be."""
    start, end = record.start, record.end
    assert end is not None
    if posting is None:
        held = start.hold_nanousd and not released
        return [f"{start.attempt_id} moved nothing"] if end.charge_nanousd or held else []
    taken = Counter[MovementKind]()
    for each in posting.movements:
        taken[each.kind] -= each.amount_nanousd
    cost, margin = taken[MovementKind.SETTLE], taken[MovementKind.MARGIN]
    if cost + margin + posting.overrun_nanousd != end.charge_nanousd:
        return [
            f"{start.attempt_id}: {cost} + {margin}, {posting.overrun_nanousd} over; its record {end.charge_nanousd}"
        ]
    if cost > end.cost_nanousd or (posting.overrun_nanousd == 0 and cost != min(end.cost_nanousd, end.charge_nanousd)):
        return [f"{start.attempt_id}: settled {cost}, of a cost of {end.cost_nanousd}"]
    return []


def _attempts(up: Running) -> list[AttemptRecord]:
    pages = boto("dynamodb", up.state.aws_endpoint).get_paginator("scan")
    found = []
    for page in pages.paginate(TableName=up.stack.resources["RecordsTable"], ConsistentRead=True):
        items = [decode_item(each) for each in page["Items"]]
        found += [to_record(item) for item in items if item["pk"].startswith("ATT#")]
    return found
