"""OpenAI's embeddings to Cohere's `POST /v2/embed`.

Cohere wants to know what a text is embedded for: `input_type`, Cohere's own member, where the client sends it, else
`search_document`. Vectors in base64 are four-byte floats at both, and go through as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse
from ownkey.providers.address import Plain, addressed
from ownkey.providers.counts import member, string
from ownkey.providers.embeddings.crossed import Asked, Crossed, Embedded, check_count, vectors_in
from ownkey.providers.failures import decode_failure
from ownkey.providers.media.embeddings import tokens_in
from ownkey.providers.translator import Call, Encoded

MAX_TEXTS = 96
"""Of one request (the SDK's documentation of `texts`)."""
_EMBED = Plain("/embed")
_FOR_DOCUMENTS = "search_document"


def crossed() -> Crossed:
    """The translator."""
    return Crossed(CohereEmbed())


class CohereEmbed:
    """An `EmbeddingsApi`."""

    own = frozenset({"input_type", "truncate", "max_tokens", "priority"})

    def write_request(self, call: Call, asked: Asked) -> Encoded:
        """As `EmbeddingsApi` has it."""
        check_count(call, asked, MAX_TEXTS)
        members: dict[str, Any] = {
            "input_type": _FOR_DOCUMENTS,
            "texts": list(asked.texts),
            "embedding_types": ["base64" if asked.as_base64 else "float"],
        }
        if asked.dimensions is not None:
            members["output_dimension"] = asked.dimensions
        return addressed(_EMBED, call, members | dict(asked.own), asked.dropped)

    def read_answer(self, values: Mapping[str, Any]) -> Embedded:
        """As `EmbeddingsApi` has it."""
        found, billed = member(values, "embeddings"), member(member(values, "meta"), "billed_units")
        coded, told = found.get("base64"), tokens_in(billed)
        if coded is None:
            return Embedded(vectors_in(found.get("float")), told, string(values.get("id")))
        if not isinstance(coded, list) or not all(isinstance(each, str) for each in coded):
            raise ProviderInvalidResponse("The provider's answer has no vectors.")
        return Embedded(coded, told, string(values.get("id")))

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """`{"message": …, "id": …}`."""
        return decode_failure(status, headers, body)
