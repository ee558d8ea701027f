"""Usage times price list, worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.catalog import RATE_BUCKETS, PriceList, Rates, Step
from ownkey.domain.usage import Terms, Usage
from ownkey.ledger.pricing import Unpriced, price

MINI = PriceList(
    version="v1",
    steps=(Step(0, Rates(input=Decimal("0.15"), cache_read=Decimal("0.075"), output=Decimal("0.60"))),),
    fees={"web_search_medium": Decimal("0.025")},
)
SONNET = PriceList(
    version="v1",
    steps=(
        Step(
            0,
            Rates(
                input=Decimal(3),
                cache_read=Decimal("0.30"),
                cache_write_5m=Decimal("3.75"),
                cache_write_1h=Decimal(6),
                output=Decimal(15),
            ),
        ),
        Step(200_000, Rates(input=Decimal(6), cache_read=Decimal("0.60"), output=Decimal("22.50"))),
    ),
)


def test_buckets_are_priced_apart() -> None:
    # 1,000 × 0.15 + 400 × 0.075 + (300 + 50) × 0.60 dollars per million = 390 micro-dollars
    cost = price(Usage(input=1_000, cache_read=400, output=300, reasoning=50), MINI)
    assert (cost.total_nanousd, cost.input_nanousd, cost.output_nanousd) == (390_000, 180_000, 210_000)
    assert cost.price_version == "v1"


def test_both_cache_writes_have_their_own_price() -> None:
    # 10 × 3 + 1,000 × 0.30 + 2,000 × 3.75 + 500 × 6 + 100 × 15 = 12,330 micro-dollars
    usage = Usage(input=10, cache_read=1_000, cache_write_5m=2_000, cache_write_1h=500, output=100)
    assert price(usage, SONNET).total_nanousd == 12_330_000


def test_a_long_prompt_pays_its_rung_for_all_its_tokens_cached_ones_included() -> None:
    assert price(Usage(input=200_000, output=1), SONNET).total_nanousd == 600_015_000
    assert price(Usage(input=1, cache_read=200_000, output=1), SONNET).total_nanousd == 6_000 + 120_000_000 + 22_500


def test_what_has_no_price_is_not_guessed() -> None:
    with pytest.raises(Unpriced, match="web"):
        price(Usage(input=1, web_searches=1), SONNET)
    with pytest.raises(Unpriced, match="output"):
        price(Usage(output=1), PriceList("v1", (Step(0, Rates(input=Decimal(1))),)))
    assert price(Usage(web_searches=2), MINI).total_nanousd == 50_000_000


def test_a_search_pays_for_the_size_of_its_context() -> None:
    fees = {
        "web_search_low": Decimal("0.005"),
        "web_search_medium": Decimal("0.008"),
        "web_search_high": Decimal("0.012"),
    }
    sonar = PriceList("v1", (Step(0, Rates(input=Decimal(1), output=Decimal(1))),), fees=fees)
    for size, fee in (("low", 5), ("medium", 8), ("high", 12), (None, 8), ("vast", 8)):
        assert price(Usage(web_searches=1), sonar, terms=Terms(search_context=size)).total_nanousd == fee * 1_000_000


def test_conditions_raise_tokens_and_leave_fees() -> None:
    uplifted = PriceList(
        "v1", SONNET.steps, uplifts={"geo:us": Decimal("1.1")}, fees={"web_search_medium": Decimal("0.01")}
    )
    cost = price(Usage(input=1_000, web_searches=1), uplifted, terms=Terms(uplifts=("geo:us",)))
    assert cost.total_nanousd == 3_300_000 + 10_000_000


def test_a_sum_is_rounded_once_half_to_even() -> None:
    tiny = PriceList("v1", (Step(0, Rates(input=Decimal("0.0005"), output=Decimal("0.0005"))),))
    # Half a nano-dollar each: two halves are one, a single half goes to even.
    assert price(Usage(input=1, output=1), tiny).total_nanousd == 1
    assert price(Usage(input=1), tiny).total_nanousd == 0
    assert price(Usage(input=3), tiny).total_nanousd == 2


@given(st.dictionaries(st.sampled_from(RATE_BUCKETS), st.integers(0, 10**7)))
def test_the_parts_add_up_to_the_whole(buckets: dict[str, int]) -> None:
    cost = price(Usage(**buckets), SONNET)
    assert cost.total_nanousd == cost.input_nanousd + cost.output_nanousd
    assert min(cost.input_nanousd, cost.output_nanousd) >= 0
