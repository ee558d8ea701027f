"""Rewards for sharing: each attempt's once, to the nano-dollar, whatever dies, comes again, or comes out of order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.ids import REWARD, new_id
from ownkey.domain.ledger import Hold, MovementKind
from ownkey.domain.sharing import Donation
from ownkey.ledger.balances import Balances
from ownkey.ledger.holds import Holds
from ownkey.ledger.movements import Movements
from ownkey.ledger.records import Deposit, Records, UnreadableRecord, to_record, to_reward
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.statements import to_posting
from ownkey.ledger.stream import count_batch, read_record
from ownkey.ledger.verify import differences
from ownkey.store import keys
from ownkey.store.aws import AwsError
from ownkey.store.dynamodb import Delete, Key, Update, encode_item
from tests.support.attempts import AT, attempt
from tests.support.audit import money
from tests.support.interleaved import Interleaved

NOW = AT.isoformat(timespec="milliseconds")
DONORS = ("donor-a", "donor-b")
PAYERS = ("payer-a", "payer-b", "payer-c")


def donation(donor: str = "donor-a", basis_points: int = 500) -> Donation:
    return Donation(donor, f"cred_of_{donor}", 3, new_id(REWARD), basis_points)


def shared_attempt(
    payer: str = "payer-a", donor: str = "donor-a", *, cost: int = 1_000, **values: Any
) -> AttemptRecord:
    charge = values.pop("charge", cost * 21 // 20)
    return attempt(payer, cost=cost, charge=charge, hold=values.pop("hold", charge), donation=donation(donor), **values)


class Deployment:
    """All accounts of a deployment, over tables of their own in this process."""

    def __init__(self, seed: int = 7, *, repeated: float = 0.0) -> None:
        self.store = Interleaved(seed, repeated)
        self.chance = random.Random(seed)
        self.db = self.store.db
        table = self.store.table
        self.records = Records(self.db, table("records"))
        self.holds = Holds(self.db, credits_table=table("credits"), records_table=table("records"), now=lambda: AT)
        names = Names(*map(table, ("records", "credits", "ledger", "rollups", "counters")))
        self.settlement = Settlement(self.db, names)

    async def grant(self, account_id: str, amount: int) -> None:
        deposit = Deposit(account_id, f"dep_{account_id}", amount, "operator", NOW)
        await self.records.request_deposit(deposit)
        await self.settlement.deposit(deposit, now=NOW)

    async def serve(self, record: AttemptRecord) -> AttemptRecord:
        """What inference writes of an attempt."""
        start, end = record.start, record.end
        assert end is not None
        account_id = start.request.account_id
        await self.holds.place(
            Hold(account_id, start.attempt_id, start.hold_nanousd, start.expires_at_s, start.hold_shard)
        )
        await self.records.start(start)
        await self.records.end(start, end)
        return record

    async def stream(self, accounts: tuple[str, ...] = (*DONORS, *PAYERS)) -> list[dict[str, Any]]:
        """Every record, as the stream has it: as often as it likes, in any order."""
        rows = []
        for account_id in accounts:
            for pk in (keys.attempts(account_id, AT.date().isoformat()), keys.rewards(account_id)):
                rows += await self.db.query_all(self.store.table("records"), pk)
        brought = [{"dynamodb": {"SequenceNumber": row["sk"], "NewImage": encode_item(row)}} for row in rows]
        brought += self.chance.sample(brought, len(brought) // 2)
        self.chance.shuffle(brought)
        return brought

    async def bill(self, functions: int = 1) -> None:
        """Until nothing is left to be counted: rewards come by the stream, behind the attempts."""
        for _ in range(3):
            batches = [await self.stream() for _ in range(functions)]
            await asyncio.gather(*(count_batch(self.settlement, batch, AT) for batch in batches))
        assert await count_batch(self.settlement, await self.stream(), AT) == []

    async def rewards(self, donor: str = "donor-a") -> list[int]:
        """What was posted to an account."""
        rows = await self.db.query_all(self.store.table("ledger"), keys.ledger(donor))
        return sorted(
            each.available_nanousd
            for row in rows
            for each in to_posting(row).movements
            if each.kind is MovementKind.REWARD
        )

    async def available(self, account_id: str) -> int:
        balance = await Balances(self.db, self.store.table("credits")).balance(account_id)
        assert balance.held_nanousd == 0
        return balance.available_nanousd

    async def wrong(self, account_id: str) -> list[str]:
        rows = await self.db.query_all(self.store.table("records"), keys.attempts(account_id, AT.date().isoformat()))
        counted = [each for each in map(to_record, rows) if each.billed_at]
        return await money(self.db, self.store.table("credits"), self.store.table("ledger"), account_id, counted)


@pytest.fixture
def books() -> Iterator[Deployment]:
    made = Deployment()
    yield made
    made.store.drop()


# ── how much


@given(st.integers(0, 10**15), st.integers(0, 10_000))
def test_a_reward_is_its_part_of_the_cost_rounded_once_half_to_even(cost: int, basis_points: int) -> None:
    exact = Decimal(cost) * basis_points / 10_000
    assert donation(basis_points=basis_points).reward(cost) == int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


@pytest.mark.parametrize(
    "cost, given", [(0, 0), (9, 0), (10, 0), (11, 1), (30, 2), (50, 2), (70, 4), (1_000_000, 50_000)]
)
def test_five_percent_of_a_few(cost: int, given: int) -> None:
    assert donation().reward(cost) == given


async def test_it_is_of_the_cost_and_not_of_what_could_be_taken(books: Deployment) -> None:
    """The payer has credits for a part of it: the rest is the operator's overrun, the reward is whole."""
    await books.grant("payer-a", 100)
    await books.serve(shared_attempt(cost=1_000, hold=100, charge=1_050))
    await books.bill()
    assert (await books.available("payer-a"), await books.rewards()) == (0, [50])


