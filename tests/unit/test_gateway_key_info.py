"""`GET /v1/key`: what the holder of a gateway key is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ownkey.domain.errors import GatewayKeyRevoked
from ownkey.domain.gateway_keys import PreviousSecret, digest_of
from tests.support.inference import AT, KEYS, World, credential, world_with_simulator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as running:
        yield running


@pytest.mark.parametrize("path", ["/v1/key", "/api/v1/key"])
async def test_the_holder_learns_what_the_key_is_good_for(world: World, path: str) -> None:
    world.registry.key = replace(
        world.registry.key, models=("gpt-4o*",), surfaces=("chat", "models"), expires_at="2999-01-01T00:00:00Z"
    )
    response = await world.get(path)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "private, no-store"
    assert response.json()["data"] == {
        "id": "gk_1",
        "label": "app",
        "mask": "ok-…",
        "status": "active",
        "account": {"id": "acme", "name": "Acme"},
        "created_at": AT,
        "expires_at": "2999-01-01T00:00:00Z",
        "rotated": False,
        "previous": None,
        "scope": {
            "models": ["gpt-4o*"],
            "providers": None,
            "surfaces": ["chat", "models"],
            "addresses": None,
            "origins": None,
        },
        "byok": [{"provider": "anthropic", "credentials": 1}, {"provider": "openai", "credentials": 1}],
        "platform_allowed": True,
        "usage_cost_mode": "charge",
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        "include_byok_in_limit": False,
        "rate_limit": None,
        "usage": None,
        "byok_usage": None,
    }


async def test_no_secret_and_nothing_of_others_is_in_it(world: World) -> None:
    world.registry.own = [credential("openai", alias="Finance"), credential("groq", gateway_keys=("gk_other",))]
    text = (await world.get("/v1/key")).text
    for absent in (world.registry.secret, world.registry.key.digest, *KEYS.values(), "Finance", "gk_other", "groq"):
        assert absent not in text


async def test_only_what_may_serve_counts(world: World) -> None:
    world.registry.own = [
        credential("openai", alias="one"),
        credential("openai", alias="two"),
        credential("openai", alias="off", disabled=True),
        credential("anthropic"),
    ]
    world.registry.key = replace(world.registry.key, providers=("openai",))
    assert (await world.get("/v1/key")).json()["data"]["byok"] == [{"provider": "openai", "credentials": 2}]


async def test_through_a_rotation_each_holder_learns_when_the_old_secret_ends(world: World) -> None:
    ends = "2999-01-01T00:00:00Z"
    previous = PreviousSecret(digest_of("ok-before"), "ok-…fore", ends)
    current = world.registry.key = replace(world.registry.key, previous=previous)
    told = (await world.get("/v1/key")).json()["data"]
    assert (told["rotated"], told["expires_at"]) == (False, None)
    assert told["previous"] == {"mask": "ok-…fore", "expires_at": ends}
    world.registry.key = replace(current.as_previous(), digest=current.digest)  # presented by the secret before
    told = (await world.get("/v1/key")).json()["data"]
    assert (told["mask"], told["rotated"], told["expires_at"], told["previous"]) == ("ok-…fore", True, ends, None)


@pytest.mark.parametrize(("headers", "anthropic"), [({"anthropic-version": "2023-06-01"}, True), ({}, False)])
async def test_it_answers_errors_in_the_dialect_of_the_client(
    world: World, headers: dict[str, str], anthropic: bool
) -> None:
    world.registry.error = GatewayKeyRevoked("The gateway key 'app' was revoked.")
    response = await world.get("/v1/key", headers | {"x-api-key": world.registry.secret})
    assert (response.status_code, response.json()["error"]["code"]) == (401, "gateway_key_revoked")
    assert (response.json().get("type") == "error") is anthropic
    missing = await world.get("/v1/key", headers)
    assert (missing.status_code, missing.json()["error"]["code"]) == (401, "missing_gateway_key")
