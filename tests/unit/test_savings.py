"""Savings: the page's example, the rules behind it, and how they are kept and counted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ownkey.catalog import PriceList, price_list_for
from ownkey.catalog.prices import Rates, Step
from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.money import parse_usd
from ownkey.domain.pricing import CredentialPricing, PricingMode
from ownkey.domain.savings import NO_SAVINGS, Savings
from ownkey.domain.usage import Usage
from ownkey.http.attempt_rows import attempt_row
from ownkey.ledger.records import ended_item, to_record
from ownkey.ledger.rollups import counters, updates
from ownkey.router.tariff import Tariff
from tests.support.attempts import attempt
from tests.support.inference import CHAT, World, world_with_simulator

PAGE = Path("docs/savings.md").read_text()
BYOK, PLATFORM = CredentialSource.BYOK, CredentialSource.PLATFORM
RATES = Rates(input=Decimal(3), cache_read=Decimal("0.30"), cache_write_5m=Decimal("3.75"), output=Decimal(15))
PUBLISHED = PriceList("test", (Step(0, RATES),))
TEN_OFF = CredentialPricing(PricingMode.DISCOUNT, Decimal(10))
READ = Usage(input=1_000, cache_read=9_000, output=500)
WRITTEN = Usage(input=1_000, cache_write_5m=9_000, output=500)


def tariff(
    source: CredentialSource = BYOK, pricing: CredentialPricing | None = None, listed: PriceList | None = PUBLISHED
) -> Tariff:
    prices = price_list_for(pricing, "cred_1", "model", listed)
    return Tariff(source, prices, Decimal(5), datetime(2026, 11, 21, tzinfo=UTC), listed=listed)


@pytest.mark.parametrize(
    ("column", "priced", "usage"),
    [(1, tariff(pricing=TEN_OFF), READ), (2, tariff(PLATFORM), READ), (3, tariff(), WRITTEN)],
)
def test_the_pages_example_is_what_the_code_says(column: int, priced: Tariff, usage: Usage) -> None:
    cells = [
        line.split("|")[1:-1]
        for line in PAGE.splitlines()
        if re.match(r"\| (baseline:|paid|routing|byok|cach|saved )", line)
    ]
    said = {row[0].split(":")[0].strip(): parse_usd(row[column].strip()) for row in cells}
    bill, saved = priced.bill(usage), priced.saved(usage)
    paid = bill.cost_nanousd if priced.source is BYOK else bill.charge_nanousd
    assert said == {
        "baseline": paid + saved.total,
        "paid": paid,
        "routing": saved.routing,
        "byok": saved.byok,
        "caching": saved.caching,
        "saved": saved.total,
    }


class TestRules:
    def test_a_flat_plan_saves_everything_but_nothing_by_caching(self) -> None:
        saved = tariff(pricing=CredentialPricing(PricingMode.FLAT)).saved(READ)
        assert saved == Savings(byok=39_375_000)

    def test_another_model_in_the_place_of_the_one_asked_for_saves_the_difference_of_their_uncached_prices(
        self,
    ) -> None:
        dearer = PriceList("test", (Step(0, Rates(input=Decimal(6), output=Decimal(30))),))
        saved = replace(tariff(), asked=dearer).saved(READ)
        assert saved == replace(tariff().saved(READ), routing=39_375_000)

    def test_what_nobody_publishes_a_price_for_the_platform_could_not_have_served(self) -> None:
        own = Tariff(BYOK, PUBLISHED, Decimal(5), datetime(2026, 11, 21, tzinfo=UTC))
        assert own.saved(READ) == Savings(caching=24_300_000)

    @pytest.mark.parametrize(
        "priced", [tariff(listed=None), tariff(listed=PriceList("test", (Step(0, Rates(cache_read=Decimal(1))),)))]
    )
    def test_nothing_is_guessed_where_a_price_is_missing(self, priced: Tariff) -> None:
        assert priced.saved(Usage(cache_read=9)) == NO_SAVINGS

    def test_what_used_nothing_saved_nothing(self) -> None:
        assert tariff().saved(Usage()) == NO_SAVINGS


def saving(saved: Savings, **kept: object) -> AttemptRecord:
    record = attempt(**kept)  # type: ignore[arg-type]
    assert record.end
    return replace(record, end=replace(record.end, savings=saved))


def stored(record: AttemptRecord) -> dict[str, Any]:
    """As the table has it: without what is null."""
    assert record.end
    return {name: value for name, value in ended_item(record.start, record.end).items() if value is not None}


class TestKept:
    @pytest.mark.parametrize("saved", [NO_SAVINGS, Savings(byok=5, caching=-7), Savings(1, 2, 3)])
    def test_a_record_keeps_it(self, saved: Savings) -> None:
        record = saving(saved)
        assert to_record(stored(record)) == record

    def test_a_record_from_before_saved_nothing(self) -> None:
        item = stored(saving(Savings(byok=5)))
        del item["savings"]
        old = to_record(item)
        assert old.end
        assert old.end.savings == NO_SAVINGS

    def test_an_aggregate_counts_losses_too(self) -> None:
        records = [saving(Savings(byok=5, caching=-7)), saving(Savings(caching=3))]
        assert [counters(each)["saved_caching_nanousd"] for each in records] == [-7, 3]
        assert "saved_routing_nanousd" not in counters(records[0])
        for update in updates(records, "Rollups"):
            added = {name: update.values[f":c{alias.removeprefix('#c')}"] for alias, name in update.names.items()}
            assert (added["saved_byok_nanousd"], added["saved_caching_nanousd"]) == (5, -4)

    @pytest.mark.parametrize(("charge", "paid"), [(0, "0.000001"), (2_000, "0.000002")])
    def test_a_row_has_the_baseline_and_its_parts(self, charge: int, paid: str) -> None:
        row = attempt_row(saving(Savings(byok=500, caching=-100), cost=1_000, charge=charge))["savings"]
        assert row == {
            "baseline_usd": str(Decimal(paid) + Decimal("0.0000004")),
            "saved_usd": "0.0000004",
            "saved_byok_usd": "0.0000005",
            "saved_caching_usd": "-0.0000001",
            "saved_routing_usd": "0",
        }


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as running:
        yield running


class TestAttempts:
    async def test_the_prices_of_its_day_say_what_an_answer_saved(self, world: World) -> None:
        long = CHAT | {"messages": [{"role": "user", "content": "word " * 1_600}]}
        for _ in range(2):
            await world.post("/v1/chat/completions", long)
        (_, first), (_, again) = world.attempts.records
        assert first.savings == Savings(byok=round(first.cost_nanousd * 0.05))
        assert again.usage.cache_read > 0
        assert again.savings.caching == first.cost_nanousd - again.cost_nanousd > 0
        assert again.savings.byok == first.savings.byok
        shown = (await world.get(f"/v1/generation?id={world.attempts.records[1][0].request.request_id}")).json()["data"]
        assert shown["cache_discount"] == again.savings.caching / 10**9

    async def test_one_that_failed_saved_nothing_whatever_it_cost(self, world: World) -> None:
        world.simulator.scripts.add("openai", cut_after=4)
        await world.stream("/v1/chat/completions", CHAT | {"stream": True}).rest()
        ((_, end),) = world.attempts.records
        assert (end.outcome, end.savings) == (Outcome.BROKEN, NO_SAVINGS)
        assert end.cost_nanousd > 0
