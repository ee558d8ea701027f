"""Cohere's dialect (v2), the way out: chat whole and in events, embeddings, rankings, models, errors."""

from __future__ import annotations

import base64
import json
import secrets
import struct
import uuid
from collections.abc import Iterator
from typing import Any

from local.simulator.brain import Completion, Prompt, ToolCall, reasoning_of
from local.simulator.refusals import Refusal
from local.simulator.replies import Exchange, Frame, Stream, Whole
from local.simulator.text import compact, numbered_words

FINISH = {
    "stop": "COMPLETE",
    "stop_sequence": "STOP_SEQUENCE",
    "length": "MAX_TOKENS",
    "tools": "TOOL_CALL",
    "forced_tool": "TOOL_CALL",
    "refusal": "COMPLETE",
}
TEMPLATE_TOKENS = 66  # what the vendor puts around a prompt: used, and not billed
DIMENSIONS = 8
KEEP_ALIVE = Frame(b": ping\n\n")
DONE = Frame(b"data: [DONE]\n\n")

REFUSALS: dict[str, Refusal] = {
    "bad_request": Refusal(400, "", "invalid request: the request is not valid."),
    "invalid_json": Refusal(400, "", "invalid request: the body is not JSON."),
    "context_length": Refusal(400, "", "too many tokens: the total number of tokens exceeds the model's limit."),
    "invalid_key": Refusal(401, "", "invalid api token"),
    "missing_key": Refusal(401, "", "no api key supplied"),
    "payment_required": Refusal(402, "", "Please add or update your payment method to continue"),
    "forbidden": Refusal(403, "", "this key does not have access to model '{model}'."),
    "restricted": Refusal(403, "", "this key is not permitted to list models."),
    "unknown_model": Refusal(404, "", "model '{model}' not found, make sure the correct model ID was used."),
    "unknown_path": Refusal(404, "", "{method} {path} is not an endpoint."),
    "method": Refusal(405, "", "{method} is not allowed on {path}."),
    "rate_limit": Refusal(429, "", "You are past the per minute request limit, please wait and try again later."),
    "no_quota": Refusal(402, "", "Your billing limit is reached: insufficient funds."),
    "content_policy": Refusal(498, "", "the prompt or the answer is blocked."),
    "server_error": Refusal(500, "", "internal server error, this has been reported to our developers."),
    "bad_gateway": Refusal(502, "", "Bad gateway", page=True),
    "overloaded": Refusal(503, "", "the service is unavailable."),
    "gateway_timeout": Refusal(504, "", "request timed out"),
}


def headers(request_id: str) -> dict[str, str]:
    """The headers of every answer."""
    return {"x-debug-trace-id": request_id, "x-endpoint-monthly-call-limit": "1000", "server": "envoy"}


def error_body(refusal: Refusal, request_id: str) -> bytes:
    """The body of an error."""
    return compact({"id": request_id, "message": refusal.message}).encode()


def error_event(refusal: Refusal) -> bytes:
    """The end of a stream that began well."""
    return _event("message-end", delta={"finish_reason": "ERROR", "error": refusal.message})


def whole(exchange: Exchange) -> Whole:
    """The chat response in one piece."""
    completion = exchange.completions[0]
    message: dict[str, Any] = {"role": "assistant"}
    if completion.calls:
        message |= {"tool_plan": _plan(completion), "tool_calls": [_call(each) for each in completion.calls]}
    blocks = [{"type": kind, kind: "".join(pieces)} for kind, pieces in _blocks(exchange, completion)]
    if blocks:
        message["content"] = blocks
    if cited := _citations(exchange, completion):
        message["citations"] = cited
    answer = {"id": str(uuid.uuid4()), "finish_reason": _finish(exchange, completion), "message": message}
    if exchange.shown_usage is not None:
        answer["usage"] = _usage(exchange)
    if exchange.body.get("logprobs"):
        answer["logprobs"] = [_logprob(piece) for piece in completion.pieces]
    return Whole(compact(answer).encode(), headers(exchange.request_id))


def stream(exchange: Exchange) -> Stream:
    """The chat response in events."""
    pings = exchange.behaviour.pings
    frames = [KEEP_ALIVE] * pings
    return Stream((*frames, *_frames(exchange), DONE), headers(exchange.request_id), first_token_at=pings)


def _frames(exchange: Exchange) -> Iterator[Frame]:
    completion = exchange.completions[0]
    answer_id = str(uuid.uuid4())
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield Frame(_event("message-start", id=answer_id, delta={"message": empty}))
    if completion.calls:
        yield Frame(_event("tool-plan-delta", delta={"message": {"tool_plan": _plan(completion)}}), chunk=True)
    for index, (kind, pieces) in enumerate(_blocks(exchange, completion)):
        opening = {"message": {"content": {"type": kind, kind: ""}}}
        yield Frame(_event("content-start", index=index, delta=opening))
        for piece in pieces:
            shown = {"logprobs": _logprob(piece)} if exchange.body.get("logprobs") and kind == "text" else {}
            delta = {"message": {"content": {kind: piece}}}
            yield Frame(_event("content-delta", index=index, delta=delta, **shown), chunk=True)
        yield Frame(_event("content-end", index=index))
    for index, citation in enumerate(_citations(exchange, completion)):
        yield Frame(_event("citation-start", index=index, delta={"message": {"citations": citation}}))
        yield Frame(_event("citation-end", index=index))
    for index, call in enumerate(completion.calls):
        yield from _call_frames(index, call)
    end: dict[str, Any] = {"finish_reason": _finish(exchange, completion)}
    if exchange.shown_usage is not None:
        end["usage"] = _usage(exchange)
    yield Frame(_event("message-end", id=answer_id, delta=end))


