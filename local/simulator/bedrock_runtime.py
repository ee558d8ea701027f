"""Bedrock's runtime: Converse, InvokeModel with Anthropic's body, both as streams, CountTokens, and embeddings.

The vendor's host stands in the path: `/bedrock/v1/bedrock-runtime.<region>.amazonaws.com/model/<id>/converse`. What is
presented is checked as at the control plane: a signature over the very path and bytes, or an API key.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from local.simulator import bedrock_answers, bedrock_embeddings, bedrock_requests
from local.simulator.bedrock_probe import (
    ACCESS_KEY,
    API_KEY,
    PROVIDER,
    BadSignature,
    check_signature,
    key_of,
)
from local.simulator.brain import CacheUse, Prompt, Segment
from local.simulator.cache import PromptCache
from local.simulator.dialects import CHAT, COUNT, EMBED, AnthropicDialect, Profile
from local.simulator.probe_call import ProbeCall
from local.simulator.refusals import Refusal, Refused
from local.simulator.replies import Exchange, Stream, Whole
from local.simulator.text import compact

if TYPE_CHECKING:
    from local.simulator.app import Call, Simulator

ANTHROPIC_VERSION = "bedrock-2023-05-31"
NEWER_VERSION = "2026-10-21"
"""What Anthropic's SDK of today sends to Bedrock as well; models up to 4.6 refuse it there."""
_UP_TO_4_6 = re.compile(r".*claude-(?:\d|v|instant|[a-z]+-4-(?:[0-6](?!\d)|\d{8})).*")
ROUTE = r"/bedrock/v1/{host:bedrock-runtime\.[a-z0-9-]+\.amazonaws\.com}/{tail:.*}"
_PATH = re.compile(
    r".*/bedrock-runtime\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/model/(?P<model>[^/]+)/(?P<tail>[^/?]+)"
)
_PROFILE = re.compile(r"arn:.*inference-profile/.*|(?:us-gov|us|eu|apac|jp|au|in|global)\..*")
_STREAMS = ("converse-stream", "invoke-with-response-stream")
UNKNOWN_BETAS = {"claude-code-20250219", "fast-mode-2026-02-01", "oauth-2025-04-20", "prompt-caching-scope-2026-01-05"}
"""What people saw refused."""
_SCOPED = re.compile(r'"cache_control":\{[^}]*"scope":')
_NOT_HERE = {"service_tier", "inference_geo", "speed", "cache_control"}
"""Members of Anthropic's own API that Bedrock does not have."""


class _Runtime:
    """What both dialects share: how a caller proves who it is, and how errors look."""

    refusals: Mapping[str, Refusal] = bedrock_answers.REFUSALS

    def __init__(self, request: ProbeCall, region: str) -> None:
        self._request = request
        self._region = region

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        return key_of(self._request)

    def wrong_key(self, scheme: str | None, key: str) -> Refusal:
        return self.refusals["invalid_bearer" if scheme == "bearer" else "invalid_key"]

    def check_headers(self, headers: Mapping[str, str]) -> None:
        if key_of(self._request)[0] != "sigv4":
            return
        try:
            check_signature(self._request, self._region, PROVIDER)
        except BadSignature as e:
            raise Refused(Refusal(403, e.code, str(e))) from None

    def error(self, refusal: Refusal, profile: Profile, request_id: str) -> Whole:
        return bedrock_answers.error(refusal, request_id)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return bedrock_answers.error_event(refusal)

    def request_id(self) -> str:
        return bedrock_answers.request_id()

    def at_once(self, endpoint: str, body: dict[str, Any], prompt: Prompt, request_id: str) -> Whole | None:
        return bedrock_answers.count(prompt.tokens, request_id) if endpoint == COUNT else None


def _check_countable(model_id: str) -> None:
    if _PROFILE.fullmatch(model_id):
        raise bedrock_requests.refused("The provided model doesn't support counting tokens.")


class ConverseDialect(_Runtime):
    """Converse, ConverseStream, CountTokens of a conversation."""

    paths: Mapping[str, tuple[str, str]] = {
        "converse": ("POST", CHAT),
        "converse-stream": ("POST", CHAT),
        "count-tokens": ("POST", COUNT),
    }

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        sent = {name: value for name, value in body.items() if name not in ("model", "stream")}
        if endpoint == COUNT:
            _check_countable(body["model"])
            bedrock_requests.check_shape("CountTokens", {"input": {"converse": sent}})
        else:
            bedrock_requests.check_shape("ConverseStream" if body["stream"] else "Converse", sent)
        bedrock_requests.check(body)

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        bedrock_requests.check_for_model(body, model["id"])

    def read(self, body: dict[str, Any]) -> Prompt:
        return bedrock_requests.read(body)

    def cache_use(self, cache: PromptCache, owner: str, segments: tuple[Segment, ...]) -> CacheUse:
        return cache.explicit(owner, segments)

    def answer(self, exchange: Exchange) -> Whole | Stream:
        return bedrock_answers.stream(exchange) if exchange.body["stream"] else bedrock_answers.whole(exchange)

    def models(self, rows: list[dict[str, Any]], query: dict[str, str], profile: Profile, request_id: str) -> Whole:
        raise Refused(self.refusals["unknown_path"])

    def model(self, row: dict[str, Any], profile: Profile, request_id: str) -> Whole:
        raise Refused(self.refusals["unknown_path"])


