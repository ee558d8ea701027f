"""One request finds out how a key or a provider is, the others wait; a provider that fails is left alone (R4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ownkey.domain.health import HealthState, provider_key
from ownkey.router import Limits
from tests.support.health import (
    FIRST,
    MINUTE_MS,
    SECOND,
    SECOND_MS,
    ask,
    code,
    fails,
    later,
    states,
    used,
    well,
    world_of_two_keys,
)
from tests.support.inference import ACCOUNT, World, credential, world_with_simulator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of_two_keys() as world:
        yield world


# ── Half open: one finds out


async def test_funds_are_found_out_about_by_one_request_at_a_time(world: World) -> None:
    fails(world, fail="402")
    await used(world)
    later(world, 15 * MINUTE_MS)
    fails(world, fail="402", header_ms=100)
    answers = await asyncio.gather(*(used(world) for _ in range(5)))
    assert {alias for alias, _ in answers} == {"second"}
    asked = [entry for entry in world.simulator.journal.entries() if entry.status == 402]
    assert len(asked) == 2, "the one at the beginning, and one probe"
    later(world, 29 * MINUTE_MS)
    assert await used(world) == ("second", 1)
    later(world, MINUTE_MS)
    well(world)
    assert await used(world) == ("first", 1)
    assert states(world) == {}
    assert await used(world) == ("first", 1)


# ── The breaker


async def open_breaker(world: World, fail: str = "503") -> None:
    world.registry.own = [credential("openai", FIRST, alias="first")]
    fails(world, None, fail=fail)
    for _ in range(3):
        assert (await ask(world)).status_code in (502, 503, 504)
    assert list(states(world).values()) == [HealthState.OPEN]


@pytest.mark.parametrize("fail", ["500", "502", "503", "504", "529"])
async def test_a_provider_that_fails_three_times_is_asked_no_more(world: World, fail: str) -> None:
    await open_breaker(world, fail)
    asked = len(world.simulator.journal.entries())
    response = await ask(world)
    assert (*code(response), response.headers["retry-after"]) == (503, "provider_cooling", "15")
    assert response.json()["error"]["metadata"]["provider"] == "OpenAI"
    assert len(world.simulator.journal.entries()) == asked


async def test_a_server_out_of_reach_opens_its_own_breaker_alone(world: World) -> None:
    gone = credential("openai", FIRST, alias="gone", custom_base_url=True, destination="http://127.0.0.1:9/v1")
    world.registry.own = [gone, credential("openai", SECOND, alias="reached", priority=1)]
    for attempts in ("2", "2", "2", "1"):
        response = await ask(world)
        assert (response.status_code, response.headers["x-ownkey-attempts"]) == (200, attempts)
    assert states(world) == {provider_key("openai", "http://127.0.0.1:9/v1"): HealthState.OPEN}


async def test_a_late_provider_counts_as_a_failing_one() -> None:
    async with world_with_simulator(limits=Limits(connect_s=2, first_token_s=0.2, whole_s=0.2, idle_s=0.2)) as world:
        world.registry.own = [credential("openai", FIRST)]
        fails(world, None, hang=True)
        for _ in range(3):
            assert code(await ask(world)) == (504, "provider_timeout")
        assert code(await ask(world)) == (503, "provider_cooling")


async def test_failures_between_answers_do_not_count(world: World) -> None:
    world.registry.own = world.registry.own[:1]
    for _ in range(6):
        fails(world, fail="503", times=1)
        await ask(world)
        assert await used(world) == ("first", 1)
    assert states(world) == {}


async def test_an_answer_of_any_environment_takes_back_what_was_counted(world: World) -> None:
    world.registry.own = world.registry.own[:1]
    fails(world, fail="503", times=2)
    await ask(world)
    await ask(world)
    assert list(states(world).values()) == [HealthState.SUSPECT]
    assert await used(world) == ("first", 1)
    assert states(world) == {}


async def test_a_refusal_is_an_answer(world: World) -> None:
    world.registry.own = world.registry.own[:1]
    fails(world, fail="503", times=2)
    await ask(world)
    await ask(world)
    fails(world, fail="400", times=1)
    await ask(world)
    assert states(world) == {}


async def test_one_request_is_one_failure_however_often_it_tries(world: World) -> None:
    world.registry.own = [credential("openai", f"sk-sim-key-{n}-0123456789", alias=f"k{n}") for n in range(5)]
    fails(world, None, fail="500")
    response = await ask(world)
    assert (response.status_code, response.headers["x-ownkey-attempts"]) == (502, "5")
    (mark,) = world.health.marks[ACCOUNT].values()
    assert (mark.state, mark.failures) == (HealthState.SUSPECT, 1)


async def test_one_probe_closes_it_and_nobody_else_is_sent(world: World) -> None:
    await open_breaker(world)
    later(world, 15 * SECOND_MS)
    well(world)
    fails(world, None, header_ms=150)
    before = len(world.simulator.journal.entries())
    answers = await asyncio.gather(*(ask(world) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [200] + [503] * 7
    refused = next(each for each in answers if each.status_code == 503)
    assert (*code(refused), refused.headers["retry-after"]) == (503, "provider_cooling", "30")
    assert len(world.simulator.journal.entries()) - before == 1
    assert states(world) == {}
    assert len(world.attempts.records) == 4, "who was not sent has no attempt"


async def test_a_probe_that_fails_opens_it_for_longer(world: World) -> None:
    await open_breaker(world)
    for wait_s in (30, 60, 120, 240, 300, 300):
        (mark,) = world.health.marks[ACCOUNT].values()
        assert mark.until_ms is not None
        assert world.health.clock_ms is not None
        later(world, mark.until_ms - world.health.clock_ms)
        assert code(await ask(world)) == (503, "provider_overloaded")
        response = await ask(world)
        assert (*code(response), response.headers["retry-after"]) == (503, "provider_cooling", str(wait_s))


async def test_the_probes_own_refusal_closes_it(world: World) -> None:
    """A 401 is an answer: the provider is well, the key is not."""
    await open_breaker(world)
    world.registry.own.append(credential("openai", SECOND, alias="second", priority=1))
    later(world, 15 * SECOND_MS)
    well(world)
    fails(world, FIRST, fail="401")
    assert await used(world) == ("second", 2)
    assert states(world) == {"cred_first@1": HealthState.REJECTED}


async def test_a_provider_that_failed_its_probe_is_not_asked_with_another_key(world: World) -> None:
    await open_breaker(world)
    world.registry.own.append(credential("openai", SECOND, alias="second", priority=1))
    later(world, 15 * SECOND_MS)
    response = await ask(world)
    assert (*code(response), response.headers["x-ownkey-attempts"]) == (503, "provider_overloaded", "1")


async def test_a_probe_that_finds_out_nothing_lets_another_go(world: World) -> None:
    await open_breaker(world)
    later(world, 15 * SECOND_MS)
    well(world)
    world.vault.sealed_for_good.add("cred_first")
    assert (await ask(world)).status_code == 500
    world.vault.sealed_for_good.clear()
    world.health.marks[ACCOUNT].pop("cred_first@1")
    assert await used(world) == ("first", 1)
    assert states(world) == {}


async def test_the_breaker_leaves_the_other_providers_to_serve(world: World) -> None:
    model = "openai/gpt-oss-120b"
    hosts = [provider.id for provider in world.catalog.providers_of(model)][:2]
    other = World(world.simulator, tuple(hosts))
    other.registry.own = [credential(hosts[0]), credential(hosts[1])]
    world.simulator.scripts.add(hosts[0], fail="503")
    async with other.running():
        served = [await ask(other, model) for _ in range(4)]
    assert [each.headers["x-ownkey-attempts"] for each in served] == ["2", "2", "2", "1"]
    assert {each.headers["x-ownkey-provider"] for each in served} == {hosts[1]}
