"""Embeddings at Bedrock, by InvokeModel: Amazon's Titan, one text a request, and Cohere's.

AWS documents the bodies, not botocore: docs.aws.amazon.com/bedrock, model-parameters-titan-embed-text and
model-parameters-embed-v3. Cohere's say nothing of usage there: it is estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure
from ownkey.domain.usage import Usage
from ownkey.providers.address import addressed
from ownkey.providers.bedrock.address import BedrockAddress
from ownkey.providers.bedrock.failures import decode_failure
from ownkey.providers.counts import count, tells
from ownkey.providers.crossing.drops import Drops
from ownkey.providers.embeddings.crossed import Asked, Crossed, Embedded, check_count, vectors_in
from ownkey.providers.translator import Call, Encoded

_INVOKE = BedrockAddress("invoke")
_TITAN, _COHERE = "amazon.titan-embed", "cohere.embed"
_MAX_OF_COHERE = 96
_FOR_DOCUMENTS = "search_document"


def crossed() -> Crossed:
    """The translator."""
    return Crossed(BedrockEmbed())


class BedrockEmbed:
    """An `EmbeddingsApi`."""

    own = frozenset({"input_type", "truncate", "normalize"})

    def write_request(self, call: Call, asked: Asked) -> Encoded:
        """As `EmbeddingsApi` has it."""
        drops = Drops({}, call.provider.display_name)
        if _COHERE in call.model_id:
            return self._cohere(call, asked)
        if _TITAN not in call.model_id:
            raise drops.refusal("model", "of its embedding models Amazon's Titan for text and Cohere's are known here")
        check_count(call, asked, 1)
        members: dict[str, Any] = {"inputText": asked.texts[0]}
        if asked.dimensions is not None:
            members["dimensions"] = asked.dimensions
        others = tuple(name for name in asked.own if name != "normalize")
        normalized = {"normalize": asked.own["normalize"]} if "normalize" in asked.own else {}
        return addressed(_INVOKE, call, members | normalized, (*asked.dropped, *others))

    def read_answer(self, values: Mapping[str, Any]) -> Embedded:
        """As `EmbeddingsApi` has it."""
        if "embedding" in values:
            tokens = Usage(input=count(values, "inputTextTokenCount")) if tells(values, "inputTextTokenCount") else None
            return Embedded(vectors_in([values["embedding"]]), tokens)
        found = values.get("embeddings")
        return Embedded(vectors_in(found.get("float") if isinstance(found, dict) else found))

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As `EmbeddingsApi` has it."""
        return decode_failure(status, headers, body)

    def _cohere(self, call: Call, asked: Asked) -> Encoded:
        check_count(call, asked, _MAX_OF_COHERE)
        members: dict[str, Any] = {
            "texts": list(asked.texts),
            "input_type": asked.own.get("input_type", _FOR_DOCUMENTS),
            "embedding_types": ["float"],
        }
        if "truncate" in asked.own:
            members["truncate"] = asked.own["truncate"]
        if asked.dimensions is not None:
            members["output_dimension"] = asked.dimensions
        others = tuple(name for name in asked.own if name == "normalize")
        return addressed(_INVOKE, call, members, (*asked.dropped, *others))
