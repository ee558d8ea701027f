"""`/api/limits`: budgets and rate limits, by whom, and how much of them is used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ownkey.domain.limits import Worst, claims
from ownkey.ledger.counters import Counters, Reservation
from tests.support.aws import Tables
from tests.support.management import OPERATOR, Management, management

BUDGET = {"measure": "spend", "window": "month", "amount": "500.00", "include_byok": True}
RATE = {"measure": "requests", "window": "minute", "amount": 60}


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        running.clock.append(datetime(2026, 11, 21, 8, 31, 20, tzinfo=UTC))
        yield running


async def made(api: Management, **body: Any) -> dict[str, Any]:
    return await api.ok("POST", "/api/limits", json=RATE | body)


async def test_a_budget_is_set_read_changed_and_removed(api: Management) -> None:
    before = (await api.registry.account("acme")).version
    budget = await api.ok("POST", "/api/limits", json=BUDGET)
    assert budget == {
        "id": budget["id"],
        "scope": "account",
        "value": None,
        "measure": "spend",
        "window": "month",
        "amount": "500",
        "include_byok": True,
        "hard": True,
        "alerts": [50, 80, 100],
        "created_at": "2026-11-21T08:31:20.000000Z",
        "created_by": "ann",
        "updated_at": "2026-11-21T08:31:20.000000Z",
        "current": {"used": "0", "reserved": "0", "remaining": "500", "resets_at": "2026-12-01T00:00:00Z"},
    }
    assert await api.ok("GET", f"/api/limits/{budget['id']}") == budget
    changed = await api.ok(
        "PATCH", f"/api/limits/{budget['id']}", json={"amount": "750.5", "hard": False, "alerts": [90, 10]}
    )
    assert (changed["amount"], changed["hard"], changed["alerts"]) == ("750.5", False, [10, 90])
    assert (await api.ok("GET", "/api/limits"))["data"] == [changed]
    assert await api.ok("DELETE", f"/api/limits/{budget['id']}") == {"id": budget["id"], "deleted": True}
    assert (await api.ok("GET", "/api/limits"))["data"] == []
    assert (await api.registry.account("acme")).version == before + 3, "warm functions read again"


async def test_what_is_used_and_reserved_is_shown_and_changes_no_tag(api: Management, tables: Tables) -> None:
    budget = await api.ok("POST", "/api/limits", json=BUDGET)
    tag = (await api.call("GET", f"/api/limits/{budget['id']}")).headers["etag"]
    (stored,) = await api.registry.limits("acme")
    claim = claims([stored], byok=True, worst=Worst(0, 1_500_000_000, 0), at=api.clock[-1])
    await Counters(tables.db, tables.counters).reserve(Reservation("acme", "req_1#00", 0, claim))
    response = await api.call("GET", f"/api/limits/{budget['id']}")
    assert response.json()["current"] == {
        "used": "0",
        "reserved": "1.5",
        "remaining": "498.5",
        "resets_at": "2026-12-01T00:00:00Z",
    }
    assert response.headers["etag"] == tag


async def test_scopes_name_what_they_are_of(api: Management) -> None:
    key = await api.gateway_key()
    for scope, value in (("gateway_key", key["id"]), ("user", "ada"), ("tag", "team=core")):
        limit = await made(api, scope=scope, value=value)
        assert (limit["scope"], limit["value"]) == (scope, value)
    assert (await made(api))["alerts"] == [], "a minute is over before anybody reads"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"scope": "account", "value": "acme"}, "value"),
        ({"scope": "user"}, "value"),
        ({"scope": "gateway_key", "value": "gk_01jd4w3m8qk6v5t2r9x7y1z0ab"}, "value"),
        ({"amount": "60"}, "amount"),
        ({"amount": 0}, "amount"),
        ({"measure": "spend", "amount": 60}, "amount"),
        ({"measure": "spend", "amount": "-1"}, "amount"),
        ({"measure": "spend", "amount": "much"}, "amount"),
        ({"include_byok": False}, "include_byok"),
        ({"alerts": [0]}, "alerts"),
        ({"window": "hour"}, "window"),
        ({"measure": "calls"}, "measure"),
        ({"per": "minute"}, None),
    ],
)
async def test_what_makes_no_sense_is_refused(api: Management, body: dict[str, Any], param: str | None) -> None:
    status, error = await api.refused("POST", "/api/limits", json=RATE | body)
    assert status == 400
    assert param is None or str(error["param"]).startswith(param)
    assert await api.registry.limits("acme") == []


async def test_the_same_limit_twice_names_the_one_there_is(api: Management) -> None:
    first = await made(api)
    status, error = await api.refused("POST", "/api/limits", json=RATE | {"amount": 5})
    assert status == 409
    assert first["id"] in error["message"]


@pytest.mark.parametrize(
    ("by", "reads", "changes"),
    [
        ("ann", 200, 201),
        ("adi", 200, 201),
        ("mia", 200, 403),
        ("bea", 200, 403),
        (OPERATOR, 200, 403),
        ("oz", 404, 404),
    ],
)
async def test_owners_and_admins_set_limits_and_all_members_read_them(
    api: Management, by: str, reads: int, changes: int
) -> None:
    account = {"x-ownkey-account": "acme"}
    assert (await api.call("GET", "/api/limits", by=by, headers=account)).status_code == reads
    assert (await api.call("POST", "/api/limits", by=by, headers=account, json=RATE)).status_code == changes


async def test_a_change_is_made_on_what_was_seen(api: Management) -> None:
    limit = await made(api)
    path, tag = f"/api/limits/{limit['id']}", {"if-match": '"somethingelse"'}
    assert (await api.call("PATCH", path, json={"amount": 5}, headers=tag)).status_code == 412
    assert (await api.call("DELETE", path, headers=tag)).status_code == 412
    seen = (await api.call("GET", path)).headers["etag"]
    assert (await api.call("PATCH", path, json={"amount": 5}, headers={"if-match": seen})).status_code == 200


async def test_a_creation_may_be_repeated(api: Management) -> None:
    once = {"headers": {"idempotency-key": "one"}, "json": RATE}
    first = await api.ok("POST", "/api/limits", **once)
    again = await api.call("POST", "/api/limits", **once)
    assert (again.status_code, again.json()) == (201, first)
    assert len(await api.registry.limits("acme")) == 1


async def test_the_audit_log_says_who_set_what(api: Management) -> None:
    limit = await made(api)
    await api.ok("PATCH", f"/api/limits/{limit['id']}", json={"amount": 90}, by="adi")
    await api.ok("DELETE", f"/api/limits/{limit['id']}")
    log = {each["action"]: each for each in await api.log("?action=limit")}
    assert log.keys() == {"limit.created", "limit.updated", "limit.deleted"}
    assert {each["target"]["limit_id"] for each in log.values()} == {limit["id"]}
    updated = log["limit.updated"]
    assert (updated["actor_id"], updated["details"]["amount"]) == ("adi", 90)