class InvokedDialect(_Runtime, AnthropicDialect):
    """InvokeModel with the body of Anthropic's messages."""

    paths: Mapping[str, tuple[str, str]] = {
        "invoke": ("POST", CHAT),
        "invoke-with-response-stream": ("POST", CHAT),
        "count-tokens": ("POST", COUNT),
    }

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        if endpoint == COUNT:
            _check_countable(body["model"])
        versions = (ANTHROPIC_VERSION, *(() if _UP_TO_4_6.fullmatch(body["model"]) else (NEWER_VERSION,)))
        if body.get("anthropic_version") not in versions:
            raise bedrock_requests.refused("anthropic_version: no version of this API")
        if unknown := sorted(_NOT_HERE & body.keys()):
            raise bedrock_requests.refused(f"{unknown[0]}: Extra inputs are not permitted")
        if b'"type":"url"' in compact(body.get("messages")).encode():
            raise bedrock_requests.refused("messages: URL sources are not supported")
        for tool in body.get("tools") or ():
            if str(tool.get("type", "custom")).startswith(("web_", "code_execution")):
                raise bedrock_requests.refused(f"tools: {tool['type']} is not supported")
        if UNKNOWN_BETAS & set(body.get("anthropic_beta", ())):
            raise bedrock_requests.refused("invalid beta flag")
        held = (body.get("output_config") or {}).get("format")
        if held and not _UP_TO_4_6.fullmatch(body["model"]) and "mythos" not in body["model"]:
            raise bedrock_requests.refused("output_config.format: Extra inputs are not permitted")
        if _SCOPED.search(compact(body)):
            raise bedrock_requests.refused("system.0.cache_control.ephemeral.scope: Extra inputs are not permitted")
        own = {name: value for name, value in body.items() if name not in ("anthropic_version", "anthropic_beta")}
        betas = {"anthropic-beta": ",".join(body["anthropic_beta"])} if "anthropic_beta" in body else {}
        with _as_bedrock_says():
            AnthropicDialect.check(self, CHAT, own, betas, profile)

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        _, claude, name = model["id"].partition("claude-")
        with _as_bedrock_says():
            AnthropicDialect.check_for_model(self, body, {**model, "id": claude + name})

    def answer(self, exchange: Exchange) -> Whole | Stream:
        answered = AnthropicDialect.answer(self, exchange)
        if isinstance(answered, Stream):
            return bedrock_answers.framed(answered, exchange)
        return Whole(answered.body, bedrock_answers.headers(exchange.request_id))

    error = _Runtime.error
    error_event = _Runtime.error_event


class EmbeddingDialect(ConverseDialect):
    """InvokeModel with the bodies of models that embed."""

    paths: Mapping[str, tuple[str, str]] = {"invoke": ("POST", EMBED)}

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        bedrock_embeddings.check(body)

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        return None

    def read(self, body: dict[str, Any]) -> Prompt:
        return bedrock_embeddings.read(body)

    def at_once(self, endpoint: str, body: dict[str, Any], prompt: Prompt, request_id: str) -> Whole | None:
        answer = bedrock_embeddings.answer(body, prompt, request_id)
        return Whole(compact(answer).encode(), bedrock_answers.headers(request_id))


class _as_bedrock_says:  # noqa: N801 - reads as the sentence it is
    """Anthropic's refusals under the name that Bedrock gives them."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, Refused):
            raise bedrock_requests.refused(error.refusal.message) from None


def runtime_routes(
    simulator: Simulator, serve: Callable[[web.Request, Call], Awaitable[web.StreamResponse]]
) -> list[web.RouteDef]:
    """The routes; `serve` judges a call and delivers the reply."""

    async def served(request: web.Request) -> web.StreamResponse:
        return await serve(request, await call_of(request, simulator.keys.clock()))

    return [web.route("*", ROUTE, served)]


async def call_of(request: web.Request, now_s: float) -> Call:
    """The request as the simulator's core takes it: the model and whether a stream is wanted stand in its body."""
    from local.simulator.app import Call

    raw = await request.read()
    path = _PATH.fullmatch(request.raw_path.partition("?")[0])
    host, tail = request.match_info["host"], path["tail"] if path else request.match_info["tail"]
    presented = ProbeCall(host, tail, request.method, request.raw_path, request.headers, raw, now_s)
    dialect: ConverseDialect | InvokedDialect
    body, invoked = _body(tail, raw)
    kind = InvokedDialect if invoked else ConverseDialect
    if path and invoked and bedrock_embeddings.embeds(unquote(path["model"])):
        kind = EmbeddingDialect
    dialect = kind(presented, path["region"] if path else "")
    if isinstance(body, dict) and path:
        body = {**body, "model": unquote(path["model"]), "stream": tail in _STREAMS}
    scheme, key = dialect.credential(request.headers)
    return Call(
        provider=PROVIDER,
        profile=Profile(dialect, API_KEY if scheme == "bearer" else ACCESS_KEY),
        method=request.method,
        path=request.path,
        tail=tail,
        query=dict(request.query),
        headers=request.headers,
        scheme=scheme,
        key=key,
        raw=raw,
        body=body,
        request_id=dialect.request_id(),
    )


def _body(tail: str, raw: bytes) -> tuple[Any, bool]:
    """The body that the model is asked with, and whether it is Anthropic's; None where it cannot be read."""
    try:
        body = json.loads(raw)
        if tail != "count-tokens":
            return body if isinstance(body, dict) else None, tail.startswith("invoke")
        counted = body["input"]
        if "invokeModel" not in counted:
            return counted["converse"], False
        return json.loads(base64.b64decode(counted["invokeModel"]["body"], validate=True)), True
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None, False
