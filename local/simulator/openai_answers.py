"""OpenAI's dialect, the way out: chat completions whole and in chunks, models, errors, headers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from local.simulator.anthropic_blocks import signature_of
from local.simulator.brain import Completion, ToolCall, Usage
from local.simulator.refusals import Refusal
from local.simulator.replies import Exchange, Frame, Stream, Whole
from local.simulator.text import compact, tokenize

DONE = Frame(b"data: [DONE]\n\n")
KEEP_ALIVE = Frame(b": PROCESSING\n\n")
LIMITS = {"requests": 10_000, "tokens": 2_000_000}
FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tools": "tool_calls",
    "forced_tool": "stop",  # a call of the one tool that was named ends with "stop"
    "refusal": "stop",
}
TIERS = {"flex": "flex", "priority": "priority", "fast": "priority", "scale": "scale"}


def headers(request_id: str, *, first_party: bool, spent_tokens: int | None = None) -> dict[str, str]:
    """The headers of every answer. `spent_tokens` None is an answer without rate limits: no key, no limits."""
    common = {"x-request-id": request_id, "server": "cloudflare", "cf-ray": secrets.token_hex(8) + "-SIM"}
    if first_party:
        common |= {
            "openai-organization": "org-simulated",
            "openai-project": "proj_simulated",
            "openai-processing-ms": "7",
            "openai-version": "2020-10-01",
            "set-cookie": f"__cf_bm={secrets.token_hex(8)}; path=/; HttpOnly; Secure",
        }
    if spent_tokens is None:
        return common
    return common | {
        "x-ratelimit-limit-requests": str(LIMITS["requests"]),
        "x-ratelimit-limit-tokens": str(LIMITS["tokens"]),
        "x-ratelimit-remaining-requests": str(LIMITS["requests"] - 1),
        "x-ratelimit-remaining-tokens": str(max(0, LIMITS["tokens"] - spent_tokens)),
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": "1m0s",
    }


def whole(exchange: Exchange) -> Whole:
    """The chat completion in one piece, indented as the vendor does."""
    completion = _head(exchange, "chat.completion", new_id())
    completion["choices"] = [_choice(exchange, index) for index in range(len(exchange.completions))]
    usage = exchange.shown_usage
    if usage is not None:
        completion["usage"] = _usage(usage)
    return Whole(_indented(completion), _headers(exchange))


def stream(exchange: Exchange) -> Stream:
    """The chat completion in chunks; those of several choices come interleaved."""
    chunk_id = new_id()
    frames = [KEEP_ALIVE] * exchange.behaviour.pings
    choices = [_choice_frames(exchange, chunk_id, *each) for each in enumerate(exchange.completions)]
    frames += [frame for abreast in zip_longest(*choices) for frame in abreast if frame is not None]
    usage = exchange.shown_usage
    if _tells_usage(exchange) and usage is not None:
        frames.append(Frame(_event(_chunk(exchange, chunk_id, [], _usage(usage)))))
    return Stream((*frames, DONE), _headers(exchange), first_token_at=exchange.behaviour.pings)


def error_body(refusal: Refusal) -> bytes:
    """The body of an error."""
    return _indented(_error(refusal))


def error_event(refusal: Refusal) -> bytes:
    """An error inside a stream that began well."""
    return _event(_error(refusal))


def model_list(rows: list[dict[str, Any]], owner: str) -> bytes:
    """`GET /models`."""
    return _indented({"object": "list", "data": [_model(row, owner) for row in rows]})


def model(row: dict[str, Any], owner: str) -> bytes:
    """`GET /models/{id}`."""
    return _indented(_model(row, owner))


def new_id() -> str:
    """The id of a completion."""
    return f"chatcmpl-{secrets.token_hex(15)[:29]}"


def _model(row: dict[str, Any], owner: str) -> dict[str, Any]:
    return {"id": row["id"], "object": "model", "created": row["created"], "owned_by": owner}


def _error(refusal: Refusal) -> dict[str, Any]:
    error = {"message": refusal.message, "type": refusal.type, "param": refusal.param, "code": refusal.code}
    return {"error": error}


def _headers(exchange: Exchange) -> dict[str, str]:
    spent = exchange.usage.input_tokens + exchange.usage.output_tokens
    return headers(exchange.request_id, first_party=exchange.first_party, spent_tokens=spent)


def _head(exchange: Exchange, kind: str, answer_id: str) -> dict[str, Any]:
    head: dict[str, Any] = {
        "id": answer_id,
        "object": kind,
        "created": exchange.created_s,
        "model": exchange.served,
    }
    if exchange.first_party:
        head["service_tier"] = TIERS.get(exchange.body.get("service_tier") or "default", "default")
    return head | {"system_fingerprint": "fp_5171a7ed00"}


def _choice(exchange: Exchange, index: int) -> dict[str, Any]:
    completion = exchange.completions[index]
    refuses = completion.ending == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if completion.calls or refuses else completion.text,
        "refusal": completion.text if refuses else None,
        "annotations": [],
    }
    thought: dict[str, Any] = {}
    for delta in _thoughts(exchange):
        _grow(thought, delta)
    message["content"] = thought.pop("content", "") + (message["content"] or "") or message["content"]
    message |= thought
    if completion.calls and "functions" in exchange.body:
        message["function_call"] = _function(completion.calls[0])
    elif completion.calls:
        message["tool_calls"] = [_tool_call(call) for call in completion.calls]
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(exchange, "".join(completion.pieces) if not completion.calls else None),
        "finish_reason": _finish(exchange, completion),
    }


def _finish(exchange: Exchange, completion: Completion) -> str:
    if exchange.behaviour.finish:
        return exchange.behaviour.finish
    return "function_call" if completion.calls and "functions" in exchange.body else FINISH[completion.ending]


def _function(call: ToolCall) -> dict[str, str]:
    return {"name": call.name, "arguments": "".join(call.argument_pieces)}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    if call.free_form:
        custom = {"name": call.name, "input": "".join(call.argument_pieces)}
        return {"id": _call_id(), "type": "custom", "custom": custom}
    return {"id": _call_id(), "type": "function", "function": _function(call)}


def _thoughts(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """The deltas of what was thought, at providers that show it: OpenAI does not."""
    shown = exchange.behaviour.thoughts
    if exchange.first_party or not exchange.usage.reasoning_tokens or shown == "none":
        return
    thought = f"The user says: {exchange.prompt.text}"
    pieces = tokenize(thought)
    for piece in ("<think>", *pieces, "</think>\n\n") if shown == "think_tags" else pieces:
        match shown:
            case "details":
                yield {"reasoning": piece, "reasoning_details": [_detail(text=piece)]}
            case "think_tags":
                yield {"content": piece}
            case _:
                yield {shown: piece}
    if shown == "details":
        yield {"reasoning_details": [_detail(signature=signature_of(thought))]}


def _detail(**members: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0, **members}


def _grow(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Adds a delta of thoughts to a whole message."""
    for name, value in delta.items():
        if name != "reasoning_details":
            message[name] = (message.get(name) or "") + value
            continue
        (item,) = value
        before = message.setdefault(name, [_detail(text="")])[0]
        before |= item | ({"text": before["text"] + item["text"]} if "text" in item else {})


