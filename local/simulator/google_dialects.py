"""Google's dialect, and those that Vertex AI speaks beside it. In a path stand the model and what is asked of it.

```
/gemini/v1beta/models/{model}:generateContent                             AI Studio
/vertex/v1/{host}/v1beta1/projects/…/publishers/google/models/{model}:…   Vertex AI: the same, calls without ids
/vertex/v1/{host}/v1/projects/…/publishers/anthropic/models/{model}:…     Anthropic's messages
/vertex/v1/{host}/v1/projects/…/publishers/mistralai/models/{model}:…     Mistral's chat completions
/vertex/v1/{host}/v1/projects/…/endpoints/openapi/chat/completions        OpenAI's chat completions
```
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from local.simulator import gemini_answers, gemini_requests, google_embeddings
from local.simulator.anthropic_requests import refused as refused_by_anthropic
from local.simulator.brain import CacheUse, Prompt, Segment
from local.simulator.cache import PromptCache
from local.simulator.dialects import CHAT, COUNT, MODELS, AnthropicDialect, CompatibleDialect, Dialect, Profile, bearer
from local.simulator.gemini_requests import METHOD, STREAM
from local.simulator.refusals import Refusal
from local.simulator.replies import Exchange, Stream, Whole, page
from local.simulator.text import compact

ANTHROPIC_VERSIONS = ("vertex-2023-10-16", "2026-10-21")
UNKNOWN_BETAS = frozenset(
    {"claude-code-20250219", "effort-2025-11-24", "prompt-caching-scope-2026-01-05", "structured-outputs-2025-11-13"}
)
"""What people saw refused."""
EMBED = "embed"
_METHODS = {
    "generateContent": CHAT,
    STREAM: CHAT,
    "countTokens": COUNT,
    **dict.fromkeys(google_embeddings.METHODS, EMBED),
}
_CALL = re.compile(r"(?P<model>[^/:]+):(?P<method>[A-Za-z]+)")
_VERTEX = re.compile(r"v1(?:beta1)?/projects/[a-z0-9-]+/locations/[a-z0-9-]+/(?P<rest>.+)")
_GOOGLE, _ANTHROPIC = "publishers/google/models/", "publishers/anthropic/models/"
_MISTRAL = "publishers/mistralai/models/"


class GeminiDialect:
    """`generateContent`, with a key of AI Studio's, or with a token."""

    refusals: Mapping[str, Refusal] = gemini_answers.REFUSALS
    paths: Mapping[str, tuple[str, str]] = {
        **{method: ("POST", endpoint) for method, endpoint in _METHODS.items()},
        "models": ("GET", MODELS),
    }

    def __init__(self, *, tokens: bool = False) -> None:
        self._tokens = tokens

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        if self._tokens:
            token = bearer(headers)
            return ("bearer", token) if token else (None, None)
        key = headers.get("x-goog-api-key")
        return ("x-goog-api-key", key) if key else (None, None)

    def wrong_key(self, scheme: str | None, key: str) -> Refusal:
        return self.refusals["invalid_bearer" if self._tokens else "invalid_key"]

    def check_headers(self, headers: Mapping[str, str]) -> None:
        return None

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        if endpoint == EMBED:
            google_embeddings.check(body, vertex=self._tokens)
        else:
            gemini_requests.check(gemini_requests.counted(body) if endpoint == COUNT else body, vertex=self._tokens)

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        return None

    def read(self, body: dict[str, Any]) -> Prompt:
        if _METHODS[body[METHOD]] == EMBED:
            return google_embeddings.read(body)
        return gemini_requests.read(gemini_requests.counted(body))

    def cache_use(self, cache: PromptCache, owner: str, segments: tuple[Segment, ...]) -> CacheUse:
        return cache.implicit(owner, segments)

    def answer(self, exchange: Exchange) -> Whole | Stream:
        streamed = exchange.body[METHOD] == STREAM
        return gemini_answers.stream(exchange) if streamed else gemini_answers.whole(exchange)

    def models(self, rows: list[dict[str, Any]], query: dict[str, str], profile: Profile, request_id: str) -> Whole:
        return Whole(gemini_answers.model_list(rows, query), gemini_answers.headers())

    def model(self, row: dict[str, Any], profile: Profile, request_id: str) -> Whole:
        return Whole(gemini_answers.model(row), gemini_answers.headers())

    def at_once(self, endpoint: str, body: dict[str, Any], prompt: Prompt, request_id: str) -> Whole | None:
        if endpoint == EMBED:
            return Whole(google_embeddings.answer(body, prompt), gemini_answers.headers())
        return Whole(gemini_answers.count(prompt), gemini_answers.headers()) if endpoint == COUNT else None

    def error(self, refusal: Refusal, profile: Profile, request_id: str) -> Whole:
        if refusal.page:
            return page(refusal.status, refusal.message, gemini_answers.headers())
        error = compact(gemini_answers.error_of(refusal)).encode()
        return Whole(error, gemini_answers.headers(), refusal.status)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return gemini_answers.error_event(refusal)

    def request_id(self) -> str:
        return secrets.token_urlsafe(17)


