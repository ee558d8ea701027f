"""Compares the catalog's prices with genai-prices, a second source that is kept independently.

Each price that both state must be equal, or stand in signed_off.toml with both values, which of them to keep, and why:
then somebody has looked, and a further change of either asks again. A price only one of them states is no disagreement.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from ownkey.catalog.catalog import Catalog
from ownkey.catalog.models import Model
from ownkey.catalog.prices import Rates
from tools.catalog.transform import Row

_THEIR_NAMES: Mapping[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    "cache_read": ("cache_read_mtok",),
    "cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok",),
    "audio_input": ("input_audio_mtok",),
    "image_input": ("input_image_mtok",),
    "output": ("output_mtok",),
    "reasoning": ("output_reasoning_mtok",),
    "audio_output": ("output_audio_mtok",),
    "image_output": ("output_image_mtok",),
}
TIERS: Mapping[str, Mapping[str, str]] = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""Our service tiers -> the request context under which genai-prices has the tier's prices."""


@dataclass(frozen=True, slots=True, order=True)
class Disagreement:
    """One price on which the two sources differ."""

    provider_id: str
    model_id: str
    price: str
    """`[<tier>:]<bucket>[><above_tokens>]`, such as `input`, `flex:output`, `cache_read>200000`."""
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.provider_id}/{self.model_id} {self.price}: {self.ours} here, {self.theirs} there"


@dataclass(frozen=True, slots=True)
class SignOff:
    """A disagreement that somebody has looked at: an entry of signed_off.toml for one model."""

    disagreement: Disagreement
    keep: str
    """`ours`, `theirs`, or `neither`: what stands for theirs is then somebody's correction."""
    reason: str


def read_sign_offs(path: Path) -> list[SignOff]:
    """The entries of signed_off.toml."""
    return [
        SignOff(Disagreement(group["provider"], model_id, price, ours, theirs), group["keep"], group["reason"])
        for group in tomllib.loads(path.read_text())["group"]
        for price, ours, theirs, *model_ids in group["differ"]
        for model_id in model_ids
    ]


def correct(provider_id: str, rows: Mapping[str, Row], sign_offs: Iterable[SignOff]) -> list[str]:
    """Puts the prices that are not to be ours into the rows; returns the sign-offs that do not fit them."""
    unfit = []
    for sign_off in sign_offs:
        wrong = sign_off.disagreement
        if wrong.provider_id != provider_id or sign_off.keep == "ours":
            continue
        sheet, bucket = _place(wrong.price)
        prices = rows.get(wrong.model_id, {}).get("prices", {})
        # A rung that they alone have is wrong here by what stands below it.
        stated = prices.get(sheet, {}).get(bucket, prices.get(sheet.partition(">")[0], {}).get(bucket))
        if stated == wrong.ours:
            prices.setdefault(sheet, {})[bucket] = wrong.theirs
        else:
            unfit.append(f"signed off, but no longer so: {wrong}")
    return unfit


def _place(price: str) -> tuple[str, str]:
    """The sheet's key in a row, and the bucket: `flex:input>200000` -> (`flex>200000`, `input`)."""
    tier, _, rest = price.rpartition(":")
    bucket, rung, above = rest.partition(">")
    return f"{tier}{rung}{above}", bucket


def problems(found: Iterable[Disagreement], sign_offs: Iterable[SignOff]) -> list[str]:
    """Disagreements nobody signed off, and sign-offs of what no longer differs."""
    differing = set(found)
    signed = {sign_off.disagreement for sign_off in sign_offs if sign_off.keep == "ours"}
    return [f"not signed off: {one}" for one in sorted(differing - signed)] + [
        f"signed off, but no longer so: {one}" for one in sorted(signed - differing)
    ]


def disagreements(catalog: Catalog, their_names: Mapping[str, str], at: datetime) -> Iterator[Disagreement]:
    """Every price of the catalog that genai-prices states otherwise.

    Args:
        their_names: Our provider ids -> those of genai-prices; providers without one are not compared.
        at: The moment whose prices are compared (aware): both sources have dated and hourly ones.
    """
    theirs = {provider.id: provider for provider in get_snapshot().providers}
    for provider_id, their_id in their_names.items():
        for model in catalog.models(provider_id):
            other = theirs[their_id].find_model(model.id)
            if other is not None and model.prices is not None:
                yield from _compare(model, other, at)


def _compare(model: Model, other: ModelInfo, at: datetime) -> Iterator[Disagreement]:
    yield from _compare_ladder(model, None, other.get_prices(at), at)
    variants = [dict(variant.when) for variant in other.price_variants or ()]
    assert model.prices is not None
    for tier, context in TIERS.items():
        if tier in model.prices.service_tiers and context in variants:
            yield from _compare_ladder(model, tier, only_variant(other, context, at), at)


def only_variant(other: ModelInfo, context: Mapping[str, str], at: datetime) -> ModelPrice:
    """The prices the variant states itself: what it takes over from the standard ones says nothing of the tier."""
    return next(
        variant.prices
        for variant in other.price_variants or ()
        if dict(variant.when) == context and (variant.constraint is None or variant.constraint.active(at))
    )


def _compare_ladder(model: Model, tier: str | None, other: ModelPrice, at: datetime) -> Iterator[Disagreement]:
    prices = model.prices
    assert prices is not None
    ladder = prices.service_tiers[tier] if tier else prices.steps
    stated = {bucket: price for bucket in _THEIR_NAMES if (price := their_price(other, bucket)) is not None}
    rungs = {step.above_tokens: step.rates for step in ladder}
    for above_tokens in sorted(rungs.keys() | _rungs(stated.values())):
        # A rung that they alone have is one more price where ours goes on as below it.
        ours = rungs[max(rung for rung in rungs if rung <= above_tokens)]
        if tier is None and above_tokens == 0:
            ours = _standing(ours, prices.rates(at=at))
        for bucket, price in stated.items():
            mine, their = getattr(ours, bucket), _at(price, above_tokens + 1)
            if mine is not None and mine != their:
                name = f"{tier}:{bucket}" if tier else bucket
                name += f">{above_tokens}" if above_tokens else ""
                yield Disagreement(model.provider_id, model.id, name, f"{mine:f}", f"{their.normalize():f}")


def _rungs(prices: Iterable[Decimal | TieredPrices]) -> set[int]:
    """Where these prices change with the length of the prompt."""
    return {tier.start for price in prices if isinstance(price, TieredPrices) for tier in price.tiers}


def _standing(stated: Rates, now: Rates) -> Rates:
    """The rates of the moment, of those buckets that have a price of their own."""
    return Rates(
        **{b: getattr(now, b) if getattr(stated, b) is not None else None for b in _THEIR_NAMES},
    )


def their_price(other: ModelPrice, bucket: str) -> Any:
    return next((p for name in _THEIR_NAMES[bucket] if (p := getattr(other, name, None)) is not None), None)


def _at(price: Decimal | TieredPrices, tokens: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if tokens > tier.start]
    return reached[-1] if reached else price.base
