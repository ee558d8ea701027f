"""Vertex AI's addresses: each publisher's own dialect, the model in the path, the token presented as a bearer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.errors import ProviderRateLimited, ProviderRefused, UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import Encoded, translator_for
from ownkey.upstream import UrlPolicy
from tests.support.providers import CATALOG, CHAT, MESSAGES, call

VERTEX = CATALOG.provider("vertex")
PUBLIC = {"project_id": "your-project", "client_email": "sa@your-project.iam.gserviceaccount.com"}
LLAMA = "meta/llama-3.3-70b-instruct-maas"


def base_url(location: str) -> str:
    found = VERTEX.forms[0].destination(PUBLIC | {"location": location})
    assert found is not None
    return found


def encoded(surface: Surface, model: str, body: dict[str, Any], location: str = "global", **options: Any) -> Encoded:
    translator = translator_for(surface, VERTEX, model, None)
    assert translator is not None
    request = call(body, provider="vertex", model=model, **options)
    return translator.encode_request(replace(request, base_url=base_url(location)))


GLOBAL = "https://aiplatform.googleapis.com/v1/projects/your-project/locations/global"
BETA = GLOBAL.replace("/v1/", "/v1beta1/")
"""Where Google's own models are asked."""


@pytest.mark.parametrize("surface", [Surface.CHAT, Surface.MESSAGES])
@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-3.8-flash", False, "/publishers/google/models/gemini-3.8-flash:generateContent"),
        ("gemini-3.8-flash", True, "/publishers/google/models/gemini-3.8-flash:streamGenerateContent?alt=sse"),
        ("claude-haiku-4-5", False, "/publishers/anthropic/models/claude-haiku-4-5:rawPredict"),
        (
            "claude-haiku-4-5@20251001",
            True,
            "/publishers/anthropic/models/claude-haiku-4-5@20251001:streamRawPredict",
        ),
        (LLAMA, False, "/endpoints/openapi/chat/completions"),
        (LLAMA, True, "/endpoints/openapi/chat/completions"),
    ],
)
def test_every_model_is_asked_in_its_publishers_way(surface: Surface, model: str, stream: bool, path: str) -> None:
    body = (CHAT if surface is Surface.CHAT else MESSAGES) | {"stream": stream}
    request = encoded(surface, model, body)
    assert request.url == (BETA if model.startswith("gemini") else GLOBAL) + path
    assert UrlPolicy().request_url(request.url) == request.url
    assert (request.auth.header, request.auth.template) == ("Authorization", "Bearer {key}")
    sent = json.loads(request.body)
    assert sent.get("model") == (LLAMA if model is LLAMA else None)
    assert sent.get("anthropic_version") == ("vertex-2023-10-16" if "claude" in model else None)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
    ],
)
def test_a_location_has_its_host(location: str, host: str) -> None:
    request = encoded(Surface.MESSAGES, "claude-haiku-4-5", MESSAGES, location)
    assert request.url.startswith(f"https://{host}/v1/projects/your-project/locations/{location}/publishers/")


def test_messages_pass_through_but_for_model_and_version() -> None:
    body = MESSAGES | {"a_field_of_tomorrow": 1.0, "stream": True}
    beta = "context-management-2025-06-27"
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": beta, "authorization": "Bearer ok-gateway"}
    request = encoded(Surface.MESSAGES, "claude-haiku-4-5", body, client_headers=headers, beta=True)
    passed = {name: value for name, value in body.items() if name != "model"}
    assert json.loads(request.body) == passed | {"anthropic_version": "vertex-2023-10-16"}
    assert b"1.0" in request.body
    assert "?" not in request.url
    assert (request.headers["anthropic-beta"], request.dropped) == (beta, ())
    assert not {"anthropic-version", "authorization"} & request.headers.keys()


def test_beta_features_that_are_not_known_here_are_dropped_and_told() -> None:
    """Vertex AI: 400, "Unexpected value(s) `prompt-caching-scope-2026-01-05` for the `anthropic-beta` header"
    (anthropics/claude-code 21625): what Claude Code sends must not stop it."""
    sent = "claude-code-20250219, interleaved-thinking-2025-05-14,prompt-caching-scope-2026-01-05,,no such; thing"
    request = encoded(Surface.MESSAGES, "claude-haiku-4-5", MESSAGES, client_headers={"anthropic-beta": sent})
    assert request.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    assert request.dropped == (
        "anthropic-beta.claude-code-20250219",
        "anthropic-beta.prompt-caching-scope-2026-01-05",
        "anthropic-beta",
    )
    only = encoded(Surface.MESSAGES, "claude-haiku-4-5", MESSAGES, client_headers={"anthropic-beta": "b1"})
    assert "anthropic-beta" not in only.headers


