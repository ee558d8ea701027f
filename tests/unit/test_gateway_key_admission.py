"""A gateway key is held to its scope on every route, under every prefix, by whichever header it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from ownkey.domain.surfaces import Surface
from ownkey.http.inference import PREFIXES
from tests.support.inference import CHAT, MESSAGES, World, credential, world_with_simulator
from tests.support.media import EMBEDDINGS, IMAGES, MODERATIONS, RERANK, SPEECH, form, form_type, recording

OFFICE = "203.0.113.7"
ELSEWHERE = "198.51.100.9"
APP, OTHER_APP = "https://app.example", "https://other.example"

RECORDING = form({"model": "whisper-1"}, recording(1))
ENDPOINTS: dict[str, tuple[str, Surface | None, Any]] = {
    "/chat/completions": ("POST", Surface.CHAT, CHAT),
    "/messages": ("POST", Surface.MESSAGES, MESSAGES),
    "/messages/count_tokens": ("POST", Surface.COUNT_TOKENS, MESSAGES),
    "/responses": ("POST", Surface.RESPONSES, {"model": "gpt-4o-mini", "input": "Hello there"}),
    "/embeddings": ("POST", Surface.EMBEDDINGS, EMBEDDINGS),
    "/rerank": ("POST", Surface.RERANK, RERANK | {"model": "voyage/rerank-2.5"}),
    "/v2/rerank": ("POST", Surface.RERANK, RERANK | {"model": "voyage/rerank-2.5"}),
    "/images/generations": ("POST", Surface.IMAGES, IMAGES),
    "/audio/speech": ("POST", Surface.SPEECH, SPEECH),
    "/audio/transcriptions": ("POST", Surface.TRANSCRIPTIONS, RECORDING),
    "/audio/translations": ("POST", Surface.TRANSLATIONS, RECORDING),
    "/moderations": ("POST", Surface.MODERATIONS, MODERATIONS),
    "/models": ("GET", Surface.MODELS, None),
    "/models/gpt-4o-mini": ("GET", Surface.MODELS, None),
    "/key": ("GET", None, None),
}
HEADERS = {
    "bearer": lambda key: {"authorization": f"Bearer {key}"},
    "bearer in lower case": lambda key: {"authorization": f"bearer {key}"},
    "x-api-key": lambda key: {"x-api-key": key},
    "both": lambda key: {"authorization": f"Bearer {key}", "x-api-key": key},
}
RECORDS = ("/generation", "/credits")
"""What answers from records: `test_http_generation` has the rest of them."""
EVERY_WAY = [
    pytest.param(prefix + path, presented, id=f"{prefix}{path} {name}")
    for prefix in PREFIXES
    for path in ENDPOINTS
    for name, presented in HEADERS.items()
]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as running:
        running.registry.own.append(credential("voyage"))
        yield running


def scope(world: World, **parts: Any) -> None:
    """Gives the gateway key a scope."""
    world.registry.key = replace(world.registry.key, **parts)


async def call(
    world: World, path: str, headers: Mapping[str, str] | None = None, *, address: str = OFFICE, body: Any = None
) -> httpx.Response:
    """A request to an endpoint from an address."""
    bare = next(path.removeprefix(prefix) for prefix in PREFIXES if path.startswith(prefix))
    method, _, default = ENDPOINTS[bare]
    content = b"" if method == "GET" else content_of(body or default)
    headers = {"authorization": f"Bearer {world.registry.secret}"} | dict(headers or {})
    return await send(world, method, path, headers, address, content)


def content_of(body: Any) -> bytes:
    """A form as it is, else JSON."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


