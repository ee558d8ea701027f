"""Google's dialect, the way out: answers whole and in chunks, counts, models, errors."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

from local.simulator.brain import Completion, Prompt, ToolCall, Usage, reasoning_of
from local.simulator.gemini_requests import image_tokens, signature_of, third_generation
from local.simulator.refusals import Refusal
from local.simulator.replies import Exchange, Frame, Stream, Whole
from local.simulator.text import compact, numbered_words

FINISH = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tools": "STOP",
    "forced_tool": "STOP",
    "refusal": "STOP",
}
_SERVICE = "generativelanguage.googleapis.com"
_BAD_KEY = "API_KEY_INVALID"

REFUSALS: dict[str, Refusal] = {
    "bad_request": Refusal(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "invalid_json": Refusal(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unexpected token."),
    "context_length": Refusal(
        400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens allowed (1048576)."
    ),
    "invalid_key": Refusal(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", code=_BAD_KEY),
    "invalid_bearer": Refusal(
        401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", code="ACCESS_TOKEN_INVALID"
    ),
    "missing_key": Refusal(
        403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity)."
    ),
    "forbidden": Refusal(403, "PERMISSION_DENIED", "The caller does not have permission to use {model}."),
    "restricted": Refusal(
        403, "PERMISSION_DENIED", "Requests to this API are blocked.", code="API_KEY_SERVICE_BLOCKED"
    ),
    "unknown_model": Refusal(404, "NOT_FOUND", "models/{model} is not found for API version v1beta."),
    "unknown_path": Refusal(404, "NOT_FOUND", "Not Found: {method} {path}"),
    "method": Refusal(404, "NOT_FOUND", "Not Found: {method} {path}"),
    "rate_limit": Refusal(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "no_quota": Refusal(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota: insufficient_quota."),
    "server_error": Refusal(500, "INTERNAL", "An internal error has occurred."),
    "bad_gateway": Refusal(502, "UNAVAILABLE", "Bad gateway", page=True),
    "overloaded": Refusal(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "gateway_timeout": Refusal(504, "DEADLINE_EXCEEDED", "The request timed out."),
}


def headers() -> dict[str, str]:
    """The headers of every answer."""
    return {"server": "scaffolding on HTTPServer2", "x-content-type-options": "nosniff"}


def error_of(refusal: Refusal) -> dict[str, Any]:
    """An error object."""
    error: dict[str, Any] = {"code": refusal.status, "message": refusal.message, "status": refusal.type}
    if refusal.code:
        info = "type.googleapis.com/google.rpc.ErrorInfo"
        about = {"reason": refusal.code, "domain": "googleapis.com", "metadata": {"service": _SERVICE}}
        error["details"] = [{"@type": info, **about}]
    return {"error": error}


def whole(exchange: Exchange) -> Whole:
    """The answer in one piece."""
    completion = exchange.completions[0]
    parts = [part for part, _ in _parts(exchange, completion)]
    answer = _chunk(exchange, parts, completion)
    return Whole(compact(answer).encode(), headers())


def stream(exchange: Exchange) -> Stream:
    """The answer in chunks; the signature of words comes behind them, with the end."""
    completion = exchange.completions[0]
    frames: list[Frame] = []
    behind: dict[str, Any] = {"text": ""}
    for part, pieces in _parts(exchange, completion):
        if not pieces:
            frames.append(_frame(_chunk(exchange, [part], None)))
            continue
        if "thoughtSignature" in part:
            behind["thoughtSignature"] = part["thoughtSignature"]
        shown = {"thought": True} if part.get("thought") else {}
        frames += [_frame(_chunk(exchange, [{"text": piece, **shown}], None)) for piece in pieces]
    frames.append(_frame(_chunk(exchange, [behind], completion), content=False))
    return Stream(tuple(frames), headers(), content_type="text/event-stream")


def count(prompt: Prompt) -> bytes:
    """The answer to `countTokens`."""
    details = [{"modality": "TEXT", "tokenCount": prompt.tokens}]
    return compact({"totalTokens": prompt.tokens, "promptTokensDetails": details}).encode()


def model_list(rows: list[dict[str, Any]], query: dict[str, str]) -> bytes:
    """`GET /models`."""
    size = int(query.get("pageSize", "50"))
    more = {"nextPageToken": rows[size]["id"]} if len(rows) > size else {}
    return compact({"models": [_model(row) for row in rows[:size]], **more}).encode()


def model(row: dict[str, Any]) -> bytes:
    """`GET /models/{model}`."""
    return compact(_model(row)).encode()


def error_event(refusal: Refusal) -> bytes:
    """An error inside a stream that began well."""
    return b"data: " + json.dumps(error_of(refusal)).encode() + b"\r\n\r\n"


def _model(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"models/{row['id']}",
        "displayName": row["id"],
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _frame(chunk: dict[str, Any], *, content: bool = True) -> Frame:
    return Frame(b"data: " + compact(chunk).encode() + b"\r\n\r\n", chunk=content)


def _chunk(exchange: Exchange, parts: list[dict[str, Any]], completion: Completion | None) -> dict[str, Any]:
    """A chunk; with the completion the last one, or the whole."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if completion is not None:
        candidate["finishReason"] = exchange.behaviour.finish or FINISH[completion.ending]
        candidate |= _grounding(exchange, completion) | _logprobs(exchange, completion)
    chunk = {"candidates": [candidate], "modelVersion": exchange.served, "responseId": exchange.request_id}
    if exchange.shown_usage is None:
        return chunk
    return {**chunk, "usageMetadata": _usage(exchange, exchange.shown_usage, ended=completion is not None)}


