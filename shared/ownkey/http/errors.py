"""An error of the tree as each dialect's clients read it: body, status, headers.

The shapes are in docs/contracts/errors.md; the facts behind them in openai-python `types/shared/error_object.py` and
`_base_client.py`, `_streaming.py`, `types/responses/response_error.py`, anthropic-sdk-python
`types/shared/error_type.py`.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ownkey.domain.errors import FOR_CLIENTS, OwnkeyError, ProviderOverloaded, Quota, RateLimited
from ownkey.domain.scrub import scrub
from ownkey.domain.surfaces import Dialect, Surface

_OPENAI_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}
"""By status; other 4xx are `invalid_request_error`, 5xx `server_error`."""

_ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""By status; other 4xx are `invalid_request_error`, 5xx `api_error`."""

_RESPONSE_CODES: Mapping[int, str] = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""By status, where the provider has no word of its own: what a failed response may say. Others are `server_error`."""
_NUMBER = re.compile(rb'"sequence_number":\s?(\d{1,15})\b')

_OVERLOADED_ANTHROPIC = 529
_MINUTE_S = 60


def status_of(error: OwnkeyError, dialect: Dialect) -> int:
    """The HTTP status: the error's own, but Anthropic's clients know an overload by its own number."""
    if dialect is Dialect.ANTHROPIC and isinstance(error, ProviderOverloaded):
        return _OVERLOADED_ANTHROPIC
    return error.status


def body_of(error: OwnkeyError, dialect: Dialect, request_id: str) -> dict[str, Any]:
    """The error's JSON. The message says what happened and what to do: most clients show nothing else."""
    status = status_of(error, dialect)
    message = f"{error.message} {error.fix}"
    metadata = {"source": error.side.value, "fix": error.fix, "request_id": request_id, **error.details}
    for_clients = metadata.pop(FOR_CLIENTS, None)
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        described: dict[str, Any] = {"type": kind, "message": message, "code": error.code, "metadata": metadata}
        if for_clients is not None:
            described["details"] = for_clients
        return {"type": "error", "error": described, "request_id": request_id}
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    described = {"message": message, "type": kind, "param": error.param, "code": error.code, "metadata": metadata}
    return {"error": described}


def headers_of(error: OwnkeyError) -> dict[str, str]:
    """When to try again, and whether at all."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(0, math.ceil(error.retry_after_s)))
        headers["retry-after-ms"] = str(max(0, round(error.retry_after_s * 1000)))
    if error.retryable is not None:
        headers["x-should-retry"] = str(error.retryable).lower()
    return headers


def rate_headers(quota: Quota, dialect: Dialect) -> dict[str, str]:
    """A limit of the account's own, named as the dialect's provider names its limits."""
    limit, remaining = str(quota.limit), str(quota.remaining)
    if dialect is Dialect.ANTHROPIC:
        told = {"limit": limit, "remaining": remaining, "reset": quota.resets_at}
        return {f"anthropic-ratelimit-{quota.measure}-{name}": value for name, value in told.items() if value}
    reset = None if quota.reset_s is None else _duration(quota.reset_s)
    told = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{name}-{quota.measure}": value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Rendered:
    """An error as it goes out."""

    status: int
    headers: dict[str, str]
    body: bytes


def render(error: OwnkeyError, dialect: Dialect, request_id: str) -> Rendered:
    """The whole response of an error, but for the headers that every response has."""
    headers = {"content-type": "application/json", **headers_of(error)}
    if isinstance(error, RateLimited) and error.quota is not None:
        headers |= rate_headers(error.quota, dialect)
    return Rendered(status_of(error, dialect), headers, _encoded(error, dialect, request_id))


@dataclass(frozen=True, slots=True)
class Begun:
    """What of a stream has gone out before it broke off."""

    response_id: str | None = None
    model: str | None = None
    last: bytes = b""
    """The last events."""


def event_of(error: OwnkeyError, surface: Surface, request_id: str, begun: Begun = Begun()) -> bytes:
    """The error as the last event of a stream that had begun, and the surface's end of a stream.

    OpenAI's clients raise on a chunk with `error` and stop at `[DONE]`; Anthropic's raise on an `error` event.
    """
    if surface is Surface.RESPONSES:
        return _end_of_response(error, request_id, begun)
    data = _encoded(error, surface.dialect, request_id)
    if surface.dialect is Dialect.ANTHROPIC:
        return b"event: error\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\ndata: [DONE]\n\n"


def _end_of_response(error: OwnkeyError, request_id: str, begun: Begun) -> bytes:
    """`response.failed`, which agents read, then `error`, with its members and with an `error` object of them: on the
    object OpenAI's SDK raises, without it would hand the event on as one of many.
    """
    number = max(map(int, _NUMBER.findall(begun.last)), default=-1) + 1
    described = body_of(error, Dialect.OPENAI, request_id)["error"]
    events: list[dict[str, Any]] = []
    if begun.response_id is not None:  # a client refuses an event of another response than the one that began
        code = str(error.details.get("provider_code") or _RESPONSE_CODES.get(error.status, "server_error"))
        failed = {
            "id": begun.response_id,
            "object": "response",
            "created_at": int(time.time()),
            "status": "failed",
            "error": {"code": code, "message": described["message"]},
            "incomplete_details": None,
            "model": begun.model or "",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }
        events.append({"type": "response.failed", "sequence_number": number, "response": failed})
    told = {name: described[name] for name in ("code", "message", "param")}
    events.append({"type": "error", "sequence_number": number + len(events), **told, "error": described})
    return "".join(
        f"event: {event['type']}\ndata: {scrub(json.dumps(event, separators=(',', ':')))}\n\n" for event in events
    ).encode()


def _duration(seconds: float) -> str:
    """As OpenAI writes one: `8.5s`, `6m0s`, `2h0m30s`."""
    rounded = max(0.0, round(seconds, 3))
    if rounded < _MINUTE_S:
        return f"{rounded:g}s"
    minutes, left = divmod(math.ceil(rounded), _MINUTE_S)
    hours, minutes = divmod(minutes, _MINUTE_S)
    return f"{hours}h{minutes}m{left}s" if hours else f"{minutes}m{left}s"


def _encoded(error: OwnkeyError, dialect: Dialect, request_id: str) -> bytes:
    """Whatever text an error carries goes through the scrubber once more."""
    return scrub(json.dumps(body_of(error, dialect, request_id), separators=(",", ":"))).encode()