async def send(
    world: World, method: str, path: str, headers: Mapping[str, str], address: str, content: bytes = b""
) -> httpx.Response:
    transport = httpx.ASGITransport(world.app, client=(address, 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        typed = {"content-type": form_type()} if content == RECORDING else {}
        return await client.request(method, path, content=content, headers=dict(headers) | typed)


async def present(world: World, path: str, presented: Any, address: str, **headers: str) -> httpx.Response:
    """A request with the key in the given headers alone."""
    bare = next(path.removeprefix(prefix) for prefix in PREFIXES if path.startswith(prefix))
    method, _, body = ENDPOINTS[bare]
    content = b"" if body is None else content_of(body)
    return await send(world, method, path, presented(world.registry.secret) | headers, address, content)


def test_every_route_of_the_app_is_tried_here(world: World) -> None:
    routes = {(m, r.path) for r in world.app.routes if isinstance(r, Route) for m in r.methods or () if m != "HEAD"}
    tried = {
        (method, prefix + path.replace("gpt-4o-mini", "{id:path}"))
        for prefix in PREFIXES
        for path, (method, _, _) in ENDPOINTS.items()
    }
    assert routes == tried | {("GET", prefix + path) for prefix in PREFIXES for path in RECORDS}


@pytest.mark.parametrize("path", [prefix + path for prefix in PREFIXES for path in RECORDS])
async def test_what_was_recorded_is_told_to_admitted_callers_alone(world: World, path: str) -> None:
    scope(world, addresses=("203.0.113.0/24",))
    key = {"authorization": f"Bearer {world.registry.secret}"}
    refused = await send(world, "GET", path, key, ELSEWHERE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "address_not_allowed")


# ── Whence (CVE-2026-45339: a limit that held for one header and not for the other)


@pytest.mark.parametrize(("path", "presented"), EVERY_WAY)
async def test_an_address_that_is_not_listed_gets_nowhere(world: World, path: str, presented: Any) -> None:
    scope(world, addresses=("203.0.113.0/24",))
    refused = await present(world, path, presented, ELSEWHERE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "address_not_allowed")
    assert (await present(world, path, presented, OFFICE)).status_code == 200


@pytest.mark.parametrize(("path", "presented"), EVERY_WAY)
async def test_a_page_that_is_not_listed_gets_nowhere(world: World, path: str, presented: Any) -> None:
    scope(world, origins=(APP,))
    refused = await present(world, path, presented, OFFICE, origin=OTHER_APP)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in refused.headers
    assert (await present(world, path, presented, OFFICE, origin=APP)).status_code == 200
    assert (await present(world, path, presented, OFFICE)).status_code == 200


@pytest.mark.parametrize(("path", "presented"), EVERY_WAY)
async def test_an_endpoint_that_is_not_in_the_scope_is_refused(world: World, path: str, presented: Any) -> None:
    bare = next(path.removeprefix(prefix) for prefix in PREFIXES if path.startswith(prefix))
    surface = ENDPOINTS[bare][1]
    scope(world, surfaces=tuple(each.value for each in Surface if each is not surface))
    response = await present(world, path, presented, OFFICE)
    if surface is None:
        assert response.status_code == 200  # a key's holder may always ask what it is
        return
    assert (response.status_code, response.json()["error"]["code"]) == (403, "surface_not_allowed")
    scope(world, surfaces=(surface.value, "chat"))  # a model that no endpoint reaches would not be there
    assert (await present(world, path, presented, OFFICE)).status_code == 200


async def test_no_header_says_where_a_request_comes_from(world: World) -> None:
    scope(world, addresses=(OFFICE,))
    claims = dict.fromkeys(("x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip", "true-client-ip"), OFFICE)
    response = await call(world, "/v1/chat/completions", claims, address=ELSEWHERE)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "address_not_allowed")
    assert ELSEWHERE in response.json()["error"]["message"]
    assert OFFICE not in response.text


async def test_an_unknown_address_is_not_a_listed_one(world: World) -> None:
    scope(world, addresses=("0.0.0.0/0", "::/0"))
    for client in (None, (None, 0)):
        stream = world.stream("/v1/chat/completions", CHAT, client=client)
        error = json.loads(await stream.rest())["error"]
        assert (stream.status, error["code"]) == (403, "address_not_allowed")


async def test_ipv4_within_ipv6_is_ipv4(world: World) -> None:
    scope(world, addresses=("203.0.113.0/24",))
    assert (await call(world, "/v1/chat/completions", address=f"::ffff:{OFFICE}")).status_code == 200


@pytest.mark.parametrize(
    "origin", ["null", "", f"{APP}:443", "http://app.example", f"{APP}, {APP}", "https://APP.example"]
)
async def test_an_origin_is_compared_as_it_stands(world: World, origin: str) -> None:
    scope(world, origins=(APP,))
    response = await call(world, "/v1/chat/completions", {"origin": origin})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "origin_not_allowed")


async def test_without_a_list_any_page_may_send_and_none_may_read(world: World) -> None:
    response = await call(world, "/v1/chat/completions", {"origin": OTHER_APP})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_what_is_refused_reaches_no_provider_and_is_no_use_of_the_key(world: World) -> None:
    scope(world, addresses=(OFFICE,), origins=(APP,), surfaces=("messages",))
    await call(world, "/v1/messages", address=ELSEWHERE)
    await call(world, "/v1/messages", {"origin": OTHER_APP})
    await call(world, "/v1/chat/completions")
    assert world.simulator.journal.entries() == []
    assert world.attempts.log == []
    assert world.key_use.noted == []


async def test_a_refusal_speaks_the_dialect_of_the_endpoint(world: World) -> None:
    scope(world, surfaces=("models",))
    assert (await call(world, "/v1/messages")).json()["error"]["type"] == "permission_error"
    assert (await call(world, "/v1/messages")).json()["type"] == "error"
    chat = await call(world, "/v1/chat/completions")
    assert chat.json()["error"]["type"] == "permission_error"
    assert chat.json()["error"]["metadata"]["scope"] == {"surfaces": ["models"]}
    assert chat.headers["x-should-retry"] == "false"


# ── What for


