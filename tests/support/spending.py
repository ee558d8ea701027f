"""One account that spends, dies, wakes and is billed, over tables in this process, in an order that a seed decides."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from itertools import count

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.errors import InsufficientCredits
from ownkey.domain.ledger import Hold, MovementKind, shard_of
from ownkey.ledger.balances import Balances
from ownkey.ledger.differences import Kind
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Records, to_record
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.statements import to_posting
from ownkey.ledger.stream import count_batch
from ownkey.ledger.verify import differences
from ownkey.store import keys
from ownkey.store.dynamodb import encode_item
from tests.support.attempts import AT, attempt
from tests.support.audit import money
from tests.support.interleaved import Interleaved

NOW = AT.isoformat()


class Account:
    """`acme`, over tables of its own in this process."""

    def __init__(self, seed: int, *, repeated: float = 0.0) -> None:
        self.store = store = Interleaved(seed, repeated)
        self.db, self.chance, self.at = store.db, random.Random(seed), AT
        self.asleep = list[AttemptRecord]()
        self.deposited, self._names = 0, (f"dep_{n}" for n in count())
        self.records = Records(store.db, store.table("records"))
        self.holds = Holds(
            store.db,
            credits_table=store.table("credits"),
            records_table=store.table("records"),
            now=lambda: self.at,
        )
        self.balances = Balances(store.db, store.table("credits"))
        self.tables = Names(*map(store.table, ("records", "credits", "ledger", "rollups", "counters")))
        self.settlement = Settlement(store.db, self.tables)

    async def deposit(self, amount: int) -> None:
        """Pays in, once however often billing hears of it."""
        deposit = Deposit("acme", next(self._names), amount, "operator", "2026-11-01T00:00:00Z")
        await self.records.request_deposit(deposit)
        await asyncio.gather(*(self.settlement.deposit(deposit, now=NOW) for _ in range(2)))
        self.deposited += amount

    async def spend(self, record: AttemptRecord, dies: str = "") -> bool:
        """One platform attempt as a function makes it, or the part of it before the function dies."""
        start, end = record.start, record.end
        assert end is not None
        hold = Hold("acme", start.attempt_id, start.hold_nanousd, start.expires_at_s, start.hold_shard)
        try:
            await self.holds.place(hold)
        except InsufficientCredits:
            return False
        if dies == "wakes":
            self.asleep.append(record)
        elif dies != "before its intent":
            await self.records.start(start)
            if dies != "before its end":
                await self.records.end(start, end)
        return True

    async def wake(self) -> None:
        """Functions that slept through everything since they placed their holds go on."""
        while self.asleep:
            record = self.asleep.pop()
            assert record.end is not None
            await self.records.start(record.start)
            await self.records.end(record.start, record.end)

    def attempt(self, hold: int, charge: int, shards: int) -> AttemptRecord:
        """One whose cost is what is left of the charge without 5 %."""
        made = attempt(cost=charge * 20 // 21, charge=charge, hold=hold, at=self.at)
        return replace(made, start=replace(made.start, hold_shard=shard_of(made.start.attempt_id, shards)))

    async def attempts(self) -> list[AttemptRecord]:
        """All records of attempts."""
        days = {AT.date() + timedelta(days=n) for n in range((self.at.date() - AT.date()).days + 1)}
        found: list[AttemptRecord] = []
        for day in days:
            rows = await self.db.query_all(self.store.table("records"), keys.attempts("acme", day.isoformat()))
            found += map(to_record, rows)
        return found

    async def bill(self, *, functions: int = 1) -> None:
        """The stream brings everything again, in any order and cut, to several functions at once."""
        await asyncio.gather(*(self._bill() for _ in range(functions)))

    async def _bill(self) -> None:
        ended = [each for each in await self.attempts() if each.end]
        self.chance.shuffle(ended)
        while ended:
            size = self.chance.randint(1, 12)
            await self.settlement.attempts("acme", ended[:size], now=NOW)
            ended = ended[size:]
        rows = await self.db.query_all(self.store.table("records"), keys.releases("acme"))
        batch = [{"dynamodb": {"SequenceNumber": row["sk"], "NewImage": encode_item(row)}} for row in rows]
        assert await count_batch(self.settlement, batch, self.at) == []

    async def verified(self) -> list[str]:
        """What a verification says, at any moment; but for records that wait: nobody has to come for them."""
        first = AT.date() - timedelta(days=30)
        found = await differences(self.db, self.tables, "acme", first=first, last=self.at.date(), now=self.at)
        return [str(each) for each in found if each.kind is not Kind.RECORD]

    async def wrong(self) -> list[str]:
        """Everything that does not add up."""
        counted = [each for each in await self.attempts() if each.billed_at]
        wrong = await money(self.db, self.store.table("credits"), self.store.table("ledger"), "acme", counted)
        postings = map(to_posting, await self.db.query_all(self.store.table("ledger"), keys.ledger("acme")))
        moved = [each for posting in postings for each in posting.movements]
        paid_in = sum(each.amount_nanousd for each in moved if each.kind is MovementKind.DEPOSIT)
        taken = -sum(each.amount_nanousd for each in moved if each.kind is not MovementKind.DEPOSIT)
        credits, balance = await self.balances.credits("acme"), await self.balances.balance("acme")
        if not paid_in == self.deposited == balance.total_nanousd + taken == credits.granted_nanousd:
            wrong.append(f"deposited {self.deposited}: posted {paid_in}, {balance}, {taken} taken, {credits}")
        if taken != credits.charged_nanousd:
            wrong.append(f"{taken} taken, {credits}")
        return wrong + await self.verified()
