"""What is taken back: at most what is there, once, never of what is held; and what new accounts are given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest

from ownkey.domain.ledger import Balance, Cause, DepositKind, Hold, Movement, MovementKind
from ownkey.ledger.differences import Difference, Kind
from ownkey.ledger.focus import Bill, month_rows
from ownkey.ledger.holds import Holds
from ownkey.ledger.movements import Movements
from ownkey.ledger.records import Deposit, Records, UnreadableRecord, sign_up_credit, to_deposit
from ownkey.ledger.recount import Period
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.statements import Statements, to_posting
from ownkey.ledger.verify import Verifier
from ownkey.store import keys
from ownkey.store.dynamodb import Delete, Key
from tests.support.attempts import AT
from tests.support.audit import money
from tests.support.interleaved import Interleaved

NOW = AT.isoformat()
GIVEN = Deposit("acme", "dep_1", 1_000, "operator", NOW)
LATER = (AT + timedelta(seconds=1)).isoformat()
TAKEN = Deposit("acme", "dep_2", -400, "operator", LATER, "refunded", kind=DepositKind.CORRECTION)


class Books:
    """An account over tables of its own in this process, whose calls interleave as the seed says."""

    stores: ClassVar[list[Interleaved]] = []

    def __init__(self, seed: int = 0) -> None:
        self.store = store = Interleaved(seed, 0.2)
        self.stores.append(store)
        self.db = store.db
        self.records = Records(store.db, store.table("records"))
        self.statements = Statements(store.db, store.table("credits"), store.table("ledger"))
        self.movements = Movements(store.db, store.table("rollups"))
        self.holds = Holds(
            store.db,
            credits_table=store.table("credits"),
            records_table=store.table("records"),
            now=lambda: AT,
        )
        self.names = Names(*map(store.table, ("records", "credits", "ledger", "rollups", "counters")))
        self.settlement = Settlement(store.db, self.names)

    async def do(self, deposit: Deposit, times: int = 2) -> None:
        await self.records.request_deposit(deposit)
        await asyncio.gather(*(self.settlement.deposit(deposit, now=NOW) for _ in range(times)))

    async def hold(self, amount: int, shard: int = 0, name: str = "req_1#01") -> None:
        await self.holds.place(Hold("acme", name, amount, int(AT.timestamp()) + 60, shard))

    async def state(self, deposit: Deposit) -> Deposit:
        return await self.records.deposit("acme", deposit.id)

    async def kinds(self) -> list[tuple[Cause, Movement]]:
        rows = await self.db.query_all(self.store.table("ledger"), keys.ledger("acme"))
        return [(each.cause, *each.movements) for each in map(to_posting, rows)]

    async def verified(self) -> tuple[Difference, ...]:
        period = Period(AT.date(), AT.date(), whole=True)
        return (await Verifier(self.db, self.names).account("acme", period, AT)).differences

    async def differences(self) -> list[str]:
        return await money(self.db, self.store.table("credits"), self.store.table("ledger"), "acme", [])


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    while Books.stores:
        Books.stores.pop().drop()


async def test_a_correction_takes_back_once_and_says_so_in_the_ledger() -> None:
    books = Books()
    await books.do(GIVEN)
    await books.do(TAKEN, times=3)
    assert await books.statements.balance("acme") == Balance(600, 0)
    assert await books.kinds() == [
        (Cause.DEPOSIT, Movement(MovementKind.DEPOSIT, 1_000)),
        (Cause.CORRECTION, Movement(MovementKind.CORRECTION, -400)),
    ]
    done = await books.state(TAKEN)
    assert (done.moved_nanousd, done.billed_at, done.refused) == (-400, NOW, False)
    assert await books.differences() == []


async def test_a_correction_upwards_is_a_correction_and_no_deposit() -> None:
    books = Books()
    await books.do(replace(TAKEN, amount_nanousd=70))
    assert await books.kinds() == [(Cause.CORRECTION, Movement(MovementKind.CORRECTION, 70))]
    assert await books.statements.balance("acme") == Balance(70, 0)


async def test_what_is_not_there_is_not_taken_and_the_record_says_that_it_was_refused() -> None:
    books = Books()
    await books.do(GIVEN)
    await books.hold(700)
    await books.do(TAKEN)
    assert await books.statements.balance("acme") == Balance(300, 700)
    refused = await books.state(TAKEN)
    assert (refused.refused, refused.moved_nanousd, refused.billed_at) == (True, 0, NOW)
    assert [cause for cause, _ in await books.kinds()] == [Cause.DEPOSIT]
    # It is over: credits that come later are not taken.
    await books.do(replace(GIVEN, id="dep_3"))
    await books.settlement.deposit(TAKEN, now=NOW)
    assert await books.statements.balance("acme") == Balance(1_300, 700)


async def test_a_partial_one_takes_what_there_is_and_nothing_that_is_held() -> None:
    books = Books()
    await books.do(GIVEN)
    await books.hold(700)
    await books.do(replace(TAKEN, partial=True))
    assert await books.statements.balance("acme") == Balance(0, 700)
    assert (await books.state(TAKEN)).moved_nanousd == -300
    await books.do(replace(TAKEN, id="dep_3", partial=True))
    assert (await books.state(replace(TAKEN, id="dep_3"))).refused
    assert await books.differences() == []


async def test_it_is_taken_from_all_sub_balances() -> None:
    books = Books()
    await books.do(GIVEN)
    await books.hold(500, shard=3)
    await books.hold(300, shard=1, name="req_2#01")
    await books.do(replace(TAKEN, amount_nanousd=-200))
    assert await books.statements.balance("acme") == Balance(0, 800)
    assert await books.differences() == []


@pytest.mark.parametrize("seed", range(40))
async def test_whoever_spends_at_the_same_time_no_balance_goes_below_zero(seed: int) -> None:
    books = Books(seed)
    await books.do(GIVEN)
    corrections = [replace(TAKEN, id=f"dep_c{n}", partial=bool(n % 2)) for n in range(3)]
    for each in corrections:
        await books.records.request_deposit(each)
    spending = [books.hold(300, shard=n % 2, name=f"req_{n}#01") for n in range(3)]
    taking = [books.settlement.deposit(each, now=NOW) for each in corrections for _ in range(2)]
    await asyncio.gather(*spending, *taking, return_exceptions=True)
    assert await books.differences() == []
    moved = [(await books.state(each)).moved_nanousd or 0 for each in corrections]
    balance = await books.statements.balance("acme")
    assert balance.total_nanousd == 1_000 + sum(moved)


def test_a_sign_up_credit_has_one_id_in_an_account_and_is_its_oldest_deposit() -> None:
    first, again = (sign_up_credit("acme", 5, by="op", at=at) for at in (NOW, "2031-01-01T00:00:00Z"))
    assert first.id == again.id != sign_up_credit("other", 5, by="op", at=NOW).id
    assert first.id < "dep_01jd4w3m8qk6v5t2r9x7y1z0ab"


async def test_a_sign_up_credit_is_seen_as_one_in_ledger_statement_and_focus() -> None:
    books = Books()
    await books.do(sign_up_credit("acme", 5_000, by="op", at=NOW))
    assert await books.kinds() == [(Cause.SIGN_UP, Movement(MovementKind.SIGN_UP, 5_000))]
    (month,) = await books.movements.months("acme", last="2999-12")
    assert month.kinds[MovementKind.SIGN_UP].amount_nanousd == 5_000
    (row,) = month_rows(Bill("acme", "Acme", month.month, str), month)
    assert (row["ChargeCategory"], str(row["BilledCost"])) == ("Credit", "-0.000005")


async def test_records_of_before_read_as_deposits_and_a_kind_that_is_not_known_as_nothing() -> None:
    books = Books()
    await books.records.request_deposit(GIVEN)
    (item,) = await books.db.query_all(books.store.table("records"), keys.deposits("acme"))
    old = {name: item[name] for name in item if name not in ("kind", "partial", "moved_nanousd")}
    assert to_deposit(old) == GIVEN
    with pytest.raises(UnreadableRecord):
        to_deposit(item | {"kind": "gift"})


async def test_a_verification_counts_all_of_them_again_and_finds_nothing_wrong() -> None:
    books = Books()
    await books.do(sign_up_credit("acme", 50, by="op", at=NOW))
    await books.do(GIVEN)
    for number, (amount, partial) in enumerate([(-400, False), (-700, False), (30, False), (-1_000, True)]):
        await books.do(replace(TAKEN, id=f"dep_c{number}", amount_nanousd=amount, partial=partial))
    assert await books.statements.balance("acme") == Balance(0, 0)
    assert await books.verified() == ()
    await books.db.write(Delete(Key(books.store.table("records"), keys.deposits("acme"), "dep_c0")))
    assert [(each.kind, each.says) for each in await books.verified()] == [(Kind.POSTING, -400)]
