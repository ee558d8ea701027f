"""What an attempt costs: the buckets times the rates, summed exactly, rounded once (docs/pricing.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal, localcontext

from ownkey.catalog import NANOUSD_PER_UNIT, RATE_BUCKETS, PriceList
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.money import NANOUSD_PER_USD, round_nanousd
from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage

_INPUT_BUCKETS = frozenset({"input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "image_input"})
_USUAL_SEARCH_CONTEXT = "medium"
_EXACT = Context(prec=100)
"""Wide enough that no product or sum of counts, rates and factors is ever rounded on the way."""


class Unpriced(Exception):
    """A bucket that was used has no price: the cost cannot be told, and is not guessed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The provider's cost of one attempt."""

    total_nanousd: int
    """The exact sum, rounded once by `round_nanousd`."""
    input_nanousd: int
    """What went in, and the fees: rounded for display."""
    output_nanousd: int
    """The rest of the total: the parts always add up."""
    price_version: str


def price(usage: Usage, prices: PriceList, *, terms: Terms = STANDARD_TERMS, at: datetime | None = None) -> Cost:
    """The cost of a usage by a price list.

    Args:
        terms: As the provider's answer says.
        at: When the provider was asked (aware); chooses off-peak rates.

    Raises:
        Unpriced: a bucket with tokens has no rate, or tools were called that have no fee.
    """
    with localcontext(_EXACT):
        exact_in, exact_out = _exact_parts(usage, prices, terms, at)
        total, into = round_nanousd(exact_in + exact_out), round_nanousd(exact_in)
    return Cost(total, into, total - into, prices.version)


def cost_of(
    usage: Usage, prices: PriceList, source: CredentialSource, *, terms: Terms = STANDARD_TERMS, at: datetime | None
) -> Cost | None:
    """The provider's cost of an attempt on either kind of credential; None where it cannot be told.

    The platform serves only models whose tokens have prices: what has none there is a tool's fee, and it costs nothing.
    """
    try:
        return price(usage, prices, terms=terms, at=at)
    except Unpriced:
        if source is CredentialSource.BYOK:
            return None
        return price(replace(usage, web_searches=0), prices, terms=terms, at=at)


def _exact_parts(usage: Usage, prices: PriceList, terms: Terms, at: datetime | None) -> tuple[Decimal, Decimal]:
    """What came in and went out, in nano-dollars and their fractions."""
    rates = prices.rates(input_tokens=usage.input_tokens, service_tier=terms.service_tier, at=at, uplifts=terms.uplifts)
    exact = {True: _fees(usage, prices, terms) * NANOUSD_PER_USD, False: Decimal(0)}
    for bucket in RATE_BUCKETS:
        tokens = getattr(usage, bucket)
        if not tokens:
            continue
        rate = getattr(rates, bucket)
        if rate is None:
            raise Unpriced(f"no rate for {bucket}")
        exact[bucket in _INPUT_BUCKETS] += tokens * rate * NANOUSD_PER_UNIT
    return exact[True], exact[False]


def _fees(usage: Usage, prices: PriceList, terms: Terms) -> Decimal:
    """USD for what is billed by the call; conditions with a factor raise tokens alone."""
    fees = prices.fees.get("request", Decimal(0))
    if not usage.web_searches:
        return fees
    sizes = (terms.search_context or _USUAL_SEARCH_CONTEXT, _USUAL_SEARCH_CONTEXT)
    fee = next((prices.fees[name] for size in sizes if (name := f"web_search_{size}") in prices.fees), None)
    if fee is None:
        raise Unpriced("no fee for web searches")
    return fees + usage.web_searches * fee