@pytest.mark.parametrize("outcome", Outcome)
async def test_every_outcome_that_cost_something_earns_it(books: Deployment, outcome: Outcome) -> None:
    await books.grant("payer-a", 10_000)
    await books.serve(shared_attempt(cost=2_000, outcome=outcome))
    await books.bill()
    assert await books.rewards() == [100]


async def test_what_cost_nothing_leaves_no_record(books: Deployment) -> None:
    await books.grant("payer-a", 10_000)
    await books.serve(shared_attempt(cost=0, charge=0, hold=500, outcome=Outcome.REFUSED))
    await books.bill()
    assert (await books.rewards(), (await books.records.rewards("donor-a")).rewards) == ([], ())
    assert await books.available("payer-a") == 10_000


# ── to whom, and what it says


async def test_it_stands_in_the_balance_the_ledger_the_months_movements_and_what_was_granted(books: Deployment) -> None:
    await books.grant("payer-a", 10_000)
    await books.serve(shared_attempt(cost=1_000))
    await books.bill()
    assert await books.available("donor-a") == 50
    assert (await Balances(books.db, books.store.table("credits")).credits("donor-a")).granted_nanousd == 50
    (month,) = await Movements(books.db, books.store.table("rollups")).months("donor-a", last="2026-11")
    assert (month.month, month.amount_nanousd, month.kinds[MovementKind.REWARD].count) == ("2026-11", 50, 1)
    assert await books.wrong("donor-a") == await books.wrong("payer-a") == []


async def test_the_payer_is_charged_as_for_any_platform_attempt(books: Deployment) -> None:
    await books.grant("payer-a", 10_000)
    await books.grant("payer-b", 10_000)
    await books.serve(shared_attempt("payer-a", cost=1_000))
    await books.serve(attempt("payer-b", cost=1_000, charge=1_050, hold=1_050))
    await books.bill()
    assert await books.available("payer-a") == await books.available("payer-b") == 8_950


async def test_its_record_and_its_posting_say_nothing_of_the_attempt_but_provider_model_and_amount(
    books: Deployment,
) -> None:
    await books.grant("payer-a", 10_000)
    request = {"user": "CANARY", "tags": ("CANARY",), "app": "CANARY", "gateway_key_id": "gk_CANARY"}
    served = await books.serve(shared_attempt(request=request))
    await books.bill()
    (record,) = await books.db.query_all(books.store.table("records"), keys.rewards("donor-a"))
    (posting,) = await books.db.query_all(books.store.table("ledger"), keys.ledger("donor-a"))
    assert {name: value for name, value in record.items() if name not in ("pk", "sk", "billed_at")} == {
        "provider_id": "openai",
        "model_id": "gpt-4o-mini",
        "credential_id": "cred_of_donor-a",
        "amount_nanousd": 50,
        "earned_at": "2026-11-21T09:00:00Z",
        "state": "earned",
        "record_schema": 1,
    }
    assert posting["at"] == "2026-11-21T09:00:00Z"
    assert not {"CANARY", "payer-a", served.start.request.request_id} & set(str((record, posting)).split("'"))


