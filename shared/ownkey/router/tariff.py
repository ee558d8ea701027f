"""What a candidate's tokens cost, what of that the account is charged, and what is held before anything is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any

from ownkey.catalog import Model, PriceList
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.money import usd_number, with_margin
from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage
from ownkey.ledger.pricing import Unpriced, price
from ownkey.providers import Document

INPUT_MARGIN = 1.3
"""On an estimated prompt, for a hold: what the estimate may fall short by."""
UNSTATED_OUTPUT_TOKENS = 16_384
"""The most that is held for an answer whose request names no limit; more is an overrun, and the operator's risk."""

_LIMITS = ("max_completion_tokens", "max_tokens")
_MAX_CHOICES = 128


@dataclass(frozen=True, slots=True)
class Bill:
    """What one attempt comes to, in nano-dollars."""

    cost_nanousd: int = 0
    """The provider's, by the price list; 0 where that has none."""
    charge_nanousd: int = 0
    """From the account's credits: 0 on BYOK."""
    priced: bool = False


@dataclass(frozen=True, slots=True)
class Tariff:
    """One candidate's prices at one moment."""

    source: CredentialSource
    prices: PriceList | None
    margin_percent: Decimal
    at: datetime

    @property
    def price_version(self) -> str | None:
        """The catalog's version; None without a price."""
        return self.prices.version if self.prices else None

    def bill(self, usage: Usage, terms: Terms = STANDARD_TERMS) -> Bill:
        """Cost and charge of a usage; nothing used costs nothing, whatever a request may cost."""
        if self.prices is None or usage == Usage():
            return Bill(priced=self.prices is not None)
        try:
            cost = price(usage, self.prices, terms=terms, at=self.at).total_nanousd
        except Unpriced:
            if self.source is CredentialSource.BYOK:
                return Bill()
            # The platform serves only models whose tokens have prices: what has none is a tool's fee.
            tokens = replace(usage, web_searches=0)
            cost = price(tokens, self.prices, terms=terms, at=self.at).total_nanousd
        charge = with_margin(cost, self.margin_percent) if self.source is CredentialSource.PLATFORM else 0
        return Bill(cost, charge, priced=True)

    def hold(self, request: Document, model: Model | None, input_tokens: int) -> int:
        """The worst case of a platform attempt in nano-dollars, margin included; 0 on BYOK."""
        if self.source is CredentialSource.BYOK:
            return 0
        return self.bill(worst_case(request, model, input_tokens)).charge_nanousd


def worst_case(request: Document, model: Model | None, input_tokens: int) -> Usage:
    """The most a request may use: the estimate with its margin, and the output it allows, in their dearest buckets."""
    values = request.values
    limits = [values[name] for name in _LIMITS if _is_count(values.get(name))]
    ceiling = model.max_output if model else None
    output = max(limits) if limits else UNSTATED_OUTPUT_TOKENS
    choices = min(values["n"], _MAX_CHOICES) if _is_count(values.get("n")) else 1
    spoken = isinstance(values.get("modalities"), list) and "audio" in values["modalities"]
    return Usage(
        **{
            "cache_write_1h" if b'"cache_control"' in request.raw else "input": ceil(input_tokens * INPUT_MARGIN),
            "audio_output" if spoken else "output": choices * (min(output, ceiling) if ceiling else output),
        }
    )


def annotation(bill: Bill, source: CredentialSource, cost_mode: str) -> Mapping[str, object]:
    """The members added to an answer's `usage`.

    Clients of this dialect add `cost` and `upstream_inference_cost`: the provider's cost stands in one of them alone.
    `cost_mode` "charge": `cost` is what is charged here. "provider": on BYOK it is the provider's cost.
    """
    byok = source is CredentialSource.BYOK
    shown = bill.cost_nanousd if byok and cost_mode == "provider" else bill.charge_nanousd
    upstream = usd_number(bill.cost_nanousd) if byok and cost_mode != "provider" and bill.priced else None
    details: dict[str, object] = {"upstream_inference_cost": upstream}
    if not bill.priced:
        details["unpriced"] = True
    return {"is_byok": byok, "cost": usd_number(shown), "cost_details": details}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
