"""What an attempt costs: the usage's buckets times the model's rates, summed exactly, rounded once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ownkey.catalog import NANOUSD_PER_UNIT, RATE_BUCKETS, PriceList
from ownkey.domain.money import NANOUSD_PER_USD, round_nanousd
from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage

_INPUT_BUCKETS = frozenset({"input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "image_input"})
_WEB_SEARCH_FEE = "web_search_medium"


class Unpriced(Exception):
    """A bucket that was used has no price: the cost cannot be told, and is not guessed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The provider's cost of one attempt. `total_nanousd` alone is rounded for money; its parts are for display."""

    total_nanousd: int
    input_nanousd: int
    output_nanousd: int
    price_version: str


def price(usage: Usage, prices: PriceList, *, terms: Terms = STANDARD_TERMS, at: datetime | None = None) -> Cost:
    """The cost of a usage by a price list.

    Args:
        terms: As the provider's answer says.
        at: When the provider was asked (aware); chooses off-peak rates.

    Raises:
        Unpriced: a bucket with tokens has no rate, or tools were called that have no fee.
    """
    rates = prices.rates(input_tokens=usage.input_tokens, service_tier=terms.service_tier, at=at, uplifts=terms.uplifts)
    exact = {True: Decimal(0), False: Decimal(0)}
    for bucket in RATE_BUCKETS:
        tokens = getattr(usage, bucket)
        if not tokens:
            continue
        rate = getattr(rates, bucket)
        if rate is None:
            raise Unpriced(f"no rate for {bucket}")
        exact[bucket in _INPUT_BUCKETS] += tokens * rate * NANOUSD_PER_UNIT
    fees = prices.fees.get("request", Decimal(0))
    if usage.web_searches:
        if _WEB_SEARCH_FEE not in prices.fees:
            raise Unpriced("no fee for web searches")
        fees += usage.web_searches * prices.fees[_WEB_SEARCH_FEE]
    exact[True] += fees * NANOUSD_PER_USD
    return Cost(
        total_nanousd=round_nanousd(exact[True] + exact[False]),
        input_nanousd=round_nanousd(exact[True]),
        output_nanousd=round_nanousd(exact[False]),
        price_version=prices.version,
    )
