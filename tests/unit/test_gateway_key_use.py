"""The last use of a gateway key: a sample after the answer, in nobody's way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.gateway_keys import GatewayKey, PreviousSecret
from ownkey.registry.key_use import KeyUse
from ownkey.store.dynamodb import DynamoDb
from tests.support.aws import Tables
from tests.support.inference import CHAT, World, world_with_simulator

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = GatewayKey("gk_1", "acme", "app", "d1", "ok-…", "2026-11-21T08:00:00Z", "ann")


class Environment:
    """One function's environment: its own clock, and its own memory of what it sampled."""

    def __init__(self, tables: Tables, now: datetime = NOON) -> None:
        self.now, self.elapsed_s = now, 0.0
        self.writes = 0
        counted = CountedDb(tables, self)
        self.use = KeyUse(counted, tables.health, monotonic=lambda: self.elapsed_s, now=lambda: self.now)

    def later(self, seconds: float) -> None:
        self.elapsed_s += seconds
        self.now += timedelta(seconds=seconds)


class CountedDb(DynamoDb):
    def __init__(self, tables: Tables, environment: Environment) -> None:
        super().__init__(tables.aws)
        self._environment = environment

    async def write(self, action: Any) -> None:
        self._environment.writes += 1
        await super().write(action)


async def used(tables: Tables, *keys: GatewayKey) -> dict[str, str]:
    return dict(await KeyUse(tables.db, tables.health).last_used(keys))


async def test_an_environment_writes_once_a_minute_for_each_key(tables: Tables) -> None:
    here, other = Environment(tables), replace(KEY, id="gk_2", digest="d2")
    for _ in range(60):
        await here.use.note(KEY)
        await here.use.note(other)
        here.later(1)
    assert here.writes == 2
    await here.use.note(KEY)
    assert here.writes == 3
    assert await used(tables, KEY, other) == {"d1": "2026-11-21T12:01:00.000000Z", "d2": "2026-11-21T12:00:00.000000Z"}


async def test_time_never_goes_back(tables: Tables) -> None:
    ahead, behind = Environment(tables, NOON + timedelta(seconds=5)), Environment(tables)
    await ahead.use.note(KEY)
    await behind.use.note(KEY)
    assert await used(tables, KEY) == {"d1": "2026-11-21T12:00:05.000000Z"}


async def test_each_secret_of_a_key_has_its_own(tables: Tables) -> None:
    here = Environment(tables)
    rotated = replace(KEY, digest="d2", previous=PreviousSecret("d1", "ok-…", "2026-11-22T12:00:00Z"))
    await here.use.note(KEY)
    assert await used(tables, rotated) == {"d1": "2026-11-21T12:00:00.000000Z"}
    await here.use.note(rotated)
    assert (await used(tables, rotated)).keys() == {"d1", "d2"}


async def test_a_hundred_keys_are_read_in_few_round_trips_and_all(tables: Tables) -> None:
    keys = [replace(KEY, id=f"gk_{n}", digest=f"d{n}") for n in range(130)]
    here = Environment(tables)
    for key in keys:
        await here.use.note(key)
    assert len(await used(tables, *keys)) == 130
    assert await used(tables) == {}


async def test_what_cannot_be_written_is_logged_and_tried_again(
    tables: Tables, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Environment(tables)

    async def broken(*_: Any) -> None:
        raise StoreUnavailable("DynamoDB cannot be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(DynamoDb, "write", broken)
        await here.use.note(KEY)
    assert [record.gateway_key_id for record in caplog.records] == ["gk_1"]  # type: ignore[attr-defined]
    assert await used(tables, KEY) == {}
    await here.use.note(KEY)
    assert (await used(tables, KEY)).keys() == {"d1"}


class TestARequest:
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with world_with_simulator() as running:
            yield running

    async def test_notes_it_after_the_answer_and_the_record(self) -> None:
        seen: list[tuple[str, int, bytes | None]] = []

        class Watching:
            async def note(self, key: GatewayKey) -> None:
                *_, last = [stream.pieces.get_nowait() for _ in range(stream.pieces.qsize())]
                seen.append((key.id, len(world.attempts.ends), last))

        async with world_with_simulator(key_use=Watching()) as world:
            stream = world.stream("/v1/chat/completions", CHAT | {"stream": True})
            await stream.over()
        assert seen == [("gk_1", 1, None)]

    @pytest.mark.parametrize("path", ["/v1/models", "/v1/key"])
    async def test_that_asks_no_provider_notes_it_as_well(self, world: World, path: str) -> None:
        assert (await world.get(path)).status_code == 200
        assert world.key_use.noted == [world.registry.key]

    async def test_that_fails_behind_the_door_is_a_use(self, world: World) -> None:
        assert (await world.post("/v1/chat/completions", b"{")).status_code == 400
        assert world.key_use.noted == [world.registry.key]

    async def test_that_is_not_let_in_is_none(self, world: World) -> None:
        assert (await world.get("/v1/models", {"authorization": "Bearer ok-no-such-key"})).status_code == 401
        assert world.key_use.noted == []
