"""Requests that the gateway refuses: in the surface's dialect, with a code, the fix, and every header."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ownkey.domain.errors import Forbidden, GatewayKeyExpired, GatewayKeyRevoked, StoreUnavailable
from ownkey.domain.gateway_keys import mint
from ownkey.http.exchange import MAX_BODY_BYTES
from ownkey.http.inference import error_response
from tests.support.inference import CHAT, MESSAGES, World, credential, world_with_simulator

OF_MESSAGES = ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"]
PATHS = [*OF_MESSAGES, "/v1/responses"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as world:
        yield world


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error, after a look at what every error has."""
    body = response.json()
    error = body["error"]
    assert error["metadata"]["source"] in ("gateway", "provider")
    assert error["metadata"]["fix"] in error["message"]
    assert error["metadata"]["request_id"] == response.headers["x-request-id"] == response.headers["request-id"]
    if "messages" in response.request.url.path:
        assert body["type"] == "error"
        assert body["request_id"] == response.headers["request-id"]
    for name in ("byok", "provider", "model", "credential", "credential-source", "attempts", "fallback", "request-id"):
        assert response.headers[f"x-ownkey-{name}"]
    assert response.headers["cache-control"] == "private, no-store"
    return error


# ── Who asks


@pytest.mark.parametrize("path", [*PATHS, "/v1/models", "/v1/models/gpt-4o"])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_gateway_key"),
        ({"authorization": "Bearer "}, "missing_gateway_key"),
        ({"authorization": "Bearer sk-proj-0123456789abcdef"}, "invalid_gateway_key"),
        ({"x-api-key": "sk-ant-0123456789abcdef"}, "invalid_gateway_key"),
        ({"authorization": f"Bearer {mint('acme').reveal()}"}, "invalid_gateway_key"),
        (
            {"x-api-key": mint("acme").reveal(), "authorization": f"Bearer {mint('acme').reveal()}"},
            "invalid_gateway_key",
        ),
    ],
)
async def test_strangers_are_refused(world: World, path: str, headers: dict[str, str], code: str) -> None:
    method = "GET" if "models" in path else "POST"
    response = await world.request(method, path, b"{not even json", headers)
    assert response.status_code == 401
    error = error_of(response)
    assert error["code"] == code
    assert error["type"] == "authentication_error"
    assert response.headers["x-should-retry"] == "false"
    assert world.simulator.journal.entries() == []


async def test_a_header_given_twice_is_read_as_neither(world: World) -> None:
    transport = httpx.ASGITransport(world.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        twice = [("authorization", f"Bearer {world.registry.secret}")] * 2
        response = await client.post("/v1/chat/completions", headers=twice, json=CHAT)
    assert response.status_code == 401


async def test_either_header_or_both_alike_will_do(world: World) -> None:
    secret = world.registry.secret
    for headers in (
        {"authorization": f"Bearer {secret}"},
        {"x-api-key": secret},
        {"authorization": f"bearer {secret}", "x-api-key": secret},
    ):
        assert (await world.post("/v1/chat/completions", CHAT, headers)).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (GatewayKeyRevoked("It was revoked."), 401, "gateway_key_revoked"),
        (GatewayKeyExpired("It expired."), 401, "gateway_key_expired"),
        (Forbidden("The account is disabled."), 403, "forbidden"),
        # A table that cannot be read says nothing of the key: never 401.
        (StoreUnavailable("AWS dynamodb did not answer.", retry_after_s=1), 503, "store_unavailable"),
    ],
)
async def test_what_the_registry_says(world: World, error: Any, status: int, code: str) -> None:
    world.registry.error = error
    response = await world.post("/v1/chat/completions", CHAT)
    assert (response.status_code, error_of(response)["code"]) == (status, code)
    assert response.headers.get("retry-after") == ("1" if status == 503 else None)


