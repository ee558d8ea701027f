"""One vector of disjoint buckets for what an attempt used: no token is counted in two of them.

Each dialect's own arithmetic (OpenAI's cached tokens are part of the prompt's, Anthropic's come on top) ends where the
vector begins, so that a price is one multiplication a bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any


class UsageSource(StrEnum):
    """Where the numbers come from."""

    PROVIDER = "provider"
    ESTIMATED = "estimated"
    """The provider sent no usage: counted from the text that went in and came out."""
    NONE = "none"
    """Nothing was used: refused, or never reached."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by bucket, and whatever else providers bill by: `COUNTED`. All ≥ 0, and disjoint: what a provider bills by
    another unit is not in tokens as well.
    """

    input: int = 0
    """Text in, neither read from nor written to a cache."""
    cache_read: int = 0
    cache_write_5m: int = 0
    """For the shorter lifetime, or the only one, that the provider sells: 5 minutes at some, 30 at others."""
    cache_write_1h: int = 0
    """For the longer one: an hour at some, 12 at others."""
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    """Text out that is neither reasoning, audio nor image."""
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    web_searches: int = 0
    """Calls, not tokens. This and what follows: `COUNTED`."""
    images: int = 0
    """Pictures made, where they are billed by the piece."""
    characters: int = 0
    """Of the text that was spoken, where it is billed by them."""
    audio_input_ms: int = 0
    """Of the recording that was listened to, where it is billed by its length."""
    search_units: int = 0
    """Of reranking: a query with up to 100 documents, or with what a provider takes for so many."""

    @property
    def input_tokens(self) -> int:
        """All tokens that went in."""
        return (
            self.input
            + self.cache_read
            + self.cache_write_5m
            + self.cache_write_1h
            + self.audio_input
            + self.image_input
        )

    @property
    def output_tokens(self) -> int:
        """All tokens that came out."""
        return self.output + self.reasoning + self.audio_output + self.image_output

    @property
    def uncached(self) -> Usage:
        """The same, had there been no prompt cache: what was read from it or written to it is plain input."""
        cached = self.cache_read + self.cache_write_5m + self.cache_write_1h
        return replace(self, input=self.input + cached, cache_read=0, cache_write_5m=0, cache_write_1h=0)

    @property
    def total_tokens(self) -> int:
        """The provider's own total."""
        return self.input_tokens + self.output_tokens

    def to_item(self) -> dict[str, int]:
        """The buckets that are not zero."""
        return {name: count for name, count in asdict(self).items() if count}

    @staticmethod
    def from_item(item: Mapping[str, int]) -> Usage:
        """The inverse of `to_item`; unknown buckets of a later version are an error, not lost money."""
        return Usage(**{name: int(count) for name, count in item.items()})


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which of the provider's terms a usage was served, as its answer says: they change the price."""

    service_tier: str | None = None
    """`default`, `batch`, `flex`, `priority`, …, in the provider's words."""
    uplifts: tuple[str, ...] = ()
    """Conditions with a factor on every rate, by their name in the price list: `geo:us`, `speed:fast`."""
    search_context: str | None = None
    """How much of the web a search reads, where the fee depends on it: `low`, `medium`, `high`."""

    def to_item(self) -> dict[str, str | list[str]]:
        """What is not standard."""
        values = {"service_tier": self.service_tier, "search_context": self.search_context}
        plain: dict[str, str | list[str]] = {name: value for name, value in values.items() if value is not None}
        return plain | ({"uplifts": list(self.uplifts)} if self.uplifts else {})

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> Terms:
        """The inverse of `to_item`."""
        return Terms(**{**item, "uplifts": tuple(item.get("uplifts", ()))})


STANDARD_TERMS = Terms()
"""What a provider's price list states without conditions."""

USAGE_BUCKETS = tuple(f.name for f in fields(Usage))
COUNTED = ("web_searches", "images", "characters", "audio_input_ms", "search_units")
"""The buckets that hold no tokens: each unit has a fee of its own."""
TOKEN_BUCKETS = tuple(bucket for bucket in USAGE_BUCKETS if bucket not in COUNTED)
