"""Embeddings: vectors as numbers or base64. Providers name the tokens `prompt_tokens` or `total_tokens`.

OpenAI's SDKs ask for base64 unless they are told otherwise, and those for Node and .NET decode whatever comes as if it
were that. Many compatible providers know numbers alone, or refuse to be told: what is asked for is made of them here.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ownkey.domain.errors import ProviderInvalidResponse
from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member, tells
from ownkey.providers.document import Document
from ownkey.providers.media.passing import Passing, annotation
from ownkey.providers.translator import Annotate, Call, Encoded, Reading

_CODING = "encoding_format"


class Embeddings(Passing):
    """`embeddings` to providers that speak OpenAI's."""

    path = "embeddings"

    def encode_request(self, call: Call) -> Encoded:
        """A coding that a provider does not take is left out, and nothing lost."""
        encoded = super().encode_request(call)
        return replace(encoded, dropped=tuple(name for name in encoded.dropped if name != _CODING))

    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """All tokens went in."""
        return tokens_in(member(values, "usage"))

    def annotated(self, call: Call, document: Document, reading: Reading, annotate: Annotate) -> dict[str, Any]:
        """Its cost, tokens under OpenAI's names, and vectors in base64 where that was asked for."""
        changes = annotation(document, reading, annotate)
        if changes and reading.usage is not None and "prompt_tokens" not in changes["usage"]:
            tokens = {"prompt_tokens": reading.usage.input_tokens, "total_tokens": reading.usage.total_tokens}
            changes["usage"] = tokens | changes["usage"]
        given = document.values.get("data")
        if call.body.values.get(_CODING) != "base64" or not isinstance(given, list):
            return changes
        data = [_in_base64(each) for each in given]
        return changes if data == given else changes | {"data": data}


def _in_base64(item: Any) -> Any:
    vector = item.get("embedding") if isinstance(item, dict) else None
    return {**item, "embedding": coded(vector)} if isinstance(vector, list) else item


def coded(vector: Sequence[float]) -> str:
    """Numbers as base64 of 32-bit floats, little-endian.

    Raises:
        ProviderInvalidResponse: they are none that a vector has.
    """
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (OverflowError, struct.error):
        raise ProviderInvalidResponse("The provider's answer has numbers that no vector has.") from None


def tokens_in(usage: Mapping[str, Any]) -> Usage | None:
    """The usage of an endpoint that makes no tokens."""
    for name in ("prompt_tokens", "input_tokens", "total_tokens"):
        if tells(usage, name):
            return Usage(input=count(usage, name))
    return None