def _parts(exchange: Exchange, completion: Completion) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """The parts of the whole answer, each with the pieces in which a stream has it; none: it comes whole."""
    signs = third_generation(exchange.model["id"])
    config = (exchange.body.get("generationConfig") or {}).get("thinkingConfig") or {}
    thought = numbered_words(reasoning_of(exchange.prompt))
    if thought and config.get("includeThoughts"):
        yield {"text": "".join(thought), "thought": True}, thought
    if completion.pieces:
        part: dict[str, Any] = {"text": completion.text}
        signed = {"thoughtSignature": signature_of(part)} if signs and not completion.calls else {}
        yield {**part, **signed}, completion.pieces
    for at, call in enumerate(completion.calls):
        part = {"functionCall": _call(call)}
        yield ({**part, "thoughtSignature": signature_of(part)} if signs and not at else part), ()


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": secrets.token_hex(4), "name": call.name, "args": json.loads("".join(call.argument_pieces))}


def _usage(exchange: Exchange, usage: Usage, *, ended: bool) -> dict[str, Any]:
    """Cumulative: what is generated is told at the end."""
    pictures = min(image_tokens(exchange.body), usage.input_tokens)
    modalities = {"TEXT": usage.input_tokens - pictures, "IMAGE": pictures}
    counted: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "totalTokenCount": usage.input_tokens,
        "promptTokensDetails": [{"modality": name, "tokenCount": n} for name, n in modalities.items() if n],
    }
    if usage.cache.read:
        counted["cachedContentTokenCount"] = usage.cache.read
        counted["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cache.read}]
    if tier := exchange.body.get("serviceTier"):
        counted["serviceTier"] = tier
    if ended:
        counted["candidatesTokenCount"] = usage.output_tokens - usage.reasoning_tokens
        counted["totalTokenCount"] += usage.output_tokens
        if usage.reasoning_tokens:
            counted["thoughtsTokenCount"] = usage.reasoning_tokens
    return counted


def _grounding(exchange: Exchange, completion: Completion) -> dict[str, Any]:
    """Of a search: the first word, from one page."""
    if not any("googleSearch" in tool for tool in exchange.body.get("tools") or ()) or not completion.pieces:
        return {}
    end = len(completion.pieces[0].encode())
    return {
        "groundingMetadata": {
            "webSearchQueries": [exchange.prompt.text],
            "groundingChunks": [{"web": {"uri": "https://pages.example/1", "title": "pages.example"}}],
            "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": end}, "groundingChunkIndices": [0]}],
        }
    }


def _logprobs(exchange: Exchange, completion: Completion) -> dict[str, Any]:
    config = exchange.body.get("generationConfig") or {}
    if not config.get("responseLogprobs"):
        return {}
    chosen = [{"token": piece, "logProbability": -0.01} for piece in completion.pieces]
    top = [{"candidates": [each] if config.get("logprobs") else []} for each in chosen]
    return {"logprobsResult": {"chosenCandidates": chosen, "topCandidates": top}}