def test_a_beta_feature_goes_by_the_name_it_has_here_and_a_count_without_the_searchs() -> None:
    """A search's is refused where tokens are counted (anthropics/claude-code 12429)."""
    headers = {"anthropic-beta": "advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19,web-search-2025-03-05"}
    asked = encoded(Surface.MESSAGES, "claude-haiku-4-5", MESSAGES, client_headers=headers)
    assert asked.headers["anthropic-beta"] == "tool-search-tool-2025-10-19,web-search-2025-03-05"
    counted = encoded(Surface.COUNT_TOKENS, "claude-haiku-4-5", MESSAGES, client_headers=headers)
    assert counted.headers["anthropic-beta"] == "tool-search-tool-2025-10-19"
    assert counted.dropped == ("anthropic-beta.web-search-2025-03-05",)


def test_what_only_anthropics_own_api_takes_is_dropped_and_told() -> None:
    """Vertex AI: 400, "cache_control: Extra inputs are not permitted" (langchain-google 1612)."""
    own = {"cache_control": {"type": "ephemeral"}, "service_tier": "standard_only"}
    request = encoded(Surface.MESSAGES, "claude-haiku-4-5", MESSAGES | own)
    assert request.dropped == ("cache_control", "service_tier")
    assert not own.keys() & json.loads(request.body).keys()
    assert encoded(Surface.MESSAGES, "claude-haiku-4-5", MESSAGES | {"service_tier": "auto"}).dropped == ()


@pytest.mark.parametrize("surface", [Surface.MESSAGES, Surface.COUNT_TOKENS])
@pytest.mark.parametrize(
    ("provider", "model"), [("vertex", "claude-haiku-4-5"), ("bedrock", "anthropic.claude-x-v1:0")]
)
@pytest.mark.parametrize("asked", [{"container": "c_1"}, {"tools": [{"type": "advisor_20260301", "name": "advisor"}]}])
def test_what_is_billed_or_kept_apart_is_not_asked_by_anothers_credential(
    surface: Surface, provider: str, model: str, asked: dict[str, Any]
) -> None:
    translator = translator_for(surface, CATALOG.provider(provider), model, None)
    assert translator is not None
    request = replace(call(MESSAGES | asked, provider=provider, model=model), base_url=base_url("global"))
    assert translator.encode_request(request)
    try:
        sent = translator.encode_request(replace(request, own=False))
    except UnsupportedParameter:
        return
    # A crossing, where there is one beside what passes through, leaves out what it cannot say, and tells.
    assert sent.dropped == tuple(asked)
    assert not asked.keys() & json.loads(sent.body).keys()


