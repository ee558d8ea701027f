"""What a request reserves of its account's limits on its way, and what it is told where they refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ownkey.domain.errors import BudgetExceeded
from ownkey.domain.limits import Claim, LimitScope, Measure, Window, Worst, claims, refusal
from ownkey.ledger.counters import Reservation
from tests.support.inference import CHAT, MESSAGES, FakeCounters, World, credential, world_with_simulator
from tests.support.limits import limit

FIRST, SECOND = "sk-sim-first-0123456789", "sk-sim-second-0123456789"
REQUESTS = limit(id="lim_requests")
TOKENS = limit(id="lim_tokens", measure=Measure.TOKENS, amount=100_000)
SPEND = limit(id="lim_spend", measure=Measure.SPEND, window=Window.MONTH, amount=10**9)
CHARGED = limit(id="lim_charged", measure=Measure.SPEND, window=Window.DAY, amount=10**9, include_byok=False)


class Refusing(FakeCounters):
    """Refuses what some limits are asked for."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = refused

    async def reserve(self, wanted: Reservation, instead_of: Reservation | None = None) -> Reservation:
        for claim in wanted.claims:
            if claim.limit_id in self.refused:
                raise refusal(claim, claim.reserved or 0, claim.amount, datetime.now(UTC))
        return await super().reserve(wanted, instead_of)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as world:
        world.registry.own = [
            credential("openai", FIRST, alias="first", priority=1),
            credential("openai", SECOND, alias="second", priority=2),
            credential("anthropic"),
        ]
        yield world


def refuse(world: World, *limits: str) -> Refusing:
    world.counters = Refusing(*limits)
    world.configure(ports=world.ports(world.upstream))
    return world.counters


def reserved(world: World, index: int = 0) -> dict[str, int | None]:
    wanted, _ = world.counters.reserved[index]
    return {claim.limit_id: claim.reserved for claim in wanted.claims}


def recorded(world: World, index: int = 0) -> dict[str, Claim]:
    start, _ = world.attempts.records[index]
    return {claim.limit_id: claim for claim in start.claims}


async def test_without_limits_nothing_is_reserved_and_nothing_recorded(world: World) -> None:
    async with world.running():
        assert (await world.post("/v1/chat/completions", CHAT)).status_code == 200
    assert world.counters.reserved == []
    assert recorded(world) == {}


async def test_a_limit_of_others_costs_nothing(world: World) -> None:
    world.registry.limits = [
        limit(scope=LimitScope.GATEWAY_KEY, value="gk_other"),
        limit(scope=LimitScope.USER, value="bob"),
        limit(scope=LimitScope.TAG, value="team=other"),
    ]
    async with world.running():
        assert (await world.post("/v1/chat/completions", CHAT | {"user": "ada"})).status_code == 200
    assert world.counters.reserved == []


async def test_the_worst_case_is_reserved_before_and_written_down_with_the_attempt(world: World) -> None:
    world.registry.limits = [REQUESTS, TOKENS, SPEND]
    async with world.running():
        assert (await world.post("/v1/chat/completions", CHAT | {"max_tokens": 50})).status_code == 200
    amounts = reserved(world)
    assert amounts["lim_requests"] == 1
    assert amounts["lim_tokens"] is not None
    assert amounts["lim_spend"] is not None
    assert 50 < amounts["lim_tokens"] < 80
    (_, end), *_ = world.attempts.records
    assert end.usage.total_tokens <= amounts["lim_tokens"]
    assert end.cost_nanousd <= amounts["lim_spend"]
    assert {limit_id: claim.reserved for limit_id, claim in recorded(world).items()} == amounts