async def test_a_failure_that_nobody_foresaw_says_nothing_of_itself(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.registry.read_for_request = None  # type: ignore[assignment,method-assign]
    response = await world.post("/v1/messages", MESSAGES)
    assert response.status_code == 500
    error = error_of(response)
    assert (error["type"], error["code"]) == ("api_error", "internal_error")
    assert "NoneType" not in response.text
    assert "NoneType" in caplog.text


# ── What is asked


@pytest.mark.parametrize("path", OF_MESSAGES)
@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"[]", "invalid_json", None),
        (b"null", "invalid_json", None),
        (b'"hello"', "invalid_json", None),
        (b'{"model":"\xff"}', "invalid_json", None),
        (b'{"model":"gpt-4o","messages":[],"temperature":NaN}', "invalid_json", None),
        (b'{"model":"gpt-4o","messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "invalid_json", None),
        (b'{"model":"gpt-4o","model":"gpt-4o-mini","messages":[]}', "invalid_parameter", "model"),
        (b'{"messages":[]}', "invalid_parameter", "model"),
        (b'{"model":null,"messages":[]}', "invalid_parameter", "model"),
        (b'{"model":7,"messages":[]}', "invalid_parameter", "model"),
        (b'{"model":" ","messages":[]}', "invalid_parameter", "model"),
        (b'{"model":"a\\u0000b","messages":[]}', "invalid_parameter", "model"),
        (b'{"model":"\\ud800","messages":[]}', "invalid_parameter", "model"),
        (b'{"model":"' + b"x" * 257 + b'","messages":[]}', "invalid_parameter", "model"),
        (b'{"model":"gpt-4o"}', "invalid_parameter", "messages"),
        (b'{"model":"gpt-4o","messages":"hi"}', "invalid_parameter", "messages"),
        (b'{"model":"gpt-4o","messages":[],"stream":"yes"}', "invalid_parameter", "stream"),
        (b'{"model":"gpt-4o","messages":[],"stream":1}', "invalid_parameter", "stream"),
        (b'{"model":"gpt-4o","messages":[],"provider":"openai"}', "invalid_parameter", "provider"),
    ],
)
async def test_a_body_that_cannot_be_taken(world: World, path: str, body: bytes, code: str, param: str | None) -> None:
    response = await world.post(path, body)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["code"], error["type"]) == (code, "invalid_request_error")
    assert error.get("param") == (None if "messages" in path else param)
    assert response.headers["x-should-retry"] == "false"
    assert world.simulator.journal.entries() == []
    assert world.attempts.log == []


async def test_a_count_of_tokens_is_not_streamed(world: World) -> None:
    response = await world.post("/v1/messages/count_tokens", MESSAGES | {"stream": True})
    assert (response.status_code, error_of(response)["code"]) == (400, "invalid_parameter")


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_over_the_limit(world: World, path: str) -> None:
    response = await world.post(path, b"x" * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413
    assert error_of(response)["code"] == "request_too_large"


async def test_a_body_at_the_limit_is_taken(world: World) -> None:
    body = json.dumps(CHAT | {"messages": [{"role": "user", "content": ""}]}).encode()
    padded = body[:-4] + b"a" * (MAX_BODY_BYTES - len(body)) + body[-4:]
    assert len(padded) == MAX_BODY_BYTES
    assert (await world.post("/v1/chat/completions", padded)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/chat/completions", CHAT | {"model": "no-such-model"}, 404, "model_not_found"),
        ("/v1/messages", MESSAGES | {"model": "no-such-model"}, 404, "model_not_found"),
        ("/v1/messages/count_tokens", MESSAGES | {"model": "grok-4.20"}, 400, "surface_not_supported"),
        ("/v1/chat/completions", CHAT | {"model": "grok-4.20"}, 404, "no_byok_key"),
    ],
)
async def test_a_request_that_nobody_may_serve(
    world: World, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    response = await world.post(path, body)
    assert (response.status_code, error_of(response)["code"]) == (status, code)
    assert response.headers["x-ownkey-model"] == body["model"]
    assert response.headers["x-ownkey-attempts"] == "0"
    assert world.attempts.log == []


async def test_a_forbidden_fallback_with_no_own_key_is_never_a_silent_charge(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    response = await world.post("/v1/chat/completions", CHAT | {"provider": {"allow_fallbacks": False}})
    assert (response.status_code, error_of(response)["code"]) == (404, "no_byok_key")
    assert world.holds.placed == []
    assert world.simulator.journal.entries() == []


async def test_a_provider_key_in_the_wrong_place_is_not_repeated(world: World) -> None:
    key = "sk-proj-Zx9wVu8tSr7qPo6nMl5k"
    for body in (CHAT | {"model": key}, CHAT | {key: 1}):
        raw = json.dumps(body).encode()
        response = await world.post("/v1/chat/completions", raw.replace(b"}", b',"%s":2}' % key.encode(), 1))
        assert key not in response.text
    response = await world.post("/v1/chat/completions", CHAT, {"x-api-key": key})
    assert key not in response.text


# ── Where


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("POST", "/v1/completions", 404, "not_found"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/openapi.json", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/messages", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/messages/count_tokens", 405, "method_not_allowed"),
    ],
)
async def test_routes_and_methods_that_do_not_exist(
    world: World, method: str, path: str, status: int, code: str
) -> None:
    response = await world.request(method, path)
    assert (response.status_code, error_of(response)["code"]) == (status, code)
    assert ("allow" in response.headers) == (status == 405)


async def test_the_dialect_of_a_lost_request_is_the_clients(world: World) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    assert (await world.request("GET", "/v1/nowhere", headers=headers)).json()["type"] == "error"
    assert "type" not in (await world.request("GET", "/v1/nowhere")).json()


@pytest.mark.parametrize(("path", "outer"), [("/v1/messages", "error"), ("/v1/chat/completions", None)])
def test_an_answer_for_when_the_app_itself_failed(path: str, outer: str | None) -> None:
    status, headers, body = error_response({"path": path, "headers": []}, RuntimeError("secret"))
    assert status == 500
    assert json.loads(body).get("type") == outer
    assert b"secret" not in body
    assert dict(headers)[b"x-ownkey-attempts"] == b"0"
