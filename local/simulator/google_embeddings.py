"""Google's embeddings: what `batchEmbedContents`, `embedContent` and Vertex AI's `predict` take and answer.

A vector follows from its text alone, as everywhere in the simulator (`media_answers.vector`).
"""

from __future__ import annotations

from typing import Any

from local.simulator.brain import Prompt, Segment
from local.simulator.gemini_requests import METHOD, refused
from local.simulator.media_answers import vector
from local.simulator.text import compact, count_tokens

METHODS = ("batchEmbedContents", "embedContent", "predict")
DIMENSIONS = 768
_OF_A_REQUEST = frozenset({"model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"})
_OF_AN_INSTANCE = frozenset({"content", "taskType", "title"})  # in one spelling: `in_camel_case`


def check(body: Any, *, vertex: bool) -> None:
    """Raise Refused for what cannot be embedded."""
    if not isinstance(body, dict):
        raise refused("Invalid JSON payload received.")
    predicts = body[METHOD] == "predict"
    if predicts and not vertex:
        raise refused("The model does not support predict.")
    known = _OF_AN_INSTANCE if predicts else _OF_A_REQUEST
    requests = _requests(body)
    if not requests:
        raise refused("* BatchEmbedContentsRequest.requests: contents must not be empty")
    for each in requests:
        if unknown := each.keys() - known:
            raise refused(f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.')
        if not predicts and not vertex and each.get("model") != f"models/{body['model']}":
            raise refused("* BatchEmbedContentsRequest.requests[0].model: does not match the request's")
        if not _text(each):
            raise refused("* content is empty")


def read(body: dict[str, Any]) -> Prompt:
    """What goes in."""
    texts = tuple(map(_text, _requests(body)))
    return Prompt("", tuple(Segment(text, count_tokens(text)) for text in texts))


def answer(body: dict[str, Any], prompt: Prompt) -> bytes:
    """A vector for each text."""
    method, parameters = body[METHOD], body.get("parameters") or {}
    found = []
    for each in _requests(body):
        size = each.get("outputDimensionality") or (each.get("embedContentConfig") or {}).get("outputDimensionality")
        text = _text(each)
        values = vector(text, size or parameters.get("outputDimensionality") or DIMENSIONS)
        found.append({"values": values, "statistics": {"token_count": count_tokens(text), "truncated": False}})
    if method == "predict":
        return compact({"predictions": [{"embeddings": each} for each in found]}).encode()
    usage = {"promptTokenCount": sum(segment.tokens for segment in prompt.segments)}
    vectors = [{"values": each["values"]} for each in found]
    whole = {"embedding": vectors[0]} if method == "embedContent" else {"embeddings": vectors}
    return compact({**whole, "usageMetadata": usage}).encode()


def _requests(body: dict[str, Any]) -> list[dict[str, Any]]:
    if body[METHOD] == "embedContent":
        return [{name: value for name, value in body.items() if name not in (METHOD, "model")}]
    given = body.get("instances" if body[METHOD] == "predict" else "requests")
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _text(request: dict[str, Any]) -> str:
    content = request.get("content")
    if isinstance(content, str):
        return content
    parts = content.get("parts") if isinstance(content, dict) else None
    return "".join(part.get("text", "") for part in parts or () if isinstance(part, dict))
