"""What counting costs in writes, batch by batch: the numbers of docs/decisions/0013-grouped-counting.md."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.ledger import Hold
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.settlement import Settlement, Tables
from tests.support.attempts import AT, attempt
from tests.support.interleaved import Interleaved

NOW = AT.isoformat()


PAGE = Path(__file__).parents[2] / "docs" / "decisions" / "0013-grouped-counting.md"


@dataclass
class Case:
    """A hundred attempts, as one full batch of the stream."""

    name: str
    accounts: int
    platform: bool


CASES = [
    Case("BYOK, one account", 1, platform=False),
    Case("BYOK, ten accounts", 10, platform=False),
    Case("BYOK, a hundred accounts", 100, platform=False),
    Case("platform, one account", 1, platform=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_page_says_what_a_batch_of_a_hundred_writes(case: Case) -> None:
    by_account, one_by_one = await writes(case, grouped=True), await writes(case, grouped=False)
    assert by_account["writes"] <= one_by_one["writes"]
    numbers = [each[unit] for each in (by_account, one_by_one) for unit in ("transactions", "writes")]
    row = f"| {case.name} | {' | '.join(f'{n:,}' for n in numbers)} |"
    assert row in PAGE.read_text().splitlines()


async def writes(case: Case, *, grouped: bool) -> Counter[str]:
    """Of all that it takes to count a hundred attempts that have ended."""
    store = Interleaved(1)
    names = Tables(*map(store.table, ("records", "credits", "ledger", "rollups", "counters")))
    records, settlement = Records(store.db, names.records), Settlement(store.db, names)
    holds = Holds(store.db, credits_table=names.credits, records_table=names.records)
    batch: list[AttemptRecord] = []
    for n in range(100):
        account = f"a{n % case.accounts}"
        money = {"charge": 105, "hold": 1_000} if case.platform else {}
        batch.append(attempt(account, cost=100, **money))
    deposit = Deposit("a0", "dep_1", 1_000_000, "operator", NOW)
    await records.request_deposit(deposit)
    await settlement.deposit(deposit, now=NOW)
    for each in batch:
        start, end = each.start, each.end
        assert end is not None
        if start.hold_nanousd:
            await holds.place(Hold("a0", start.attempt_id, start.hold_nanousd, start.expires_at_s))
        await records.end(start, end)
    random.Random(1).shuffle(batch)
    store.aws.writes.clear()

    groups: dict[str, list[AttemptRecord]] = {}
    for n, each in enumerate(batch):
        groups.setdefault(each.start.request.account_id if grouped else str(n), []).append(each)
    for group in groups.values():
        await settlement.attempts(group[0].start.request.account_id, group, now=NOW)
    store.drop()
    return store.aws.writes
