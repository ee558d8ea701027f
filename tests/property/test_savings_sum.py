"""Whatever is used, on whatever prices: the parts of the savings lead from the baseline to what was paid, exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ownkey.catalog import PriceList, price_list_for
from ownkey.catalog.prices import Rates, Step
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.money import with_margin
from ownkey.domain.pricing import CredentialPricing, PricingMode
from ownkey.domain.usage import Usage
from ownkey.ledger.pricing import price
from ownkey.router.tariff import Tariff

TOKENS = st.integers(0, 2_000_000)
RATE = st.decimals(0, 200, places=4)
MAYBE = st.none() | RATE
AT = datetime(2026, 11, 21, tzinfo=UTC)


@st.composite
def price_lists(draw: st.DrawFn) -> PriceList:
    def rates() -> Rates:
        return Rates(draw(RATE), draw(MAYBE), draw(MAYBE), draw(MAYBE), output=draw(RATE), reasoning=draw(MAYBE))

    return PriceList("test", (Step(0, rates()), Step(200_000, rates())))


USAGES = st.builds(
    Usage,
    input=TOKENS,
    cache_read=TOKENS,
    cache_write_5m=TOKENS,
    cache_write_1h=TOKENS,
    output=TOKENS,
    reasoning=TOKENS,
)
PRICINGS = st.one_of(
    st.none(),
    st.just(CredentialPricing(PricingMode.FLAT)),
    st.builds(CredentialPricing, st.just(PricingMode.DISCOUNT), st.decimals(0, 100, places=4)),
)


@given(
    published=price_lists(),
    asked=st.none() | price_lists(),
    pricing=PRICINGS,
    usage=USAGES,
    source=st.sampled_from(CredentialSource),
    margin=st.decimals(0, 50, places=2),
)
def test_baseline_less_savings_is_what_was_paid(
    published: PriceList,
    asked: PriceList | None,
    pricing: CredentialPricing | None,
    usage: Usage,
    source: CredentialSource,
    margin: Decimal,
) -> None:
    own = price_list_for(pricing, "cred_1", "model", published)
    tariff = Tariff(source, own, margin, AT, listed=published, asked=asked)
    bill, saved = tariff.bill(usage), tariff.saved(usage)
    paid = bill.cost_nanousd if source is CredentialSource.BYOK else bill.charge_nanousd
    without_cache = Usage(
        input=usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h,
        output=usage.output,
        reasoning=usage.reasoning,
    )
    assert 0 <= bill.input_nanousd <= paid == bill.paid_nanousd(source)
    used = usage != Usage()
    baseline = with_margin(price(without_cache, asked or published, at=AT).total_nanousd, margin) if used else 0
    assert baseline - saved.routing - saved.byok - saved.caching == baseline - saved.total == paid
    assert source is CredentialSource.BYOK or saved.byok == 0
    assert asked is not None or saved.routing == 0
    assert usage != usage.uncached or saved.caching == 0