def _call_frames(index: int, call: ToolCall) -> Iterator[Frame]:
    opening = _call(call)
    opening["function"]["arguments"] = ""
    yield Frame(_event("tool-call-start", index=index, delta={"message": {"tool_calls": opening}}))
    for piece in call.argument_pieces:
        delta = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
        yield Frame(_event("tool-call-delta", index=index, delta=delta), chunk=True)
    yield Frame(_event("tool-call-end", index=index))


def _blocks(exchange: Exchange, completion: Completion) -> Iterator[tuple[str, tuple[str, ...]]]:
    thought = reasoning_of(exchange.prompt)
    if thought:
        yield "thinking", numbered_words(thought)
    if completion.pieces:
        yield "text", completion.pieces


def _plan(completion: Completion) -> str:
    return f"I will call {' and '.join(call.name for call in completion.calls)}."


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": "".join(call.argument_pieces)}
    return {"id": f"{call.name}_{secrets.token_hex(6)}", "type": "function", "function": function}


def _citations(exchange: Exchange, completion: Completion) -> list[dict[str, Any]]:
    """The answer's first word, from the first document."""
    documents = exchange.body.get("documents") or ()
    mode = (exchange.body.get("citation_options") or {}).get("mode")
    if not documents or not completion.pieces or mode in ("OFF", "DISABLED"):
        return []
    first, word = documents[0], completion.pieces[0]
    facts = {"text": first} if isinstance(first, str) else first["data"]
    named = "doc:0" if isinstance(first, str) else first.get("id", "doc:0")
    source = {"type": "document", "id": named, "document": {"id": named, **facts}}
    block = int(bool(reasoning_of(exchange.prompt)))
    return [
        {
            "start": 0,
            "end": len(word),
            "text": word,
            "sources": [source],
            "content_index": block,
            "type": "TEXT_CONTENT",
        }
    ]


def _finish(exchange: Exchange, completion: Completion) -> str:
    return exchange.behaviour.finish or FINISH[completion.ending]


def _usage(exchange: Exchange) -> dict[str, Any]:
    usage = exchange.usage
    shown: dict[str, Any] = {
        "billed_units": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
        "tokens": {"input_tokens": usage.input_tokens + TEMPLATE_TOKENS, "output_tokens": usage.output_tokens},
    }
    return shown | ({"cached_tokens": usage.cache.read} if usage.cache.read else {})


def _logprob(piece: str) -> dict[str, Any]:
    return {"text": piece, "token_ids": [len(piece)], "logprobs": [-0.01]}


def model_list(rows: list[dict[str, Any]]) -> bytes:
    """`GET /v1/models`."""
    return compact({"models": [_model(row) for row in rows]}).encode()


def model(row: dict[str, Any]) -> bytes:
    """`GET /v1/models/{id}`."""
    return compact(_model(row)).encode()


def _model(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": row["id"],
        "endpoints": ["chat", "embed", "rerank"],
        "finetuned": False,
        "context_length": 256_000,
        "is_deprecated": False,
    }


def embed(body: dict[str, Any], prompt: Prompt) -> bytes:
    """`POST /v2/embed`: a vector that follows from the text alone."""
    texts = body.get("texts") or body.get("images") or [compact(each) for each in body["inputs"]]
    kinds = body.get("embedding_types") or ["float"]
    vectors = [_vector(each, body.get("output_dimension") or DIMENSIONS) for each in texts]
    shown = {kind: [_as(kind, vector) for vector in vectors] for kind in kinds}
    billed = {"images": len(texts)} if body.get("images") else {"input_tokens": prompt.tokens}
    answer = {
        "response_type": "embeddings_by_type",
        "id": str(uuid.uuid4()),
        "embeddings": shown,
        "texts": body.get("texts") or [],
        "meta": {"api_version": {"version": "2"}, "billed_units": billed},
    }
    return compact(answer).encode()


def _vector(text: str, dimensions: int) -> list[float]:
    """Numbers that a `float` of four bytes holds exactly."""
    weights = [sum(map(ord, text[at::dimensions])) % 256 for at in range(dimensions)]
    return [(weight - 128) / 128 for weight in weights]


def _as(kind: str, vector: list[float]) -> Any:
    if kind == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    if kind == "float":
        return vector
    offset = 128 if kind in ("uint8", "ubinary") else 0
    return [min(127, round(number * 128)) + offset for number in vector]


def rerank(body: dict[str, Any]) -> bytes:
    """`POST /v2/rerank`: the more words of the query a document has, the better it is."""
    words = set(body["query"].lower().split())

    def score(document: str) -> float:
        return round(len(words & set(document.lower().split())) / max(1, len(words)), 6)

    ranked = sorted(enumerate(body["documents"]), key=lambda each: (-score(each[1]), each[0]))
    results = [{"index": index, "relevance_score": score(document)} for index, document in ranked]
    units = 1 + (len(body["documents"]) - 1) // 100
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}
    return compact({"id": str(uuid.uuid4()), "results": results[: body.get("top_n")], "meta": meta}).encode()


def _event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members}, separators=(',', ':'))}\n\n".encode()
