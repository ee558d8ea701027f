"""Google's embeddings: `batchEmbedContents` of Gemini's models, `predict` of the older ones at Vertex AI.

============== ======================================================================================
AI Studio      `models/{model}:batchEmbedContents`, `outputDimensionality` beside each content
Vertex AI      `publishers/google/models/{model}:batchEmbedContents`, it within `embedContentConfig`
 … others      `publishers/google/models/{model}:predict` of `instances`
============== ======================================================================================

AI Studio takes 100 contents at once, as it says itself ("at most 100 requests can be in one batch"), `predict` 250
instances (cloud.google.com, get-text-embeddings).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure
from ownkey.domain.usage import Usage
from ownkey.providers.address import addressed
from ownkey.providers.counts import count, member, tells
from ownkey.providers.embeddings.crossed import Asked, Crossed, Embedded, check_count, vectors_in
from ownkey.providers.gemini.address import MethodAddress, model_name
from ownkey.providers.gemini.failures import decode_failure
from ownkey.providers.translator import Call, Encoded
from ownkey.providers.vertex.address import PublishedAddress

_MAX_CONTENTS, _MAX_INSTANCES = 100, 250
_BATCH, _PREDICT = "batchEmbedContents", "predict"
_TYPE = "input_type"
_STUDIO = MethodAddress("models", _BATCH)
_VERTEX = PublishedAddress(_BATCH)
_VERTEX_PREDICT = PublishedAddress(_PREDICT)


def studio() -> Crossed:
    """The translator to AI Studio."""
    return Crossed(GoogleEmbed())


def vertex() -> Crossed:
    """The translator to Vertex AI."""
    return Crossed(VertexEmbed())


class GoogleEmbed:
    """An `EmbeddingsApi`."""

    own = frozenset({_TYPE})

    def write_request(self, call: Call, asked: Asked) -> Encoded:
        """As `EmbeddingsApi` has it."""
        check_count(call, asked, _MAX_CONTENTS)
        named = {"model": f"models/{model_name(call)}"}
        sized = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
        typed = _typed(asked, "taskType")
        each_alone = [{**named, **_content(text), **sized, **typed} for text in asked.texts]
        return addressed(_STUDIO, call, {"requests": each_alone}, asked.dropped)

    def read_answer(self, values: Mapping[str, Any]) -> Embedded:
        """As `EmbeddingsApi` has it."""
        given, usage = values.get("embeddings"), member(values, "usageMetadata")
        found = [each.get("values") if isinstance(each, dict) else None for each in _listed(given)]
        tokens = Usage(input=count(usage, "promptTokenCount")) if tells(usage, "promptTokenCount") else None
        return Embedded(vectors_in(found), tokens)

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As `EmbeddingsApi` has it."""
        return decode_failure(status, headers, body)


class VertexEmbed(GoogleEmbed):
    """An `EmbeddingsApi`."""

    def write_request(self, call: Call, asked: Asked) -> Encoded:
        """As `EmbeddingsApi` has it."""
        sized = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
        if "gemini" in model_name(call):
            config = sized | _typed(asked, "taskType")
            placed = {"embedContentConfig": config} if config else {}
            each_alone = [{**_content(text), **placed} for text in asked.texts]
            return addressed(_VERTEX, call, {"requests": each_alone}, asked.dropped)
        check_count(call, asked, _MAX_INSTANCES)
        typed = _typed(asked, "task_type")
        members: dict[str, Any] = {"instances": [{"content": text, **typed} for text in asked.texts]}
        return addressed(_VERTEX_PREDICT, call, members | ({"parameters": sized} if sized else {}), asked.dropped)

    def read_answer(self, values: Mapping[str, Any]) -> Embedded:
        """As `EmbeddingsApi` has it; each prediction tells its own tokens."""
        if "predictions" not in values:
            return super().read_answer(values)
        found = [member(each, "embeddings") for each in _listed(values["predictions"]) if isinstance(each, dict)]
        tokens = sum(count(member(each, "statistics"), "token_count") for each in found)
        return Embedded(vectors_in([each.get("values") for each in found]), Usage(input=tokens) if tokens else None)


def _typed(asked: Asked, name: str) -> dict[str, Any]:
    """What the vectors are for, under Google's name for it there."""
    return {name: asked.own[_TYPE]} if _TYPE in asked.own else {}


def _content(text: str) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
