"""Anthropic's dialect, the way out: messages whole and as events, models, errors, headers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from local.simulator import anthropic_models
from local.simulator.anthropic_blocks import signature_of
from local.simulator.anthropic_requests import UNTHREADED, cited_documents, shows_thinking
from local.simulator.brain import Completion, Usage
from local.simulator.refusals import Refusal
from local.simulator.replies import Exchange, Frame, Stream, Whole
from local.simulator.text import compact, tokenize

ORGANIZATION = "00000000-0000-4000-8000-000000000000"
LIMITS = {"requests": 4_000, "input-tokens": 2_000_000, "output-tokens": 400_000, "tokens": 2_400_000}
WINDOW_S = 60
STOP_REASON = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tools": "tool_use",
    "forced_tool": "tool_use",
    "refusal": "refusal",
}
SHOULD_RETRY = frozenset({408, 409, 429})
CITED_CHARS = 24
MAX_PAGE = 1_000
DEFAULT_PAGE = 20
_SUPPORTED = {"supported": True}


def headers(request_id: str, *, status: int = 200, spent: Usage | None = None) -> dict[str, str]:
    """The headers of every answer. `spent` None is an answer without rate limits."""
    common = {
        "request-id": request_id,
        "anthropic-organization-id": ORGANIZATION,
        "server": "cloudflare",
        "cf-ray": secrets.token_hex(8) + "-SIM",
    }
    if status >= 400:
        common["x-should-retry"] = "true" if status >= 500 or status in SHOULD_RETRY else "false"
    if spent is None:
        return common
    reset = (datetime.now(UTC) + timedelta(seconds=WINDOW_S)).strftime("%Y-%m-%dT%H:%M:%SZ")
    used = {
        "requests": 1,
        "input-tokens": spent.input_tokens,
        "output-tokens": spent.output_tokens,
        "tokens": spent.input_tokens + spent.output_tokens,
    }
    for name, limit in LIMITS.items():
        common[f"anthropic-ratelimit-{name}-limit"] = str(limit)
        common[f"anthropic-ratelimit-{name}-remaining"] = str(max(0, limit - used[name]))
        common[f"anthropic-ratelimit-{name}-reset"] = reset
    return common


def whole(exchange: Exchange) -> Whole:
    """The message in one piece."""
    completion = exchange.completions[0]
    message = _message(exchange) | {
        "content": [_filled(block, deltas) for block, deltas in _blocks(exchange, completion)],
        **_stop(exchange, completion),
    }
    usage = exchange.shown_usage
    if usage is not None:
        message["usage"] = _usage(exchange, usage)
    return Whole(compact(message).encode(), headers(exchange.request_id, spent=exchange.usage))


def stream(exchange: Exchange) -> Stream:
    """The message as events."""
    completion = exchange.completions[0]
    usage = exchange.shown_usage
    opening = _message(exchange) | {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    if usage is not None:
        counted = _usage(exchange, usage)
        opening["usage"] = {**counted, "output_tokens": min(1, usage.output_tokens)}
        opening["usage"].pop("output_tokens_details", None)
    frames = [Frame(_event({"type": "message_start", "message": opening}))]
    frames += [Frame(_event({"type": "ping"}))] * exchange.behaviour.pings
    for index, (block, deltas) in enumerate(_blocks(exchange, completion)):
        frames += _block_frames(index, block, deltas)
    closing: dict[str, Any] = {"type": "message_delta", "delta": _stop(exchange, completion)}
    if usage is not None:
        closing["usage"] = _final_usage(exchange, usage)
    frames += [Frame(_event(closing)), Frame(_event({"type": "message_stop"}))]
    first = next(index for index, frame in enumerate(frames) if frame.chunk or index == len(frames) - 2)
    return Stream(tuple(frames), headers(exchange.request_id, spent=exchange.usage), first_token_at=first)


def error_body(refusal: Refusal, request_id: str) -> bytes:
    """The body of an error."""
    return compact(_error(refusal, request_id)).encode()


def error_event(refusal: Refusal, request_id: str) -> bytes:
    """An error inside a stream that began well."""
    return _event(_error(refusal, request_id))


def model_list(rows: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """`GET /models`, a page of it: `limit`, `after_id`, `before_id`."""
    ids = [row["id"] for row in rows]
    limit = max(1, min(MAX_PAGE, int(query.get("limit", DEFAULT_PAGE))))
    if query.get("before_id") in ids:
        end = ids.index(query["before_id"])
        start, more = max(0, end - limit), end > limit
    else:
        start = ids.index(query["after_id"]) + 1 if query.get("after_id") in ids else 0
        end, more = start + limit, start + limit < len(ids)
    data = [model(row) for row in rows[start:end]]
    return {
        "data": data,
        "has_more": more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def model(row: dict[str, Any]) -> dict[str, Any]:
    """`GET /models/{id}`."""
    efforts = {name: {"supported": known} for name, known in anthropic_models.efforts(row["id"]).items()}
    thinking = {name: {"supported": known} for name, known in anthropic_models.thinking_types(row["id"]).items()}
    plain = ("batch", "citations", "code_execution", "image_input", "pdf_input", "structured_outputs")
    strategies = ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")
    return {
        "type": "model",
        "id": row["id"],
        "display_name": row["display_name"],
        "created_at": row["created_at"],
        "lifecycle": "active",
        "line": row.get("line"),
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": 200_000,
        "max_tokens": row["max_tokens"],
        "capabilities": {
            **dict.fromkeys(plain, _SUPPORTED),
            "context_management": {**_SUPPORTED, **dict.fromkeys(strategies, _SUPPORTED)},
            "effort": {"supported": any(each["supported"] for each in efforts.values()), **efforts},
            "server_tools": {**_SUPPORTED, "web_search": _SUPPORTED, "code_execution": _SUPPORTED},
            "thinking": {**_SUPPORTED, "types": thinking},
        },
    }


def _message(exchange: Exchange) -> dict[str, Any]:
    return {"model": exchange.served, "id": f"msg_01{_base58(22)}", "type": "message", "role": "assistant"}


def _stop(exchange: Exchange, completion: Completion) -> dict[str, Any]:
    reason = exchange.behaviour.finish or STOP_REASON[completion.ending]
    details = {"type": "refusal", "category": "general_harms", "explanation": None} if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": completion.stop_sequence, "stop_details": details}


def _blocks(exchange: Exchange, completion: Completion) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The content blocks as a stream opens them, each with its deltas."""
    if shows_thinking(exchange.body):
        if exchange.behaviour.redacted:
            yield {"type": "redacted_thinking", "data": signature_of(exchange.prompt.text)}, []
        else:
            yield {"type": "thinking", "thinking": "", "signature": ""}, _thinking_deltas(exchange)
    if completion.pieces:
        citations = [_citation(at, document) for at, document in cited_documents(exchange.body)]
        cited = [{"type": "citations_delta", "citation": each} for each in citations]
        deltas = [{"type": "text_delta", "text": piece} for piece in completion.pieces]
        yield {"type": "text", "text": "", **({"citations": []} if cited else {})}, [*cited, *deltas]
    for call in completion.calls:
        block = {"type": "tool_use", "id": f"toolu_01{_base58(22)}", "name": call.name, "input": {}}
        pieces = ("", *call.argument_pieces)
        yield block, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _thinking_deltas(exchange: Exchange) -> list[dict[str, Any]]:
    """The thoughts, unless the request leaves them out, and the signature that proves them."""
    thought = f"The user says: {exchange.prompt.text}"
    shown = anthropic_models.shows_thoughts(exchange.body.get("thinking") or {}, exchange.model["id"])
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in (tokenize(thought) if shown else ())]
    return [*deltas, {"type": "signature_delta", "signature": signature_of(thought)}]


