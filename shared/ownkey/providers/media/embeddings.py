"""Embeddings: vectors as numbers or base64, untouched. Providers name the tokens `prompt_tokens` or `total_tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member, tells
from ownkey.providers.media.passing import Passing
from ownkey.providers.translator import Call


class Embeddings(Passing):
    """`embeddings` to providers that speak OpenAI's."""

    path = "embeddings"

    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """All tokens went in."""
        return tokens_in(member(values, "usage"))


def tokens_in(usage: Mapping[str, Any]) -> Usage | None:
    """The usage of an endpoint that makes no tokens."""
    for name in ("prompt_tokens", "input_tokens", "total_tokens"):
        if tells(usage, name):
            return Usage(input=count(usage, name))
    return None
