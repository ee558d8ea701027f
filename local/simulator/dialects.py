"""The vendors' dialects behind one interface; `profiles` says which provider speaks which."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from local.simulator import (
    anthropic_answers,
    anthropic_requests,
    cohere_answers,
    cohere_requests,
    media_requests,
    openai_answers,
    openai_requests,
    responses_answers,
    responses_requests,
)
from local.simulator.brain import CacheUse, Prompt, Segment
from local.simulator.cache import PromptCache
from local.simulator.presented import key_in, own_headers
from local.simulator.refusals import ANTHROPIC, OPENAI, Refusal, Refused, masked
from local.simulator.replies import Exchange, Stream, Whole, page
from local.simulator.text import compact
from ownkey.catalog import Catalog, ResponsesSubset

ANTHROPIC_VERSIONS = frozenset({"2023-01-01", "2023-06-01", "2026-10-21"})
CHAT, COUNT, MODELS = "chat", "count", "models"
EMBED, RERANK = "embed", "rerank"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a provider is. `vendor` names its models in models.json; None has any model and ignores strange fields."""

    dialect: Dialect
    key_pattern: re.Pattern[str]
    vendor: str | None = None
    owner: str = "simulated"
    version: str = "v1"
    """Of the API, as its base URL ends."""
    others: Mapping[str, Dialect] = field(default_factory=dict)
    """What follows /v1/ → the dialect spoken there in place of `dialect`."""
    reads_path: Callable[[str, Any], tuple[Dialect, str, Any]] | None = None
    """Where the path says more than the endpoint: from the path and the body to dialect, endpoint, and the body with
    what stood in the path."""

    def opened(self, tail: str, body: Any) -> tuple[Profile, str, Any]:
        """The provider as it is behind a path, the endpoint there, and what is asked of it."""
        if self.reads_path is not None:
            dialect, tail, body = self.reads_path(tail, body)
            return replace(self, dialect=dialect), tail, body
        return self.at(tail), tail, body

    def at(self, tail: str) -> Profile:
        """The provider as it is behind a path that names the endpoint alone."""
        return replace(self, dialect=self.others[tail]) if tail in self.others else self


class Dialect(Protocol):
    """One vendor's wire format. Methods that check raise Refused."""

    refusals: Mapping[str, Refusal]  # by kind
    paths: Mapping[str, tuple[str, str]]  # what follows /v1/ → method, endpoint

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        """The scheme (`bearer`, `x-api-key`) and the key presented."""

    def wrong_key(self, scheme: str | None, key: str) -> Refusal:
        """The refusal of a key that is not accepted."""

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Check what the vendor wants besides a key."""

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        """Check a body."""

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        """Check a body against the model it names."""

    def read(self, body: dict[str, Any]) -> Prompt:
        """What the request asks."""

    def cache_use(self, cache: PromptCache, owner: str, segments: tuple[Segment, ...]) -> CacheUse:
        """What the prompt cache does for this request."""

    def answer(self, exchange: Exchange) -> Whole | Stream:
        """The rendered answer."""

    def models(self, rows: list[dict[str, Any]], query: dict[str, str], profile: Profile, request_id: str) -> Whole:
        """The list of models."""

    def model(self, row: dict[str, Any], profile: Profile, request_id: str) -> Whole:
        """One model."""

    def at_once(self, endpoint: str, body: dict[str, Any], prompt: Prompt, request_id: str) -> Whole | None:
        """The answer where the model need not think, as to count a prompt's tokens; None where it must."""

    def error(self, refusal: Refusal, profile: Profile, request_id: str) -> Whole:
        """An error answer."""

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """An error inside a stream."""

    def request_id(self) -> str:
        """A new request id."""


