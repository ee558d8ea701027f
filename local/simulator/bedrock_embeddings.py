"""Embeddings at Bedrock, by InvokeModel: Amazon's Titan, one text a request, and Cohere's, in their own bodies.

docs.aws.amazon.com/bedrock, model-parameters-titan-embed-text and model-parameters-embed: what they take and answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.simulator import cohere_requests
from local.simulator.bedrock_requests import refused
from local.simulator.brain import Prompt, Segment
from local.simulator.media_answers import vector
from local.simulator.refusals import Refused
from local.simulator.text import count_tokens

_OF_THE_PATH = ("model", "stream")
_TITAN: Mapping[str, frozenset[str]] = {
    "v1": frozenset({"inputText"}),
    "v2": frozenset({"inputText", "dimensions", "normalize", "embeddingTypes"}),
}
_TITAN_DIMENSIONS = {"v1": (1536,), "v2": (1024, 512, 256)}
_COHERE = frozenset({"texts", "images", "input_type", "truncate", "embedding_types"})
_COHERE_V4 = _COHERE | {"inputs", "output_dimension", "max_tokens"}
_COHERE_DIMENSIONS = 1024


def embeds(model_id: str) -> bool:
    """Whether it is such a model."""
    return "embed" in model_id


def check(body: dict[str, Any]) -> None:
    """Raise Refused for what cannot be embedded."""
    sent = body.keys() - set(_OF_THE_PATH)
    known = _TITAN[_version(body)] if _is_titan(body) else _COHERE_V4 if "embed-v4" in body["model"] else _COHERE
    if unknown := sorted(sent - known):
        raise refused(f"Malformed input request: #: extraneous key [{unknown[0]}] is not permitted")
    if not _is_titan(body):
        try:
            cohere_requests.check_embed(body)
        except Refused as e:
            raise refused(e.refusal.message) from None
    elif not isinstance(body.get("inputText"), str) or not body["inputText"]:
        raise refused("Malformed input request: expected minLength: 1, actual: 0")
    elif body.get("dimensions") not in (None, *_TITAN_DIMENSIONS[_version(body)]):
        raise refused("Malformed input request: #/dimensions: is not a valid enum value")


def read(body: dict[str, Any]) -> Prompt:
    """What goes in."""
    texts = [body["inputText"]] if _is_titan(body) else body.get("texts") or []
    return Prompt("", tuple(Segment(text, count_tokens(text)) for text in texts))


def answer(body: dict[str, Any], prompt: Prompt, request_id: str) -> dict[str, Any]:
    """A vector for each text."""
    if _is_titan(body):
        found = vector(body["inputText"], body.get("dimensions") or _TITAN_DIMENSIONS[_version(body)][0])
        return {"embedding": found, "embeddingsByType": {"float": found}, "inputTextTokenCount": prompt.tokens}
    size = body.get("output_dimension") or _COHERE_DIMENSIONS
    vectors = [vector(text, size) for text in body["texts"]]
    shown: Any = {"float": vectors} if "embedding_types" in body else vectors
    kind = "embeddings_by_type" if "embedding_types" in body else "embeddings_floats"
    return {"id": request_id, "embeddings": shown, "response_type": kind, "texts": body["texts"]}


def _is_titan(body: Mapping[str, Any]) -> bool:
    return "titan" in body["model"]


def _version(body: Mapping[str, Any]) -> str:
    return "v2" if "v2" in body["model"] else "v1"
