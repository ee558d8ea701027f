"""What a request's failure means for the next one, and how few writes that takes (R4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.credentials import PreviousVersion
from ownkey.domain.health import Fault, FaultKind, HealthState, Mark, after_fault, provider_key
from ownkey.router import Limits
from tests.support.inference import ACCOUNT, CHAT, World, credential, world_with_simulator

FIRST, SECOND = "sk-sim-first-0123456789", "sk-sim-second-0123456789"
NOW = 1_790_000_000_000
SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000


@pytest.fixture
async def world() -> AsyncIterator[World]:
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
