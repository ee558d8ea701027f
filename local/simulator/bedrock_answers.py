"""Bedrock's runtime, the way out: Converse whole and as events, Anthropic's events in frames, errors, headers."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from local.simulator import eventstream
from local.simulator.anthropic_blocks import signature_of
from local.simulator.brain import Completion, Usage, reasoning_of
from local.simulator.refusals import Refusal
from local.simulator.replies import Exchange, Frame, Stream, Whole, page
from local.simulator.text import compact, tokenize

STOP_REASON = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tools": "tool_use",
    "forced_tool": "tool_use",
    "refusal": "content_filtered",
}
REFUSALS: dict[str, Refusal] = {
    "bad_request": Refusal(400, "ValidationException", "The request is not valid."),
    "invalid_json": Refusal(400, "SerializationException", "The request body is not JSON."),
    "context_length": Refusal(400, "ValidationException", "Input is too long for requested model."),
    "content_policy": Refusal(400, "ValidationException", "The input is blocked by a policy."),
    "no_quota": Refusal(400, "ServiceQuotaExceededException", "Your request exceeds the account's service quota."),
    "payment_required": Refusal(
        403, "AccessDeniedException", "Model access is denied due to INVALID_PAYMENT_INSTRUMENT: a valid one is needed."
    ),
    "invalid_key": Refusal(
        403, "UnrecognizedClientException", "The security token included in the request is invalid."
    ),
    "invalid_bearer": Refusal(
        403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid."
    ),
    "missing_key": Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    "forbidden": Refusal(
        403,
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/sim is not authorized to perform: bedrock:InvokeModel on {model}",
    ),
    "unknown_model": Refusal(400, "ValidationException", "The provided model identifier is invalid."),
    "unknown_path": Refusal(404, "UnknownOperationException", "{method} {path}"),
    "method": Refusal(404, "UnknownOperationException", "{method} {path}"),
    "timeout": Refusal(408, "ModelTimeoutException", "The model took too long to answer."),
    "model_error": Refusal(424, "ModelErrorException", "The model failed."),
    "rate_limit": Refusal(429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "token_rate_limit": Refusal(429, "ThrottlingException", "Too many tokens, please wait before trying again."),
    "server_error": Refusal(500, "InternalServerException", "The system encountered an unexpected error."),
    "bad_gateway": Refusal(502, "InternalServerException", "Bad gateway", page=True),
    "overloaded": Refusal(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
}
_PADDING = "abcdefghijklmnopqrstuvwxyz"


def headers(request_id: str) -> dict[str, str]:
    """The headers of every answer."""
    return {"x-amzn-requestid": request_id}


def request_id() -> str:
    """A new one."""
    return str(uuid.uuid4())


def error(refusal: Refusal, request_id: str) -> Whole:
    """An error answer: its name in a header, its words in the body."""
    if refusal.page:
        return page(refusal.status, refusal.message, headers(request_id))
    named = {"x-amzn-errortype": f"{refusal.type}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    return Whole(compact({"message": refusal.message}).encode(), headers(request_id) | named, refusal.status)


def error_event(refusal: Refusal) -> bytes:
    """What ends a stream that began well."""
    name = "modelStreamErrorException" if refusal.status == 424 else refusal.type[0].lower() + refusal.type[1:]
    return eventstream.exception(name, refusal.message)


def count(tokens: int, request_id: str) -> Whole:
    """The answer of CountTokens."""
    return Whole(compact({"inputTokens": tokens}).encode(), headers(request_id))


def whole(exchange: Exchange) -> Whole:
    """Converse."""
    completion = exchange.completions[0]
    content = [_filled(start, deltas) for start, deltas in _blocks(exchange, completion)]
    answer = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _stop(exchange, completion),
        "metrics": {"latencyMs": 1},
        **_metadata(exchange),
    }
    return Whole(compact(answer).encode(), headers(exchange.request_id))


def stream(exchange: Exchange) -> Stream:
    """ConverseStream."""
    completion = exchange.completions[0]
    frames = [_frame("messageStart", {"role": "assistant"})]
    for index, (start, deltas) in enumerate(_blocks(exchange, completion)):
        if start:
            frames.append(_frame("contentBlockStart", {"contentBlockIndex": index, "start": start}))
        for delta in deltas:
            values = {"contentBlockIndex": index, "delta": delta}
            frames.append(_frame("contentBlockDelta", values, chunk=True))
        frames.append(_frame("contentBlockStop", {"contentBlockIndex": index}))
    frames.append(_frame("messageStop", {"stopReason": _stop(exchange, completion)}))
    frames.append(_frame("metadata", {"metrics": {"latencyMs": 1}, **_metadata(exchange)}))
    return Stream(tuple(frames), headers(exchange.request_id), first_token_at=1, content_type=eventstream.CONTENT_TYPE)


def framed(stream: Stream, exchange: Exchange) -> Stream:
    """Anthropic's events in Bedrock's frames: no pings, and a measurement at the end."""
    frames, first = [], 0
    for index, each in enumerate(stream.frames):
        values = json.loads(each.data.partition(b"data: ")[2])
        if values["type"] == "ping":
            continue
        if values["type"] == "message_stop":
            counts = {"inputTokenCount": exchange.usage.input_tokens, "outputTokenCount": exchange.usage.output_tokens}
            values["amazon-bedrock-invocationMetrics"] = {**counts, "invocationLatency": 1, "firstByteLatency": 1}
        if index <= stream.first_token_at:
            first = len(frames)
        chunk = {"bytes": base64.b64encode(compact(values).encode()).decode()}
        frames.append(Frame(eventstream.event("chunk", chunk | _padding()), each.chunk))
    named = headers(exchange.request_id) | {"x-amzn-bedrock-content-type": "application/json"}
    return replace(
        stream, frames=tuple(frames), headers=named, first_token_at=first, content_type=eventstream.CONTENT_TYPE
    )


def _frame(kind: str, values: dict[str, Any], *, chunk: bool = False) -> Frame:
    return Frame(eventstream.event(kind, values | _padding()), chunk)


def _padding() -> dict[str, str]:
    """So that an event's length does not tell its content."""
    return {"p": _PADDING[: secrets.randbelow(len(_PADDING))]}