@pytest.mark.parametrize(
    ("models", "asked", "served"),
    [
        (("gpt-4o-mini",), "gpt-4o-mini", True),
        (("gpt-4o-mini",), "openai/gpt-4o-mini", True),
        (("openai/gpt-4o-mini",), "gpt-4o-mini", True),
        (("openai/gpt-4o-mini",), "OpenAI/gpt-4o-mini", True),
        (("openai/*",), "gpt-4o-mini", True),
        (("gpt-4o*", "claude*"), "gpt-4o-mini", True),
        (("claude*",), "gpt-4o-mini", False),
        (("gpt-4o",), "gpt-4o-mini", False),
        (("groq/*",), "gpt-4o-mini", False),
        (("claude*",), "no-such-model", False),
    ],
)
async def test_models_by_any_of_their_names(world: World, models: tuple[str, ...], asked: str, served: bool) -> None:
    scope(world, models=models)
    response = await call(world, "/v1/chat/completions", body=CHAT | {"model": asked})
    if served:
        assert response.status_code == 200
        return
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (403, "model_not_allowed", "model")
    assert error["metadata"]["scope"] == {"models": list(models)}
    assert response.headers["x-ownkey-attempts"] == "0"


async def test_models_hold_on_the_anthropic_surface_too(world: World) -> None:
    scope(world, models=("gpt-4o*",))
    response = await call(world, "/v1/messages")
    assert (response.status_code, response.json()["type"]) == (403, "error")
    assert response.json()["error"]["code"] == "model_not_allowed"
    assert (await call(world, "/v1/messages/count_tokens")).status_code == 403


async def test_a_name_in_the_scope_brings_no_provider_that_is_not(world: World) -> None:
    """One name is served at several places: a fallback stays within the scope."""
    world.registry.own = [credential("groq", alias="first"), credential("openai", alias="second")]
    body = CHAT | {"model": "openai/gpt-oss-120b"}
    assert (await call(world, "/v1/chat/completions", body=body)).headers["x-ownkey-provider"] == "groq"
    scope(world, models=("openai/*",), providers=("openai",))
    response = await call(world, "/v1/chat/completions", body=body)
    assert response.json()["error"]["code"] == "model_not_allowed"
    assert world.simulator.journal.entries("groq") != []
    before = len(world.simulator.journal.entries("groq"))
    scope(world, models=None, providers=("groq",))
    await call(world, "/v1/chat/completions", body=body)
    assert len(world.simulator.journal.entries("groq")) == before + 1


async def test_a_provider_that_is_not_in_the_scope_is_left_out(world: World) -> None:
    scope(world, providers=("anthropic",))
    response = await call(world, "/v1/chat/completions")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (403, "model_not_allowed")
    assert "providers anthropic" in error["message"]
    assert (await call(world, "/v1/messages")).status_code == 200


async def test_the_platform_is_held_to_the_scope_as_well(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    scope(world, providers=("anthropic",))
    assert (await call(world, "/v1/chat/completions")).json()["error"]["code"] == "model_not_allowed"
    assert world.holds.placed == []
    scope(world, providers=("openai",))
    assert (await call(world, "/v1/chat/completions")).status_code == 200


async def test_the_scope_is_named_before_a_missing_key_is(world: World) -> None:
    """To save a key for a provider out of scope would not help."""
    world.registry.own = []
    scope(world, providers=("anthropic",))
    assert (await call(world, "/v1/chat/completions")).json()["error"]["code"] == "model_not_allowed"
    scope(world, providers=("openai",))
    assert (await call(world, "/v1/chat/completions")).json()["error"]["code"] == "no_byok_key"


async def test_what_else_stands_in_the_way_is_named_with_the_scope(world: World) -> None:
    world.registry.own = [credential("openai", disabled=True), credential("groq", allowed_models=("gpt-4o-mini",))]
    scope(world, providers=("openai",))
    error = (await call(world, "/v1/chat/completions")).json()["error"]
    assert error["code"] == "no_byok_key"
    assert [each["reason"] for each in error["metadata"]["credentials"]] == [
        "it is disabled",
        "its provider is not in the gateway key's scope",
    ]


# ── What there is


async def listed(world: World, **headers: str) -> set[str]:
    return {row["id"] for row in (await call(world, "/v1/models", headers)).json()["data"]}


async def test_the_list_of_models_has_what_the_scope_reaches(world: World) -> None:
    rows = (await call(world, "/v1/models")).json()["data"]
    everything, chatting = {row["id"] for row in rows}, {row["id"] for row in rows if "chat" in row["surfaces"]}
    scope(world, models=("gpt-4o*", "anthropic/*"))
    narrowed = await listed(world)
    assert narrowed == {each for each in everything if each.startswith(("gpt-4o", "claude"))}
    scope(world, models=None, providers=("anthropic",))
    assert await listed(world) == {each for each in everything if each.startswith("claude")}
    scope(world, providers=None, surfaces=("models", "chat"))
    rows = (await call(world, "/v1/models")).json()["data"]
    assert {row["id"] for row in rows} == chatting
    assert {surface for row in rows for surface in row["surfaces"]} == {"chat"}
    assert await listed(world, **{"anthropic-version": "2023-06-01"}) == set()


async def test_a_model_out_of_scope_is_not_to_be_seen(world: World) -> None:
    scope(world, models=("claude*",))
    response = await call(world, "/v1/models/gpt-4o-mini")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
