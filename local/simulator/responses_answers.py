"""OpenAI's Responses, the way out: the response whole, and as the events that build it.

Facts from openai-python 3.52: `types/responses/response.py`, `response_stream_event.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import count
from typing import Any

from local.simulator.brain import Completion, ToolCall, Usage, reasoning_of
from local.simulator.openai_answers import KEEP_ALIVE, TIERS, headers, token_logprobs
from local.simulator.refusals import Refusal
from local.simulator.replies import Exchange, Frame, Stream, Whole
from local.simulator.responses_requests import encrypted, searches
from local.simulator.text import compact, tokenize

PAGE = "https://example.com/found"
FAILED = {"code": "server_error", "message": "The model failed to generate a response."}
_ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}

Event = dict[str, Any]


def whole(exchange: Exchange) -> Whole:
    """The response in one piece."""
    response = _ended(exchange, _head(exchange), [item for item, _ in _items(exchange)])
    return Whole(compact(response).encode(), _headers(exchange))


def stream(exchange: Exchange) -> Stream:
    """The response as named events, numbered from 0."""
    numbers = count()

    def frame(kind: str, members: Event, *, chunk: bool = False) -> Frame:
        event = {"type": kind, "sequence_number": next(numbers), **members}
        return Frame(f"event: {kind}\ndata: {compact(event)}\n\n".encode(), chunk)

    head = _head(exchange)
    begun = {**head, "output": []}
    frames = [frame("response.created", {"response": begun}), frame("response.in_progress", {"response": begun})]
    frames += [KEEP_ALIVE] * exchange.behaviour.pings
    first = len(frames)
    items = []
    for index, (item, deltas) in enumerate(_items(exchange)):
        items.append(item)
        opened = {"output_index": index, "item": _opening(item)}
        frames.append(frame("response.output_item.added", opened))
        for kind, members in deltas:
            told = {"item_id": item["id"], "output_index": index, **members}
            chunk = kind.endswith(".delta")
            if chunk and (exchange.body.get("stream_options") or {}).get("include_obfuscation", True):
                told["obfuscation"] = secrets.token_urlsafe(secrets.randbelow(9) + 1)
            frames.append(frame(kind, told, chunk=chunk))
        frames.append(frame("response.output_item.done", {"output_index": index, "item": item}))
    ended = _ended(exchange, head, items)
    frames.append(frame(f"response.{ended['status']}", {"response": ended}))
    return Stream(tuple(frames), _headers(exchange), first_token_at=first)


def error_event(refusal: Refusal) -> bytes:
    """An error inside a stream that began well."""
    told = {"code": refusal.code or refusal.type, "message": refusal.message, "param": refusal.param}
    return f"event: error\ndata: {compact({'type': 'error', 'sequence_number': 0, **told})}\n\n".encode()


def _head(exchange: Exchange) -> Event:
    """All but the output and the end, with the request's members as they were taken."""
    body = exchange.body
    given = {name: body[name] for name in _ECHOED if body.get(name) is not None}
    wanted, reasoning = body.get("text") or {}, body.get("reasoning") or {}
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": exchange.created_s,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": exchange.served,
        **_ECHOED,
        **given,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": TIERS.get(body.get("service_tier") or "default", "default"),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **wanted},
        "usage": None,
    }


def _ended(exchange: Exchange, head: Event, items: list[Event]) -> Event:
    completion, usage = exchange.completions[0], exchange.shown_usage
    cut = "max_output_tokens" if completion.ending == "length" else exchange.behaviour.finish
    response = {**head, "output": items, "usage": _usage(usage) if usage else None}
    if cut == "failed":
        return {**response, "status": "failed", "error": FAILED}
    if cut is not None:
        return {**response, "status": "incomplete", "incomplete_details": {"reason": cut}}
    found = sum(item["type"] == "web_search_call" for item in items)
    told = {"tool_usage": {"image_gen": _NO_IMAGES, "web_search": {"num_requests": found}}} if found else {}
    return {**response, "status": "completed", "completed_at": exchange.created_s + 1, **told}


_NO_IMAGES = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


def _items(exchange: Exchange) -> Iterator[tuple[Event, list[tuple[str, Event]]]]:
    """The output's items, each with the events between its beginning and its end."""
    completion = exchange.completions[0]
    if reasoning_of(exchange.prompt):
        yield _reasoning(exchange)
    if searches(exchange.body, exchange.prompt):
        yield _search(exchange)
    if completion.pieces or not completion.calls:
        yield _message(exchange, completion)
    for call in completion.calls:
        yield _call(call)