def test_a_whole_prompt_is_cached_by_a_mark_on_its_last_part() -> None:
    asked = CHAT | {"cache_control": {"type": "ephemeral"}, "service_tier": "flex"}
    request = encoded(Surface.CHAT, "claude-haiku-4-5", asked)
    sent = json.loads(request.body)
    assert sent["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert not {"cache_control", "service_tier"} & sent.keys()
    assert request.dropped == ("service_tier",)


def test_a_client_of_the_newer_version_is_answered_in_it() -> None:
    headers = {"anthropic-version": "2026-10-21"}
    request = encoded(Surface.MESSAGES, "claude-haiku-4-5", MESSAGES, client_headers=headers)
    assert json.loads(request.body)["anthropic_version"] == "2026-10-21"


def test_counts_of_claude_name_the_model_in_the_body() -> None:
    body = {"messages": MESSAGES["messages"], "model": "claude-haiku-4-5"}
    request = encoded(Surface.COUNT_TOKENS, "claude-haiku-4-5@20251001", body)
    assert request.url == f"{GLOBAL}/publishers/anthropic/models/count-tokens:rawPredict"
    assert json.loads(request.body) == {
        "messages": MESSAGES["messages"],
        "model": "claude-haiku-4-5@20251001",
        "anthropic_version": "vertex-2023-10-16",
    }


def test_counts_of_gemini_stand_in_no_other_object() -> None:
    request = encoded(Surface.COUNT_TOKENS, "gemini-3.8-flash", MESSAGES | {"system": "Be brief."})
    assert request.url == f"{BETA}/publishers/google/models/gemini-3.8-flash:countTokens"
    assert json.loads(request.body).keys() == {"contents", "systemInstruction", "generationConfig"}


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3.8-flash"])
def test_geminis_calls_have_no_ids_here_and_their_results_are_in_the_calls_order(model: str) -> None:
    """Vertex AI: 400, `Unknown name "id" at 'contents[1].parts[0].function_call'` (vercel/ai 15664, mlflow 24127)."""
    calls = [
        {"id": each, "type": "function", "function": {"name": "look", "arguments": f'{{"at":"{each}"}}'}}
        for each in ("one", "two")
    ]
    results = [{"role": "tool", "tool_call_id": each, "content": f"seen {each}"} for each in ("two", "one")]
    turns = [CHAT["messages"][0], {"role": "assistant", "tool_calls": calls}, *results]
    request = encoded(Surface.CHAT, model, CHAT | {"messages": turns})
    _, called, answered = json.loads(request.body)["contents"]
    assert [part["functionCall"] for part in called["parts"]] == [
        {"name": "look", "args": {"at": each}} for each in ("one", "two")
    ]
    assert [part["functionResponse"] for part in answered["parts"]] == [
        {"name": "look", "response": {"output": f"seen {each}"}} for each in ("one", "two")
    ]


@pytest.mark.parametrize("surface", [Surface.CHAT, Surface.MESSAGES, Surface.RESPONSES])
@pytest.mark.parametrize("model", ["mistral-medium-3@001", "mistralai/mistral-medium-3@001"])
@pytest.mark.parametrize("stream", [False, True])
def test_mistrals_models_are_asked_by_its_chat_completions(surface: Surface, model: str, stream: bool) -> None:
    """As mistralai 3.7 asks: no `stream_options`, `random_seed`, `max_tokens`."""
    bodies = {
        Surface.CHAT: CHAT | {"seed": 7, "max_completion_tokens": 9, "stream_options": {"include_usage": True}},
        Surface.MESSAGES: MESSAGES | {"max_tokens": 9},
        Surface.RESPONSES: {"model": model, "input": "Hello", "max_output_tokens": 9},
    }
    request = encoded(surface, model, bodies[surface] | {"stream": stream})
    method = "streamRawPredict" if stream else "rawPredict"
    assert request.url == f"{GLOBAL}/publishers/mistralai/models/mistral-medium-3@001:{method}"
    sent = json.loads(request.body)
    assert (sent["model"], sent["max_tokens"], sent.get("stream", False)) == ("mistral-medium-3", 9, stream)
    assert not {"stream_options", "max_completion_tokens", "seed"} & sent.keys()
    assert sent.get("random_seed") == (7 if surface is Surface.CHAT else None)


def test_a_wait_that_google_states_is_told_whosever_the_model() -> None:
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    quota = {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [wait]}}
    for model in (LLAMA, "mistral-medium-3", "gemini-2.5-pro"):
        for surface in (Surface.CHAT, Surface.MESSAGES):
            translator = translator_for(surface, VERTEX, model, None)
            assert translator is not None
            limited = translator.decode_failure(429, {}, json.dumps([quota]).encode())
            assert (type(limited), limited.retry_after_s) == (ProviderRateLimited, 7.0)


def test_a_tier_of_service_is_not_asked_for_by_the_request() -> None:
    """Vertex AI's are asked for by a header, and at the global location alone."""
    request = encoded(Surface.CHAT, "gemini-3.8-flash", CHAT | {"service_tier": "flex"})
    assert ("serviceTier" in json.loads(request.body), request.dropped) == (False, ("service_tier",))


def test_open_models_are_not_counted() -> None:
    assert translator_for(Surface.COUNT_TOKENS, VERTEX, LLAMA, None) is None


@pytest.mark.parametrize("surface", [Surface.MESSAGES, Surface.CHAT, Surface.COUNT_TOKENS])
def test_claudes_errors_are_googles_or_anthropics_own(surface: Surface) -> None:
    translator = translator_for(surface, VERTEX, "claude-haiku-4-5", None)
    assert translator is not None
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    quota = {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [wait]}}
    limited = translator.decode_failure(429, {}, json.dumps([quota]).encode())
    assert (type(limited), limited.retry_after_s) == (ProviderRateLimited, 7.0)
    own = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: Field required"}}
    refused = translator.decode_failure(400, {}, json.dumps(own).encode())
    assert (type(refused), refused.details["provider_type"]) == (ProviderRefused, "invalid_request_error")


@pytest.mark.parametrize(
    "model", ["jamba-1.5-large@001", "claude-x/../../y", "gemini-x:y", "mistral-x/../y", "mistralai/mistral-x:y"]
)
def test_what_has_no_address_here_is_refused(model: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        encoded(Surface.CHAT, model, CHAT)
    assert refused.value.param == "model"