def _deltas(exchange: Exchange, completion: Completion) -> Iterator[dict[str, Any]]:
    """The deltas of one choice; the first has the role, and no content of its own."""
    opening, *others = _said(exchange, completion)
    yield opening
    yield from _thoughts(exchange)
    yield from others


def _said(exchange: Exchange, completion: Completion) -> Iterator[dict[str, Any]]:
    if completion.calls and "functions" in exchange.body:
        call = completion.calls[0]
        opening = {"name": call.name, "arguments": ""}
        yield {"role": "assistant", "content": None, "function_call": opening, "refusal": None}
        yield from ({"function_call": {"arguments": piece}} for piece in call.argument_pieces)
    elif completion.calls:
        yield {"role": "assistant", "content": None, "refusal": None}
        for index, call in enumerate(completion.calls):
            yield from _call_deltas(index, call)
    elif completion.ending == "refusal":
        yield {"role": "assistant", "content": None, "refusal": ""}
        yield from ({"refusal": piece} for piece in completion.pieces)
    else:
        yield {"role": "assistant", "content": "", "refusal": None}
        yield from ({"content": piece} for piece in completion.pieces)


def _call_deltas(index: int, call: ToolCall) -> Iterator[dict[str, Any]]:
    kind, arguments = ("custom", "input") if call.free_form else ("function", "arguments")
    opening = {"index": index, "id": _call_id(), "type": kind, kind: {"name": call.name, arguments: ""}}
    yield {"tool_calls": [opening]}
    for piece in call.argument_pieces:
        yield {"tool_calls": [{"index": index, kind: {arguments: piece}}]}


