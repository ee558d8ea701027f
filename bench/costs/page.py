"""docs/costs.md, from what was counted: the text is `page.md` beside this, the figures come in here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from string import Template

from bench.costs import prices
from bench.costs.counted import BUSY, CASES, Counted

_TEXT = Template((Path(__file__).parent / "page.md").read_text())
_MEMORY_GB = Decimal("0.5")
"""Of the inference function and of billing (template.yaml)."""
_ANSWERS_S = (1, 5, 20)
_TYPICAL_S = Decimal(5)
_BILLING_S = Decimal("0.1")
"""Assumed, of a batch."""
_UNWRAPS = Decimal(10) / 300
"""Of one credential for each request, in the example."""


def render(counted: Mapping[str, Counted]) -> str:
    """The page."""
    byok = counted["byok"]
    alone, busy = byok.write_units
    months_alone, months_busy = byok.alone.month_units, byok.busy.month_units
    return _TEXT.substitute(
        busy_requests=BUSY,
        units=_rows(_units(CASES[name].title, each) for name, each in counted.items()),
        months_alone=_number(months_alone),
        all_alone=_number(alone),
        share_alone=_percent(months_alone, alone),
        months_busy=_number(months_busy),
        all_busy=_number(busy),
        share_busy=_percent(months_busy, busy),
        months_usd_alone=_usd(months_alone * prices.WRITE_UNITS.usd),
        months_usd_busy=_usd(months_busy * prices.WRITE_UNITS.usd),
        known_on=prices.KNOWN_ON,
        dynamodb=_rows(_dynamodb(CASES[name].title, each) for name, each in counted.items()),
        others=_rows(_others()),
        total_alone=_usd(_all(byok, batches=Decimal(1), busy=False)),
        total_busy=_usd(_all(byok, batches=Decimal(1) / BUSY, busy=True)),
        vault_key=f"{_usd(prices.KMS_KEY.usd)} USD",
        prices=_rows([each.title, f"{each.usd:f}", each.unit, each.source] for each in prices.ALL),
    )


def _units(title: str, each: Counted) -> Sequence[str]:
    inference, alone, busy = each.inference, each.alone, each.busy
    figures = (
        inference.writes,
        inference.write_units,
        inference.read_units,
        alone.write_units,
        busy.write_units,
        alone.read_units,
        busy.read_units,
    )
    return [title, *map(_number, figures)]


def _dynamodb(title: str, each: Counted) -> Sequence[str]:
    return [title, *(_usd(_of_dynamodb(each, busy=busy)) for busy in (False, True))]


def _others() -> Iterable[Sequence[str]]:
    invocations, batched = prices.INVOCATIONS.usd, Decimal(1) / BUSY
    yield "API Gateway", _usd(prices.API_REQUESTS.usd)
    yield (
        "Lambda, requests: inference, and billing alone to busy",
        f"{_usd(2 * invocations)} to {_usd(invocations * (1 + batched))}",
    )
    for seconds in _ANSWERS_S:
        yield f"Lambda, inference while an answer takes {seconds} s (512 MB)", _usd(_lambda(Decimal(seconds)))
    yield (
        f"Lambda, billing: alone to busy, at an assumed {_BILLING_S} s a batch (512 MB)",
        f"{_usd(_lambda(_BILLING_S))} to {_usd(_lambda(_BILLING_S * batched))}",
    )
    yield (
        "KMS, one credential unwrapped by each of 10 environments each 300 s, at one request a second",
        _usd(prices.KMS_REQUESTS.usd * _UNWRAPS),
    )
    yield "DynamoDB Streams", _usd(prices.STREAM_READS.usd)


def _of_dynamodb(each: Counted, *, busy: bool) -> Decimal:
    return each.write_units[busy] * prices.WRITE_UNITS.usd + each.read_units[busy] * prices.READ_UNITS.usd


def _lambda(seconds: Decimal) -> Decimal:
    return seconds * _MEMORY_GB * prices.GB_SECONDS.usd


def _all(each: Counted, *, batches: Decimal, busy: bool) -> Decimal:
    """Of a request, with its part of a batch."""
    functions = prices.INVOCATIONS.usd * (1 + batches) + _lambda(_TYPICAL_S) + _lambda(_BILLING_S * batches)
    return _of_dynamodb(each, busy=busy) + prices.API_REQUESTS.usd + functions


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _number(amount: Decimal) -> str:
    return f"{amount.quantize(Decimal('0.01')):f}".rstrip("0").rstrip(".")


def _usd(amount: Decimal) -> str:
    return f"{amount.quantize(Decimal('0.01')):f}"


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{(100 * part / whole).quantize(Decimal(1))} %"
