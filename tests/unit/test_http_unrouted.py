"""Paths and methods of OpenAI's that are not here: each is answered in its dialect, with what to do instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.inference import World, world_with_simulator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as world:
        yield world


@pytest.mark.parametrize(
    ("method", "path", "fix"),
    [
        ("POST", "/v1/responses/compact", "Codex"),
        ("POST", "/v1/responses/input_tokens", "/v1/messages/count_tokens"),
        ("GET", "/v1/responses/resp_1", "whole conversation in `input`"),
        ("DELETE", "/api/v1/responses/resp_1", "whole conversation in `input`"),
        ("POST", "/v1/responses/resp_1/cancel", "whole conversation in `input`"),
        ("GET", "/responses/resp_1/input_items", "whole conversation in `input`"),
        ("POST", "/v1/conversations", "whole conversation in `input`"),
        ("GET", "/v1/conversations/conv_1/items", "whole conversation in `input`"),
        ("POST", "/v1/images/edits", "/v1/images/generations"),
        ("POST", "/images/variations", "/v1/images/generations"),
        ("GET", "/v1/responsesx", "base URL"),
        ("POST", "/v1/v1/responses", "base URL"),
    ],
)
async def test_what_openai_has_at_a_path_and_nobody_here(world: World, method: str, path: str, fix: str) -> None:
    response = await world.request(method, path)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["type"]) == (404, "not_found", "invalid_request_error")
    assert fix in error["metadata"]["fix"]
    assert response.headers["x-ownkey-attempts"] == "0"


@pytest.mark.parametrize("header", ["upgrade", "sec-websocket-key"], ids=["as sent", "behind API Gateway"])
async def test_a_web_socket_is_told_to_go_on_by_http(world: World, header: str) -> None:
    """Codex falls back at once upon 426, and after a minute of trying upon anything else."""
    response = await world.request("GET", "/v1/responses", headers={header: "websocket"})
    assert (response.status_code, response.json()["error"]["code"]) == (426, "websocket_not_supported")
    assert "POST" in response.json()["error"]["metadata"]["fix"]
    plain = await world.request("GET", "/v1/responses")
    assert (plain.status_code, plain.headers["allow"]) == (405, "POST")
