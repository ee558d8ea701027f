"""The operator's breaker is shared, so one tenant's requests alone do not open it for the others (R4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.health import Health, HealthState, Mark, after_fault, claimed, provider_key
from tests.support.inference import ACCOUNT, CHAT, World, credential, world_with_simulator

NOW, SECOND = 1_790_000_000_000, 1_000
FAILING = Fault(FaultKind.FAILING, "it said no")
KEY = provider_key("openai", "https://api.openai.com/v1")
PLATFORM_KEY = "sk-sim-shared-0123456789"


def after(*accounts: str, old: Mark | None = None) -> Mark:
    for account in accounts:
        old = after_fault(old, FAILING, NOW, by=account)
    assert old is not None
    return old


def stops(mark: Mark, account: str) -> bool:
    return Health({KEY: mark}).seen_by(account).look([KEY], NOW)[0] is not None


class TestTheMark:
    def test_of_one_accounts_failures_stops_that_account_alone(self) -> None:
        mark = after("a", "a", "a")
        assert (mark.state, mark.by) == (HealthState.OPEN, "a")
        assert (stops(mark, "a"), stops(mark, "b")) == (True, False)

    @pytest.mark.parametrize("accounts", [("a", "a", "b"), ("a", "b", "a"), ("b", "a", "c")])
    def test_of_several_accounts_failures_stops_all(self, accounts: tuple[str, ...]) -> None:
        mark = after(*accounts)
        assert (mark.state, mark.by) == (HealthState.OPEN, None)
        assert stops(mark, "nobody of them")

    def test_of_one_account_becomes_everybodys_where_another_fails_as_well(self) -> None:
        mark = after("b", old=after("a", "a", "a"))
        assert (mark.state, mark.by, mark.strikes) == (HealthState.OPEN, None, 1)
        assert stops(mark, "c")
        assert after("a", old=mark) is mark, "and stays it"

    def test_is_probed_by_whom_it_stops(self) -> None:
        mark, late = after("a", "a", "a"), NOW + 16 * SECOND
        assert list(Health({KEY: mark}).seen_by("a").look([KEY], late)[1]) == [KEY]
        assert Health({KEY: mark}).seen_by("b").look([KEY], late) == (None, {})
        again = after_fault(claimed(mark, late), FAILING, late, probing=True, by="a")
        assert again is not None
        assert (again.by, again.strikes, again.until_ms) == ("a", 2, late + 30 * SECOND)

    def test_of_an_accounts_own_item_needs_no_name(self) -> None:
        mark = None
        for _ in range(3):
            mark = after_fault(mark, FAILING, NOW)
        assert mark is not None
        assert mark.by is None
        assert stops(mark, "a")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """No own keys, one of the operator's, a provider that fails whatever it is asked; the clock stands."""
    async with world_with_simulator() as world:
        world.health.clock_ms = NOW
        world.registry.own, world.registry.platform = [], [credential("openai", PLATFORM_KEY, alias="shared")]
        world.simulator.scripts.add("openai", key=None, fail="503")
        yield world


async def ask(world: World, account: str) -> httpx.Response:
    world.registry.account = replace(world.registry.account, id=account)
    return await world.post("/v1/chat/completions", CHAT)


def codes(*answers: httpx.Response) -> list[str]:
    return [each.json()["error"]["code"] for each in answers]


async def test_a_tenant_whose_requests_fail_shuts_nobody_else_out(world: World) -> None:
    for _ in range(3):
        await ask(world, ACCOUNT)
    asked = len(world.simulator.journal.entries())
    assert codes(await ask(world, ACCOUNT)) == ["provider_cooling"]
    assert len(world.simulator.journal.entries()) == asked
    world.simulator.scripts.clear("openai")
    assert (await ask(world, "other")).status_code == 200
    assert codes(await ask(world, ACCOUNT)) == ["provider_cooling"], "its own breaker waits for its own probe"


async def test_a_second_tenant_that_fails_opens_it_for_all(world: World) -> None:
    for account in (ACCOUNT, ACCOUNT, ACCOUNT, "other"):
        await ask(world, account)
    (mark,) = world.health.marks[PLATFORM_ACCOUNT].values()
    assert (mark.state, mark.by) == (HealthState.OPEN, None)
    world.simulator.scripts.clear("openai")
    assert codes(await ask(world, "third"), await ask(world, ACCOUNT)) == ["provider_cooling"] * 2
