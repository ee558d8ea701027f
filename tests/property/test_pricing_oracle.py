"""What usages cost, against genai-prices: an independent program over independently kept prices.

Compared are the models both know, at moments of every kind, under each service tier both price; of the buckets those
that both state, without the prices whose difference somebody signed off (tools/catalog/signed_off.toml).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo
from genai_prices.types import Provider as TheirProvider

from ownkey.catalog import RATE_BUCKETS, Catalog, Model
from ownkey.domain.money import NANOUSD_PER_USD, round_nanousd
from ownkey.domain.usage import Terms, Usage
from ownkey.ledger.pricing import price
from tools.catalog import oracle
from tools.catalog.build import SIGNED_OFF, provider_table

CATALOG = Catalog.load()
TABLE = provider_table()
THEIR_NAMES = {row["id"]: name for row in TABLE if (name := row.get("price_source", {}).get("genai_prices"))}
SIGNED = {sign.disagreement for sign in oracle.read_sign_offs(SIGNED_OFF)}
MOMENTS = tuple(
    datetime(2026, 11, day, hour, minute, tzinfo=UTC)
    for day in (18, 20, 21)
    for hour, minute in ((0, 30), (1, 0), (3, 59), (4, 0), (7, 15), (10, 0), (23, 59))
)
"""A Wednesday, a Friday, a Saturday: within DeepSeek's peak hours, outside, and on their edges."""
COUNTS = (0, 1, 999, 99_999, 100_001, 200_001, 272_001, 512_001)


@dataclass(frozen=True)
class Comparable:
    """One model under one tier: which buckets both price alike."""

    model: Model
    tier: str | None
    theirs: ModelInfo
    their_provider: TheirProvider
    context: Mapping[str, str]
    buckets: tuple[str, ...]


def comparables() -> Iterator[Comparable]:
    providers = {provider.id: provider for provider in get_snapshot().providers}
    differing = {
        (one.provider_id, one.model_id, _unrung(one.price))
        for moment in MOMENTS
        for one in oracle.disagreements(CATALOG, THEIR_NAMES, moment)
    }
    for provider_id, their_id in THEIR_NAMES.items():
        for model in CATALOG.models(provider_id):
            other = providers[their_id].find_model(model.id)
            if other is None or model.prices is None:
                continue
            for tier, context in (("", {}), *oracle.TIERS.items()):
                stated = _stated_by_both(model, other, tier, context)
                alike = [
                    bucket
                    for bucket in stated
                    if (provider_id, model.id, f"{tier}:{bucket}" if tier else bucket) not in differing
                ]
                if alike:
                    yield Comparable(model, tier or None, other, providers[their_id], context, tuple(alike))


def _unrung(name: str) -> str:
    return name.partition(">")[0]


def _stated_by_both(model: Model, other: ModelInfo, tier: str, context: Mapping[str, str]) -> Sequence[str]:
    prices = model.prices
    assert prices is not None
    ladder = prices.service_tiers.get(tier, ()) if tier else prices.steps
    variants = [dict(variant.when) for variant in other.price_variants or ()]
    if not ladder or (tier and dict(context) not in variants):
        return ()
    theirs = oracle.only_variant(other, context, MOMENTS[0]) if tier else other.get_prices(MOMENTS[0])
    return [
        bucket
        for bucket in RATE_BUCKETS
        if oracle.their_price(theirs, bucket) is not None
        and all(getattr(step.rates, bucket) is not None for step in ladder)
    ]


def drawn_usage(draw: random.Random, case: Comparable) -> Usage:
    """Any counts of some of the buckets, in a prompt no longer than the model reads."""
    some = draw.sample(case.buckets, draw.randint(1, len(case.buckets)))
    counts = {bucket: draw.choice((*COUNTS, draw.randint(0, 10**7))) for bucket in some}
    into = Usage(**counts).input_tokens
    limit = case.model.context_length or into
    return Usage(**{bucket: count if into <= limit else count * limit // into for bucket, count in counts.items()})


def their_usage(usage: Usage) -> genai_prices.Usage:
    """Their counts: a kind's tokens are part of its direction's, a 1 h write of all writes."""
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_write_5m_tokens": usage.cache_write_5m,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "input_audio_tokens": usage.audio_input,
        "input_image_tokens": usage.image_input,
        "output_audio_tokens": usage.audio_output,
        "output_image_tokens": usage.image_output,
        "output_reasoning_tokens": usage.reasoning,
    }
    none_cached = {f"cache_{kind}_{way}_tokens": 0 for kind in ("audio", "image") for way in ("read", "write")}
    return genai_prices.Usage(**counts, **none_cached)


def compare(cases: Sequence[Comparable], number: int, seed: int) -> tuple[int, set[tuple[str, str]]]:
    """Prices `number` generated usages twice. Returns how many, and of which models."""
    draw = random.Random(seed)
    seen = set()
    for _ in range(number):
        case = draw.choice(cases)
        assert case.model.prices is not None
        usage, moment = drawn_usage(draw, case), draw.choice(MOMENTS)
        ours = price(usage, case.model.prices, terms=Terms(case.tier), at=moment).total_nanousd
        theirs = case.theirs.calc_price(
            their_usage(usage),
            case.their_provider,
            genai_request_timestamp=moment,
            price_context=case.context,
        )
        requests = case.theirs.get_prices(moment).requests_kcount or Decimal(0)
        exact = (theirs.total_price - requests / 1000) * NANOUSD_PER_USD
        assert ours == round_nanousd(exact), f"{case.model.provider_id}/{case.model.id} {case.tier} {usage} {moment}"
        seen.add((case.model.provider_id, case.model.id))
    return number, seen


CASES = tuple(comparables())


def test_there_is_something_to_compare() -> None:
    assert len({(case.model.provider_id, case.model.id) for case in CASES}) > 300
    assert {case.tier for case in CASES} == {None, "batch", "flex", "priority"}
    assert {bucket for case in CASES for bucket in case.buckets} >= {"input", "cache_read", "cache_write_1h", "output"}


def test_costs_are_genai_prices_costs() -> None:
    compare(CASES, 3_000, seed=4)


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_costs_are_genai_prices_costs_at_length(record_property: Any) -> None:
    """The cost of a usage is genai-prices' cost, to the nano-dollar."""
    usages, models = compare(CASES, 200_000, seed=5)
    record_property("usages", usages)
    record_property("models", len(models))