def test_a_reward_of_another_schema_is_not_counted_as_something_else() -> None:
    item = {"pk": "RWD#donor-a", "sk": "rwd_1", "state": "earned", "record_schema": 2, "amount_nanousd": 5}
    with pytest.raises(UnreadableRecord):
        read_record({"dynamodb": {"SequenceNumber": "1", "NewImage": encode_item(item)}})
    with pytest.raises(UnreadableRecord):
        to_reward(item | {"record_schema": 1})


# ── once


async def test_whatever_comes_again_and_however_late(books: Deployment) -> None:
    await books.grant("payer-a", 10_000)
    await books.serve(shared_attempt(cost=1_000))
    before = await books.stream()
    await books.bill()
    rewarded = await books.stream()
    for _ in range(3):
        assert await count_batch(books.settlement, before, AT) == []
        assert await count_batch(books.settlement, rewarded, AT) == []
    stale = [row for row in rewarded if "earned_at" in row["dynamodb"]["NewImage"]]
    for row in stale:
        row["dynamodb"]["NewImage"].pop("billed_at", None)  # as it was when it was written
    assert await count_batch(books.settlement, stale, AT) == []
    assert (await books.rewards(), await books.available("donor-a")) == ([50], 50)


async def test_a_reward_is_not_earned_without_its_attempt_being_counted(books: Deployment) -> None:
    """Both stand in one transaction: billing that dies before it has done nothing, after it all."""
    await books.grant("payer-a", 10_000)
    record = await books.serve(shared_attempt(cost=1_000))
    call = books.store.aws.call_json

    async def dies(service: str, target: str, body: Any, **options: Any) -> Any:
        if target.endswith("TransactWriteItems"):
            raise AwsError(service, "InternalServerError", "killed", 500, {})
        return await call(service, target, body, **options)

    books.store.aws.call_json = dies  # type: ignore[method-assign]
    assert await count_batch(books.settlement, await books.stream(), AT) != []
    books.store.aws.call_json = call  # type: ignore[method-assign]
    assert (await books.records.rewards("donor-a")).rewards == ()
    await books.settlement.attempts("payer-a", [record], now=NOW)
    # Here billing dies: the reward is earned and not given, until the stream brings it.
    (earned,) = (await books.records.rewards("donor-a")).rewards
    assert (earned.amount_nanousd, earned.billed_at, await books.available("donor-a")) == (50, None, 0)
    await books.bill()
    assert await books.available("donor-a") == 50


class Killed(BaseException):
    """Billing is gone, and nobody catches that."""


@pytest.mark.parametrize("done", [False, True], ids=["before the call", "after it"])
@pytest.mark.parametrize("at", range(8))
async def test_billing_that_is_killed_at_any_call(books: Deployment, at: int, done: bool) -> None:
    """Two attempts of two payers for two owners: whichever call is the last, all of it is counted once in the end."""
    for payer, donor in (("payer-a", "donor-a"), ("payer-b", "donor-b")):
        await books.grant(payer, 10_000)
        await books.serve(shared_attempt(payer, donor, cost=1_000))
    call, calls = books.store.aws.call_json, count()

    async def streamed() -> list[dict[str, Any]]:
        """Reading the stream is not billing's."""
        books.store.aws.call_json = call  # type: ignore[method-assign]
        batch = await books.stream()
        books.store.aws.call_json = dies  # type: ignore[method-assign]
        return batch

    async def dies(service: str, target: str, body: Any, **options: Any) -> Any:
        last = next(calls) == at
        answer = None if last and not done else await call(service, target, body, **options)
        if last:
            raise Killed
        return answer

    with suppress(Killed):
        for _ in range(2):
            batch = await streamed()
            await count_batch(books.settlement, batch, AT)
    books.store.aws.call_json = call  # type: ignore[method-assign]
    await books.bill(functions=2)
    for payer, donor in (("payer-a", "donor-a"), ("payer-b", "donor-b")):
        assert (await books.available(payer), await books.available(donor)) == (8_950, 50)
        assert await verified(books, payer) == await verified(books, donor) == []