async def test_a_soft_limit_is_only_written_down(world: World) -> None:
    world.registry.limits = [limit(id="lim_soft", hard=False)]
    async with world.running():
        assert (await world.post("/v1/chat/completions", CHAT)).status_code == 200
    assert world.counters.reserved == []
    assert recorded(world)["lim_soft"].reserved is None


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/v1/chat/completions", CHAT, ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")),
        ("/v1/messages", MESSAGES, ("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining")),
    ],
)
async def test_a_rate_limit_refuses_before_anything_is_sent(
    world: World, path: str, body: Any, names: tuple[str, str]
) -> None:
    world.registry.limits = [REQUESTS]
    refuse(world, "lim_requests")
    async with world.running():
        response = await world.post(path, body)
    assert response.status_code == 429
    error = response.json()["error"]
    assert (error["code"], error["metadata"]["source"]) == ("rate_limit_exceeded", "gateway")
    assert error["metadata"]["limit"]["id"] == "lim_requests"
    assert 0 < int(response.headers["retry-after"]) <= 60
    assert [response.headers[name] for name in names] == ["60", "0"]
    assert world.attempts.log == []


async def test_a_budget_refuses_and_tells_the_sdks_not_to_repeat(world: World) -> None:
    world.registry.limits = [SPEND]
    refuse(world, "lim_spend")
    async with world.running():
        response = await world.post("/v1/chat/completions", CHAT)
    assert response.status_code == 402
    assert response.json()["error"]["code"] == BudgetExceeded.code
    assert response.headers["x-should-retry"] == "false"
    assert "retry-after" not in response.headers


async def test_a_budget_of_what_is_charged_leaves_own_keys_alone(world: World) -> None:
    world.registry.limits = [CHARGED]
    world.registry.platform = [credential("openai", "sk-sim-platform-0123456789", alias="p", account_id="platform")]
    refuse(world, "lim_charged")
    async with world.running():
        assert (await world.post("/v1/chat/completions", CHAT)).status_code == 200
        for key in (FIRST, SECOND):
            world.simulator.scripts.add("openai", key=key, fail="500")
        failed = await world.post("/v1/chat/completions", CHAT)
    # Their failure is answered: waiting cures it.
    assert failed.status_code == 502
    assert [each["code"] for each in failed.json()["error"]["metadata"]["attempts"]][-1] == "budget_exceeded"


async def test_the_next_attempt_takes_over_what_a_failed_one_reserved(world: World) -> None:
    world.registry.limits = [REQUESTS, TOKENS]
    world.simulator.scripts.add("openai", key=FIRST, fail="500")
    async with world.running():
        assert (await world.post("/v1/chat/completions", CHAT)).status_code == 200
    (first, before_first), (second, before_second) = world.counters.reserved
    assert (before_first, before_second) == (None, first)
    assert first.attempt_id.endswith("#00")
    assert second.attempt_id.endswith("#01")
    assert world.counters.given_back == []


async def test_credits_that_do_not_suffice_give_the_reservation_back(world: World) -> None:
    world.registry.limits = [REQUESTS]
    world.registry.own = []
    world.registry.platform = [credential("openai", account_id="platform")]
    world.holds.available_nanousd = 0
    async with world.running():
        response = await world.post("/v1/chat/completions", CHAT)
    assert response.json()["error"]["code"] == "insufficient_credits"
    ((given_back, request_sent),) = world.counters.given_back
    assert (given_back, request_sent) == (world.counters.reserved[0][0], False)


async def test_a_request_that_was_sent_counts_though_the_next_attempt_comes_to_nothing(world: World) -> None:
    world.registry.limits = [REQUESTS]
    world.registry.own = world.registry.own[:1]
    world.registry.platform = [credential("openai", "sk-sim-platform-0123456789", alias="p", account_id="platform")]
    world.holds.available_nanousd = 0
    world.simulator.scripts.add("openai", key=FIRST, fail="500")
    async with world.running():
        assert (await world.post("/v1/chat/completions", CHAT)).status_code == 502
    ((given_back, request_sent),) = world.counters.given_back
    assert (given_back, request_sent) == (world.counters.reserved[1][0], True)


async def test_counting_tokens_is_a_request_and_spends_nothing(world: World) -> None:
    world.registry.limits = [REQUESTS, TOKENS, SPEND]
    async with world.running():
        assert (await world.post("/v1/messages/count_tokens", MESSAGES)).status_code == 200
    assert reserved(world) == {"lim_requests": 1}


def test_an_own_key_without_a_known_price_takes_nothing_of_a_budget() -> None:
    (claim,) = claims([SPEND], byok=True, worst=Worst(900, 0, 0), at=datetime(2026, 11, 21, tzinfo=UTC))
    assert claim.reserved == 0
