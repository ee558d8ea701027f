"""Web pages: a preflight is answered to anybody, an answer is readable to origins that the gateway key names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.inference import CHAT, World, credential, world_with_simulator

APP, OTHER_APP = "https://app.example", "https://other.example"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as running:
        yield running


def page(world: World, origin: str = APP) -> dict[str, str]:
    """What a browser sends for a page."""
    return {"authorization": f"Bearer {world.registry.secret}", "origin": origin}


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", ""])
@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/chat/completions", "POST"),
        ("/messages", "POST"),
        ("/messages/count_tokens", "POST"),
        ("/models", "GET"),
        ("/models/gpt-4o", "GET"),
        ("/key", "GET"),
    ],
)
async def test_a_preflight_is_answered_to_any_page_without_a_key(
    world: World, prefix: str, path: str, methods: str
) -> None:
    asked = {
        "origin": OTHER_APP,
        "access-control-request-method": methods,
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    response = await world.request("OPTIONS", prefix + path, headers=asked)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert methods in response.headers["access-control-allow-methods"].split(", ")
    assert response.headers["access-control-allow-headers"].split(", ") == ["authorization", "*"]
    assert "access-control-allow-credentials" not in response.headers
    assert world.key_use.noted == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/messages", {}, 405),
        ("/v1/messages", {"origin": APP}, 405),
        ("/v1/messages", {"access-control-request-method": "POST"}, 405),
        ("/v1/nowhere", {"origin": APP, "access-control-request-method": "POST"}, 404),
    ],
)
async def test_what_is_no_preflight_of_a_route_is_refused(
    world: World, path: str, headers: dict[str, str], status: int
) -> None:
    response = await world.request("OPTIONS", path, headers=headers)
    assert response.status_code == status
    assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_a_listed_page_reads_the_answer_and_every_header(world: World) -> None:
    world.registry.key = replace(world.registry.key, origins=(OTHER_APP, APP))
    response = await world.post("/v1/chat/completions", CHAT, page(world))
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == APP
    assert response.headers["access-control-expose-headers"] == "*"
    assert "access-control-allow-credentials" not in response.headers
    assert "Origin" in response.headers["vary"].split(", ")


async def test_a_listed_page_reads_a_stream_and_an_error_too(world: World) -> None:
    world.registry.key = replace(world.registry.key, origins=(APP,))
    stream = world.stream("/v1/chat/completions", CHAT | {"stream": True}, headers={"origin": APP})
    await stream.rest()
    assert stream.headers["access-control-allow-origin"] == APP
    refused = await world.post("/v1/chat/completions", CHAT | {"model": "nobody-has-it"}, page(world))
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (404, APP)
    world.registry.own = [credential("openai", key="sk-no-good")]
    exhausted = await world.post("/v1/chat/completions", CHAT, page(world))
    assert (exhausted.status_code, exhausted.headers["access-control-allow-origin"]) == (502, APP)


async def test_nobody_else_reads_anything(world: World) -> None:
    """A key without a list, an unlisted page, no key: the browser keeps the answer from the page."""
    for origins, sent in ((None, page(world)), ((APP,), page(world, OTHER_APP)), ((APP,), {"origin": APP})):
        world.registry.key = replace(world.registry.key, origins=origins)
        response = await world.post("/v1/chat/completions", CHAT, sent)
        assert not [name for name in response.headers if name.startswith("access-control-")]
