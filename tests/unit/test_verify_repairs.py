"""What is wrong is put right from what is right: projections are rebuilt, credits corrected by a posting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ownkey.catalog import Catalog
from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.ledger import Balance, DepositKind
from ownkey.domain.money import with_margin
from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage
from ownkey.ledger.differences import Kind
from ownkey.ledger.pricing import price
from ownkey.ledger.rebuild import ACTION, Rebuilder, Rebuilt, to_event
from ownkey.ledger.records import Deposit
from ownkey.ledger.recount import Period
from ownkey.ledger.repricing import Repricing, priced_by, wrong_prices
from ownkey.ledger.rereading import Reader
from ownkey.ledger.stream import count_batch
from ownkey.ledger.verify import Report, Verifier
from ownkey.registry.audit import AuditFilter, AuditTrail
from ownkey.store import keys
from ownkey.store.dynamodb import Key, encode_item
from tests.support.attempts import AT, attempt
from tests.support.spending import Account
from tests.unit.test_verify import MONTH, SOFT, SPEND, TOKENS, Books

CATALOG = Catalog.load()
DAY = AT.date().isoformat()


class Repaired(Books):
    """Books with billing's part in a repair."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.trail = AuditTrail(self.db, self.store.table("audit"))
        self.rebuilder = Rebuilder(self.db, self.tables, self.trail)

    async def report(self, catalog: Catalog | None = None) -> Report:
        period = Period(AT.date() - timedelta(days=30), self.at.date(), whole=True)
        return await Verifier(self.db, self.tables, catalog).account("acme", period, self.at)

    async def rebuild(self, report: Report) -> Rebuilt:
        """By way of the event, as it is sent to billing."""
        rows = [row for row in report.rows if row.still]
        event = json.loads(json.dumps(to_event("acme", "ops", rows)))
        return await self.rebuilder.run(event["rebuild"], AT)

    async def correct(self, correction: Deposit) -> None:
        """Asked for, and brought by the stream, twice."""
        await self.records.request_deposit(correction)
        rows = await self.db.query_all(self.tables.records, keys.deposits("acme"))
        batch = [{"dynamodb": {"SequenceNumber": row["sk"], "NewImage": encode_item(row)}} for row in rows]
        for _ in range(2):
            assert await count_batch(self.settlement, batch, AT) == []


@pytest.fixture
def books() -> Iterator[Repaired]:
    made = Repaired(7)
    yield made
    made.store.drop()


@pytest.fixture
async def full(books: Repaired) -> Repaired:
    await books.deposit(100_000)
    for hold, charge in ((4_000, 1_050), (900, 2_100), (300, 0)):
        await books.spend(books.attempt(hold, charge, 3))
    for _ in range(3):
        await books.use(books.limited(TOKENS, SPEND, SOFT, request={"user": "ann", "tags": ("a", "b")}))
    await books.bill()
    assert (await books.report()).differences == ()
    return books


# ── Projections


async def test_rows_are_rebuilt_once_and_then_are_right(full: Repaired) -> None:
    await full.change("rollups", keys.rollup("acme", "model"), f"D#{DAY}#openai/gpt-4o-mini", charge_nanousd=7, late=1)
    await full.change("rollups", keys.rollup("acme", "movement"), f"M#{MONTH}", margin_count=None, hold_count=9)
    await full.change("rollups", keys.rollup("acme", "tag"), f"M#{MONTH}#c", attempts=1)
    await full.change("counters", "CNT#acme#lim_tokens", f"day#{DAY}", used=1, committed=2)
    report = await full.report()
    assert len(report.rows) == 4
    assert await full.rebuild(report) == Rebuilt(4, ())
    assert (await full.report()).differences == ()
    again = await full.rebuild(report)
    assert (again.rebuilt, len(again.changed)) == (0, 4), "they are not what was read any more"
    assert (await full.report()).differences == ()
    (entry,) = (await full.trail.page("acme", AuditFilter(action=ACTION))).entries
    assert (entry.actor_id, entry.facts) == ("ops", {"rows": 4, "changed": 0})


async def test_all_rows_can_be_rebuilt_from_nothing(full: Repaired) -> None:
    for dimension in ("source", "model", "user", "tag", "gateway_key", "credential", "movement"):
        for row in await full.db.query_all(full.tables.rollups, keys.rollup("acme", dimension)):
            names = [name for name, value in row.items() if isinstance(value, int)]
            await full.change("rollups", row["pk"], row["sk"], **dict.fromkeys(names))
    report = await full.report()
    assert len(report.rows) > 10
    assert (await full.rebuild(report)).changed == ()
    assert (await full.report()).differences == ()


async def test_what_billing_adds_meanwhile_is_not_lost(full: Repaired) -> None:
    await full.change("rollups", keys.rollup("acme", "user"), f"D#{DAY}#ann", attempts=9)
    report = await full.report()
    await full.use(full.limited(request={"user": "ann"}))
    await full.bill()
    assert (await full.rebuild(report)).changed == (f"ROLLUP#acme#user D#{DAY}#ann",)
    (row,) = (await full.report()).rows
    assert (row.stored["attempts"], row.expected["attempts"]) == (10, 4)
    assert (await full.rebuild(await full.report())).rebuilt == 1
    assert (await full.report()).differences == ()


