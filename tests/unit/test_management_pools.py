"""`/api/pools`: in which order an account's credentials for a provider are used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.aws import Tables
from tests.support.management import ANTHROPIC_KEY, OPENAI_KEY, OPERATOR, Management, management


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def test_a_pool_is_a_providers_credentials_in_the_order_of_their_priority(api: Management) -> None:
    low = await api.save(alias="low", priority=5, weight=3)
    high = await api.save(alias="high", disabled=True)
    other = await api.save(provider="Anthropic", key=ANTHROPIC_KEY)
    rows = (await api.ok("GET", "/api/pools"))["data"]
    assert [(row["provider"], row["provider_name"], row["strategy"]) for row in rows] == [
        ("anthropic", "Anthropic", "fallback"),
        ("openai", "OpenAI", "fallback"),
    ]
    assert [each["id"] for each in rows[0]["credentials"]] == [other["id"]]
    assert rows[1]["credentials"] == [
        {"id": high["id"], "alias": "high", "priority": 0, "weight": 1, "disabled": True},
        {"id": low["id"], "alias": "low", "priority": 5, "weight": 3, "disabled": False},
    ]


@pytest.mark.parametrize("strategy", ["fallback", "round_robin", "weighted", "random"])
async def test_a_strategy_holds_for_one_provider_from_the_next_request_on(api: Management, strategy: str) -> None:
    before = (await api.registry.account("acme")).version
    pool = await api.ok("PUT", "/api/pools/OpenAI", json={"strategy": strategy})
    assert (pool["provider"], pool["strategy"], pool["credentials"]) == ("openai", strategy, [])
    head = await api.registry.account("acme")
    assert head.pools == {"openai": strategy}
    assert head.version == before + 1, "warm functions read again"
    assert (await api.registry.account("other")).pools == {}


async def test_strategies_set_at_the_same_time_are_all_kept(api: Management) -> None:
    providers = ("openai", "anthropic", "groq")
    await asyncio.gather(*(api.ok("PUT", f"/api/pools/{each}", json={"strategy": "random"}) for each in providers))
    assert (await api.registry.account("acme")).pools == dict.fromkeys(providers, "random")


async def test_a_pool_keeps_its_strategy_while_it_is_empty(api: Management) -> None:
    saved = await api.save()
    await api.ok("PUT", "/api/pools/openai", json={"strategy": "weighted"})
    await api.ok("DELETE", f"/api/byok/{saved['id']}")
    (row,) = (await api.ok("GET", "/api/pools"))["data"]
    assert (row["strategy"], row["credentials"]) == ("weighted", [])


async def test_a_strategy_is_not_set_on_a_pool_that_is_not_what_was_seen(api: Management) -> None:
    async def tag() -> str:
        return str((await api.call("GET", "/api/pools/openai")).headers["etag"])

    async def put(strategy: str, seen: str) -> tuple[int, str]:
        answer = await api.call("PUT", "/api/pools/openai", json={"strategy": strategy}, headers={"if-match": seen})
        return answer.status_code, answer.headers.get("etag", "")

    empty = await tag()
    await api.save(weight=5)
    filled = await tag()
    assert (await put("weighted", empty))[0] == 412, "a credential came meanwhile"
    assert (await api.registry.account("acme")).pools == {}
    status, after = await put("weighted", filled)
    assert (status, after) == (200, await tag())
    assert (await put("random", filled))[0] == 412, "of two who saw the same the second is told"
    assert (await api.registry.account("acme")).pools == {"openai": "weighted"}
    assert (await api.refused("GET", "/api/pools/nobodys"))[0] == 404


async def test_what_is_no_strategy_or_no_provider_is_refused(api: Management) -> None:
    for body in ({"strategy": "fastest"}, {"strategy": None}, {}, {"strategy": "random", "more": 1}):
        assert (await api.refused("PUT", "/api/pools/openai", json=body))[0] == 400
    status, error = await api.refused("PUT", f"/api/pools/{OPENAI_KEY}", json={"strategy": "random"})
    assert status == 404
    assert OPENAI_KEY not in str(error)
    assert (await api.registry.account("acme")).pools == {}


@pytest.mark.parametrize(("who", "reads", "writes"), [("adi", 200, 200), ("mia", 200, 403), ("bea", 403, 403)])
async def test_who_manages_credentials_manages_pools(api: Management, who: str, reads: int, writes: int) -> None:
    assert (await api.call("GET", "/api/pools", by=who)).status_code == reads
    answer = await api.call("PUT", "/api/pools/openai", by=who, json={"strategy": "random"})
    assert answer.status_code == writes


async def test_the_platforms_pools_are_the_operators(api: Management) -> None:
    await api.ok("PUT", "/api/pools/openai?account=platform", by=OPERATOR, json={"strategy": "weighted"})
    (row,) = (await api.ok("GET", "/api/pools?account=platform", by=OPERATOR))["data"]
    assert (row["provider"], row["strategy"]) == ("openai", "weighted")
    assert (await api.refused("GET", "/api/pools?account=acme", by=OPERATOR))[0] == 403
    assert (await api.refused("GET", "/api/pools?account=platform"))[0] == 404
