"""What a model costs, under every condition its provider names: context length, service tier, hour, region.

All prices are exact `Decimal`s of USD: per million tokens in `Rates`, for each unit in `PriceList.fees`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

NANOUSD_PER_UNIT = 1000
"""Nano-dollars per token that a rate of 1 (USD per million tokens) makes."""

_STANDARD_TIERS = frozenset({"", "default", "standard", "auto", "standard_only"})
"""What providers call the tier that everybody gets."""

_TIER_ALIASES = {"fast": "priority"}
"""OpenAI's newer name for a tier; both are billed the same."""

_FALLBACKS = (
    ("cache_read", "input"),
    ("cache_write_5m", "input"),
    ("cache_write_1h", "cache_write_5m"),
    ("audio_input", "input"),
    ("image_input", "input"),
    ("reasoning", "output"),
    ("audio_output", "output"),
    ("image_output", "output"),
)
"""(bucket, the bucket whose rate it takes where the provider names none), in the order they are applied."""


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens, one field for each token bucket of `domain.usage.Usage`.

    None: the provider names no price of its own for the bucket. 0 is a price: free.
    """

    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    """Also that of a cache write without a stated lifetime."""
    cache_write_1h: Decimal | None = None
    """Of the longer lifetime where a provider sells two, whichever it is."""
    audio_input: Decimal | None = None
    image_input: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    audio_output: Decimal | None = None
    image_output: Decimal | None = None

    def filled(self) -> Rates:
        """The same with every bucket priced that can be: a bucket without a price pays its kind's plain rate.

        Cached and written tokens pay `input` (a 1 h write pays what a 5 min write does), audio and image tokens their
        direction's plain rate, reasoning `output`. What is still None has no price at all: nothing is guessed.
        """
        known: dict[str, Decimal | None] = {bucket: getattr(self, bucket) for bucket in RATE_BUCKETS}
        for bucket, substitute in _FALLBACKS:
            if known[bucket] is None:
                known[bucket] = known[substitute]
        return Rates(**known)

    def times(self, factor: Decimal) -> Rates:
        """Every rate multiplied."""
        known = {bucket: getattr(self, bucket) for bucket in RATE_BUCKETS}
        return Rates(**{bucket: rate * factor for bucket, rate in known.items() if rate is not None})


RATE_BUCKETS = tuple(f.name for f in fields(Rates))
"""The token buckets, which have a rate; those of `domain.usage.COUNTED` have a fee for each unit."""


@dataclass(frozen=True, slots=True)
class Step:
    """Rates of one rung of a context ladder. A prompt above the rung pays them for *all* its tokens."""

    above_tokens: int
    """Applies to prompts of more than this many tokens, cached ones included; 0 for the lowest rung."""
    rates: Rates


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the day, in UTC, on some days of the week."""

    weekdays: frozenset[int]
    """ISO: 1 is Monday, 7 is Sunday."""
    start_minute: int
    """Of the day, inclusive."""
    end_minute: int
    """Exclusive; 1440 is midnight at its end."""

    def contains(self, at: datetime) -> bool:
        """Whether the aware `at` falls in it."""
        utc = at.astimezone(UTC)
        minute = utc.hour * 60 + utc.minute
        return utc.isoweekday() in self.weekdays and self.start_minute <= minute < self.end_minute


@dataclass(frozen=True, slots=True)
class OffPeak:
    """Other rates while any of the windows is open."""

    windows: tuple[Window, ...]
    rates: Rates


@dataclass(frozen=True, slots=True)
class PriceList:
    """Everything one model of one provider costs."""

    version: str
    """The catalog's; kept on each billing record, so that it can be priced again."""
    steps: tuple[Step, ...]
    """The standard tier's context ladder, lowest first; `steps[0].above_tokens` is 0."""
    service_tiers: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """Ladders of other tiers: `batch`, `flex`, `priority`, `ultrafast`. Each is complete in itself."""
    off_peak: OffPeak | None = None
    """Of the standard tier only."""
    uplifts: Mapping[str, Decimal] = field(default_factory=dict)
    """Factors on every rate: `geo:us` (inference kept in a country), `speed:fast`, `region:eu` (a regional host)."""
    fees: Mapping[str, Decimal] = field(default_factory=dict)
    """USD for each unit that is no token: `request`; `web_search_low`, `_medium`, `_high` (a call, by size of the
    search context); `image_input`, `image_output` (each); `audio_second_input`; `character_input`; `search_unit` (a
    reranker's query with up to 100 documents)."""

    @property
    def base(self) -> Rates:
        """The standard rates as the provider states them, nothing filled in: what a price list shows."""
        return self.steps[0].rates

    def rates(
        self,
        *,
        input_tokens: int = 0,
        service_tier: str | None = None,
        at: datetime | None = None,
        uplifts: Collection[str] = (),
    ) -> Rates:
        """What a request is billed at, every bucket filled.

        Args:
            input_tokens: All tokens of the prompt (`Usage.input_tokens`): chooses the rung of the ladder.
            service_tier: As the provider's response names it; one without a ladder of its own pays the standard one.
            at: When the provider was asked (aware): chooses off-peak rates. None: standard hours.
            uplifts: Conditions that held, by their name in `self.uplifts`; others are ignored.
        """
        tier = _TIER_ALIASES.get(service_tier or "", service_tier or "")
        ladder = self.steps if tier in _STANDARD_TIERS else self.service_tiers.get(tier, self.steps)
        rates = _rung(ladder, input_tokens)
        if ladder is self.steps and self.off_peak and at and any(w.contains(at) for w in self.off_peak.windows):
            rates = self.off_peak.rates
        for name in uplifts:
            rates = rates.times(self.uplifts.get(name, Decimal(1)))
        return rates.filled()


def _rung(ladder: tuple[Step, ...], input_tokens: int) -> Rates:
    reached = [step.rates for step in ladder if input_tokens > step.above_tokens]
    return reached[-1] if reached else ladder[0].rates


def decode_prices(row: Mapping[str, Any], version: str) -> PriceList | None:
    """The price list of a row of models.json; None where the row has no price at all.

    `row["prices"]` maps `<tier>` or `<tier>><above_tokens>` to rates; the standard tier's name is empty.
    """
    sheets: dict[str, list[Step]] = {}
    for key, rates in row.get("prices", {}).items():
        tier, _, above = key.partition(">")
        sheets.setdefault(tier, []).append(Step(int(above or 0), _decode_rates(rates)))
    fees = _decode_decimals(row.get("fees", {}))
    if not sheets and not fees:
        return None
    ladders = {tier: tuple(sorted(steps, key=lambda step: step.above_tokens)) for tier, steps in sheets.items()}
    prices = PriceList(
        version=version,
        steps=ladders.pop("", (Step(0, Rates()),)),
        service_tiers=ladders,
        uplifts=_decode_decimals(row.get("uplifts", {})),
        fees=fees,
    )
    return replace(prices, off_peak=_decode_off_peak(row["off_peak"])) if "off_peak" in row else prices


def _decode_rates(rates: Mapping[str, str]) -> Rates:
    return Rates(**_decode_decimals(rates))


def _decode_decimals(amounts: Mapping[str, str]) -> dict[str, Decimal]:
    return {name: Decimal(amount) for name, amount in amounts.items()}


def _decode_off_peak(row: Mapping[str, Any]) -> OffPeak:
    windows = tuple(
        Window(frozenset(map(int, weekdays)), _minute(start), _minute(end)) for weekdays, start, end in row["windows"]
    )
    return OffPeak(windows, _decode_rates(row["rates"]))


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