def _stop(exchange: Exchange, completion: Completion) -> str:
    return exchange.behaviour.finish or STOP_REASON[completion.ending]


def _blocks(exchange: Exchange, completion: Completion) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The content blocks as a stream opens them, each with its deltas; only a call of a tool is opened by an event."""
    if reasoning_of(exchange.prompt):
        thought = f"The user says: {exchange.prompt.text}"
        deltas: list[dict[str, Any]] = [{"text": piece} for piece in tokenize(thought)]
        yield {}, [{"reasoningContent": each} for each in (*deltas, {"signature": signature_of(thought)})]
    if completion.pieces:
        yield {}, [{"text": piece} for piece in completion.pieces]
    for call in completion.calls:
        start = {"toolUse": {"toolUseId": f"tooluse_{secrets.token_hex(11)}", "name": call.name}}
        yield start, [{"toolUse": {"input": piece}} for piece in call.argument_pieces]


def _filled(start: dict[str, Any], deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """A block with its deltas put in."""
    if start:
        arguments = "".join(delta["toolUse"]["input"] for delta in deltas)
        return {"toolUse": {**start["toolUse"], "input": json.loads(arguments or "{}")}}
    if "text" in deltas[0]:
        return {"text": "".join(delta["text"] for delta in deltas)}
    thought = [delta["reasoningContent"] for delta in deltas]
    text = "".join(each.get("text", "") for each in thought)
    return {"reasoningContent": {"reasoningText": {"text": text, "signature": thought[-1]["signature"]}}}


def _metadata(exchange: Exchange) -> dict[str, Any]:
    tier = exchange.body.get("serviceTier") or {"type": "default"}
    usage = exchange.shown_usage
    return {"serviceTier": tier, "usage": _usage(usage) if usage else {}}


def _usage(usage: Usage) -> dict[str, Any]:
    cache = usage.cache
    written = cache.written_5m + cache.written_1h
    counted: dict[str, Any] = {
        "inputTokens": max(0, usage.input_tokens - cache.read - written),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
    }
    if cache.read or written:
        details = [("1h", cache.written_1h), ("5m", cache.written_5m)]
        counted |= {
            "cacheReadInputTokens": cache.read,
            "cacheWriteInputTokens": written,
            "cacheDetails": [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in details if tokens],
        }
    return counted
