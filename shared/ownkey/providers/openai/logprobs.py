"""Log probabilities of tokens, read and written.

Facts from openai-python 3.52: `types/chat/chat_completion_token_logprob.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ownkey.providers.counts import string
from ownkey.providers.crossing.conversation import Logprob

_NONE = -9_999.0
"""OpenAI's own number for a token that is as good as impossible; vLLM sends -Infinity."""


def read_logprobs(logprobs: Mapping[str, Any]) -> tuple[Logprob, ...]:
    """Those of a choice's content."""
    content = logprobs.get("content")
    return tuple(_read(each) for each in content if isinstance(each, dict)) if isinstance(content, list) else ()


def write_logprob(logprob: Logprob) -> dict[str, Any]:
    """One token's, with those of the others in its place."""
    return {**_written(logprob), "top_logprobs": [_written(each) for each in logprob.top]}


def _written(logprob: Logprob) -> dict[str, Any]:
    octets = None if logprob.bytes is None else list(logprob.bytes)
    return {"token": logprob.token, "logprob": logprob.logprob, "bytes": octets}


def _read(each: Mapping[str, Any]) -> Logprob:
    top = each.get("top_logprobs")
    return Logprob(
        string(each.get("token")) or "",
        _number(each.get("logprob")),
        _octets(each.get("bytes")),
        tuple(_read(other) for other in top if isinstance(other, dict)) if isinstance(top, list) else (),
    )


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) < math.inf else _NONE


def _octets(value: Any) -> tuple[int, ...] | None:
    octets = value if isinstance(value, list) else None
    return tuple(octets) if octets is not None and all(map(_is_octet, octets)) else None


def _is_octet(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