def _choice_frames(exchange: Exchange, chunk_id: str, index: int, completion: Completion) -> Iterator[Frame]:
    """The frames of one choice. The chunk with the role goes out with the first content, as the vendor sends it."""

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        logprobs = _logprobs(exchange, delta.get("content") or None)
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return _event(_chunk(exchange, chunk_id, [choice], None))

    opening, *deltas = _deltas(exchange, completion)
    held = event(opening)
    for delta in deltas:
        yield Frame(held + event(delta), chunk=True)
        held = b""
    yield Frame(held + event({}, _finish(exchange, completion)))


def _chunk(
    exchange: Exchange, chunk_id: str, choices: list[dict[str, Any]], usage: dict[str, Any] | None
) -> dict[str, Any]:
    """One chunk: `usage` is there only where it was asked for, and null before the last."""
    chunk = _head(exchange, "chat.completion.chunk", chunk_id)
    chunk["choices"] = choices
    if _tells_usage(exchange) and not exchange.behaviour.no_usage:
        chunk["usage"] = usage
    if exchange.first_party and _asked(exchange).get("include_obfuscation", True):
        chunk["obfuscation"] = secrets.token_urlsafe(secrets.randbelow(9) + 1)
    return chunk


def _tells_usage(exchange: Exchange) -> bool:
    """Where it was asked for; some compatible providers tell without being asked, and refuse to be."""
    return bool(exchange.unasked_usage or _asked(exchange).get("include_usage"))


def _asked(exchange: Exchange) -> dict[str, Any]:
    return exchange.body.get("stream_options") or {}


def _logprobs(exchange: Exchange, text: str | None) -> dict[str, Any] | None:
    if not exchange.body.get("logprobs") or text is None:
        return None
    top = exchange.body.get("top_logprobs") or 0
    return {"content": token_logprobs(text, top), "refusal": None}


def token_logprobs(text: str, top: int) -> list[dict[str, Any]]:
    """The tokens of a text with their log probabilities, and `top` alternatives to each."""

    def one(token: str, rank: int) -> dict[str, Any]:
        return {"token": token, "logprob": -0.01 - rank, "bytes": list(token.encode())}

    return [
        {
            **one(token, 0),
            "top_logprobs": [one(token if rank == 0 else f"{token}~{rank}", rank) for rank in range(top)],
        }
        for token in tokenize(text)
    ]


def _usage(usage: Usage) -> dict[str, Any]:
    prompt: dict[str, int] = {"cached_tokens": usage.cache.read, "audio_tokens": 0}
    written = usage.cache.written_5m + usage.cache.written_1h
    if written:
        prompt["cache_write_tokens"] = written
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def _indented(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _event(value: Any) -> bytes:
    return f"data: {compact(value)}\n\n".encode()
