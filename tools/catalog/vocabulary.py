"""What each price-like field of litellm's price file means here.

Every field whose name speaks of money is either translated or listed in `LEFT_OUT` with the reason. A field that is in
neither stops the build: a new kind of price must not be lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

RATES: Mapping[str, str] = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_1h",
    "input_cost_per_audio_token": "audio_input",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_audio_token": "audio_output",
    "output_cost_per_image_token": "image_output",
}
"""USD per token -> the bucket of `ownkey.catalog.Rates`."""

INPUT_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "image_input")
OUTPUT_BUCKETS = ("output", "reasoning", "audio_output", "image_output")

SERVICE_TIERS: Mapping[str, str] = {
    "batches": "batch",
    "flex": "flex",
    "priority": "priority",
    "ultrafast": "ultrafast",
}
"""A suffix of a rate's field -> the service tier."""

RATE_FIELD = re.compile(
    rf"^(?P<rate>{'|'.join(sorted(RATES, key=len, reverse=True))})"
    rf"(?:_above_(?P<above_k>\d+)k_tokens)?(?:_(?P<tier>{'|'.join(SERVICE_TIERS)}))?$"
)

FEES: Mapping[str, str] = {
    "input_cost_per_request": "request",
    "input_cost_per_query": "request",
    "input_cost_per_image": "image_input",
    "output_cost_per_image": "image_output",
    "input_cost_per_second": "audio_second_input",
    "input_cost_per_character": "character_input",
}
"""USD for each unit -> the fee of `ownkey.catalog.PriceList.fees`."""

FEES_OF_MODES: Mapping[str, Mapping[str, str]] = {"rerank": {"input_cost_per_query": "search_unit"}}
PICTURE_MODE = "image_generation"
PICTURE_PRICES = ("output_cost_per_image", "output_cost_per_image_token")
"""Where a model that makes pictures has none of them, its `input_cost_per_image` is the price of one it makes."""
"""What a field means in models of one mode, where that is another fee: a reranker's query has up to 100 documents."""

WEB_SEARCH_FIELD = "search_context_cost_per_query"
WEB_SEARCH_FEES: Mapping[str, str] = {
    "search_context_size_low": "web_search_low",
    "search_context_size_medium": "web_search_medium",
    "search_context_size_high": "web_search_high",
}

OFF_PEAK_FIELD = "off_peak_pricing"
ZONES: Mapping[str, int] = {"UTC": 0, "Asia/Shanghai": 8}
"""Where the weekdays of off-peak hours are counted -> hours ahead of UTC, the whole year."""

REGION_FIELD = re.compile(r"^regional_processing_uplift_multiplier_(?P<region>[a-z]+)$")
REGIONAL_FIELD = "regional_endpoint_uplift_multiplier"
"""The factor of every host but the global one."""
REGIONAL_UPLIFT = "region:regional"
TIERS_FIELD = "tiered_pricing"
"""Rates by ranges of the prompt's length, in the place of those for any length."""
ENTRY_FIELD = "provider_specific_entry"
ENTRY_UPLIFTS: Mapping[str, str] = {"us": "geo:us", "fast": "speed:fast"}
"""Factors in Anthropic's `provider_specific_entry` -> the uplift: by `usage.inference_geo` and by `usage.speed`."""

LEFT_OUT: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"_decisions$", "of an endpoint that is not served"),
        (r"^cache_(read|creation)_input_(audio|image)_token_cost", "usage does not tell cached tokens by modality"),
        (r"^input_cost_per_token_cache_hit$", "an older name of cache_read_input_token_cost, beside it"),
        (r"^citation_cost_per_token$", "the price of input, which citation tokens are counted as"),
        (r"^(input|output)_cost_per_pixel$", "of image models that no provider serves any more"),
        (r"^output_cost_per_second$", "the price of input again (whisper), or an estimate beside a price by the token"),
        (r"^(input|output)_cost_per_(character|image)_above_", "of models that no provider serves any more"),
        (r"^output_cost_per_character$", "of models that no provider serves any more"),
        (r"^explicit_cache_read_input_token_cost$", "usage does not tell which of two kinds of cache was read"),
        (r"^(google_maps_grounding_cost_per_query|code_interpreter_cost_per_session)$", "of a tool no usage counts"),
        (r"_dbu_cost_per_token$", "in the vendor's own unit, beside the price in dollars"),
        (r"_video_", "of video, which no surface takes"),
        (r"^input_cost_per_(audio|video)_per_second", "of embeddings of sound, which no surface takes"),
    )
)

MODES = (
    "chat",
    "responses",
    "completion",
    "embedding",
    "rerank",
    "moderation",
    "image_generation",
    "audio_transcription",
    "audio_speech",
)
"""What a gateway of requests and streams can carry. Others (video, realtime, OCR, …) are left out."""

CAPABILITIES: Mapping[str, str] = {
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_response_schema": "schema",
    "supports_vision": "vision",
    "supports_pdf_input": "pdf",
    "supports_audio_input": "audio_input",
    "supports_audio_output": "audio_output",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "prompt_cache",
    "supports_web_search": "web_search",
}

STREAMING_MODES = frozenset({"chat", "responses", "completion"})
"""Modes that stream unless `supports_native_streaming` is false."""


def speaks_of_money(name: str) -> bool:
    """Whether a field's name says that it may hold a price."""
    return any(word in name for word in ("cost", "price", "pricing", "multiplier")) or name == ENTRY_FIELD


def left_out(name: str) -> bool:
    """Whether the field is knowingly left out."""
    return any(pattern.search(name) for pattern, _ in LEFT_OUT)
