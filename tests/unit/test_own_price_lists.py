"""A credential's own price list: how it is given, kept, and what it makes of a price."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from ownkey.catalog import Catalog, price_list_for
from ownkey.domain.credentials import Credential
from ownkey.domain.pricing import read_pricing
from ownkey.domain.usage import Terms, Usage
from ownkey.ledger.pricing import price
from ownkey.registry.items import from_credential, to_credential

NOW = "2026-11-21T08:00:00Z"
CATALOG = Catalog.load()
SOL = CATALOG.model("openai", "gpt-6-sol")
assert SOL is not None
assert SOL.prices is not None
CUSTOM = {
    "mode": "custom",
    "models": [
        {"model": "gpt-6-sol", "rates": {"input": "1.5", "cache_read": "0", "output": "7"}, "fees": {}},
        {"model": "GPT-6*", "rates": {"input": "1", "output": "2"}, "fees": {"web_search_medium": "0.001"}},
    ],
}
USED = Usage(input=1000, cache_read=500, reasoning=10, output=100)


def cost(body: dict[str, Any], usage: Usage = USED, model: str = "gpt-6-sol", **terms: Any) -> int:
    published = CATALOG.model("openai", model)
    prices = price_list_for(read_pricing(body), "cred_1", model, published.prices if published else None)
    assert prices is not None
    return price(usage, prices, terms=Terms(**terms)).total_nanousd


@pytest.mark.parametrize(
    "body", [{"mode": "catalog"}, {"mode": "flat"}, {"mode": "discount", "percent": "12.5"}, CUSTOM]
)
def test_a_list_is_kept_and_shown_as_it_was_given(body: dict[str, Any]) -> None:
    pricing = read_pricing(body)
    assert pricing.to_body() == body
    credential = Credential("cred_1", "acc_1", "openai", "a", "sk-…", 1, "https://api.openai.com/v1", NOW, NOW)
    assert to_credential(from_credential(credential)) == credential
    kept = Credential(**{n: getattr(credential, n) for n in Credential.__slots__ if n != "pricing"}, pricing=pricing)
    assert to_credential(from_credential(kept)) == kept


def test_the_published_prices_are_the_default() -> None:
    assert price_list_for(None, "cred_1", "gpt-6-sol", SOL.prices) is SOL.prices
    assert price_list_for(read_pricing({"mode": "catalog"}), "cred_1", "gpt-6-sol", SOL.prices) is SOL.prices


def test_a_flat_plan_costs_nothing_under_any_terms() -> None:
    everything = Usage(*range(1, 12))
    assert cost({"mode": "flat"}, everything, service_tier="priority", uplifts=("region:eu",)) == 0


def test_a_discount_lowers_every_tier_rung_and_fee() -> None:
    half = {"mode": "discount", "percent": "50"}
    for terms in ({}, {"service_tier": "priority"}, {"service_tier": "batch"}, {"uplifts": ("region:eu",)}):
        for usage in (USED, Usage(input=300_000), Usage(input=1, web_searches=2)):
            assert cost(half, usage, **terms) * 2 == cost({"mode": "catalog"}, usage, **terms)
    assert cost({"mode": "discount", "percent": "100"}) == 0


def test_a_discount_on_an_hour() -> None:
    deepseek = CATALOG.model("deepseek", "deepseek-flash")
    assert deepseek is not None
    pricing = read_pricing({"mode": "discount", "percent": "10"})
    prices = price_list_for(pricing, "cred_1", deepseek.id, deepseek.prices)
    assert prices is not None
    assert price(Usage(input=1000), prices, at=datetime(2026, 11, 18, 2, tzinfo=UTC)).total_nanousd == 270_000
    assert price(Usage(input=1000), prices, at=datetime(2026, 11, 18, 5, tzinfo=UTC)).total_nanousd == 135_000


def test_rates_of_ones_own_stand_whatever_the_terms() -> None:
    # 1,000 × 1.5 + 500 × 0 + 110 × 7 dollars per million
    assert cost(CUSTOM) == cost(CUSTOM, service_tier="priority", uplifts=("region:eu",)) == 2_270_000
    assert cost(CUSTOM, Usage(input=300_000)) == 450_000_000


def test_the_first_pattern_that_fits_decides_and_others_are_published() -> None:
    assert cost(CUSTOM, model="gpt-6-luna") == 1_000_000 + 500_000 + 220_000
    assert cost(CUSTOM, model="gpt-6-a-model-of-tomorrow") == 1_720_000
    gpt_4o = CATALOG.model("openai", "gpt-4o")
    assert gpt_4o is not None
    assert price_list_for(read_pricing(CUSTOM), "cred_1", "gpt-4o", gpt_4o.prices) is gpt_4o.prices
    assert price_list_for(read_pricing(CUSTOM), "cred_1", "unheard-of", None) is None


def test_a_fee_that_is_left_out_is_the_published_one() -> None:
    assert cost(CUSTOM, Usage(web_searches=1)) == 10_000_000
    assert cost(CUSTOM, Usage(web_searches=1), model="gpt-6-luna") == 1_000_000


def test_the_version_says_whose_list_it_is_and_which() -> None:
    def version(body: dict[str, Any]) -> str:
        prices = price_list_for(read_pricing(body), "cred_1", "gpt-6-sol", SOL.prices)
        assert prices is not None
        return prices.version

    assert version({"mode": "discount", "percent": "5"}).startswith(f"{CATALOG.version}+cred_1@")
    assert version({"mode": "discount", "percent": "5"}) == version({"percent": "5", "mode": "discount"})
    assert len({version({"mode": "discount", "percent": percent}) for percent in ("5", "6", "7")}) == 3
    assert version({"mode": "catalog"}) == CATALOG.version
    flat = price_list_for(read_pricing({"mode": "flat"}), "cred_1", "unheard-of", None)
    assert flat is not None
    assert flat.version.startswith("none+cred_1@")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "`mode` is one of catalog, flat, discount, custom"),
        ({"mode": 5}, "`mode` is one of"),
        ({"mode": []}, "`mode` is one of"),
        ({"mode": "flat", "percent": "5"}, "`percent` has no meaning with mode flat"),
        ({"mode": "discount"}, "`percent` is a decimal string"),
        ({"mode": "discount", "percent": 12.5}, "`percent` is a decimal string"),
        ({"mode": "discount", "percent": "100.1"}, "`percent` is a decimal string"),
        ({"mode": "discount", "percent": "-1"}, "`percent` is a decimal string"),
        ({"mode": "discount", "percent": "1e1"}, "`percent` is a decimal string"),
        ({"mode": "custom"}, "`models` is a list of 1 to 50"),
        ({"mode": "custom", "models": []}, "`models` is a list of 1 to 50"),
        ({"mode": "custom", "models": ["gpt"]}, "is an object of"),
        ({"mode": "custom", "models": [{"model": "a*b", "rates": {}}]}, "at its end"),
        ({"mode": "custom", "models": [{"model": "", "rates": {}}]}, "`model` is text"),
        ({"mode": "custom", "models": [{"model": "a", "rates": {"input": "1"}}]}, "at least `input` and `output`"),
        ({"mode": "custom", "models": [{"model": "a", "rates": {"tokens": "1"}}]}, "`rates` has no `tokens`"),
        ({"mode": "custom", "models": [{"model": "a", "rates": {"input": 1, "output": "1"}}]}, "`rates.input` is a"),
        ({"mode": "custom", "models": [{"model": "a", "rates": {"input": "-1", "output": "1"}}]}, "`rates.input` is a"),
        ({"mode": "custom", "models": [{"model": "a", "rates": {"input": "NaN", "output": "1"}}]}, "`rates.input` is"),
        ({"mode": "custom", "models": [{"model": "a", "rates": {"input": "1", "output": "٣"}}]}, "`rates.output` is"),
        ({"mode": "custom", "models": [{"model": "a", "rates": []}]}, "`rates` is an object"),
        (
            {
                "mode": "custom",
                "models": [{"model": "a", "rates": {"input": "1", "output": "1"}, "fees": {"tip": "1"}}],
            },
            "`fees` has no `tip`",
        ),
    ],
)
def test_what_is_no_list_is_refused_by_name(body: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        read_pricing(body)
