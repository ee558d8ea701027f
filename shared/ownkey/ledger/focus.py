"""A month's charges as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification.

https://focus.finops.org/focus-specification/v1-2/: its 21 mandatory columns, others that apply, and columns of our own,
which begin with `x_`. A row is a day's use of a model on one source, or one of a month's movements that is no use.
What BYOK costs is on the provider's invoice: billed here is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from ownkey.domain.credentials import CredentialSource
from ownkey.domain.ledger import MovementKind
from ownkey.domain.money import NANOUSD_PER_USD
from ownkey.domain.usage import USAGE_BUCKETS, Usage
from ownkey.ledger.movements import Month
from ownkey.ledger.rollups import RollupRow

VERSION = "1.2"
COLUMNS = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "x_Source",
    "x_ProviderCost",
    "x_InputTokens",
    "x_OutputTokens",
    "x_LateAttempts",
)

Row = dict[str, Any]

_ISSUER = "Ownkey"
_UNIT = "Requests"
_MOVEMENTS: Mapping[MovementKind, tuple[str, str | None, str]] = {
    MovementKind.REWARD: ("Credit", None, "Credits for sharing provider keys"),
    MovementKind.SIGN_UP: ("Credit", None, "Credits for signing up"),
    MovementKind.CORRECTION: ("Adjustment", "Correction", "Corrections by the operator"),
}
"""Movements that are charges and no use: category, class and description. Deposits are payments, and no charge."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Whose rows they are, and of which month."""

    account_id: str
    account_name: str
    month: str
    provider_name: Callable[[str], str]
    """Of a provider's id."""


def usage_rows(bill: Bill, rows: Iterable[RollupRow]) -> list[Row]:
    """A day's use of a model (`<provider>/<model>`), by source: at most two rows for each aggregate."""
    found = list[Row]()
    for row in rows:
        served = [each for each in CredentialSource if row.counters.get(f"{each}_attempts")]
        found += [_usage(bill, row, source, alone=len(served) == 1) for source in served]
    return found


def month_rows(bill: Bill, moved: Month) -> list[Row]:
    """What the month charges and is no use. What is in the account's favour has a negative cost."""
    rows = [
        _whole_month(bill, -moved.kinds[kind].amount_nanousd, *said)
        for kind, said in _MOVEMENTS.items()
        if kind in moved.kinds
    ]
    if moved.overrun_nanousd:
        said = "Charges beyond the account's credits, borne by the operator"
        rows.append(_whole_month(bill, -moved.overrun_nanousd, "Adjustment", None, said))
    return rows


def _usage(bill: Bill, row: RollupRow, source: CredentialSource, *, alone: bool) -> Row:
    """Tokens are counted for a model as a whole: they are told where only one source served it that day."""
    counts, day = row.counters, date.fromisoformat(row.time)
    attempts = counts[f"{source}_attempts"]
    tokens = Usage.from_item({name: counts[name] for name in USAGE_BUCKETS if name in counts})
    platform = source is CredentialSource.PLATFORM
    publisher = bill.provider_name(row.value.partition("/")[0])
    return {
        **_costs(counts.get("charge_nanousd", 0) if platform else 0),
        **_common(bill),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{row.value} on {'the platform' if platform else 'your own'} key",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _midnight(day),
        "ChargePeriodEnd": _midnight(day + timedelta(days=1)),
        "ConsumedQuantity": attempts,
        "ConsumedUnit": _UNIT,
        "InvoiceIssuerName": _ISSUER if platform else publisher,
        "PricingQuantity": attempts,
        "PricingUnit": _UNIT,
        "PublisherName": publisher,
        "SkuId": row.value,
        "x_Source": source.value,
        "x_ProviderCost": _usd(counts.get(f"cost_{source}_nanousd", 0)),
        "x_InputTokens": tokens.input_tokens if alone else None,
        "x_OutputTokens": tokens.output_tokens if alone else None,
        "x_LateAttempts": counts.get("late_attempts", 0) if alone else None,
    }


def _whole_month(bill: Bill, cost_nanousd: int, category: str, charge_class: str | None, description: str) -> Row:
    common = _common(bill)
    return {
        **_costs(cost_nanousd),
        **common,
        "ChargeCategory": category,
        "ChargeClass": charge_class,
        "ChargeDescription": description,
        "ChargeFrequency": "One-Time",
        "ChargePeriodStart": common["BillingPeriodStart"],
        "ChargePeriodEnd": common["BillingPeriodEnd"],
        "InvoiceIssuerName": _ISSUER,
        "PublisherName": _ISSUER,
    }


def _common(bill: Bill) -> Row:
    first = date.fromisoformat(f"{bill.month}-01")
    return {
        "BillingAccountId": bill.account_id,
        "BillingAccountName": bill.account_name,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _midnight(first),
        "BillingPeriodEnd": _midnight((first + timedelta(days=32)).replace(day=1)),
        "ProviderName": _ISSUER,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Ownkey inference",
        "ServiceSubcategory": "Generative AI",
    }


def _costs(nanousd: int) -> Row:
    """No discount is between list and bill, and nothing is paid ahead for single charges."""
    return dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), _usd(nanousd))


def _usd(nanousd: int) -> Decimal:
    return Decimal(nanousd) / NANOUSD_PER_USD


def _midnight(day: date) -> str:
    return datetime.combine(day, time(), UTC).isoformat().replace("+00:00", "Z")