async def test_a_batch_of_a_hundred_shared_attempts_fits_its_transactions(books: Deployment) -> None:
    await books.grant("payer-a", 10**9)
    served = [await books.serve(shared_attempt(cost=1_000 + n)) for n in range(100)]
    assert await books.settlement.attempts("payer-a", served, now=NOW) == 100
    await books.bill()
    assert sum(await books.rewards()) == sum(donation().reward(1_000 + n) for n in range(100))


@pytest.mark.parametrize("seed", range(12))
def test_many_payers_and_donors_at_once(seed: int) -> None:
    """Calls interleave as the seed decides, answers are lost and asked for again, the stream brings all of it anew."""
    books = Deployment(seed, repeated=0.1)

    async def spend(payer: str) -> list[AttemptRecord]:
        made = []
        for _ in range(6):
            donor, cost = books.chance.choice(DONORS), books.chance.randint(0, 5_000)
            record = shared_attempt(payer, donor, cost=cost, hold=max(cost * 21 // 20, 1))
            if books.chance.random() < 0.3:
                record = replace(record, start=replace(record.start, donation=None))
            made.append(await books.serve(record))
        return made

    async def live() -> list[AttemptRecord]:
        for payer in PAYERS:
            await books.grant(payer, 10**6)
        served = await asyncio.gather(*map(spend, PAYERS), books.bill(functions=2))
        await books.bill(functions=3)
        return [record for each in served if each for record in each]

    async def check(served: list[AttemptRecord]) -> None:
        earned: Counter[str] = Counter()
        taken: Counter[str] = Counter()
        for record in served:
            assert record.end is not None
            taken[record.start.request.account_id] += record.end.charge_nanousd
            if each := record.start.donation:
                earned[each.account_id] += each.reward(record.end.cost_nanousd)
        for donor in DONORS:
            assert await books.available(donor) == sum(await books.rewards(donor)) == earned[donor]
        for payer in PAYERS:
            assert await books.available(payer) == 10**6 - taken[payer]
        assert [await books.wrong(each) for each in (*DONORS, *PAYERS)] == [[]] * 5
        assert [await verified(books, each) for each in (*DONORS, *PAYERS)] == [[]] * 5

    async def all_of_it() -> None:
        await check(await live())

    try:
        asyncio.run(all_of_it())
    finally:
        books.store.drop()


# ── recomputed


async def verified(books: Deployment, account_id: str) -> list[str]:
    names = Names(*map(books.store.table, ("records", "credits", "ledger", "rollups", "counters")))
    found = await differences(books.db, names, account_id, first=AT.date(), last=AT.date(), now=AT)
    assert account_id.startswith("donor") or "donor" not in str(found)
    return [f"{each.kind} {each.what} {each.says} {each.should_say}" for each in found]


async def test_a_verification_recomputes_them_from_both_sides(books: Deployment) -> None:
    await books.grant("payer-a", 10_000)
    served = await books.serve(shared_attempt(cost=1_000))
    await books.serve(shared_attempt(cost=0, charge=0, hold=10))
    await books.bill()
    assert await verified(books, "payer-a") == await verified(books, "donor-a") == []

    donation = served.start.donation
    assert donation is not None
    at = Key(books.store.table("records"), keys.rewards("donor-a"), donation.reward_id)
    await books.db.write(Update(at, "SET amount_nanousd = :more", values={":more": 51}))
    assert await verified(books, "payer-a") == ["record reward_nanousd 51 50"]
    assert await verified(books, "donor-a") == ["posting amount_nanousd 50 51"]
    await books.db.write(Delete(at))
    assert await verified(books, "payer-a") == ["record reward_nanousd None 50"]
    assert await verified(books, "donor-a") == ["posting amount_nanousd 50 None"]


async def test_a_reward_that_is_counted_and_not_posted_is_named(books: Deployment) -> None:
    await books.grant("payer-a", 10_000)
    await books.serve(shared_attempt(cost=1_000))
    await books.bill()
    (posting,) = await books.db.query_all(books.store.table("ledger"), keys.ledger("donor-a"))
    await books.db.write(Delete(Key(books.store.table("ledger"), posting["pk"], posting["sk"])))
    assert "posting amount_nanousd None 50" in await verified(books, "donor-a")


async def test_one_that_is_earned_and_not_counted_yet_is_no_difference(books: Deployment) -> None:
    await books.grant("payer-a", 10_000)
    record = await books.serve(shared_attempt(cost=1_000))
    await books.settlement.attempts("payer-a", [record], now=NOW)
    assert await verified(books, "payer-a") == await verified(books, "donor-a") == []