def _citation(at: int, document: dict[str, Any]) -> dict[str, Any]:
    """The beginning of a text, or the first page of anything else."""
    about = {"document_index": at, "document_title": document.get("title"), "file_id": None}
    if document["source"]["type"] == "text":
        quote = document["source"]["data"][:CITED_CHARS]
        place = {"type": "char_location", "cited_text": quote, "start_char_index": 0, "end_char_index": len(quote)}
    else:
        place = {"type": "page_location", "cited_text": "Page 1", "start_page_number": 1, "end_page_number": 2}
    return {**place, **about}


def _filled(block: dict[str, Any], deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """A block with its deltas put in: what the whole message has in place of the events."""
    filled = dict(block)
    for delta in deltas:
        for name in ("text", "thinking", "signature"):
            if name in delta:
                filled[name] += delta[name]
        if "citation" in delta:
            filled["citations"] = [*filled["citations"], delta["citation"]]
    arguments = "".join(delta.get("partial_json", "") for delta in deltas)
    if arguments:
        filled["input"] = json.loads(arguments)
    return filled


def _block_frames(index: int, block: dict[str, Any], deltas: list[dict[str, Any]]) -> Iterator[Frame]:
    yield Frame(_event({"type": "content_block_start", "index": index, "content_block": block}))
    if index == 0:
        yield Frame(_event({"type": "ping"}))
    for delta in deltas:
        yield Frame(_event({"type": "content_block_delta", "index": index, "delta": delta}), chunk=True)
    yield Frame(_event({"type": "content_block_stop", "index": index}))


def _input_counts(usage: Usage) -> dict[str, int]:
    """The input tokens as this dialect adds them up: uncached, written and read apart."""
    written = usage.cache.written_5m + usage.cache.written_1h
    return {
        "input_tokens": max(0, usage.input_tokens - usage.cache.read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache.read,
    }


def _usage(exchange: Exchange, usage: Usage) -> dict[str, Any]:
    return {
        **_input_counts(usage),
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache.written_5m,
            "ephemeral_1h_input_tokens": usage.cache.written_1h,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
        **_output_details(exchange, usage),
    }


def _final_usage(exchange: Exchange, usage: Usage) -> dict[str, Any]:
    """The usage of `message_delta`: cumulative, and without the breakdown by lifetime."""
    return {**_input_counts(usage), "output_tokens": usage.output_tokens, **_output_details(exchange, usage)}


def _output_details(exchange: Exchange, usage: Usage) -> dict[str, Any]:
    if not shows_thinking(exchange.body) and not usage.reasoning_tokens:
        return {}
    return {"output_tokens_details": {"thinking_tokens": usage.reasoning_tokens}}


def _error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    error: dict[str, Any] = {"type": refusal.type, "message": refusal.message}
    if refusal.code == UNTHREADED:
        error["details"] = {"error_code": refusal.code, "unsupported": [refusal.param]}
    return {"type": "error", "error": error, "request_id": request_id}


def _event(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\ndata: {compact(value)}\n\n".encode()


def _base58(length: int) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    return "".join(secrets.choice(alphabet) for _ in range(length))