def bearer(headers: Mapping[str, str]) -> str | None:
    """The key in `Authorization: Bearer`, or None."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


class OpenAIDialect:
    """OpenAI's chat completions, and those of the many who speak like it."""

    refusals: Mapping[str, Refusal] = OPENAI
    paths: Mapping[str, tuple[str, str]] = {
        "chat/completions": ("POST", CHAT),
        "models": ("GET", MODELS),
        **media_requests.PATHS,
    }

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        key = bearer(headers)
        return ("bearer", key) if key else (None, None)

    def wrong_key(self, scheme: str | None, key: str) -> Refusal:
        return self.refusals["invalid_key"].about(key=masked(key))

    def check_headers(self, headers: Mapping[str, str]) -> None:
        return None

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        openai_requests.check(body, strict=profile.vendor is not None)

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        openai_requests.check_for_model(body, model)

    def read(self, body: dict[str, Any]) -> Prompt:
        return openai_requests.read(body)

    def cache_use(self, cache: PromptCache, owner: str, segments: tuple[Segment, ...]) -> CacheUse:
        return cache.implicit(owner, segments)

    def answer(self, exchange: Exchange) -> Whole | Stream:
        return openai_answers.stream(exchange) if exchange.body.get("stream") else openai_answers.whole(exchange)

    def models(self, rows: list[dict[str, Any]], query: dict[str, str], profile: Profile, request_id: str) -> Whole:
        return self._whole(openai_answers.model_list(rows, profile.owner), profile, request_id)

    def model(self, row: dict[str, Any], profile: Profile, request_id: str) -> Whole:
        return self._whole(openai_answers.model(row, profile.owner), profile, request_id)

    def at_once(self, endpoint: str, body: dict[str, Any], prompt: Prompt, request_id: str) -> Whole | None:
        return None

    def error(self, refusal: Refusal, profile: Profile, request_id: str) -> Whole:
        headers = openai_answers.headers(request_id, first_party=profile.vendor is not None)
        if refusal.page:
            return page(refusal.status, refusal.message, headers)
        return Whole(openai_answers.error_body(refusal), headers, refusal.status)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return openai_answers.error_event(refusal)

    def request_id(self) -> str:
        return f"req_{secrets.token_hex(16)}"

    def _whole(self, body: bytes, profile: Profile, request_id: str) -> Whole:
        return Whole(body, openai_answers.headers(request_id, first_party=profile.vendor is not None))


class CompatibleDialect(OpenAIDialect):
    """The same of a compatible provider, with the calls that the catalog tells a good key by: their status says all."""

    paths: Mapping[str, tuple[str, str]] = {
        **{
            each.validation.path.removeprefix("/"): ("GET", MODELS)
            for each in Catalog.load().providers
            if each.validation.method == "GET" and each.validation.path.startswith("/")
        },
        **OpenAIDialect.paths,
    }
    key_headers = own_headers()

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        for auth in self.key_headers:
            if key := key_in(headers, auth):
                return auth.header, key
        return super().credential(headers)


class ResponsesDialect(OpenAIDialect):
    """OpenAI's Responses."""

    paths: Mapping[str, tuple[str, str]] = {"responses": ("POST", CHAT), "responses/input_tokens": ("POST", COUNT)}

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        responses_requests.check(body, counting=endpoint == COUNT)

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        responses_requests.check_for_model(body, model)

    def read(self, body: dict[str, Any]) -> Prompt:
        return responses_requests.read(body)

    def answer(self, exchange: Exchange) -> Whole | Stream:
        return responses_answers.stream(exchange) if exchange.body.get("stream") else responses_answers.whole(exchange)

    def at_once(self, endpoint: str, body: dict[str, Any], prompt: Prompt, request_id: str) -> Whole | None:
        if endpoint != COUNT:
            return None
        counted = {"object": "response.input_tokens", "input_tokens": prompt.tokens}
        return Whole(compact(counted).encode(), openai_answers.headers(request_id, first_party=True))

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return responses_answers.error_event(refusal)


class PartOfResponsesDialect(ResponsesDialect, CompatibleDialect):
    """The same of a compatible provider, as far as its row says that it has them; strict about all else, as xAI is."""

    paths: Mapping[str, tuple[str, str]] = {"responses": ("POST", CHAT)}

    def __init__(self, has: ResponsesSubset) -> None:
        self._has = has

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        super().check(endpoint, body, headers, profile)
        responses_requests.check_part(body, self._has)


_UNASKED_USAGE = frozenset(each.id for each in Catalog.load().providers if "no_stream_options" in each.quirks)


def tells_usage_unasked(provider: str) -> bool:
    """Whether its streams have their usage without being asked: it refuses to be."""
    return provider in _UNASKED_USAGE


