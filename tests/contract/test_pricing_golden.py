"""Recorded usages and what they cost, worked out by hand from the vendors' published prices.

A case has the usage in the provider's own JSON, the published prices that apply (USD per million tokens; fees USD
each), where they are from, and the working in micro-dollars: tokens times price, fees, factors. What a person can
check, the test checks too; and that the catalog has those prices, and that the product comes to the same.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from ownkey.catalog import PriceList
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Terms, Usage
from ownkey.ledger.pricing import price
from ownkey.providers import Reading, translator_of
from ownkey.router.tariff import Tariff
from tests.support.providers import CATALOG, CHAT, FIXTURES, MESSAGES, annotate, call, passed

SURFACES = {Dialect.OPENAI: Surface.CHAT, Dialect.ANTHROPIC: Surface.MESSAGES}
SOME_WEDNESDAY_NOON = "2026-11-18T12:00:00Z"
NANO_PER_MICRO = 1_000
CITATION = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A"}}


def read(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FIXTURES / "pricing" / f"{name}.json").read_text())
    return cases


CASES = [
    pytest.param(case, id=f"{case['provider']}: {case['name']}")
    for name in ("openai", "anthropic", "compatible")
    for case in read(name)
]


def whole(case: dict[str, Any], dialect: Dialect) -> bytes:
    if dialect is Dialect.ANTHROPIC:
        message = {
            "id": "m1",
            "type": "message",
            "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn",
        }
        return json.dumps(message | {"usage": case["usage"]}).encode()
    said = {"role": "assistant", "content": "Hi"} | ({"annotations": [CITATION]} if "annotations" in case else {})
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    return json.dumps({"id": "c1", "choices": [choice], "usage": case["usage"]} | case.get("answer", {})).encode()


def stream(case: dict[str, Any], dialect: Dialect) -> bytes:
    if dialect is Dialect.ANTHROPIC:
        first = case["usage"] | {"output_tokens": 1}
        events = [
            {"type": "message_start", "message": {"id": "m1", "type": "message", "content": [], "usage": first}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": case["usage"]},
            {"type": "message_stop"},
        ]
        return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events).encode()
    delta = {"content": "Hi"} | ({"annotations": [CITATION]} if "annotations" in case else {})
    chunks = [
        {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]} | case.get("answer", {}),
        {"id": "c1", "choices": [], "usage": case["usage"]} | case.get("answer", {}),
    ]
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks).encode() + b"data: [DONE]\n\n"


def decode(case: dict[str, Any]) -> Reading:
    """As our translators read it, whole; a stream must say the same."""
    dialect = CATALOG.provider(case["provider"]).family
    translator = translator_of(SURFACES[dialect], dialect)
    assert translator is not None
    reading = translator.decode_whole(call(CHAT), whole(case, dialect), annotate).reading
    asked = (MESSAGES if dialect is Dialect.ANTHROPIC else CHAT) | {"stream": True}
    streamed = passed(translator, call(asked, provider=case["provider"]), [stream(case, dialect)]).decoder.reading
    assert (streamed.usage, streamed.terms) == (reading.usage, reading.terms)
    return reading


def prices_of(case: dict[str, Any]) -> PriceList:
    model = CATALOG.model(case["provider"], case["model"])
    assert model is not None
    assert model.prices is not None
    return model.prices


def moment(case: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(case.get("at", SOME_WEDNESDAY_NOON).replace("Z", "+00:00")).astimezone(UTC)


def terms_of(case: dict[str, Any], reading: Reading) -> Terms:
    provider = CATALOG.provider(case["provider"])
    there = provider.uplifts_at(case.get("endpoint") or provider.base_url or "")
    return replace(reading.terms, uplifts=reading.terms.uplifts + there)


def worked_out(expression: str) -> Fraction:
    """Sums and products of decimal numbers, exactly."""

    def value(node: ast.expr) -> Fraction:
        if isinstance(node, ast.Constant):
            return Fraction(str(node.value))
        assert isinstance(node, ast.BinOp)
        left, right = value(node.left), value(node.right)
        assert isinstance(node.op, ast.Add | ast.Mult)
        return left + right if isinstance(node.op, ast.Add) else left * right

    return value(ast.parse(expression.strip(), mode="eval").body)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
    assert len({param.values[0]["provider"] for param in CASES}) >= 10


@pytest.mark.parametrize("case", CASES)
def test_the_working_is_right(case: dict[str, Any]) -> None:
    expression, _, result = case["working"].rpartition("=")
    assert worked_out(expression) == Fraction(result.strip())
    exact = Fraction(result.strip()) * NANO_PER_MICRO
    assert case["cost_nanousd"] == round(exact), "half to even"
    numbers = {Fraction(number) for number in re.findall(r"[0-9.]+", expression)}
    assert {Fraction(factor) for factor in case.get("uplifts", {}).values()} <= numbers
    assert {Fraction(fee) * 1_000_000 for fee in case.get("fees", {}).values()} <= numbers


@pytest.mark.parametrize("case", CASES)
def test_the_catalogs_prices_are_the_published_ones(case: dict[str, Any]) -> None:
    reading, prices = decode(case), prices_of(case)
    assert reading.usage is not None
    terms = terms_of(case, reading)
    rates = prices.rates(input_tokens=reading.usage.input_tokens, service_tier=terms.service_tier, at=moment(case))
    assert {bucket: getattr(rates, bucket) for bucket in case["prices"]} == {
        bucket: Decimal(published) for bucket, published in case["prices"].items()
    }
    assert {name: prices.fees[name] for name in case.get("fees", {})} == {
        name: Decimal(fee) for name, fee in case.get("fees", {}).items()
    }
    held = {name: prices.uplifts[name] for name in terms.uplifts if name in prices.uplifts}
    assert held == {name: Decimal(factor) for name, factor in case.get("uplifts", {}).items()}


@pytest.mark.parametrize("case", CASES)
def test_the_cost_is_the_one_worked_out(case: dict[str, Any]) -> None:
    reading = decode(case)
    assert reading.usage is not None
    cost = price(reading.usage, prices_of(case), terms=terms_of(case, reading), at=moment(case))
    assert cost.total_nanousd == case["cost_nanousd"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in read("unpriced")])
def test_what_has_no_price_list_is_read_and_not_guessed(case: dict[str, Any]) -> None:
    assert CATALOG.model(case["provider"], case["model"]) is None
    reading = decode(case)
    assert reading.usage == Usage(**case["buckets"])
    bill = Tariff(CredentialSource.BYOK, None, Decimal(5), moment(case)).bill(reading.usage)
    assert (bill.cost_nanousd, bill.charge_nanousd, bill.priced) == (0, 0, False)
