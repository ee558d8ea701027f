"""Redelivery, poison and bisected batches, a thousand times: what is aggregated is the re-sum of the records."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.attempts import Outcome
from ownkey.domain.ledger import Hold
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.stream import count_batch
from ownkey.store.dynamodb import DynamoDb, Key, Put
from tests.simulation.books import Books
from tests.simulation.loop import VirtualLoop
from tests.simulation.model import Json
from tests.simulation.network import HERE, Environment, SimulatedAws
from tests.simulation.stream import Stream
from tests.simulation.world import TABLES, InProcess
from tests.support.attempts import AT, attempt

NOW = AT.isoformat()


class Delivery:
    """Records of two accounts and some that nobody can read, brought to billing as badly as a stream may."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.store = InProcess()
        self.db = DynamoDb(SimulatedAws(self.store.perform, self.chance))
        self.settlement = Settlement(self.db, Names("records", "credits", "ledger", "rollups", "counters"))
        self.stream = Stream(self.store.stream, self._count, self.chance, lanes=self.chance.choice((1, 3)))
        self.deaths = 0
        self.deposited: dict[str, int] = {}
        self.poison = self.chance.randint(1, 3)

    async def run(self, size: int) -> list[str]:
        """Writes, delivers until only the poison is left, and gives what does not add up."""
        HERE.set(Environment("test"))
        records = Records(self.db, "records")
        holds = Holds(self.db, credits_table="credits", records_table="records", now=lambda: AT)
        for n, account_id in enumerate(("acme", "other")):
            deposit = Deposit(account_id, f"dep_{n}", 1_000_000, "operator", NOW)
            await records.request_deposit(deposit)
            await self.settlement.deposit(deposit, now=NOW)
            self.deposited[deposit.id] = deposit.amount_nanousd
        for _ in range(size):
            await self._attempt(records, holds)
        for n in range(self.poison):
            await self.db.write(Put(Key("records", "ATT#acme#2026-11-21", f"poison_{n}"), {"state": "ended"}))
        for _ in range(self.chance.randint(1, 3)):
            for lane in self.stream.lanes:
                await self.stream.poll(lane)
            await self.stream.again()
        for _ in range(100):
            left = await self.stream.replay()
            if all(each.startswith("poison") for each in left):
                break
        return self._differences()

    async def _attempt(self, records: Records, holds: Holds) -> None:
        chance = self.chance
        hold = chance.choice((0, chance.randint(1, 5_000)))
        charge = chance.randint(0, hold)
        made = attempt(
            chance.choice(("acme", "other")),
            cost=charge * 20 // 21,
            charge=charge,
            hold=hold,
            outcome=chance.choice(list(Outcome)),
            request={"tags": chance.choice(((), ("a", "b"))), "user": chance.choice((None, "ann"))},
        )
        start = replace(made.start, hold_shard=chance.randint(0, 2) if hold else 0)
        if hold:
            account_id = start.request.account_id
            await holds.place(Hold(account_id, start.attempt_id, hold, start.expires_at_s, start.hold_shard))
        assert made.end is not None
        await records.end(start, made.end)

    async def _count(self, batch: Sequence[Json]) -> list[str] | None:
        """Billing, which dies now and then before or after it has counted: the batch is then cut in two."""
        dies = self.chance.random()
        if dies < 0.1:
            self.deaths += 1
            return None
        failed = await count_batch(self.settlement, batch, AT)
        if dies < 0.2:
            self.deaths += 1
            return None
        return failed

    def _differences(self) -> list[str]:
        tables = {name: self.store.items(name) for name in TABLES[1:]}
        records = [each for each in tables["records"] if not each["sk"].startswith("poison")]
        books = Books(records, tables["credits"], tables["ledger"], tables["rollups"], tables["counters"])
        left = {each["dynamodb"]["Keys"]["sk"]["S"] for each in self.stream.given_up}
        lost = [] if len(left) == self.poison else [f"{left} was given up, of {self.poison} that nobody can read"]
        return [*self.store.restless(), *books.differences(self.deposited, {}, exact=True), *lost]


def deliver(seed: int) -> Delivery:
    """One seed's, which must add up."""
    made = Delivery(seed)
    differences = VirtualLoop().run(made.run(made.chance.randint(5, 40)))
    assert differences == [], f"seed {seed}"
    return made


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_stream_does_the_aggregates_are_the_re_sum(seed: int) -> None:
    made = deliver(seed)
    assert made.stream.batches > 0


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_redelivery_poison_and_bisect_a_thousand_times(record_property: Callable[[str, Any], None]) -> None:
    """Redelivery, poison, bisected batches, deaths of billing: aggregates and ledger are the re-sum of the records."""
    counted = Counter[str]()
    for seed in range(1_000):
        made = deliver(seed)
        counted.update({"billing runs": made.stream.batches, "deaths": made.deaths, "unreadable records": made.poison})
    record_property("trials", 1_000)
    for name, count in counted.items():
        record_property(name, count)
    record_property("differences", 0)
