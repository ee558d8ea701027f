"""Google's token counts.

The prompt's count has the cached tokens in it, and the details by modality have the cached ones in them; thoughts stand
beside the answer, and so do the results of tools that Google ran (`GenerateContentResponseUsageMetadata`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage
from ownkey.providers.counts import count, member, string, tells

_TIERS: Mapping[str, str] = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
"""Vertex AI's `trafficType` → the tier of the price list."""
_ORDINARY = ("standard", "unspecified")
_COUNTS = (
    *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"),
    *("cachedContentTokenCount", "totalTokenCount"),
)


def read_usage(usage: Mapping[str, Any], web_searches: int = 0) -> Usage | None:
    """`usageMetadata`. None: it tells nothing that can be leaned on.

    Some answers count their thoughts among the candidates' tokens, or in the total alone: the total tells which.
    """
    if not tells(usage, *_COUNTS):
        return None
    prompt = count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount")
    thoughts, candidates, total = (
        count(usage, name) for name in ("thoughtsTokenCount", "candidatesTokenCount", "totalTokenCount")
    )
    if thoughts and total == prompt + candidates and candidates >= thoughts:
        candidates -= thoughts
    thoughts += max(0, total - prompt - candidates - thoughts)
    cached = min(count(usage, "cachedContentTokenCount"), prompt)
    fresh = prompt - cached
    audio = min(fresh, _fresh(usage, "AUDIO"))
    image = min(fresh - audio, _fresh(usage, "IMAGE"))
    audio_output = min(candidates, _of(usage, "candidatesTokensDetails", "AUDIO"))
    image_output = min(candidates - audio_output, _of(usage, "candidatesTokensDetails", "IMAGE"))
    return Usage(
        input=fresh - audio - image,
        cache_read=cached,
        audio_input=audio,
        image_input=image,
        output=candidates - audio_output - image_output,
        reasoning=thoughts,
        audio_output=audio_output,
        image_output=image_output,
        web_searches=web_searches,
    )


def read_terms(usage: Mapping[str, Any], asked_tier: str | None = None) -> Terms:
    """Under which terms it was served: AI Studio says it by `serviceTier`, Vertex AI by `trafficType`.

    Args:
        asked_tier: Where the answer says neither.
    """
    stated, traffic = string(usage.get("serviceTier")), string(usage.get("trafficType"))
    tier = stated.lower() if stated else _TIERS.get(traffic) if traffic else asked_tier
    tier = None if tier in _ORDINARY else tier
    return Terms(service_tier=tier) if tier else STANDARD_TERMS


def _fresh(usage: Mapping[str, Any], modality: str) -> int:
    read = _of(usage, "promptTokensDetails", modality) + _of(usage, "toolUsePromptTokensDetails", modality)
    return max(0, read - _of(usage, "cacheTokensDetails", modality))


def _of(usage: Mapping[str, Any], details: str, modality: str) -> int:
    rows = usage.get(details)
    found = [member({"row": row}, "row") for row in rows] if isinstance(rows, list) else []
    return sum(count(row, "tokenCount") for row in found if row.get("modality") == modality)
