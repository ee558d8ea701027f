"""A verification names what is wrong, all of it, and nothing else, whatever goes on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.limits import Limit, Measure, Window, Worst, claims
from ownkey.ledger.counters import Counters, reservation_of
from ownkey.ledger.differences import Difference, Kind
from ownkey.ledger.recount import Period
from ownkey.ledger.verify import Verifier
from ownkey.store import keys
from ownkey.store.dynamodb import Delete, Item, Key, Put, Update
from tests.support.attempts import AT, attempt
from tests.support.limits import limit
from tests.support.spending import Account

TOKENS = limit(id="lim_tokens", amount=10**9, window=Window.DAY, measure=Measure.TOKENS)
REQUESTS = limit(id="lim_requests", amount=10**6, window=Window.MINUTE)
SPEND = limit(id="lim_spend", amount=10**12, window=Window.TOTAL, measure=Measure.SPEND)
SOFT = limit(id="lim_soft", amount=10, window=Window.MONTH, hard=False)
WORST = Worst(tokens=500, cost_nanousd=5_000, charge_nanousd=5_250)


class Books(Account):
    """An account with limits, and a hand that reaches into its tables."""

    def limited(self, *limits: Limit, charge: int = 0, **given: Any) -> AttemptRecord:
        record = attempt(charge=charge, at=self.at, **given)
        return replace(record, start=replace(record.start, claims=claims(limits, byok=not charge, worst=WORST, at=AT)))

    async def use(self, record: AttemptRecord, *, dies: bool = False) -> None:
        """One on an own key."""
        wanted = reservation_of(record.start)
        if wanted is not None:
            await Counters(self.db, self.tables.counters).reserve(wanted)
        if dies:
            return
        await self.records.start(record.start)
        assert record.end is not None
        await self.records.end(record.start, record.end)

    async def change(self, table: str, pk: str, sk: str, **values: int | None) -> None:
        """What nobody should do."""
        at = Key(self.store.table(table), pk, sk)
        for name, value in values.items():
            if value is None:
                await self.db.write(Update(at, "REMOVE #n", names={"#n": name}))
            else:
                await self.db.write(Update(at, "SET #n = :v", names={"#n": name}, values={":v": value}))

    async def only(self, table: str, pk: str) -> Item:
        (item,) = await self.db.query_all(self.store.table(table), pk)
        return item

    async def said(self, **period: Any) -> list[tuple[Kind, str, int | None, int | None]]:
        """Kind, attribute, what it says, what it should."""
        return [(each.kind, each.what, each.says, each.should_say) for each in await self.differences(**period)]

    async def differences(self, *, now_after: timedelta = timedelta()) -> tuple[Difference, ...]:
        period = Period(AT.date() - timedelta(days=30), self.at.date(), whole=True)
        report = await Verifier(self.db, self.tables).account("acme", period, self.at + now_after)
        return report.differences


@pytest.fixture
def books() -> Iterator[Books]:
    made = Books(7)
    yield made
    made.store.drop()


@pytest.fixture
async def full(books: Books) -> Books:
    """Books with some of everything, all right."""
    await books.deposit(100_000)
    for hold, charge, dies in ((4_000, 1_050, ""), (4_000, 0, ""), (900, 2_100, ""), (500, 300, "before its intent")):
        await books.spend(books.attempt(hold, charge, 3), dies)
    await books.spend(books.attempt(700, 0, 1), "wakes")
    for _ in range(3):
        await books.use(books.limited(TOKENS, REQUESTS, SPEND, SOFT, request={"user": "ann", "tags": ("a", "b")}))
    await books.use(books.limited(TOKENS, REQUESTS), dies=True)
    books.at += timedelta(seconds=931)
    await books.holds.reclaim("acme")
    await books.wake()
    await books.bill()
    await books.spend(books.attempt(600, 300, 1), "before its end")
    assert await books.differences() == ()
    return books


async def test_an_account_without_anything_has_no_differences(books: Books) -> None:
    assert await books.differences() == ()


async def test_what_is_under_way_or_not_counted_yet_is_no_difference(full: Books) -> None:
    for dies in ("", "before its intent", "before its end"):
        await full.spend(full.attempt(100, 50, 2), dies)
    await full.use(full.limited(TOKENS, REQUESTS, SPEND, SOFT))
    assert await full.differences() == ()


DAY, MONTH = AT.date().isoformat(), AT.date().isoformat()[:7]


async def test_a_row_of_usage_says_what_its_records_say(full: Books) -> None:
    pk = keys.rollup("acme", "model")
    await full.change("rollups", pk, f"D#{DAY}#openai/gpt-4o-mini", charge_nanousd=7)
    await full.change("rollups", keys.rollup("acme", "user"), f"M#{MONTH}#ann", attempts=None)
    await full.change("rollups", keys.rollup("acme", "tag"), f"D#{DAY}#c", attempts=1)
    await full.change("rollups", keys.rollup("acme", "source"), f"H#{DAY}T09#byok", input=31)
    found = await full.differences()
    assert {(each.item, each.what, each.says, each.should_say) for each in found} == {
        (f"ROLLUP#acme#model D#{DAY}#openai/gpt-4o-mini", "charge_nanousd", 7, 3_150),
        (f"ROLLUP#acme#user M#{MONTH}#ann", "attempts", 0, 3),
        (f"ROLLUP#acme#tag D#{DAY}#c", "attempts", 1, 0),
        (f"ROLLUP#acme#source H#{DAY}T09#byok", "input", 31, 30),
    }
    assert {each.kind for each in found} == {Kind.AGGREGATE}


async def test_a_months_movements_and_the_balance_are_the_ledgers(full: Books) -> None:
    await full.change("rollups", keys.rollup("acme", "movement"), f"M#{MONTH}", deposit_available_nanousd=99_000)
    assert await full.said() == [
        (Kind.MOVEMENTS, "deposit_available_nanousd", 99_000, 100_000),
        (Kind.BALANCE, "total", 96_850, 95_850),
    ]


async def test_credits_out_of_nowhere_are_named(full: Books) -> None:
    item = (await full.balances.balance("acme")).available_nanousd
    row = await full.db.get(Key(full.tables.credits, "CREDITS#acme", "BALANCE"))
    assert row is not None
    assert item >= row["available_nanousd"] > 0
    await full.change("credits", "CREDITS#acme", "BALANCE", available_nanousd=row["available_nanousd"] + 1)
    assert await full.said() == [(Kind.BALANCE, "total", 96_851, 96_850)]
    await full.change("credits", "CREDITS#acme", "BALANCE", available_nanousd=-1)
    assert (Kind.BALANCE, "available_nanousd", -1, 0) in await full.said()


async def test_held_is_what_is_open_and_what_is_open_belongs_to_what_is_under_way(full: Books) -> None:
    (hold,) = [row for row in await full.db.query_all(full.tables.credits, "CREDITS#acme") if row["sk"] != keys.BALANCE]
    await full.change("credits", hold["pk"], hold["sk"], amount_nanousd=700)
    assert await full.said() == [
        (Kind.BALANCE, "held_nanousd", 600, 700),
        (Kind.HOLD, "amount_nanousd", 700, 600),
    ]
    await full.db.write(Delete(Key(full.tables.credits, hold["pk"], hold["sk"])))
    assert await full.said() == [
        (Kind.BALANCE, "held_nanousd", 600, 0),
        (Kind.HOLD, "amount_nanousd", None, 600),
    ]


async def test_a_hold_of_a_counted_attempt_is_named(full: Books) -> None:
    counted = next(each for each in await full.attempts() if each.billed_at and each.start.hold_nanousd == 4_000)
    stray = {"amount_nanousd": 5, "expires_at_s": 0}
    await full.db.write(Put(Key(full.tables.credits, "CREDITS#acme", keys.hold(counted.start.attempt_id)), stray))
    assert (Kind.HOLD, "amount_nanousd", 5, 0) in await full.said()


async def test_each_record_that_moved_something_has_its_posting_and_it_alone(full: Books) -> None:
    ledger = full.tables.ledger
    rows = {row["cause"] + str(len(row["movements"])): row for row in await full.db.query_all(ledger, "LEDGER#acme")}
    gone, doubled, changed, paid = rows["attempt4"], rows["attempt2"], rows["attempt3"], rows["deposit1"]
    await full.db.write(Delete(Key(ledger, gone["pk"], gone["sk"])))
    await full.db.write(Put(Key(ledger, doubled["pk"], f"{doubled['sk']}x"), doubled))
    twice = f"{AT.date()}T23:00:00Z#attempt#{changed['cause_id']}"
    await full.db.write(Put(Key(ledger, changed["pk"], twice), changed | {"at": f"{AT.date()}T23:00:00Z"}))
    movements = [{**changed["movements"][0], "available_nanousd": -5}, *changed["movements"][1:]]
    await full.db.write(Put(Key(ledger, changed["pk"], changed["sk"]), changed | {"movements": movements}))
    await full.db.write(Delete(Key(full.tables.records, "DEP#acme", paid["cause_id"])))
    found = {each.item.partition(" ")[2]: each.why for each in await full.differences() if each.kind is Kind.POSTING}
    assert found.keys() == {gone["sk"], f"{doubled['sk']}x", twice, changed["sk"], paid["sk"]}
    assert "does not have" in found[gone["sk"]]
    assert "twice" in found[twice]
    assert found[paid["sk"]] == "it has no record"
    assert found[changed["sk"]] == "its movements are not what its record says"


async def test_counters_of_limits_are_what_records_used_and_what_stands_reserved(full: Books) -> None:
    await full.change("counters", "CNT#acme#lim_tokens", f"day#{DAY}", used=1)
    await full.change("counters", "CNT#acme#lim_spend", "total#", committed=9)
    await full.change("counters", "CNT#acme#lim_soft", f"month#{MONTH}", used=9)
    await full.change("counters", "CNT#acme#lim_requests", f"minute#{DAY}T09:30", used=4)
    assert set(await full.said()) == {
        (Kind.COUNTER, "used", 1, 90),
        (Kind.COUNTER, "committed", 590, 501),
        (Kind.COUNTER, "committed", 9, 3_000),
        (Kind.COUNTER, "used", 9, 3),
        (Kind.COUNTER, "committed", 3, 9),
        (Kind.COUNTER, "used", 4, 3),
        (Kind.COUNTER, "committed", 4, 5),
    }


async def test_what_nobody_counts_or_ends_is_named_when_it_is_overdue(full: Books) -> None:
    await full.use(attempt(at=full.at))
    assert await full.differences(now_after=timedelta(minutes=59)) == ()
    found = await full.differences(now_after=timedelta(hours=3))
    assert {(each.kind, each.why.partition(",")[0]) for each in found} == {
        (Kind.RECORD, "its function is over"),
        (Kind.RECORD, "it ended"),
    }
    await full.spend(full.attempt(10, 10, 1), "before its intent")
    assert len(await full.differences(now_after=timedelta(hours=3))) == 3


async def test_a_record_that_nobody_can_read_is_named(full: Books) -> None:
    at = Key(full.tables.records, keys.attempts("acme", DAY), "req_x#00")
    await full.db.write(Put(at, {"record_schema": 99}))
    (found,) = await full.differences()
    assert (found.kind, found.item) == (Kind.RECORD, f"ATT#acme#{DAY} req_x#00")


async def test_a_difference_is_one_line_for_a_person(full: Books) -> None:
    await full.change("rollups", keys.rollup("acme", "user"), f"D#{DAY}#ann", attempts=2)
    (found,) = await full.differences()
    assert str(found) == (
        f"aggregate: ROLLUP#acme#user D#{DAY}#ann attempts says 2, should say 3: "
        "what records add was not added, or was taken away by something else than billing"
    )


# ── Some days of it


async def in_days(books: Books, first: date, last: date, born: date | None = None) -> list[str]:
    report = await Verifier(books.db, books.tables).account("acme", Period(first, last), books.at, born=born)
    return [f"{each.item.partition('#')[2]} {each.what} {each.says} {each.should_say}" for each in report.differences]


async def test_a_day_is_verified_by_itself_and_its_month_by_its_days(full: Books) -> None:
    today = AT.date()
    assert await in_days(full, today, today) == []
    await full.change("rollups", keys.rollup("acme", "user"), f"M#{MONTH}#ann", attempts=9)
    assert await in_days(full, today, today) == [f"acme#user M#{MONTH}#ann attempts 9 3"]
    await full.change("rollups", keys.rollup("acme", "user"), f"D#{DAY}#ann", attempts=9)
    assert await in_days(full, today, today) == [f"acme#user D#{DAY}#ann attempts 9 3"], "its days come first"
    yesterday = today - timedelta(days=1)
    assert await in_days(full, yesterday, yesterday) == [], "nothing is wrong between days and month"
    await full.change("rollups", keys.rollup("acme", "movement"), f"M#{MONTH}", deposit_count=9)
    whole_month = (date(2026, 11, 1), date(2026, 11, 30))
    assert f"acme#movement M#{MONTH} deposit_count 9 1" in await in_days(full, *whole_month)


async def test_what_was_billed_in_a_later_month_is_found_where_it_counts(books: Books) -> None:
    await books.deposit(5_000)
    ended = AT - timedelta(days=25)
    books.at = ended
    paid, own = books.attempt(400, 300, 1), books.limited(request={"user": "ann"})
    await books.spend(paid)
    await books.use(own)
    books.at = AT
    await books.settlement.attempts("acme", [paid, own], now=AT.isoformat())
    assert await books.differences() == ()
    today = AT.date()
    assert await in_days(books, today, today, born=ended.date()) == []
    assert await in_days(books, ended.date(), ended.date()) == []
    await books.change("rollups", keys.rollup("acme", "user"), f"D#{DAY}#ann", late_attempts=0)
    assert await in_days(books, today, today, born=ended.date()) == [f"acme#user D#{DAY}#ann late_attempts 0 1"]


async def test_counters_that_time_may_have_deleted_are_not_missed(full: Books) -> None:
    for limit_id in ("lim_requests", "lim_tokens"):
        for row in await full.db.query_all(full.tables.counters, keys.counters("acme", limit_id)):
            await full.db.write(Delete(Key(full.tables.counters, row["pk"], row["sk"])))
    assert {each.kind for each in await full.differences()} == {Kind.COUNTER}
    assert {each.kind for each in await full.differences(now_after=timedelta(days=4))} == {Kind.RECORD}


# ── Beside traffic


def busy(seed: int) -> tuple[Books, list[Callable[[], Any]]]:
    """An account, and everything that may go on in it."""
    books = Books(seed, repeated=0.05)
    chance = books.chance
    limits = (TOKENS, REQUESTS, SPEND, SOFT)
    fates = ["", "", "", "before its intent", "before its end", "wakes"]

    async def sweep() -> None:
        later = books.at + timedelta(seconds=chance.choice((1, 400, 931)))
        books.at = min(later, AT + timedelta(minutes=50))  # nothing is overdue: whole upkeep is not at work here
        await books.holds.reclaim("acme")

    return books, [
        lambda: books.spend(books.attempt(chance.randint(1, 900), chance.randint(0, 999), 4), chance.choice(fates)),
        lambda: books.use(books.limited(*limits, cost=chance.randint(0, 99)), dies=chance.random() < 0.2),
        lambda: books.use(books.limited(*limits, outcome=Outcome.FAILED)),
        books.bill,
        books.wake,
        sweep,
        lambda: books.deposit(chance.randint(1, 5_000)),
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_traffic_under_way_is_never_a_difference(seed: int) -> None:
    books, work = busy(seed)
    await books.deposit(50_000)
    looks = [books.differences() for _ in range(4)]
    others = [books.chance.choice(work)() for _ in range(40)]
    found = await asyncio.gather(*looks, *others)
    assert found[:4] == [()] * 4
    await books.holds.reclaim("acme")
    await books.bill()
    assert await books.differences() == ()
    books.store.drop()


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_wrong_is_named_as_soon_as_nothing_moves_and_never_anything_else(seed: int) -> None:
    books, work = busy(100 + seed)
    await books.deposit(50_000)
    await books.use(books.limited(TOKENS, request={"user": "ann"}))
    await books.bill()
    await books.change("rollups", keys.rollup("acme", "user"), f"M#{MONTH}#ann", attempts=9)
    others = [books.chance.choice(work)() for _ in range(30)]
    found, *_ = await asyncio.gather(books.differences(), *others)
    assert [each.says for each in found] == [9]
    books.store.drop()


_ORDERS = 400


@pytest.mark.proof
@pytest.mark.timeout(3600)
async def test_traffic_in_hundreds_of_orders_is_never_a_difference(record_property: Callable[[str, Any], None]) -> None:
    """Verification beside traffic, six looks at once: nothing is named that only has not come to its end yet."""
    record_property("orders", _ORDERS)
    for seed in range(10_000, 10_000 + _ORDERS):
        books, work = busy(seed)
        await books.deposit(50_000)
        looks = [books.differences() for _ in range(4)]
        days = [in_days(books, AT.date(), AT.date()) for _ in range(2)]
        others = [books.chance.choice(work)() for _ in range(60)]
        found = await asyncio.gather(*looks, *days, *others)
        assert [each for look in found[:6] for each in look] == [], f"seed {seed}"
        await books.holds.reclaim("acme")
        await books.bill()
        assert await books.differences() == (), f"seed {seed}"
        books.store.drop()
