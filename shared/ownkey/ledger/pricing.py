"""What an attempt costs: the buckets times the rates, summed exactly, rounded once (docs/pricing.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal, localcontext

from ownkey.catalog import NANOUSD_PER_UNIT, RATE_BUCKETS, PriceList
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.money import NANOUSD_PER_USD, round_nanousd
from ownkey.domain.usage import COUNTED, STANDARD_TERMS, Terms, Usage

_INPUT_BUCKETS = frozenset({"input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "image_input"})
_OUTPUT_UNITS = frozenset({"images"})
_UNIT_FEES: Mapping[str, str] = {
    "images": "image_output",
    "characters": "character_input",
    "audio_input_ms": "audio_second_input",
    "search_units": "search_unit",
}
"""A bucket of units → its fee; that of a web search depends on the terms."""
_MS = Decimal("0.001")
_USUAL_SEARCH_CONTEXT = "medium"
_EXACT = Context(prec=100)
"""Wide enough that no product or sum of counts, rates and factors is ever rounded on the way."""


class Unpriced(Exception):
    """A bucket that was used has no price: the cost cannot be told, and is not guessed."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"no price for {bucket}")
        self.bucket = bucket


@dataclass(frozen=True, slots=True)
class Cost:
    """The provider's cost of one attempt."""

    total_nanousd: int
    """The exact sum, rounded once by `round_nanousd`."""
    input_nanousd: int
    """What went in, and the fees but for what was made: rounded for display."""
    output_nanousd: int
    """The rest of the total: the parts always add up."""
    price_version: str


def price(usage: Usage, prices: PriceList, *, terms: Terms = STANDARD_TERMS, at: datetime | None = None) -> Cost:
    """The cost of a usage by a price list.

    Args:
        terms: As the provider's answer says.
        at: When the provider was asked (aware); chooses off-peak rates.

    Raises:
        Unpriced: a bucket with tokens has no rate, or one with units no fee.
    """
    with localcontext(_EXACT):
        exact_in, exact_out = _exact_parts(usage, prices, terms, at)
        total, into = round_nanousd(exact_in + exact_out), round_nanousd(exact_in)
    return Cost(total, into, total - into, prices.version)


def cost_of(
    usage: Usage, prices: PriceList, source: CredentialSource, *, terms: Terms = STANDARD_TERMS, at: datetime | None
) -> Cost | None:
    """The provider's cost of an attempt on either kind of credential; None where it cannot be told.

    The platform serves only what has a price (`catalog.sold`): where a bucket beside that has none, such as a tool's
    fee, it costs nothing there.
    """
    while True:
        try:
            return price(usage, prices, terms=terms, at=at)
        except Unpriced as unpriced:
            if source is CredentialSource.BYOK:
                return None
            usage = replace(usage, **{unpriced.bucket: 0})


def _exact_parts(usage: Usage, prices: PriceList, terms: Terms, at: datetime | None) -> tuple[Decimal, Decimal]:
    """What came in and went out, in nano-dollars and their fractions."""
    rates = prices.rates(input_tokens=usage.input_tokens, service_tier=terms.service_tier, at=at, uplifts=terms.uplifts)
    fees_in, fees_out = _fees(usage, prices, terms)
    exact = {True: fees_in * NANOUSD_PER_USD, False: fees_out * NANOUSD_PER_USD}
    for bucket in RATE_BUCKETS:
        tokens = getattr(usage, bucket)
        if not tokens:
            continue
        rate = getattr(rates, bucket)
        if rate is None:
            raise Unpriced(bucket)
        exact[bucket in _INPUT_BUCKETS] += tokens * rate * NANOUSD_PER_UNIT
    return exact[True], exact[False]


def _fees(usage: Usage, prices: PriceList, terms: Terms) -> tuple[Decimal, Decimal]:
    """USD for what is billed by the unit, in and out; conditions with a factor raise tokens alone."""
    sums = {True: prices.fees.get("request", Decimal(0)), False: Decimal(0)}
    for bucket in COUNTED:
        units = getattr(usage, bucket)
        if units:
            sums[bucket not in _OUTPUT_UNITS] += units * _fee(bucket, prices, terms)
    return sums[True], sums[False]


def _fee(bucket: str, prices: PriceList, terms: Terms) -> Decimal:
    """USD for one unit of the bucket."""
    names: tuple[str, ...] = (_UNIT_FEES.get(bucket, ""),)
    if bucket == "web_searches":
        sizes = (terms.search_context or _USUAL_SEARCH_CONTEXT, _USUAL_SEARCH_CONTEXT)
        names = tuple(f"web_search_{size}" for size in sizes)
    fee = next((prices.fees[name] for name in names if name in prices.fees), None)
    if fee is None:
        raise Unpriced(bucket)
    return fee * _MS if bucket == "audio_input_ms" else fee
