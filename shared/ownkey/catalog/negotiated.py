"""The price list that one credential's owner pays by: the published one, or what was agreed in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from ownkey.catalog.prices import RATE_BUCKETS, PriceList, Rates, Step
from ownkey.domain.pricing import FEES, CredentialPricing, ModelRates, PricingMode

_ZERO = Decimal(0)
_NO_FEES = dict.fromkeys(FEES, _ZERO)
_NO_RATES = Rates(**dict.fromkeys(RATE_BUCKETS, _ZERO))


def price_list_for(
    pricing: CredentialPricing | None, credential_id: str, model_id: str, published: PriceList | None
) -> PriceList | None:
    """What a credential's requests to a model are priced by; None where nothing is known.

    A flat plan costs 0. A discount lowers every rate and fee. Rates of one's own stand for themselves: no context
    tier, service tier, hour or region changes them; models without keep the published list.
    """
    if pricing is None or pricing.mode is PricingMode.CATALOG:
        return published
    version = pricing.version(credential_id, published.version if published else None)
    assert version is not None
    if pricing.mode is PricingMode.FLAT:
        return PriceList(version, (Step(0, _NO_RATES),), fees=_NO_FEES)
    if pricing.mode is PricingMode.DISCOUNT:
        return published and replace(_discounted(published, pricing.discount_percent), version=version)
    own = pricing.rates_for(model_id)
    return published if own is None else _own(own, version, published.fees if published else {})


def _own(own: ModelRates, version: str, published: Mapping[str, Decimal]) -> PriceList:
    return PriceList(version, (Step(0, Rates(**own.rates)),), fees={**published, **own.fees})


def _discounted(prices: PriceList, percent: Decimal) -> PriceList:
    factor = (100 - percent) / 100

    def ladder(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(replace(step, rates=step.rates.times(factor)) for step in steps)

    return replace(
        prices,
        steps=ladder(prices.steps),
        service_tiers={tier: ladder(steps) for tier, steps in prices.service_tiers.items()},
        off_peak=prices.off_peak and replace(prices.off_peak, rates=prices.off_peak.rates.times(factor)),
        fees={name: fee * factor for name, fee in prices.fees.items()},
    )
