"""Two own keys for one provider, a clock that stands, and words for what befalls them (R4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from ownkey.domain.health import HealthState
from tests.support.inference import ACCOUNT, CHAT, World, credential, world_with_simulator

FIRST, SECOND = "sk-sim-first-0123456789", "sk-sim-second-0123456789"
NOW = 1_790_000_000_000
SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000


@asynccontextmanager
async def world_of_two_keys() -> AsyncIterator[World]:
    """Two own keys for OpenAI, tried in this order, and a clock that stands."""
    async with world_with_simulator() as world:
        world.health.clock_ms = NOW
        world.registry.own = [
            credential("openai", FIRST, alias="first", priority=1),
            credential("openai", SECOND, alias="second", priority=2),
        ]
        yield world


def fails(world: World, key: str | None = FIRST, **knobs: Any) -> None:
    world.simulator.scripts.add("openai", key=key, **knobs)


def well(world: World) -> None:
    world.simulator.scripts.clear("openai")


def later(world: World, ms: int) -> None:
    assert world.health.clock_ms is not None
    world.health.clock_ms += ms


async def ask(world: World, model: str = "gpt-4o-mini", **body: Any) -> httpx.Response:
    return await world.post("/v1/chat/completions", CHAT | {"model": model} | body)


async def used(world: World, model: str = "gpt-4o-mini") -> tuple[str, int]:
    """Which credential served, and how many requests its provider saw for that."""
    before = len(world.simulator.journal.entries())
    response = await ask(world, model)
    assert response.status_code == 200, response.text
    return response.headers["x-ownkey-credential"], len(world.simulator.journal.entries()) - before


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def states(world: World, account_id: str = ACCOUNT) -> dict[str, HealthState]:
    return {key: mark.state for key, mark in world.health.marks.get(account_id, {}).items()}
