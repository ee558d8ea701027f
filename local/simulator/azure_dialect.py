"""Azure OpenAI: OpenAI's dialects with Azure's keys, errors and content filter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from local.simulator.dialects import AnthropicDialect, OpenAIDialect, Profile, ResponsesDialect, bearer
from local.simulator.refusals import OPENAI, Refusal
from local.simulator.replies import Exchange, Frame, Stream, Whole, page
from local.simulator.text import compact

SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
PROMPT_FINDINGS = [{"prompt_index": 0, "content_filter_results": {**SAFE, "jailbreak": SAFE["hate"]}}]

REFUSALS: dict[str, Refusal] = {
    **OPENAI,
    "invalid_key": Refusal(401, "", "Access denied due to invalid subscription key or wrong API endpoint.", "401"),
    "missing_key": Refusal(401, "", "Access denied due to missing subscription key.", "401"),
    "forbidden": Refusal(403, "", "Access denied due to Virtual Network/Firewall rules.", "403"),
    "restricted": Refusal(
        403, "", "Key based authentication is disabled for this resource.", "AuthenticationTypeDisabled"
    ),
    "unknown_model": Refusal(
        404, "", "The API deployment for this resource does not exist. ({model})", "DeploymentNotFound"
    ),
    "unknown_path": Refusal(404, "", "Resource not found", "404"),
    "rate_limit": Refusal(429, "", "Requests to the Operation have exceeded the call rate limit of the tier.", "429"),
    "token_rate_limit": Refusal(429, "", "Requests have exceeded the token rate limit of the tier.", "429"),
    "content_policy": Refusal(
        400,
        "",
        "The response was filtered due to the prompt triggering the content management policy.",
        "content_filter",
    ),
    "overloaded": Refusal(503, "", "The service is temporarily unable to process your request.", "ServiceUnavailable"),
}


def credential(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """`api-key`; the v1 API takes a key as a bearer as well, since OpenAI's own client sends it so."""
    if headers.get("api-key"):
        return "api-key", headers["api-key"]
    key = bearer(headers)
    return ("bearer", key) if key else (None, None)


def _error(refusal: Refusal) -> dict[str, Any]:
    """What Azure itself refuses has a code and a message; what the model behind it refuses is in OpenAI's form."""
    error: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    if refusal.type:
        error |= {"type": refusal.type, "param": refusal.param}
    if refusal.code == "content_filter":
        found = {**SAFE, "violence": {"filtered": True, "severity": "high"}}
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found}
        error |= {"type": None, "param": "prompt", "status": refusal.status, "innererror": inner}
    return {"error": error}


class _Azures:
    """What its dialects share: before those of OpenAI in the order of bases."""

    refusals: Mapping[str, Refusal] = REFUSALS

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        return credential(headers)

    def wrong_key(self, scheme: str | None, key: str) -> Refusal:
        return self.refusals["invalid_key"]

    def error(self, refusal: Refusal, profile: Profile, request_id: str) -> Whole:
        headers = {"apim-request-id": request_id, "x-ms-region": "Norway East", "x-request-id": request_id}
        if refusal.page:
            return page(refusal.status, refusal.message, headers)
        return Whole(compact(_error(refusal)).encode(), headers, refusal.status)


class AzureDialect(_Azures, OpenAIDialect):
    """Chat completions."""

    def answer(self, exchange: Exchange) -> Whole | Stream:
        reply = super().answer(exchange)
        return _filtered_whole(reply) if isinstance(reply, Whole) else _filtered_stream(reply)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return f"data: {compact(_error(refusal))}\n\n".encode()


class AzureResponsesDialect(_Azures, ResponsesDialect):
    """Responses: the filter leaves them as they are."""


AZURE = Profile(
    AzureDialect(),
    re.compile(r"[\w-]*sim-[\w-]+"),
    "openai",
    "azure",
    others={"responses": AzureResponsesDialect()},
)


class ClaudeDialect(AnthropicDialect):
    """Anthropic's models: Anthropic's API, and Azure's keys."""

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        return ("x-api-key", headers["x-api-key"]) if headers.get("x-api-key") else credential(headers)


CLAUDE = Profile(ClaudeDialect(), re.compile(r"[\w-]*sim-[\w-]+"), "anthropic", "azure")


def _filtered_whole(reply: Whole) -> Whole:
    values = json.loads(reply.body)
    for choice in values["choices"]:
        choice["content_filter_results"] = SAFE
    return replace(reply, body=json.dumps({**values, "prompt_filter_results": PROMPT_FINDINGS}).encode())


def _filtered_stream(reply: Stream) -> Stream:
    """Before the first chunk one that has the prompt's findings alone."""
    opening = {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": PROMPT_FINDINGS,
    }
    first = Frame(f"data: {compact(opening)}\n\n".encode())
    return replace(
        reply,
        frames=(first, *map(_filtered_frame, reply.frames)),
        first_token_at=reply.first_token_at + 1,
    )


def _filtered_frame(frame: Frame) -> Frame:
    events = [_filtered_event(event) for event in frame.data.split(b"\n\n") if event]
    return replace(frame, data=b"".join(event + b"\n\n" for event in events))


def _filtered_event(event: bytes) -> bytes:
    if not event.startswith(b"data: {"):
        return event
    values = json.loads(event[6:])
    for choice in values["choices"]:
        choice["content_filter_results"] = SAFE if choice["delta"].get("content") else {}
    return f"data: {compact(values)}".encode()
