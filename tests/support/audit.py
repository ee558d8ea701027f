"""Everything re-counted from the records: what the aggregates, the ledger and the balance must say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from local.running import Running
from ownkey.domain.attempts import AttemptRecord
from ownkey.ledger import rollups
from ownkey.ledger.records import to_record
from ownkey.ledger.rollups import Dimension, Granularity, Rollups
from ownkey.ledger.statements import Statements
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

    statements = Statements(db, names["CreditsTable"], names["LedgerTable"])
    balance = await statements.balance(account_id)
    entries = await db.query_all(names["LedgerTable"], keys.ledger(account_id))
    moved = sum(entry["amount_nanousd"] for entry in entries)
    if balance.total_nanousd != moved:
        differences.append(f"balance {balance.total_nanousd} is not the sum of the entries {moved}")
    charged = Counter({entry["cause"]: -entry["amount_nanousd"] for entry in entries if entry["kind"] == "charge"})
    charges = {r.start.attempt_id: r.end.charge_nanousd for r in ended if r.end and r.end.charge_nanousd}
    if dict(charged) != charges:
        differences.append(f"charged {dict(charged)}, records say {charges}")
    held = await db.query_all(names["CreditsTable"], keys.credits_of(account_id), prefix=keys.HOLD_PREFIX)
    if balance.held_nanousd != sum(hold["amount_nanousd"] for hold in held):
        differences.append("what is held is not the sum of the holds")
    if min(balance.available_nanousd, balance.held_nanousd) < 0:
        differences.append(f"the balance is negative: {balance}")
    return Books(tuple(attempts), tuple(differences))


def _attempts(up: Running) -> list[AttemptRecord]:
    pages = boto("dynamodb", up.state.aws_endpoint).get_paginator("scan")
    found = []
    for page in pages.paginate(TableName=up.stack.resources["RecordsTable"], ConsistentRead=True):
        items = [decode_item(each) for each in page["Items"]]
        found += [to_record(item) for item in items if item["pk"].startswith("ATT#")]
    return found