def _reasoning(exchange: Exchange) -> tuple[Event, list[tuple[str, Event]]]:
    thought = f"The user says: {exchange.prompt.text}"
    item: Event = {"id": _id("rs"), "type": "reasoning", "summary": []}
    if "reasoning.encrypted_content" in (exchange.body.get("include") or ()):
        item["encrypted_content"] = encrypted(thought)
    if not (exchange.body.get("reasoning") or {}).get("summary"):
        return item, []
    at, kind = {"summary_index": 0}, "response.reasoning_summary_"
    part = {"type": "summary_text", "text": thought}
    deltas = [(f"{kind}text.delta", {**at, "delta": piece}) for piece in tokenize(thought)]
    return {**item, "summary": [part]}, [
        (f"{kind}part.added", {**at, "part": {**part, "text": ""}}),
        *deltas,
        (f"{kind}text.done", {**at, "text": thought}),
        (f"{kind}part.done", {**at, "part": part}),
    ]


def _search(exchange: Exchange) -> tuple[Event, list[tuple[str, Event]]]:
    action = {"type": "search", "query": exchange.prompt.text, "queries": [exchange.prompt.text]}
    item = {"id": _id("ws"), "type": "web_search_call", "status": "completed", "action": action}
    return item, [(f"response.web_search_call.{step}", {}) for step in ("in_progress", "searching", "completed")]


def _message(exchange: Exchange, completion: Completion) -> tuple[Event, list[tuple[str, Event]]]:
    whole_status = "incomplete" if completion.ending == "length" else "completed"
    item = {"id": _id("msg"), "type": "message", "status": whole_status, "role": "assistant"}
    at = {"content_index": 0}
    if completion.ending == "refusal":
        part: Event = {"type": "refusal", "refusal": completion.text}
        return {**item, "content": [part]}, [
            ("response.content_part.added", {**at, "part": {**part, "refusal": ""}}),
            *(("response.refusal.delta", {**at, "delta": piece}) for piece in completion.pieces),
            ("response.refusal.done", {**at, "refusal": completion.text}),
            ("response.content_part.done", {**at, "part": part}),
        ]
    logprobs = [_logprobs(exchange, piece) for piece in completion.pieces]
    part = {
        "type": "output_text",
        "text": completion.text,
        "annotations": _annotations(exchange, completion.text),
        "logprobs": [each for piece in logprobs for each in piece],
    }
    pieces = zip(completion.pieces, logprobs, strict=True)
    found = enumerate(part["annotations"])
    return {**item, "content": [part]}, [
        ("response.content_part.added", {**at, "part": {**part, "text": "", "annotations": [], "logprobs": []}}),
        *(("response.output_text.delta", {**at, "delta": piece, "logprobs": each}) for piece, each in pieces),
        *(
            ("response.output_text.annotation.added", {**at, "annotation_index": index, "annotation": each})
            for index, each in found
        ),
        ("response.output_text.done", {**at, "text": completion.text, "logprobs": part["logprobs"]}),
        ("response.content_part.done", {**at, "part": part}),
    ]


def _call(call: ToolCall) -> tuple[Event, list[tuple[str, Event]]]:
    given = "".join(call.argument_pieces)
    head = {"status": "completed", "call_id": f"call_{secrets.token_hex(12)}", "name": call.name}
    if call.free_form:
        item = {"id": _id("ctc"), "type": "custom_tool_call", **head, "input": given}
        kind, last = "response.custom_tool_call_input", {"input": given}
    else:
        item = {"id": _id("fc"), "type": "function_call", **head, "arguments": given}
        kind, last = "response.function_call_arguments", {"arguments": given}
    return item, [*((f"{kind}.delta", {"delta": piece}) for piece in call.argument_pieces), (f"{kind}.done", last)]


def _opening(item: Event) -> Event:
    """An item as it stands before its content has come."""
    empty: Event = {"content": [], "summary": [], "arguments": "", "input": ""}
    opened = {name: empty.get(name, value) for name, value in item.items() if name != "encrypted_content"}
    return {**opened, "status": "in_progress"} if "status" in opened else opened


def _annotations(exchange: Exchange, text: str) -> list[Event]:
    if not searches(exchange.body, exchange.prompt):
        return []
    place = {"start_index": 0, "end_index": len(text)}
    return [{"type": "url_citation", "url": PAGE, "title": "Found", **place}]


def _logprobs(exchange: Exchange, piece: str) -> list[Event]:
    if "message.output_text.logprobs" not in (exchange.body.get("include") or ()):
        return []
    return token_logprobs(piece, exchange.body.get("top_logprobs") or 0)


def _usage(usage: Usage) -> Event:
    written = usage.cache.written_5m + usage.cache.written_1h
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache.read, "cache_write_tokens": written},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _headers(exchange: Exchange) -> dict[str, str]:
    spent = exchange.usage.input_tokens + exchange.usage.output_tokens
    return headers(exchange.request_id, first_party=exchange.first_party, spent_tokens=spent)


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(25)}"