class VertexMessagesDialect(AnthropicDialect):
    """Anthropic's messages: the version in the body, the model in the path alone, a token."""

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        token = bearer(headers)
        return ("bearer", token) if token else (None, None)

    def check_headers(self, headers: Mapping[str, str]) -> None:
        unknown = [each for each in headers.get("anthropic-beta", "").split(",") if each in UNKNOWN_BETAS]
        if unknown:
            raise refused_by_anthropic(f"Unexpected value(s) `{'`, `'.join(unknown)}` for the `anthropic-beta` header.")

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        if not isinstance(body, dict) or body.get("anthropic_version") not in ANTHROPIC_VERSIONS:
            raise refused_by_anthropic("anthropic_version: Field required")
        method, in_body = body.pop(METHOD, None), body.pop("_model_in_body", False)
        del body["anthropic_version"]
        for name in {"cache_control", "service_tier"} & body.keys():
            raise refused_by_anthropic(f"{name}: Extra inputs are not permitted")
        if method is not None and in_body:
            raise refused_by_anthropic("model: Extra inputs are not permitted")
        if method is not None and (method == "streamRawPredict") != bool(body.get("stream")):
            raise refused_by_anthropic("stream: does not fit the method")
        super().check(endpoint, body, headers, profile)


def gemini_path(tail: str, body: Any) -> tuple[Dialect, str, Any]:
    """AI Studio: the dialect, what is asked as its `paths` have it, the body with what stood in the path."""
    return _of_google(GeminiDialect(), tail.removeprefix("models/"), tail, body)


def vertex_path(tail: str, body: Any) -> tuple[Dialect, str, Any]:
    """Vertex AI: the same. `tail` is what follows the host."""
    path = _VERTEX.fullmatch(tail)
    rest = path["rest"] if path else tail
    if rest.startswith(_ANTHROPIC):
        return _of_anthropic(rest.removeprefix(_ANTHROPIC), body)
    if rest.startswith(_MISTRAL):
        return _of_mistral(rest.removeprefix(_MISTRAL), body)
    if rest.startswith("endpoints/openapi/"):
        return CompatibleDialect(), rest.removeprefix("endpoints/openapi/"), body
    return _of_google(GeminiDialect(tokens=True), rest.removeprefix(_GOOGLE), rest, body)


def _of_google(dialect: Dialect, named: str, tail: str, body: Any) -> tuple[Dialect, str, Any]:
    call = _CALL.fullmatch(named)
    if call is None:
        return dialect, tail, body
    if isinstance(body, dict):
        body = {**gemini_requests.in_camel_case(body), "model": call["model"], METHOD: call["method"]}
    return dialect, call["method"], body


def _of_mistral(named: str, body: Any) -> tuple[Dialect, str, Any]:
    """The body's model is the path's without its version, and says whether it streams as the path does."""
    call = _CALL.fullmatch(named)
    if call is None or not isinstance(body, dict) or call["model"].partition("@")[0] != body.get("model"):
        return CompatibleDialect(), named, body
    methods = {"rawPredict": False, "streamRawPredict": True}
    fits = methods.get(call["method"]) is bool(body.get("stream")) and "stream_options" not in body
    return CompatibleDialect(), "chat/completions" if fits else named, body


def _of_anthropic(named: str, body: Any) -> tuple[Dialect, str, Any]:
    call = _CALL.fullmatch(named)
    if call is None or call["method"] not in ("rawPredict", "streamRawPredict"):
        return VertexMessagesDialect(), named, body
    if call["model"] == "count-tokens":
        return VertexMessagesDialect(), "messages/count_tokens", body
    if isinstance(body, dict):
        body = {**body, "model": call["model"], METHOD: call["method"], "_model_in_body": "model" in body}
    return VertexMessagesDialect(), "messages", body
