"""`/api/statements`: a month's credits and use, which agree with the balance, with the usage, and with themselves."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.ledger import Cause, Hold, Movement, MovementKind, posting
from ownkey.ledger import movements
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Release
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from tests.support.attempts import attempt
from tests.support.aws import Tables
from tests.support.management import Management, management

OCTOBER, NOVEMBER = datetime(2026, 10, 10, 12, tzinfo=UTC), datetime(2026, 11, 10, 12, tzinfo=UTC)
USD = 10**9


class Books:
    """Billing, beside the API that shows what it wrote."""

    def __init__(self, api: Management) -> None:
        self.api, tables = api, api.tables
        self.settlement = Settlement(
            tables.db, Names(tables.records, tables.credits, tables.ledger, tables.rollups, tables.counters)
        )
        self.holds = Holds(tables.db, credits_table=tables.credits, records_table=tables.records)

    async def deposit(self, usd: int, at: datetime, billed: datetime | None = None) -> None:
        deposit = Deposit("acme", f"dep_{at.isoformat()}", usd * USD, "op", at.isoformat())
        await self.api.records.request_deposit(deposit)
        assert await self.settlement.deposit(deposit, now=(billed or at).isoformat())

    async def bill(self, *attempts: AttemptRecord, now: datetime | None = None) -> None:
        for each in attempts:
            start, end = each.start, each.end
            assert end is not None
            if start.hold_nanousd:
                await self.holds.place(Hold("acme", start.attempt_id, start.hold_nanousd, start.expires_at_s))
            await self.api.records.end(start, end)
            at = now.isoformat() if now else end.ended_at
            assert await self.settlement.attempts("acme", [each], now=at) == 1

    async def release(self, amount: int, at: datetime) -> None:
        """The record alone: what it says has been given back."""
        release = Release("acme", f"req#{at.isoformat()}", amount, at.isoformat())
        for update in movements.updates(
            [
                posting(
                    "acme",
                    Cause.RELEASE,
                    release.attempt_id,
                    release.released_at,
                    Movement(MovementKind.HOLD, -amount, amount),
                    Movement(MovementKind.RELEASE, amount, -amount),
                )
            ],
            self.api.tables.rollups,
        ):
            await self.api.tables.db.write(update)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        running.clock.append(NOVEMBER + timedelta(days=10))
        yield running


@pytest.fixture
def books(api: Management) -> Books:
    return Books(api)


def platform(at: datetime, cost: int = 100, **more: Any) -> AttemptRecord:
    return attempt(at=at, cost=cost, charge=cost * 105 // 100, hold=cost * 2, **more)


async def two_months(books: Books) -> None:
    await books.deposit(10, OCTOBER)
    await books.bill(platform(OCTOBER, 2 * USD), attempt(at=OCTOBER, cost=3 * USD))
    await books.deposit(5, NOVEMBER)
    named = {"app": "https://app.example", "user": "ann", "tags": ("=2+3", "b")}
    await books.bill(
        platform(NOVEMBER, USD),
        platform(NOVEMBER + timedelta(days=1), USD, provider_id="anthropic", model_id="claude-haiku-4-5"),
        attempt(at=NOVEMBER, cost=4 * USD, request=named),
    )
    await books.release(7, NOVEMBER)


class TestCredits:
    async def test_a_month_begins_where_the_one_before_ended_and_ends_at_the_balance(
        self, api: Management, books: Books
    ) -> None:
        await two_months(books)
        october = await api.ok("GET", "/api/statements?month=2026-10")
        november = await api.ok("GET", "/api/statements?month=2026-11")
        assert (october["opening_usd"], october["closing_usd"]) == ("0", "7.9")
        assert (november["opening_usd"], november["closing_usd"]) == ("7.9", "10.8")
        assert (await api.ok("GET", "/api/balance"))["total_usd"] == november["closing_usd"]
        kinds = {row["kind"]: (row["count"], row["amount_usd"]) for row in november["movements"]}
        assert kinds == {
            "deposit": (1, "5"),
            "hold": (3, "0"),
            "settle": (2, "-2"),
            "margin": (2, "-0.1"),
            "release": (3, "0"),
        }
        held = sum(Decimal(row["held_usd"]) for row in november["movements"])
        assert held == 0

    async def test_it_agrees_with_the_ledger(self, api: Management, books: Books) -> None:
        await two_months(books)
        moved = sum(Decimal(row["amount_usd"]) for row in (await api.ok("GET", "/api/ledger?limit=100"))["data"])
        (newest, oldest) = (await api.ok("GET", "/api/statements/months"))["data"]
        assert [newest["month"], oldest["month"]] == ["2026-11", "2026-10"]
        assert Decimal(newest["closing_usd"]) == moved
        assert newest["opening_usd"] == oldest["closing_usd"]

    async def test_a_month_without_anything_has_a_statement_all_the_same(self, api: Management, books: Books) -> None:
        await books.deposit(10, OCTOBER)
        answer = await api.ok("GET", "/api/statements")
        assert (answer["month"], answer["opening_usd"], answer["closing_usd"]) == ("2026-11", "10", "10")
        assert (answer["movements"], answer["data"], answer["totals"]["attempts"]) == ([], [], 0)

    async def test_an_account_on_its_own_keys_alone_has_months_too(self, api: Management, books: Books) -> None:
        await books.bill(attempt(at=OCTOBER, cost=USD))
        (month,) = (await api.ok("GET", "/api/statements/months"))["data"]
        assert (month["month"], month["closing_usd"]) == ("2026-10", "0")

    async def test_months_come_in_pages(self, api: Management, books: Books) -> None:
        await two_months(books)
        first = await api.ok("GET", "/api/statements/months?limit=1")
        rest = await api.ok("GET", f"/api/statements/months?cursor={first['next_cursor']}")
        assert [row["month"] for row in (*first["data"], *rest["data"])] == ["2026-11", "2026-10"]


class TestLines:
    async def test_charges_are_told_by_every_dimension(self, api: Management, books: Books) -> None:
        await two_months(books)
        answer = await api.ok("GET", "/api/statements?month=2026-11")
        lines = {(row["dimension"], row["value"]): (row["charge_usd"], row["cost_byok_usd"]) for row in answer["data"]}
        assert lines == {
            ("source", "byok"): ("0", "4"),
            ("source", "platform"): ("2.1", "0"),
            ("model", "anthropic/claude-haiku-4-5"): ("1.05", "0"),
            ("model", "openai/gpt-4o-mini"): ("1.05", "4"),
            ("gateway_key", "gk_1"): ("2.1", "4"),
            ("app", "https://app.example"): ("0", "4"),
            ("user", "ann"): ("0", "4"),
            ("tag", "=2+3"): ("0", "4"),
            ("tag", "b"): ("0", "4"),
        }
        assert (answer["totals"]["charge_usd"], answer["totals"]["attempts"]) == ("2.1", 3)
        usage = await api.ok("GET", "/api/usage?from=2026-11-01&to=2026-11-30")
        assert usage["totals"] == answer["totals"], "the pages of usage and of statements have one total"

    @pytest.mark.parametrize("kind", ["json", "csv"])
    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 9, 100])
    async def test_pages_of_any_size_make_up_the_whole(
        self, api: Management, books: Books, limit: int, kind: str
    ) -> None:
        await two_months(books)
        whole = (await api.ok("GET", "/api/statements?month=2026-11"))["data"]
        found, cursor = [], ""
        for _ in range(20):
            answer = await api.call("GET", f"/api/statements?month=2026-11&format={kind}&limit={limit}{cursor}")
            if kind == "json":
                found += [(row["dimension"], row["value"]) for row in answer.json()["data"]]
                after = answer.json()["next_cursor"]
            else:
                rows = list(csv.DictReader(io.StringIO(answer.text)))
                used = [row for row in rows if row["section"] not in {"opening", "movement", "closing"}]
                assert len(used) == len(rows) or not cursor, "credits stand at the beginning, once"
                found += [(row["section"], row["value"].removeprefix("'")) for row in used]
                after = answer.headers.get("x-ownkey-next-cursor")
            if after is None:
                break
            cursor = f"&cursor={after}"
        assert found == [(row["dimension"], row["value"]) for row in whole]

    async def test_one_dimension_is_told_alone(self, api: Management, books: Books) -> None:
        await two_months(books)
        answer = await api.ok("GET", "/api/statements?month=2026-11&by=tag")
        assert [(row["dimension"], row["value"]) for row in answer["data"]] == [("tag", "=2+3"), ("tag", "b")]

    async def test_the_table_has_numbers_for_spreadsheets_and_no_formula(self, api: Management, books: Books) -> None:
        await two_months(books)
        answer = await api.call("GET", "/api/statements?month=2026-11&format=csv")
        assert answer.headers["content-disposition"] == 'attachment; filename="statement-2026-11.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        amounts = {(row["section"], row["value"]): row["amount_usd"] for row in rows if row["amount_usd"]}
        assert amounts[("opening", "2026-11")] == "7.9"
        assert amounts[("movement", "settle")] == "-2"
        assert amounts[("closing", "2026-11")] == "10.8"
        assert [row["value"] for row in rows if row["section"] == "tag"] == ["'=2+3", "b"]

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("month=2026-13", "month"),
            ("month=november", "month"),
            ("month=2026-12", "month"),
            ("by=credential", "by"),
            ("format=xlsx", "format"),
            ("limit=0", "limit"),
            ("cursor=bm9uc2Vuc2U", "cursor"),
            ("month=2026-10&cursor=bW9kZWx8TSMyMDI2LTExI2E", "cursor"),
            ("by=user&cursor=bW9kZWx8", "cursor"),
            ("format=focus&cursor=bm9uc2Vuc2U", "cursor"),
        ],
    )
    async def test_a_query_that_makes_no_sense_is_named(self, api: Management, query: str, param: str) -> None:
        status, error = await api.refused("GET", f"/api/statements?{query}")
        assert (status, error["param"]) == (400, param)


class TestClosing:
    @pytest.mark.parametrize(
        ("now", "status"),
        [
            (datetime(2026, 10, 31, 23, 59, tzinfo=UTC), "open"),
            (datetime(2026, 11, 1, 0, 14, 59, tzinfo=UTC), "open"),
            (datetime(2026, 11, 1, 0, 15, tzinfo=UTC), "closed"),
        ],
    )
    async def test_a_month_closes_a_quarter_of_an_hour_after_its_end(
        self, api: Management, now: datetime, status: str
    ) -> None:
        api.clock.append(now)
        answer = await api.ok("GET", "/api/statements?month=2026-10")
        assert (answer["status"], answer["closes_at"]) == (status, "2026-11-01T00:15:00Z")

    async def test_a_closed_month_never_changes_whatever_comes_late(self, api: Management, books: Books) -> None:
        await two_months(books)
        closed = {
            kind: (await api.call("GET", f"/api/statements?month=2026-10&format={kind}")).text
            for kind in ("json", "csv", "focus")
        }
        last = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)
        await books.bill(platform(last, USD), attempt(at=last, cost=USD), now=NOVEMBER + timedelta(days=5))
        await books.deposit(1, last, billed=NOVEMBER)
        for kind, text in closed.items():
            assert (await api.call("GET", f"/api/statements?month=2026-10&format={kind}")).text == text
        november = await api.ok("GET", "/api/statements?month=2026-11")
        assert (november["totals"]["late_attempts"], november["totals"]["late_charge_usd"]) == (2, "1.05")
        assert november["closing_usd"] == (await api.ok("GET", "/api/balance"))["total_usd"]
        newest, *_ = (await api.ok("GET", "/api/ledger"))["data"]
        assert newest["at"] > "2026-11"


class TestFocus:
    async def test_a_row_is_a_days_use_of_a_model_on_one_source(self, api: Management, books: Books) -> None:
        await two_months(books)
        rows = await focus(api, "2026-11")
        own, ours, other = rows
        assert {
            "BilledCost": "0",
            "BillingAccountId": "acme",
            "BillingAccountName": "Acme",
            "BillingCurrency": "USD",
            "BillingPeriodStart": "2026-11-01T00:00:00Z",
            "BillingPeriodEnd": "2026-12-01T00:00:00Z",
            "ChargeCategory": "Usage",
            "ChargeClass": "",
            "ChargePeriodStart": "2026-11-10T00:00:00Z",
            "ChargePeriodEnd": "2026-11-11T00:00:00Z",
            "InvoiceIssuerName": "OpenAI",
            "PricingQuantity": "1",
            "PricingUnit": "Requests",
            "ProviderName": "Ownkey",
            "PublisherName": "OpenAI",
            "ServiceCategory": "AI and Machine Learning",
            "SkuId": "openai/gpt-4o-mini",
            "x_Source": "byok",
            "x_ProviderCost": "4",
            "x_InputTokens": "",
        }.items() <= own.items()
        assert (ours["x_Source"], ours["BilledCost"], ours["x_ProviderCost"]) == ("platform", "1.05", "1")
        assert (ours["InvoiceIssuerName"], ours["EffectiveCost"]) == ("Ownkey", "1.05")
        assert (other["PublisherName"], other["x_InputTokens"], other["x_OutputTokens"]) == ("Anthropic", "10", "20")

    async def test_what_is_billed_is_what_was_taken_from_the_credits(self, api: Management, books: Books) -> None:
        await two_months(books)
        await books.bill(attempt(at=NOVEMBER, cost=90 * USD, charge=100 * USD))
        corrected = posting(
            "acme",
            Cause.CORRECTION,
            "c",
            NOVEMBER.isoformat(),
            Movement(MovementKind.CORRECTION, 2 * USD),
            Movement(MovementKind.REWARD, 3 * USD),
        )
        for update in movements.updates([corrected], api.tables.rollups):
            await api.tables.db.write(update)
        statement = await api.ok("GET", "/api/statements?month=2026-11")
        taken = sum(Decimal(row["amount_usd"]) for row in statement["movements"] if row["kind"] != "deposit")
        rows = await focus(api, "2026-11")
        assert sum(Decimal(row["BilledCost"]) for row in rows) == -taken
        assert Decimal(statement["overrun_usd"]) > 0
        kinds = {(row["ChargeCategory"], row["ChargeClass"]): row["BilledCost"] for row in rows[:3]}
        assert kinds[("Credit", "")] == "-3"
        assert kinds[("Adjustment", "Correction")] == "-2"
        assert kinds[("Adjustment", "")] == f"-{statement['overrun_usd']}"

    async def test_it_comes_in_pages(self, api: Management, books: Books) -> None:
        await two_months(books)
        first = await api.call("GET", "/api/statements?month=2026-11&format=focus&limit=1")
        after = first.headers["x-ownkey-next-cursor"]
        rest = await api.call("GET", f"/api/statements?month=2026-11&format=focus&cursor={after}")
        parts = [*csv.DictReader(io.StringIO(first.text)), *csv.DictReader(io.StringIO(rest.text))]
        assert parts == await focus(api, "2026-11")


async def focus(api: Management, month: str) -> list[dict[str, str]]:
    answer = await api.call("GET", f"/api/statements?month={month}&format=focus")
    assert answer.headers["content-disposition"] == f'attachment; filename="focus-{month}.csv"'
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_who_may_see_the_money_may_have_statements(api: Management) -> None:
    for who, expected in (("adi", 200), ("mia", 200), ("bea", 200), ("oz", 200)):
        assert (await api.call("GET", "/api/statements", by=who)).status_code == expected
    headers = {"x-ownkey-account": "acme"}
    assert (await api.call("GET", "/api/statements", by="oz", headers=headers)).status_code == 404
