"""The most that a request may use, and the dearest terms it may be served under: what is held before it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import ceil
from typing import Any, TypeGuard

from ownkey.catalog import Model, PriceList, Rates
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Terms, Usage
from ownkey.providers import Document

INPUT_MARGIN = Decimal("1.3")
"""On an estimated prompt, for a hold: what the estimate may fall short by."""
UNSTATED_OUTPUT_TOKENS = 16_384
"""The most that is held for an answer whose request names no limit; more is an overrun, and the operator's risk."""
UNSTATED_SEARCHES = 10
"""The web searches held where a request allows them and names no limit."""

_LIMITS: Mapping[Surface, tuple[str, ...]] = {Surface.RESPONSES: ("max_output_tokens",)}
_USUAL_LIMITS = ("max_completion_tokens", "max_tokens")
_MAX_CHOICES = 128
_MAX_SEARCHES = 100
_SEARCH_FEE = "web_search_"
_NO_RATES = Rates()
_INPUT_KINDS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("cache_write_5m", ()),
    ("cache_write_1h", (b'"cache_control"', b'"12h"')),
    ("audio_input", (b'"input_audio"',)),
    ("image_input", (b'"image_url"', b'"image"')),
)
"""A bucket that a prompt's tokens may come to stand in, and what its request then says: some cache unasked."""


def held_input(input_tokens: int) -> int:
    """An estimated prompt with its margin."""
    return ceil(input_tokens * INPUT_MARGIN)


def worst_case(
    request: Document,
    model: Model | None,
    input_tokens: int,
    *,
    surface: Surface = Surface.CHAT,
    rates: Rates = _NO_RATES,
    always_searches: bool = False,
) -> Usage:
    """The most a request may use: the estimate with its margin, the output and the searches it allows, in the dearest
    of the buckets that they may come to stand in.
    """
    values = request.values
    limits = [values[name] for name in _LIMITS.get(surface, _USUAL_LIMITS) if _is_count(values.get(name))]
    ceiling = model.max_output if model else None
    output = max(limits) if limits else UNSTATED_OUTPUT_TOKENS
    choices = min(values["n"], _MAX_CHOICES) if _is_count(values.get("n")) else 1
    said = values.get("modalities")
    out = [f"{kind}_output" for kind in ("audio", "image") if isinstance(said, list) and kind in said]
    into = [bucket for bucket, signs in _INPUT_KINDS if not signs or any(sign in request.raw for sign in signs)]
    return Usage(
        **{
            _dearest(rates, "input", into): held_input(input_tokens),
            _dearest(rates, "output", ["reasoning", *out]): choices * (min(output, ceiling) if ceiling else output),
            "web_searches": max(_searches(values), int(always_searches)),
        }
    )


def worst_terms(request: Document, prices: PriceList) -> Terms:
    """The dearest terms that a request may be served under: the tier and speed it asks for, and the dearest place,
    which an owner's settings at the provider may choose as well as the request.
    """
    values = request.values
    places = [name for name in prices.uplifts if name.startswith("geo:")]
    dearest = sorted(places, key=prices.uplifts.__getitem__)[-1:]
    options = values.get("web_search_options")
    size = options.get("search_context_size") if isinstance(options, dict) else None
    sizes = sorted((name for name in prices.fees if name.startswith(_SEARCH_FEE)), key=prices.fees.__getitem__)
    unstated = sizes[-1].removeprefix(_SEARCH_FEE) if sizes else None
    return Terms(
        service_tier=values["service_tier"] if isinstance(values.get("service_tier"), str) else None,
        uplifts=(*dearest, *([f"speed:{values['speed']}"] if isinstance(values.get("speed"), str) else [])),
        search_context=size if isinstance(size, str) else unstated,
    )


def _dearest(rates: Rates, plain: str, others: Sequence[str]) -> str:
    """Of the buckets, the one with the highest rate; the plain one where no other has a higher."""
    return max((plain, *others), key=lambda bucket: getattr(rates, bucket) or Decimal(0))


def _searches(values: Mapping[str, Any]) -> int:
    """How many web searches the request allows."""
    allowed = int(isinstance(values.get("web_search_options"), dict))
    tools = values.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and str(tool.get("type", "")).startswith("web_search"):
            limit = tool.get("max_uses")
            allowed += min(limit, _MAX_SEARCHES) if _is_count(limit) else UNSTATED_SEARCHES
    return allowed


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
