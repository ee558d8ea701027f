"""What a request's failure means for the next one, and how few writes that takes (R4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.credentials import PreviousVersion
from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.health import HealthState, Mark, after_fault
from tests.support.health import (
    FIRST,
    HOUR_MS,
    MINUTE_MS,
    NOW,
    SECOND,
    ask,
    code,
    fails,
    later,
    states,
    used,
    well,
    world_of_two_keys,
)
from tests.support.inference import ACCOUNT, CHAT, World, credential, world_with_simulator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of_two_keys() as world:
        yield world


# ── Who is out


@pytest.mark.parametrize("fail", ["401", "402", "no_quota"])
async def test_a_key_that_is_refused_or_broke_is_out_for_every_model(world: World, fail: str) -> None:
    fails(world, fail=fail)
    assert await used(world) == ("second", 2)
    assert await used(world) == ("second", 1)
    assert await used(world, "gpt-4o") == ("second", 1)
    assert states(world) == {"cred_first@1": HealthState.REJECTED}


@pytest.mark.parametrize(("fail", "state"), [("403", HealthState.REJECTED), ("429", HealthState.COOLING)])
async def test_a_key_that_may_not_now_is_out_for_the_model(world: World, fail: str, state: HealthState) -> None:
    fails(world, fail=fail, times=1)
    assert await used(world) == ("second", 2)
    assert await used(world) == ("second", 1)
    assert await used(world, "gpt-4o") == ("first", 1)
    assert states(world) == {"cred_first@1#gpt-4o-mini": state}


async def test_a_key_that_cannot_be_opened_is_not_opened_again_soon(world: World) -> None:
    world.vault.sealed_for_good.add("cred_first")
    assert await used(world) == ("second", 1)
    world.vault.sealed_for_good.clear()
    response = await ask(world)
    assert (response.headers["x-ownkey-credential"], response.headers["x-ownkey-attempts"]) == ("second", "1")
    later(world, MINUTE_MS)
    assert await used(world) == ("first", 1)


@pytest.mark.parametrize("fail", ["400", "413", "422"])
async def test_a_request_that_is_refused_says_nothing_of_the_key(world: World, fail: str) -> None:
    fails(world, fail=fail)
    await ask(world)
    assert states(world) == {}
    assert world.health.writes == 0


async def test_a_rotation_begins_with_a_clean_slate(world: World) -> None:
    fails(world, fail="401")
    assert await used(world) == ("second", 2)
    rotated = credential("openai", "sk-sim-rotated-0123456789", alias="first", priority=1, version=2)
    world.registry.own[0] = rotated
    assert await used(world) == ("first", 1)


async def test_of_a_rotations_two_keys_each_has_its_own_health(world: World) -> None:
    previous = PreviousVersion(1, "…", "2026-11-21T08:00:00Z", share_percent=100)
    new = credential("openai", SECOND, alias="main", version=2, previous=previous)
    old = credential("openai", FIRST, alias="main", version=1, previous=previous)
    world.registry.own = [new, old]
    fails(world, FIRST, fail="401")
    assert await used(world) == ("main", 2)
    assert states(world) == {"cred_main@1": HealthState.REJECTED}
    assert await used(world) == ("main", 1)


async def test_an_own_key_that_is_out_leaves_the_platform_to_serve_where_it_may(world: World) -> None:
    world.registry.own = world.registry.own[:1]
    world.registry.platform = [credential("openai", SECOND, alias="shared")]
    fails(world, fail="401")
    assert await used(world) == ("shared", 2)
    assert await used(world) == ("shared", 1)
    world.registry.own[0] = credential("openai", FIRST, alias="first", always_use=True)
    assert code(await ask(world)) == (502, "upstream_credentials_exhausted")


async def test_the_platforms_key_has_its_health_in_the_platforms_item(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", FIRST, alias="shared")]
    fails(world, fail="401")
    assert code(await ask(world)) == (502, "upstream_credentials_exhausted")
    assert states(world, PLATFORM_ACCOUNT) == {"cred_shared@1": HealthState.REJECTED}
    assert states(world) == {}
    response = await ask(world)
    assert response.headers["x-ownkey-attempts"] == "0"
    assert "operator" in response.json()["error"]["metadata"]["fix"]


# ── Keyless: a token, had in exchange


def keyless(world: World, *tokens: str, **values: Any) -> None:
    public = {"identity_provider_id": "idp_1", "service_account_id": "user-1"}
    saved = credential("openai", alias="main", form="workload_identity", keyless=True, fields=public, **values)
    world.registry.own = [replace(saved, sealed=None)]
    world.tokens.tokens = list(tokens)


async def test_a_token_that_is_refused_is_had_anew_once(world: World) -> None:
    keyless(world, "stale-token", SECOND)
    response = await ask(world)
    assert (response.status_code, response.headers["x-ownkey-attempts"]) == (200, "2")
    assert states(world) == {}
    assert [end.outcome.value for _, end in world.attempts.records] == ["refused", "succeeded"]


async def test_a_credential_whose_every_token_is_refused_is_out_for_a_while(world: World) -> None:
    keyless(world, "stale-token", "stale-too", SECOND)
    response = await ask(world)
    assert (*code(response), response.headers["x-ownkey-attempts"]) == (502, "upstream_credentials_exhausted", "2")
    assert response.json()["error"]["message"].count("'main'") == 1
    assert (await ask(world)).headers["x-ownkey-attempts"] == "0"
    later(world, MINUTE_MS)
    assert await used(world) == ("main", 1)
    assert states(world) == {}


async def test_a_token_goes_to_the_catalogs_address_alone(world: World) -> None:
    keyless(world, SECOND, destination="https://elsewhere.example/v1")
    assert await used(world) == ("main", 1)


# ── What is said where nobody is left


async def test_all_cooling_is_a_429_until_the_first_may_serve(world: World) -> None:
    fails(world, FIRST, fail="429", retry_after=20)
    fails(world, SECOND, fail="429", retry_after_ms=1500)
    assert code(await ask(world)) == (429, "upstream_rate_limited")
    later(world, 500)
    response = await ask(world)
    assert code(response) == (429, "upstream_credentials_cooling")
    assert (response.headers["retry-after"], response.headers["retry-after-ms"]) == ("1", "1000")
    assert (response.headers["x-ownkey-attempts"], response.headers["x-ownkey-credential"]) == ("0", "none")
    assert response.json()["error"]["metadata"]["credentials"] == ["first", "second"]
    assert len(world.simulator.journal.entries()) == 2
    later(world, 1000)
    well(world)
    assert await used(world) == ("second", 1)


async def test_all_dead_is_a_502_that_says_what_to_do_about_each(world: World) -> None:
    fails(world, FIRST, fail="401")
    fails(world, SECOND, fail="402")
    for attempts in ("2", "0"):
        response = await ask(world)
        error = response.json()["error"]
        assert code(response) == (502, "upstream_credentials_exhausted")
        assert response.headers["x-ownkey-attempts"] == attempts
        assert response.headers["x-should-retry"] == "false"
        assert error["metadata"]["credentials"] == ["first", "second"]
        assert "'first': rotate it" in error["metadata"]["fix"]
        assert "'second': add funds" in error["metadata"]["fix"]


async def test_one_that_cools_down_is_waited_for_though_the_other_is_dead(world: World) -> None:
    fails(world, FIRST, fail="429", retry_after=20)
    fails(world, SECOND, fail="401")
    await ask(world)
    response = await ask(world)
    assert (*code(response), response.headers["retry-after"]) == (429, "upstream_credentials_cooling", "20")


# ── What it costs


async def test_a_healthy_request_writes_nothing_of_health(world: World) -> None:
    for _ in range(3):
        await used(world)
    assert world.health.writes == 0


async def test_no_answer_waits_for_a_mark() -> None:
    async with world_with_simulator() as world:
        world.registry.own = [credential("openai", FIRST, alias="a"), credential("openai", SECOND, alias="b")]
        fails(world, fail="401")
        written = asyncio.Event()
        change = world.health.change

        async def slow(*args: Any, **kwargs: Any) -> None:
            await written.wait()
            await change(*args, **kwargs)

        world.health.change = slow  # type: ignore[method-assign]
        client = world.stream("/v1/chat/completions", CHAT | {"stream": True})
        while await client.piece() is not None:
            continue
        assert client.status == 200
        assert not client.task.done(), "the function ends when the mark is written"
        written.set()
        await client.over()
        assert states(world) == {"cred_a@1": HealthState.REJECTED}


async def test_a_table_that_cannot_be_written_costs_no_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise OSError("no route to the table")

    world.health.change = broken  # type: ignore[method-assign]
    fails(world, fail="401")
    assert await used(world) == ("second", 2)
    assert "a mark could not be written" in caplog.text


async def test_where_no_probe_can_be_claimed_none_goes_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    fails(world, fail="402")
    await used(world)
    later(world, HOUR_MS)

    async def broken(*_: Any, **__: Any) -> None:
        raise OSError("no route to the table")

    world.health.claim = broken  # type: ignore[method-assign]
    assert await used(world) == ("second", 1)
    assert "a probe could not be claimed" in caplog.text


async def test_a_mark_that_came_meanwhile_is_heeded_by_who_wanted_to_probe(world: World) -> None:
    at = "cred_first@1"
    poor = after_fault(None, Fault(FaultKind.OUT_OF_FUNDS), NOW - HOUR_MS)
    assert poor is not None
    world.health.marks[ACCOUNT] = {at: poor}
    claim = world.health.claim

    async def overtaken(account_id: str, probes: Any, at_ms: int) -> Any:
        world.health.marks[ACCOUNT][at] = Mark(HealthState.REJECTED, FaultKind.REFUSED, NOW, None)
        return await claim(account_id, probes, at_ms)

    world.health.claim = overtaken  # type: ignore[method-assign]
    assert await used(world) == ("second", 1)
    world.health.marks[ACCOUNT][at] = replace(poor, strikes=2)

    async def gone(account_id: str, probes: Any, at_ms: int) -> Any:
        world.health.marks[ACCOUNT].pop(at, None)
        return await claim(account_id, probes, at_ms)

    world.health.claim = gone  # type: ignore[method-assign]
    well(world)
    assert await used(world) == ("first", 1)
