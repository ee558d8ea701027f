"""What tokens cost, what is charged, what is held, and what the client is told of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ownkey.catalog import Catalog, price_list_for
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.pricing import CredentialPricing, PricingMode
from ownkey.domain.usage import Terms, Usage
from ownkey.providers import Document
from ownkey.router.tariff import Bill, Tariff, annotation
from ownkey.router.worst_case import UNSTATED_SEARCHES, worst_case

CATALOG = Catalog.load()
BYOK, PLATFORM = CredentialSource.BYOK, CredentialSource.PLATFORM
GPT_4O = CATALOG.model("openai", "gpt-4o")
assert GPT_4O is not None
assert GPT_4O.prices is not None


def tariff(source: CredentialSource, priced: bool = True) -> Tariff:
    return Tariff(source, GPT_4O.prices if priced else None, Decimal(5), datetime(2026, 11, 21, tzinfo=UTC))


def request(**values: Any) -> Document:
    return Document.parse(json.dumps({"model": "gpt-4o", "messages": []} | values).encode())


def test_byok_has_a_cost_and_no_charge() -> None:
    # $2.50 and $10 per million tokens.
    assert tariff(BYOK).bill(Usage(input=1000, output=100)) == Bill(3_500_000, 0, True, 2_500_000)


def test_the_platform_charges_its_margin() -> None:
    assert tariff(PLATFORM).bill(Usage(input=1000, output=100)) == Bill(3_500_000, 3_675_000, True, 2_625_000)


def test_what_has_no_price_costs_nothing_and_says_so() -> None:
    assert tariff(BYOK, priced=False).bill(Usage(input=1000)) == Bill(0, 0, priced=False)


def test_a_service_tier_has_its_own_price() -> None:
    assert tariff(BYOK).bill(Usage(input=1000), Terms("priority")).cost_nanousd == 4_250_000


def test_a_condition_with_a_factor_is_paid() -> None:
    claude = CATALOG.model("anthropic", "claude-haiku-5-5")
    assert claude
    assert claude.prices
    assert claude.prices.uplifts["geo:us"] == Decimal("1.1")
    priced = Tariff(BYOK, claude.prices, Decimal(5), datetime(2026, 11, 21, tzinfo=UTC))
    plain = priced.bill(Usage(input=1000, output=10)).cost_nanousd
    assert priced.bill(Usage(input=1000, output=10), Terms("standard", ("geo:us", "speed:standard"))).cost_nanousd == (
        plain * 11 // 10
    )


def test_nothing_used_costs_nothing() -> None:
    assert tariff(PLATFORM).bill(Usage()) == Bill(0, 0, priced=True)


def test_a_tool_without_a_fee_does_not_make_the_tokens_free_on_the_platform() -> None:
    used = Usage(input=1000, output=100, web_searches=2)
    assert "web_search_medium" not in GPT_4O.prices.fees
    assert tariff(PLATFORM).bill(used).charge_nanousd == 3_675_000
    assert tariff(BYOK).bill(used) == Bill()


@pytest.mark.parametrize(
    ("values", "output"),
    [
        ({}, 16_384),
        ({"max_tokens": 100}, 100),
        ({"max_completion_tokens": 100}, 100),
        ({"max_tokens": 50, "max_completion_tokens": 100}, 100),
        ({"max_tokens": 10**9}, 16_384),
        ({"max_tokens": 100, "n": 3}, 300),
        ({"max_tokens": 100, "n": 10**9}, 12_800),
        ({"max_tokens": 0}, 16_384),
        ({"max_tokens": -5}, 16_384),
        ({"max_tokens": "100"}, 16_384),
        ({"max_tokens": True}, 16_384),
        ({"n": "many", "max_tokens": 100}, 100),
    ],
)
def test_the_worst_case_is_what_the_request_allows(values: dict[str, Any], output: int) -> None:
    assert GPT_4O.max_output == 16_384
    assert worst_case(request(**values), GPT_4O, 100) == Usage(input=130, output=output)


def test_caching_and_speech_are_held_at_their_dearest() -> None:
    cached = request(system=[{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}], max_tokens=10)
    rates = CATALOG.model("anthropic", "claude-opus-5").prices.rates()
    assert worst_case(cached, GPT_4O, 100, rates=rates) == Usage(cache_write_1h=130, output=10)
    for_12_hours = request(prompt_cache_options={"ttl": "12h"}, max_tokens=10)
    sol = CATALOG.model("openai", "gpt-6-sol").prices.rates()
    assert worst_case(for_12_hours, GPT_4O, 100, rates=sol) == Usage(cache_write_1h=130, output=10)
    spoken = CATALOG.model("openai", "gpt-audio").prices.rates()
    said = request(modalities=["text", "audio"], max_tokens=10)
    assert worst_case(said, GPT_4O, 100, rates=spoken) == Usage(input=130, audio_output=10)
    heard = request(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}], max_tokens=10)
    assert worst_case(heard, GPT_4O, 100, rates=spoken) == Usage(audio_input=130, output=10)


def test_a_model_that_writes_to_its_cache_unasked_is_held_at_that_price() -> None:
    rates = CATALOG.model("openai", "gpt-6-sol").prices.rates()
    assert worst_case(request(max_tokens=10), GPT_4O, 100, rates=rates) == Usage(cache_write_5m=130, output=10)


def held_at(provider: str, model_id: str, body: Document, **facts: Any) -> int:
    model = CATALOG.model(provider, model_id)
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Tariff(PLATFORM, model.prices, Decimal(0), now, **facts).hold(body, model, 1000)


def test_a_hold_covers_the_dearest_place_and_speed_that_can_come() -> None:
    standard = 1300 * 6_250 + 100 * 25_000
    assert held_at("anthropic", "claude-opus-5", request(max_tokens=100)) == standard * 11 // 10
    assert held_at("anthropic", "claude-opus-5", request(max_tokens=100, speed="fast")) == standard * 22 // 10


def test_a_hold_covers_the_tier_asked_for_and_the_address_called() -> None:
    priority = 1300 * 5_000 + 100 * 20_000
    assert held_at("openai", "gpt-6-sol", request(max_tokens=100, service_tier="priority")) == priority
    there = held_at("openai", "gpt-6-sol", request(max_tokens=100, service_tier="priority"), uplifts=("region:eu",))
    assert there == priority * 11 // 10


def test_a_hold_does_not_count_on_a_cheap_hour() -> None:
    saturday = held_at("deepseek", "deepseek-v4-pro", request(max_tokens=100))
    assert saturday == 1300 * 1_320 + 100 * 3_960


@pytest.mark.parametrize(
    ("tools", "searches"),
    [
        ([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}], 3),
        ([{"type": "web_search_20250305", "name": "web_search"}], UNSTATED_SEARCHES),
        ([{"type": "web_search_20250305", "max_uses": 10**9}], 100),
        ([{"name": "web_search", "input_schema": {}}, None, "web_search"], 0),
        ("web_search", 0),
    ],
)
def test_a_hold_covers_the_searches_a_request_allows(tools: Any, searches: int) -> None:
    without = held_at("anthropic", "claude-opus-5", request(max_tokens=100))
    assert held_at("anthropic", "claude-opus-5", request(max_tokens=100, tools=tools)) == without + searches * 10**7


def test_a_hold_covers_the_search_that_every_request_is() -> None:
    tokens = 1300 * 1_000 + 100 * 1_000
    assert held_at("perplexity", "sonar", request(max_tokens=100), always_searches=True) == tokens + 12_000_000
    low = request(max_tokens=100, web_search_options={"search_context_size": "low"})
    assert held_at("perplexity", "sonar", low, always_searches=True) == tokens + 5_000_000


def test_an_address_in_a_region_costs_more_though_no_answer_says_so() -> None:
    sol = CATALOG.model("openai", "gpt-6-sol").prices
    there = CATALOG.provider("openai").uplifts_at("https://EU.api.openai.com/v1")
    assert there == ("region:eu",)
    assert CATALOG.provider("openai").uplifts_at("https://api.openai.com/v1") == ()
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert Tariff(BYOK, sol, Decimal(5), now, uplifts=there).bill(Usage(input=1000)).cost_nanousd == 2_200_000
    assert Tariff(BYOK, sol, Decimal(5), now).bill(Usage(input=1000)).cost_nanousd == 2_000_000


def test_an_own_list_is_the_cost_and_the_published_one_the_charge() -> None:
    own = CredentialPricing(PricingMode.DISCOUNT, Decimal(20))
    prices, now = price_list_for(own, "cred_1", "gpt-4o", GPT_4O.prices), datetime(2026, 11, 21, tzinfo=UTC)
    used = Usage(input=1000, output=100)
    platform = Tariff(PLATFORM, prices, Decimal(5), now, listed=GPT_4O.prices)
    assert platform.bill(used) == Bill(2_800_000, 3_675_000, True, 2_625_000)
    assert platform.price_version == own.version("cred_1", CATALOG.version)
    assert platform.hold(request(max_tokens=100), GPT_4O, 1000) == tariff(PLATFORM).hold(
        request(max_tokens=100), GPT_4O, 1000
    )
    assert Tariff(BYOK, prices, Decimal(5), now, listed=GPT_4O.prices).bill(used) == Bill(2_800_000, 0, True, 2_000_000)


def test_a_flat_plan_costs_nothing_and_is_priced() -> None:
    own = CredentialPricing(PricingMode.FLAT)
    now = datetime(2026, 11, 21, tzinfo=UTC)
    flat = Tariff(BYOK, price_list_for(own, "cred_1", "anything", None), Decimal(5), now)
    assert flat.bill(Usage(input=10**6, reasoning=5, web_searches=7)) == Bill(0, 0, priced=True)
    assert flat.price_version == own.version("cred_1", None)


def test_an_unknown_model_has_a_worst_case_too() -> None:
    assert worst_case(request(), None, 10) == Usage(input=13, output=16_384)


def test_a_hold_is_the_charge_of_the_worst_case() -> None:
    held = tariff(PLATFORM).hold(request(max_tokens=100), GPT_4O, 1000)
    assert held == tariff(PLATFORM).bill(Usage(input=1300, output=100)).charge_nanousd
    assert tariff(BYOK).hold(request(), GPT_4O, 1000) == 0


def details(upstream: float | None, prompt: float, completions: float) -> dict[str, Any]:
    return {
        "upstream_inference_cost": upstream,
        "upstream_inference_prompt_cost": prompt,
        "upstream_inference_completions_cost": completions,
    }


@pytest.mark.parametrize(
    ("bill", "source", "mode", "told"),
    [
        (Bill(3_500_000, 0, True, 2_500_000), BYOK, "charge", (True, 0.0, details(0.0035, 0.0025, 0.001))),
        (Bill(3_500_000, 0, True, 2_500_000), BYOK, "provider", (True, 0.0035, details(None, 0.0025, 0.001))),
        (Bill(9, 3_675_000, True, 2_625_000), PLATFORM, "charge", (False, 0.003675, details(None, 0.002625, 0.00105))),
        (
            Bill(9, 3_675_000, True, 2_625_000),
            PLATFORM,
            "provider",
            (False, 0.003675, details(None, 0.002625, 0.00105)),
        ),
        (Bill(), BYOK, "charge", (True, 0.0, details(None, 0, 0) | {"unpriced": True})),
        (Bill(), BYOK, "provider", (True, 0.0, details(None, 0, 0) | {"unpriced": True})),
    ],
)
def test_clients_that_add_both_costs_never_count_one_twice(bill: Bill, source, mode: str, told: tuple) -> None:
    assert tuple(annotation(bill, source, mode).values()) == told
    assert tuple(annotation(bill, source, mode)) == ("is_byok", "cost", "cost_details")


def test_what_a_tariff_has_priced_before_it_prices_alike_and_tells_apart_from_all_else() -> None:
    """Usage, terms and lists each change the price, in whatever order they are asked for."""
    now = datetime(2026, 11, 21, tzinfo=UTC)
    own = CredentialPricing(PricingMode.DISCOUNT, Decimal(20))
    lists: dict[str, Any] = {
        "prices": price_list_for(own, "cred_1", "gpt-4o", GPT_4O.prices),
        "listed": GPT_4O.prices,
    }
    usages = [Usage(input=1000), Usage(input=1000, output=1), Usage(input=1000, cache_read=500), Usage()]
    asked = [(usage, terms) for usage in usages for terms in (Terms(), Terms(service_tier="priority"))]
    for source in (BYOK, PLATFORM):
        kept = Tariff(source, margin_percent=Decimal(5), at=now, **lists)
        for usage, terms in [*asked, *reversed(asked)]:
            new = [Tariff(source, margin_percent=Decimal(5), at=now, **lists) for _ in range(2)]
            assert kept.saved(usage, terms) == new[0].saved(usage, terms)
            assert kept.bill(usage, terms) == new[1].bill(usage, terms)
