"""`GET /v1/key`: what the holder of a gateway key is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ownkey.domain.errors import GatewayKeyRevoked
from ownkey.domain.gateway_keys import PreviousSecret, digest_of
from ownkey.domain.limits import Counter, LimitScope, Measure, Window
from ownkey.ledger.key_spending import KeySpending, KeySpendings, Spent
from ownkey.ledger.rollups import updates
from tests.support.attempts import attempt
from tests.support.aws import Tables
from tests.support.inference import AT, KEYS, World, credential, world_with_simulator
from tests.support.limits import limit

NOW_DAY = "2026-11-18"


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
        "rate_limit": {"requests": -1, "interval": "1m", "note": "-1: no limit of requests a minute."},
        "limits": [],
        "is_free_tier": False,
        "is_management_key": False,
        "is_provisioning_key": False,
        "creator_user_id": None,
        **dict.fromkeys(("usage", "usage_daily", "usage_weekly", "usage_monthly"), 0),
        **dict.fromkeys(("byok_usage", "byok_usage_daily", "byok_usage_weekly", "byok_usage_monthly"), 0),
    }


class TestLimits:
    async def test_the_one_that_clients_know_is_the_keys_budget_with_the_least_left(self, world: World) -> None:
        budget = {"scope": LimitScope.GATEWAY_KEY, "value": "gk_1", "measure": Measure.SPEND, "include_byok": False}
        world.registry.limits = [
            limit(id="lim_day", **budget, window=Window.DAY, amount=5 * 10**9),
            limit(id="lim_month", **budget, window=Window.MONTH, amount=20 * 10**9),
            limit(id="lim_soft", **budget, window=Window.TOTAL, amount=1, hard=False),
            limit(id="lim_account", measure=Measure.SPEND, window=Window.DAY, amount=2),
        ]
        world.counters.used = {"lim_month": Counter(used=16 * 10**9, committed=18 * 10**9)}
        told = (await world.get("/v1/key")).json()["data"]
        assert {name: told[name] for name in ("limit", "limit_remaining", "limit_reset", "include_byok_in_limit")} == {
            "limit": 20,
            "limit_remaining": 2,
            "limit_reset": "monthly",
            "include_byok_in_limit": False,
        }
        assert [(each["scope"], each["window"], each["amount"], each["remaining"]) for each in told["limits"]] == [
            ("gateway_key", "day", "5", "5"),
            ("gateway_key", "month", "20", "2"),
            ("gateway_key", "total", "0.000000001", "0.000000001"),
            ("account", "day", "0.000000002", "0.000000002"),
        ]

    async def test_limits_of_other_keys_users_and_tags_are_not_told(self, world: World) -> None:
        of = [(LimitScope.GATEWAY_KEY, "gk_other"), (LimitScope.USER, "ann"), (LimitScope.TAG, "team")]
        world.registry.limits = [limit(id=f"lim_{value}", scope=scope, value=value) for scope, value in of]
        told = (await world.get("/v1/key")).json()["data"]
        assert (told["limits"], told["limit"], told["rate_limit"]["requests"]) == ([], None, -1)

    async def test_the_rate_is_the_lowest_that_holds(self, world: World) -> None:
        world.registry.limits = [
            limit(id="lim_a", amount=60),
            limit(id="lim_b", scope=LimitScope.GATEWAY_KEY, value="gk_1", amount=30),
        ]
        told = (await world.get("/v1/key")).json()["data"]
        assert (told["rate_limit"]["requests"], told["rate_limit"]["interval"]) == (30, "1m")


async def test_what_it_spent_is_in_dollars(world: World) -> None:
    world.spending.spent = Spent(charged_nanousd=1_575_000, byok_nanousd=2_500_000_000)
    told = (await world.get("/v1/key")).json()["data"]
    for span in ("", "_daily", "_weekly", "_monthly"):
        assert (told[f"usage{span}"], told[f"byok_usage{span}"]) == (0.001575, 2.5)


class TestSpending:
    NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
    """A Wednesday."""

    async def test_it_is_summed_by_the_calendar(self, tables: Tables) -> None:
        days = {NOW_DAY: 1, "2026-11-16": 2, "2026-11-15": 4, "2026-10-31": 8, "2025-12-31": 16}
        records = [
            attempt(cost=cost, charge=charge, at=datetime.fromisoformat(f"{day}T10:00:00+00:00"))
            for day, cost in days.items()
            for charge in (0, 100 * cost)
        ]
        records.append(attempt(cost=32, request={"gateway_key_id": "gk_other"}, at=self.NOW))
        for update in updates(records, tables.rollups):
            await tables.db.write(update)
        spendings = KeySpendings(tables.db, tables.rollups)
        found = await spendings.of("acme", "gk_1", since="2025-12-01T00:00:00Z", now=self.NOW)
        assert found == KeySpending(ever=Spent(3_100, 31), day=Spent(100, 1), week=Spent(300, 3), month=Spent(700, 7))
        nothing = await spendings.of("acme", "gk_new", since="2026-11-18T00:00:00Z", now=self.NOW)
        assert nothing == KeySpending(Spent(0, 0), Spent(0, 0), Spent(0, 0), Spent(0, 0))


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