@pytest.mark.parametrize("seed", range(4))
async def test_rebuilding_beside_traffic_ends_in_books_that_agree(seed: int) -> None:
    books = Repaired(200 + seed)
    await books.deposit(50_000)
    await books.use(books.limited(TOKENS, SPEND, request={"user": "ann"}))
    await books.bill()
    await books.change("rollups", keys.rollup("acme", "user"), f"M#{MONTH}#ann", attempts=9)
    await books.change("counters", "CNT#acme#lim_spend", "total#", used=9)

    async def repair() -> None:
        for _ in range(3):
            await books.rebuild(await books.report())

    work = [books.use(books.limited(TOKENS, SPEND, request={"user": "ann"})) for _ in range(12)]
    await asyncio.gather(repair(), repair(), *work, books.bill(), books.bill())
    await books.bill()
    await books.rebuild(await books.report())
    assert (await books.report()).differences == ()
    books.store.drop()


@pytest.mark.parametrize(
    "wrong",
    [
        {"pk": "ROLLUP#other#model"},
        {"kind": "balance", "pk": "CREDITS#acme", "sk": "BALANCE"},
        {"kind": "posting", "pk": "LEDGER#acme"},
        {"kind": "counter", "pk": "ROLLUP#acme#model"},
    ],
)
async def test_billing_rebuilds_nothing_but_the_accounts_projections(full: Repaired, wrong: dict[str, Any]) -> None:
    row = {"kind": "aggregate", "pk": "ROLLUP#acme#model", "sk": "x", "stored": {}, "expected": {}, "last_at": ""}
    with pytest.raises(ValueError):
        await full.rebuilder.run({"account": "acme", "by": "x", "rows": [row | wrong]}, AT)


# ── Corrections


def correction(amount: int, name: str = "dep_2", **given: Any) -> Deposit:
    at = f"{DAY}T10:00:00Z"
    return Deposit("acme", name, amount, "ops", at, "a mistake", kind=DepositKind.CORRECTION, **given)


async def test_corrections_are_verified_what_is_refused_and_what_is_cut_too(full: Repaired) -> None:
    available = (await full.balances.balance("acme")).available_nanousd
    await full.correct(correction(500))
    await full.correct(correction(-available - 501, "dep_3"))
    await full.correct(correction(-available - 501, "dep_4", partial=True))
    assert await full.balances.balance("acme") == Balance(0, 0)
    assert (await full.report()).differences == ()


async def test_a_wrong_balance_is_not_written_over_but_posted(full: Repaired) -> None:
    available = (await full.balances.balance("acme")).available_nanousd
    row = await full.db.get(Key(full.tables.credits, "CREDITS#acme", "BALANCE"))
    assert row is not None
    await full.change("credits", "CREDITS#acme", "BALANCE", available_nanousd=row["available_nanousd"] + 7)
    gap = (await full.report()).balance_gap
    assert gap == (available + 7, available)
    await full.correct(correction(gap[0] - gap[1], standing=True))
    assert (await full.balances.balance("acme")).available_nanousd == available + 7
    assert (await full.report()).differences == ()
    await full.correct(correction(-7, "dep_3"))
    assert (await full.balances.balance("acme")).available_nanousd == available
    assert (await full.report()).differences == ()


# ── Prices

USAGE = Usage(input=1_000, cache_read=500, output=100)


def priced(source: CredentialSource = CredentialSource.PLATFORM, **given: Any) -> AttemptRecord:
    """An attempt as inference prices it."""
    model = CATALOG.model("openai", "gpt-4o-mini")
    assert model is not None
    assert model.prices is not None
    terms = given.pop("terms", STANDARD_TERMS)
    cost = price(USAGE, model.prices, terms=terms, at=AT).total_nanousd
    platform = source is CredentialSource.PLATFORM
    margin = Decimal(5)
    made = attempt(
        cost=cost,
        charge=with_margin(cost, margin) if platform else 0,
        usage=USAGE,
        hold=10 * cost if platform else 0,
        price_version=CATALOG.version,
        margin_percent=margin if platform else None,
        **given,
    )
    assert made.end is not None
    return replace(made, end=replace(made.end, terms=terms))


def changed(record: AttemptRecord, **end: Any) -> AttemptRecord:
    assert record.end is not None
    return replace(record, end=replace(record.end, **end))


@pytest.mark.parametrize("source", CredentialSource)
@pytest.mark.parametrize("terms", [STANDARD_TERMS, Terms("batch"), Terms(uplifts=("region:eu",))])
def test_a_record_says_what_its_price_list_comes_to(source: CredentialSource, terms: Terms) -> None:
    record = priced(source, terms=terms)
    assert wrong_prices(CATALOG, record) == []
    assert record.end is not None
    (found,) = wrong_prices(CATALOG, changed(record, cost_nanousd=record.end.cost_nanousd + 1))
    assert (found.kind, found.what, found.says) == (Kind.PRICE, "cost_nanousd", record.end.cost_nanousd + 1)
    (found,) = wrong_prices(CATALOG, changed(record, charge_nanousd=record.end.charge_nanousd + 1))
    assert (found.what, found.should_say) == ("charge_nanousd", record.end.charge_nanousd)