class AnthropicDialect:
    """Anthropic's messages."""

    refusals: Mapping[str, Refusal] = ANTHROPIC
    paths: Mapping[str, tuple[str, str]] = {
        "messages": ("POST", CHAT),
        "messages/count_tokens": ("POST", COUNT),
        "models": ("GET", MODELS),
    }

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        if headers.get("x-api-key"):
            return "x-api-key", headers["x-api-key"]
        key = bearer(headers)
        return ("bearer", key) if key else (None, None)

    def wrong_key(self, scheme: str | None, key: str) -> Refusal:
        return self.refusals["invalid_bearer" if scheme == "bearer" else "invalid_key"]

    def check_headers(self, headers: Mapping[str, str]) -> None:
        version = headers.get("anthropic-version")
        if version is None:
            raise Refused(self.refusals["missing_version"])
        if version not in ANTHROPIC_VERSIONS:
            raise Refused(self.refusals["unknown_version"])

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        anthropic_requests.check(body, beta="anthropic-beta" in headers, counting=endpoint == COUNT)

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        anthropic_requests.check_for_model(body, model)

    def read(self, body: dict[str, Any]) -> Prompt:
        return anthropic_requests.read(body)

    def cache_use(self, cache: PromptCache, owner: str, segments: tuple[Segment, ...]) -> CacheUse:
        return cache.explicit(owner, segments)

    def answer(self, exchange: Exchange) -> Whole | Stream:
        return anthropic_answers.stream(exchange) if exchange.body.get("stream") else anthropic_answers.whole(exchange)

    def models(self, rows: list[dict[str, Any]], query: dict[str, str], profile: Profile, request_id: str) -> Whole:
        limit = query.get("limit", "1")
        if not limit.isdigit() or not 1 <= int(limit) <= anthropic_answers.MAX_PAGE:
            raise anthropic_requests.refused(f"limit: range: 1..{anthropic_answers.MAX_PAGE}")
        return self._whole(anthropic_answers.model_list(rows, query), request_id)

    def model(self, row: dict[str, Any], profile: Profile, request_id: str) -> Whole:
        return self._whole(anthropic_answers.model(row), request_id)

    def at_once(self, endpoint: str, body: dict[str, Any], prompt: Prompt, request_id: str) -> Whole | None:
        if endpoint != COUNT:
            return None
        return self._whole({"input_tokens": prompt.tokens}, request_id)

    def error(self, refusal: Refusal, profile: Profile, request_id: str) -> Whole:
        headers = anthropic_answers.headers(request_id, status=refusal.status)
        if refusal.page:
            return page(refusal.status, refusal.message, headers)
        return Whole(anthropic_answers.error_body(refusal, request_id), headers, refusal.status)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return anthropic_answers.error_event(refusal, request_id)

    def request_id(self) -> str:
        return f"req_01{secrets.token_hex(11)}"

    def _whole(self, value: Any, request_id: str) -> Whole:
        return Whole(compact(value).encode(), anthropic_answers.headers(request_id))


class CohereDialect:
    """Cohere's API v2."""

    refusals: Mapping[str, Refusal] = cohere_answers.REFUSALS
    paths: Mapping[str, tuple[str, str]] = {
        "chat": ("POST", CHAT),
        "embed": ("POST", EMBED),
        "rerank": ("POST", RERANK),
        "models": ("GET", MODELS),
    }

    def credential(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        key = bearer(headers)
        return ("bearer", key) if key else (None, None)

    def wrong_key(self, scheme: str | None, key: str) -> Refusal:
        return self.refusals["invalid_key"]

    def check_headers(self, headers: Mapping[str, str]) -> None:
        return None

    def check(self, endpoint: str, body: Any, headers: Mapping[str, str], profile: Profile) -> None:
        known, check = {
            CHAT: (cohere_requests.CHAT_FIELDS, cohere_requests.check_chat),
            EMBED: (cohere_requests.EMBED_FIELDS, cohere_requests.check_embed),
            RERANK: (cohere_requests.RERANK_FIELDS, cohere_requests.check_rerank),
        }[endpoint]
        cohere_requests.check(body, known)
        check(body)

    def check_for_model(self, body: dict[str, Any], model: dict[str, Any]) -> None:
        return None

    def read(self, body: dict[str, Any]) -> Prompt:
        return cohere_requests.read(body) if "messages" in body else cohere_requests.read_texts(body)

    def cache_use(self, cache: PromptCache, owner: str, segments: tuple[Segment, ...]) -> CacheUse:
        return cache.implicit(owner, segments)

    def answer(self, exchange: Exchange) -> Whole | Stream:
        return cohere_answers.stream(exchange) if exchange.body.get("stream") else cohere_answers.whole(exchange)

    def models(self, rows: list[dict[str, Any]], query: dict[str, str], profile: Profile, request_id: str) -> Whole:
        return Whole(cohere_answers.model_list(rows), cohere_answers.headers(request_id))

    def model(self, row: dict[str, Any], profile: Profile, request_id: str) -> Whole:
        return Whole(cohere_answers.model(row), cohere_answers.headers(request_id))

    def at_once(self, endpoint: str, body: dict[str, Any], prompt: Prompt, request_id: str) -> Whole | None:
        if endpoint == EMBED:
            return Whole(cohere_answers.embed(body, prompt), cohere_answers.headers(request_id))
        return Whole(cohere_answers.rerank(body), cohere_answers.headers(request_id)) if endpoint == RERANK else None

    def error(self, refusal: Refusal, profile: Profile, request_id: str) -> Whole:
        headers = cohere_answers.headers(request_id)
        if refusal.page:
            return page(refusal.status, refusal.message, headers)
        return Whole(cohere_answers.error_body(refusal, request_id), headers, refusal.status)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return cohere_answers.error_event(refusal)

    def request_id(self) -> str:
        return secrets.token_hex(16)
