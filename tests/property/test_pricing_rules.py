"""The one rounding rule, and what no price may ever do."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ownkey.catalog import RATE_BUCKETS, Catalog, Model, PriceList, price_list_for
from ownkey.domain.money import with_margin
from ownkey.domain.pricing import CredentialPricing, PricingMode, read_pricing
from ownkey.domain.usage import Terms, Usage
from ownkey.ledger.pricing import price

CATALOG = Catalog.load()
PRICED = [
    model
    for provider in CATALOG.providers
    for model in CATALOG.models(provider.id)
    if model.prices and model.prices.base.input is not None and model.prices.base.output is not None
]
MOST_TOKENS = 10**12
NANO_PER_USD_PER_MTOK = 1_000

models = st.sampled_from(PRICED)
counts = st.one_of(st.integers(0, 300_000), st.integers(0, MOST_TOKENS))
usages = st.builds(Usage, **dict.fromkeys(RATE_BUCKETS, counts))
moments = st.datetimes(datetime(2026, 11, 16), datetime(2026, 11, 22)).map(lambda at: at.replace(tzinfo=UTC))
amounts = st.decimals(0, 999_999, places=9, allow_nan=False, allow_infinity=False).map(lambda amount: f"{amount:f}")


def terms_of(model: Model) -> st.SearchStrategy[Terms]:
    prices = model.prices
    assert prices is not None
    tiers = st.sampled_from([None, "default", "fast", "unheard of", *prices.service_tiers])
    return st.builds(
        Terms, tiers, st.lists(st.sampled_from(["geo:mars", *prices.uplifts]), unique=True, max_size=3).map(tuple)
    )


@st.composite
def priced(draw: Any) -> tuple[PriceList, Terms, datetime]:
    model = draw(models)
    assert model.prices is not None
    return model.prices, draw(terms_of(model)), draw(moments)


def exact(usage: Usage, prices: PriceList, terms: Terms, at: datetime) -> Fraction:
    """In nano-dollars, by rational numbers alone; every factor is applied by hand."""
    rates = prices.rates(input_tokens=usage.input_tokens, service_tier=terms.service_tier, at=at)
    tokens = sum((getattr(usage, b) * Fraction(getattr(rates, b)) for b in RATE_BUCKETS), Fraction(0))
    for name in terms.uplifts:
        tokens *= Fraction(prices.uplifts.get(name, Decimal(1)))
    return tokens * NANO_PER_USD_PER_MTOK + Fraction(prices.fees.get("request", Decimal(0))) * 10**9


@given(priced(), usages)
def test_a_cost_is_the_exact_sum_rounded_once_half_to_even(conditions: Any, usage: Usage) -> None:
    prices, terms, at = conditions
    cost = price(usage, prices, terms=terms, at=at)
    assert cost.total_nanousd == round(exact(usage, prices, terms, at))  # of a Fraction: half to even


@given(priced(), usages)
def test_parts_are_never_negative_and_add_up(conditions: Any, usage: Usage) -> None:
    prices, terms, at = conditions
    cost = price(usage, prices, terms=terms, at=at)
    assert cost.input_nanousd + cost.output_nanousd == cost.total_nanousd
    assert min(cost.input_nanousd, cost.output_nanousd) >= 0


@given(priced(), usages, st.sampled_from(RATE_BUCKETS), st.integers(1, 10**6))
def test_more_tokens_never_cost_less(conditions: Any, usage: Usage, bucket: str, more: int) -> None:
    prices, terms, at = conditions
    usage = Usage(**usage.to_item() | {bucket: 0})
    further = Usage(**usage.to_item() | {bucket: more})
    assert (
        price(further, prices, terms=terms, at=at).total_nanousd
        >= price(usage, prices, terms=terms, at=at).total_nanousd
    )


@given(st.fixed_dictionaries(dict.fromkeys(RATE_BUCKETS, amounts)), usages)
def test_a_list_of_ones_own_is_as_exact(rates: dict[str, str], usage: Usage) -> None:
    body = {"mode": "custom", "models": [{"model": "*", "rates": rates}]}
    prices = price_list_for(read_pricing(body), "cred_1", "any", None)
    assert prices is not None
    assert price(usage, prices).total_nanousd == round(exact(usage, prices, Terms(), datetime.now(UTC)))


@given(models, usages, st.decimals(0, 100, places=4))
def test_a_discount_is_taken_off_exactly_and_rounded_with_the_rest(
    model: Model, usage: Usage, percent: Decimal
) -> None:
    own = CredentialPricing(PricingMode.DISCOUNT, percent)
    assert model.prices is not None
    prices, at = price_list_for(own, "cred_1", model.id, model.prices), datetime(2026, 11, 18, tzinfo=UTC)
    assert prices is not None
    full = exact(usage, model.prices, Terms(), at)
    assert price(usage, prices, at=at).total_nanousd == round(full * (100 - Fraction(percent)) / 100)


@given(st.integers(0, 10**15), st.decimals(0, 1000, places=4))
def test_a_charge_is_the_cost_and_the_margin_rounded_once_more(cost: int, percent: Decimal) -> None:
    assert with_margin(cost, percent) == round(Fraction(cost) * (100 + Fraction(percent)) / 100)
    assert with_margin(cost, percent) >= cost