def test_what_cannot_be_known_is_not_judged_and_what_can_is() -> None:
    record = priced()
    wrong = changed(record, cost_nanousd=1)
    older = replace(wrong, start=replace(wrong.start, price_version="2025-01-01.x"))
    assert wrong_prices(CATALOG, older) == []
    assert wrong_prices(CATALOG, changed(wrong, terms=None)) == []
    own = replace(wrong, start=replace(wrong.start, price_version=f"{CATALOG.version}+cred_1@abc"))
    assert wrong_prices(CATALOG, own) == [], "the platform charges by the published list, and that is right"
    assert [each.what for each in wrong_prices(CATALOG, changed(own, charge_nanousd=1))] == ["charge_nanousd"]
    unpriced = replace(wrong, start=replace(wrong.start, price_version=None))
    assert [each.should_say for each in wrong_prices(CATALOG, unpriced)] == [0]
    unused = changed(record, usage=Usage())
    assert [each.should_say for each in wrong_prices(CATALOG, unused)] == [0, 0]
    dead = changed(record, outcome=Outcome.ABANDONED, terms=None)
    assert [each.should_say for each in wrong_prices(CATALOG, dead)] == [500, 525]
    assert priced_by(CATALOG, replace(record, start=replace(record.start, provider_id="nobody"))) is None


async def test_terms_and_margin_stand_in_the_record_and_are_verified(full: Repaired) -> None:
    record = priced(terms=Terms("flex", ("speed:fast",), "low"))
    await full.deposit(10**9)
    await full.spend(record)
    await full.bill()
    stored = next(each for each in await full.attempts() if each.start.attempt_id == record.start.attempt_id)
    assert stored.end is not None
    assert (stored.end.terms, stored.start.margin_percent) == (Terms("flex", ("speed:fast",), "low"), Decimal(5))
    wrong = replace(priced(), start=replace(priced().start, margin_percent=Decimal(4)))
    await full.spend(wrong)
    await full.bill()
    found = (await full.report(CATALOG)).differences
    assert [(each.kind, each.what) for each in found] == [(Kind.PRICE, "charge_nanousd")]


# ── Another catalog


def cheaper(version: str = "other", factor: Decimal = Decimal("0.5")) -> Catalog:
    row = {"prices": {"": {"input": str(Decimal("0.15") * factor), "output": str(Decimal("0.6") * factor)}}}
    rows = {"version": version, "as_of": DAY, "models": {"openai": {"gpt-4o-mini": {"mode": "chat", **row}}}}
    return Catalog(CATALOG.providers, rows)


async def repriced(books: Account, catalog: Catalog) -> list[Deposit]:
    reader = Reader(books.db, books.tables.records, "acme")
    rows = await books.db.query_all(books.tables.ledger, keys.ledger("acme"))
    overruns = {row["cause_id"]: row["overrun_nanousd"] for row in rows if row["overrun_nanousd"]}
    repricing = Repricing(catalog, overruns)
    async for attempts in reader.attempts(AT.date()):
        repricing.add(attempts)
    at = datetime.now(AT.tzinfo).isoformat()
    return repricing.corrections("acme", await reader.deposits(), requested_by="ops", requested_at=at)


async def test_another_catalog_corrects_what_was_charged_once(books: Repaired) -> None:
    await books.deposit(10**9)
    record = priced()
    await books.spend(record)
    await books.use(priced(CredentialSource.BYOK))
    own = priced()
    await books.spend(replace(own, start=replace(own.start, price_version=f"{CATALOG.version}+cred_1@abc")))
    await books.bill()
    before = (await books.balances.balance("acme")).available_nanousd
    assert record.end is not None
    new = priced_by(cheaper(), record)
    assert new is not None
    assert new.charge_nanousd is not None
    back = record.end.charge_nanousd - new.charge_nanousd
    (made,) = await repriced(books, cheaper())
    assert (made.amount_nanousd, made.about) == (back, f"reprice {DAY} openai/gpt-4o-mini")
    await books.correct(made)
    assert (await books.balances.balance("acme")).available_nanousd == before + back
    assert await repriced(books, cheaper()) == [], "it is corrected"
    dearer = await repriced(books, cheaper("third", Decimal(1)))
    for each in dearer:
        await books.correct(each)
    (home,) = await repriced(books, CATALOG)
    await books.correct(home)
    assert (await books.balances.balance("acme")).available_nanousd == before, "and back again"
    assert (await books.report()).differences == ()


async def test_what_was_never_taken_is_not_given_back(books: Repaired) -> None:
    record = priced()
    assert record.end is not None
    taken = record.end.charge_nanousd // 4
    await books.deposit(taken)
    await books.spend(replace(record, start=replace(record.start, hold_nanousd=taken)))
    await books.bill()
    assert await repriced(books, cheaper()) == [], "half of the price is more than a quarter of it"
    (made,) = await repriced(books, cheaper("gift", Decimal(0)))
    assert made.amount_nanousd == taken
