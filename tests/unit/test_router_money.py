"""What tokens cost, what is charged, what is held, and what the client is told of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ownkey.catalog import Catalog
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.usage import Terms, Usage
from ownkey.providers import Document
from ownkey.router.tariff import Bill, Tariff, annotation, worst_case

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
    assert tariff(BYOK).bill(Usage(input=1000, output=100)) == Bill(3_500_000, 0, priced=True)


def test_the_platform_charges_its_margin() -> None:
    assert tariff(PLATFORM).bill(Usage(input=1000, output=100)) == Bill(3_500_000, 3_675_000, priced=True)


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
    assert worst_case(cached, GPT_4O, 100) == Usage(cache_write_1h=130, output=10)
    assert worst_case(request(modalities=["text", "audio"], max_tokens=10), GPT_4O, 100) == Usage(
        input=130, audio_output=10
    )


def test_an_unknown_model_has_a_worst_case_too() -> None:
    assert worst_case(request(), None, 10) == Usage(input=13, output=16_384)


def test_a_hold_is_the_charge_of_the_worst_case() -> None:
    held = tariff(PLATFORM).hold(request(max_tokens=100), GPT_4O, 1000)
    assert held == tariff(PLATFORM).bill(Usage(input=1300, output=100)).charge_nanousd
    assert tariff(BYOK).hold(request(), GPT_4O, 1000) == 0


@pytest.mark.parametrize(
    ("bill", "source", "mode", "told"),
    [
        (Bill(3_500_000, 0, True), BYOK, "charge", (True, 0.0, {"upstream_inference_cost": 0.0035})),
        (Bill(3_500_000, 0, True), BYOK, "provider", (True, 0.0035, {"upstream_inference_cost": None})),
        (Bill(3_500_000, 3_675_000, True), PLATFORM, "charge", (False, 0.003675, {"upstream_inference_cost": None})),
        (Bill(3_500_000, 3_675_000, True), PLATFORM, "provider", (False, 0.003675, {"upstream_inference_cost": None})),
        (Bill(), BYOK, "charge", (True, 0.0, {"upstream_inference_cost": None, "unpriced": True})),
        (Bill(), BYOK, "provider", (True, 0.0, {"upstream_inference_cost": None, "unpriced": True})),
    ],
)
def test_clients_that_add_both_costs_never_count_one_twice(bill: Bill, source, mode: str, told: tuple) -> None:
    assert tuple(annotation(bill, source, mode).values()) == told
    assert tuple(annotation(bill, source, mode)) == ("is_byok", "cost", "cost_details")
