"""OpenAI's arithmetic of tokens: theirs to ours, ours to theirs.

Facts from openai-python 3.52: `types/completion_usage.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member, string, tells


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """OpenAI's arithmetic: cached, written, audio and image tokens are part of the prompt's, reasoning of the
    completion's. Whatever a provider reports, the buckets add up to what it bills. None: it tells nothing.
    """
    if not tells(usage, "prompt_tokens", "completion_tokens"):
        return None
    prompt, completion = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    into = member(usage, "prompt_tokens_details")
    out = member(usage, "completion_tokens_details")
    # DeepSeek and Moonshot name the cached part elsewhere.
    cached = count(into, "cached_tokens") or count(usage, "prompt_cache_hit_tokens") or count(usage, "cached_tokens")
    written = count(into, "cache_write_tokens")
    for_long = min(count(member(into, "cache_write_tokens_details"), "ttl_12h_tokens"), written)
    reasoning = count(out, "reasoning_tokens")
    if reasoning and count(usage, "total_tokens") == prompt + completion + reasoning:
        completion += reasoning  # xAI's completion tokens leave the reasoning out
    if _researched(usage):  # Perplexity's prompt leaves out the sources it reads, and its completion the reasoning
        prompt += count(usage, "citation_tokens")
        reasoning = count(usage, "reasoning_tokens")
        completion += reasoning
    # Audio before the cached part: where it can be both, no provider of this dialect sells cached audio for less.
    ins = _shares(
        prompt, count(into, "audio_tokens"), cached, for_long, written - for_long, count(into, "image_tokens")
    )
    outs = _shares(completion, reasoning, count(out, "audio_tokens"), count(out, "image_tokens"))
    return Usage(
        audio_input=ins[0],
        cache_read=ins[1],
        cache_write_1h=ins[2],
        cache_write_5m=ins[3],
        image_input=ins[4],
        input=ins[5],
        reasoning=outs[0],
        audio_output=outs[1],
        image_output=outs[2],
        output=outs[3],
        web_searches=_searches(usage),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The `usage` of a completion: the inverse of `read_usage`, but for searches, which have no place in it."""
    into = {
        "cached_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "audio_tokens": usage.audio_input,
        "image_tokens": usage.image_input,
    }
    out = {
        "reasoning_tokens": usage.reasoning,
        "audio_tokens": usage.audio_output,
        "image_tokens": usage.image_output,
    }
    details: dict[str, Any] = {name: into[name] for name in into if into[name] or name == "cached_tokens"}
    if usage.cache_write_1h:
        details["cache_write_tokens_details"] = {"ttl_12h_tokens": usage.cache_write_1h}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": details,
        "completion_tokens_details": {name: out[name] for name in out if out[name] or name == "reasoning_tokens"},
    }


def _researched(usage: Mapping[str, Any]) -> bool:
    """Whether it is one of Perplexity's deep research: those alone bill sources and reasoning beside the totals."""
    return count(usage, "citation_tokens") > 0 and "num_search_queries" in usage


def _searches(usage: Mapping[str, Any]) -> int:
    """Perplexity bills one search a request, by the size of its context; deep research each of its queries."""
    if _researched(usage):
        return count(usage, "num_search_queries")
    return int(string(usage.get("search_context_size")) is not None)


def _shares(total: int, *parts: int) -> list[int]:
    """The parts, none beyond what is left of the total, and the rest of it."""
    shares = []
    for part in parts:
        shares.append(min(part, total))
        total -= shares[-1]
    return [*shares, total]
