"""`/api/gateway-keys`: shown once, listed without the key, scoped, changed, revoked with effect on the next request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.errors import GatewayKeyExpired, GatewayKeyRevoked
from ownkey.domain.gateway_keys import mint, present
from ownkey.domain.surfaces import Surface
from tests.support.aws import Tables
from tests.support.management import OPENAI_KEY, Management, management

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def presented(api: Management, key: str) -> Any:
    """What the next inference request with this key would see."""
    read = present(key, allow_foreign=True)
    assert read is not None
    return await api.registry.read_for_request(read)


async def test_a_new_key_is_shown_once_and_works_at_once(api: Management) -> None:
    response = await api.call("POST", "/api/gateway-keys", json={"alias": "checkout"})
    created = response.json()
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert created["key"].startswith("ok-acme-")
    assert (await presented(api, created["key"])).key.id == created["id"]
    shown_later = await api.ok("GET", f"/api/gateway-keys/{created['id']}")
    assert shown_later == {name: value for name, value in created.items() if name != "key"}
    assert shown_later["mask"] == f"ok-…{created['key'][-4:]}"


async def test_nothing_stored_gives_a_key_away(api: Management) -> None:
    created = await api.gateway_key()
    secret = created["key"].rpartition("-")[2]
    rows = await api.tables.db.query_all(api.tables.registry, "KEYS#acme")
    rows += await api.tables.db.query_all(api.tables.registry, f"KEY#{rows[0]['digest']}")
    assert len(rows) == 2
    assert not any(secret[at : at + 8] in str(rows) for at in range(len(secret) - 8))


async def test_the_list_has_them_all_with_their_state(api: Management) -> None:
    api.clock.append(NOON)
    active, expired, revoked = [await api.gateway_key(alias=name, expires_in_days=1) for name in ("a", "b", "c")]
    await api.ok("PATCH", f"/api/gateway-keys/{active['id']}", json={"expires_at": None})
    await api.ok("DELETE", f"/api/gateway-keys/{revoked['id']}")
    api.clock.append(NOON + timedelta(days=2))
    rows = (await api.ok("GET", "/api/gateway-keys"))["data"]
    assert [(row["id"], row["status"]) for row in rows] == [
        (active["id"], "active"),
        (expired["id"], "expired"),
        (revoked["id"], "revoked"),
    ]


async def test_a_revoked_key_is_refused_from_the_next_request_on(api: Management) -> None:
    created = await api.gateway_key()
    await presented(api, created["key"])
    revoked = await api.ok("DELETE", f"/api/gateway-keys/{created['id']}")
    assert revoked["status"] == "revoked"
    with pytest.raises(GatewayKeyRevoked):
        await presented(api, created["key"])


async def test_revoking_twice_keeps_the_first_time(api: Management) -> None:
    created = await api.gateway_key()
    first, second = [await api.ok("DELETE", f"/api/gateway-keys/{created['id']}") for _ in range(2)]
    assert first["revoked_at"] == second["revoked_at"]


@pytest.mark.parametrize(
    ("body", "expires_at"),
    [
        ({"expires_in_days": 30}, "2026-12-21T12:00:00.000000Z"),
        ({"expires_at": "2026-12-24T18:00:00+01:00"}, "2026-12-24T17:00:00.000000Z"),
        ({}, None),
    ],
)
async def test_expiry_is_given_in_days_or_as_a_time(api: Management, body: dict[str, Any], expires_at: str) -> None:
    api.clock.append(NOON)
    assert (await api.gateway_key(**body))["expires_at"] == expires_at


@pytest.mark.parametrize(
    "body",
    [
        {"expires_at": "2026-11-21T11:59:59Z"},
        {"expires_at": "2027-01-01T00:00:00"},
        {"expires_at": "tomorrow"},
        {"expires_at": "2027-01-01T00:00:00Z", "expires_in_days": 3},
        {"expires_in_days": 0},
        {"expires_in_days": "30"},
        {"usage_cost_mode": "free"},
        {"scopes": ["admin"]},
        {"limits": {"requests_per_minute": 10}},
    ],
)
async def test_what_makes_no_sense_creates_nothing(api: Management, body: dict[str, Any]) -> None:
    api.clock.append(NOON)
    status, error = await api.refused("POST", "/api/gateway-keys", json=body)
    assert (status, error["code"]) == (400, "invalid_parameter")
    assert (await api.ok("GET", "/api/gateway-keys"))["data"] == []


async def test_an_expired_key_can_be_extended(api: Management) -> None:
    api.clock.append(datetime(2020, 1, 1, tzinfo=UTC))
    created = await api.gateway_key(expires_in_days=1)
    with pytest.raises(GatewayKeyExpired):
        await presented(api, created["key"])
    changed = await api.ok("PATCH", f"/api/gateway-keys/{created['id']}", json={"expires_at": "2999-01-01T00:00:00Z"})
    assert changed["expires_at"] == "2999-01-01T00:00:00.000000Z"
    assert (await presented(api, created["key"])).key.expires_at == changed["expires_at"]


async def test_alias_and_cost_mode_change_and_absent_stays(api: Management) -> None:
    created = await api.gateway_key(alias="a", expires_in_days=1)
    body = {"alias": "b", "usage_cost_mode": "provider"}
    changed = await api.ok("PATCH", f"/api/gateway-keys/{created['id']}", json=body)
    assert {name for name in changed if changed[name] != created[name]} == body.keys() | {"updated_at"}
    assert await api.ok("GET", f"/api/gateway-keys/{created['id']}") == changed


async def test_members_have_a_hand_on_their_own_keys_alone(api: Management) -> None:
    own, others = await api.gateway_key(by="mia"), await api.gateway_key(by="ann")
    for method, body in (("PATCH", {"alias": "mine"}), ("DELETE", None)):
        assert (await api.refused(method, f"/api/gateway-keys/{others['id']}", by="mia", json=body))[0] == 403
        await api.ok(method, f"/api/gateway-keys/{own['id']}", by="mia", json=body)
    await api.ok("DELETE", f"/api/gateway-keys/{others['id']}", by="adi")


class TestWhatAnAdminRestricted:
    """A key that a member created: `mia` is a member, `adi` an admin."""

    @pytest.mark.parametrize("loosened", [{"models": None}, {"models": ["gpt-*"]}, {"expires_at": None}])
    async def test_its_creator_does_not_loosen(self, api: Management, loosened: dict[str, Any]) -> None:
        path = f"/api/gateway-keys/{(await api.gateway_key(by='mia'))['id']}"
        ends = {"models": ["gpt-4o-mini"], "expires_at": "2100-01-01T00:00:00Z"}
        held = await api.ok("PATCH", path, by="adi", json=ends)
        assert held["restricted_by"] == "adi"
        status, error = await api.refused("PATCH", path, by="mia", json=loosened)
        assert (status, error["code"]) == (403, "forbidden")
        assert await api.ok("GET", path) == held

    async def test_all_else_is_still_the_creators(self, api: Management) -> None:
        path = f"/api/gateway-keys/{(await api.gateway_key(by='mia'))['id']}"
        await api.ok("PATCH", path, by="adi", json={"models": ["gpt-4o-mini"]})
        assert (await api.ok("PATCH", path, by="mia", json={"alias": "mine"}))["restricted_by"] == "adi"
        rotated = await api.ok("POST", f"{path}/rotate", by="mia")
        assert (rotated["models"], rotated["restricted_by"]) == (["gpt-4o-mini"], "adi")
        await api.ok("DELETE", path, by="mia")

    async def test_another_admin_may_and_with_nothing_left_it_is_the_creators_again(self, api: Management) -> None:
        path = f"/api/gateway-keys/{(await api.gateway_key(by='mia'))['id']}"
        await api.ok("PATCH", path, by="adi", json={"models": ["gpt-4o-mini"], "surfaces": ["chat"]})
        assert (await api.ok("PATCH", path, json={"models": None}))["restricted_by"] == "ann"
        assert (await api.ok("PATCH", path, json={"surfaces": None}))["restricted_by"] is None
        await api.ok("PATCH", path, by="mia", json={"models": ["gpt-4o"]})
        assert (await api.ok("PATCH", path, by="mia", json={"models": None}))["restricted_by"] is None

    async def test_an_alias_is_no_restriction(self, api: Management) -> None:
        path = f"/api/gateway-keys/{(await api.gateway_key(by='mia', models=['gpt-4o']))['id']}"
        assert (await api.ok("PATCH", path, by="adi", json={"alias": "hers"}))["restricted_by"] is None
        await api.ok("PATCH", path, by="mia", json={"models": None})


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"alias": "x"}), ("DELETE", None)])
async def test_anothers_is_as_unknown_as_none(api: Management, method: str, body: Any) -> None:
    theirs = await api.gateway_key(by="oz")
    status, error = await api.refused(method, f"/api/gateway-keys/{theirs['id']}", json=body)
    assert (status, error["code"]) == (404, "not_found")
    assert (await presented(api, theirs["key"])).key.alias == "default"


SCOPE = {
    "models": ["gpt-4o*", "anthropic/claude-haiku-4-5"],
    "providers": ["openai", "anthropic"],
    "surfaces": ["chat", "models"],
    "addresses": ["203.0.113.0/24", "2001:db8::1"],
    "origins": ["https://app.example"],
}


class TestScope:
    async def test_is_shown_and_holds_for_the_next_request(self, api: Management) -> None:
        created = await api.gateway_key(**SCOPE)
        assert {name: created[name] for name in SCOPE} == SCOPE
        key = (await presented(api, created["key"])).key
        assert {name: list(getattr(key, name)) for name in SCOPE} == SCOPE

    async def test_is_everything_where_nothing_is_said(self, api: Management) -> None:
        created = await api.gateway_key()
        assert {created[name] for name in SCOPE} == {None}
        key = (await presented(api, created["key"])).key
        assert {getattr(key, name) for name in SCOPE} == {None}

    @pytest.mark.parametrize("part", SCOPE)
    async def test_changes_part_by_part_and_null_lifts_it(self, api: Management, part: str) -> None:
        created = await api.gateway_key()
        for value in (SCOPE[part], None):
            changed = await api.ok("PATCH", f"/api/gateway-keys/{created['id']}", json={part: value})
            assert changed[part] == value
            assert {changed[other] for other in SCOPE if other != part} == {None}
            kept = getattr((await presented(api, created["key"])).key, part)
            assert kept == (None if value is None else tuple(value))

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ({"providers": ["OpenAI", "openai", "claude"]}, ["openai", "anthropic"]),
            ({"addresses": ["::ffff:203.0.113.7", "203.0.113.7/32"]}, ["203.0.113.7"]),
            ({"addresses": ["2001:DB8::/32"]}, ["2001:db8::/32"]),
            (
                {"origins": ["HTTPS://App.Example:443/", "http://localhost:5173"]},
                SCOPE["origins"] + ["http://localhost:5173"],
            ),
            ({"models": ["gpt-4o", "gpt-4o"]}, ["gpt-4o"]),
        ],
    )
    async def test_is_kept_in_one_form(self, api: Management, given: dict[str, Any], kept: list[str]) -> None:
        (part,) = given
        assert (await api.gateway_key(**given))[part] == kept

    @pytest.mark.parametrize(
        "body",
        [
            *({part: []} for part in SCOPE),
            {"models": ["*"]},
            {"models": ["gpt-*-mini"]},
            {"models": [""]},
            {"models": "gpt-4o"},
            {"providers": ["nobody-s-provider"]},
            {"surfaces": ["telepathy"]},
            {"surfaces": ["CHAT"]},
            {"addresses": ["10.0.0.1/8"]},
            {"addresses": ["app.example"]},
            {"addresses": [f"203.0.113.{n}" for n in range(51)]},
            {"origins": ["null"]},
            {"origins": ["https://*.example"]},
            {"origins": ["https://app.example/path"]},
        ],
    )
    async def test_that_makes_no_sense_is_refused_and_not_repeated(self, api: Management, body: dict[str, Any]) -> None:
        ((part, values),) = body.items()
        created = await api.gateway_key()
        for method, path in (("POST", ""), ("PATCH", f"/{created['id']}")):
            status, error = await api.refused(method, f"/api/gateway-keys{path}", json=body)
            assert (status, error["code"], error["param"]) == (400, "invalid_parameter", part)
            assert not any(value and value in error["message"] for value in values if len(value) > 4)
        assert len((await api.ok("GET", "/api/gateway-keys"))["data"]) == 1

    async def test_names_every_surface_there_is(self, api: Management) -> None:
        everything = [surface.value for surface in Surface]
        assert (await api.gateway_key(surfaces=everything))["surfaces"] == everything


async def test_a_creation_that_is_repeated_happens_once_and_shows_the_key_once(api: Management) -> None:
    headers = {"idempotency-key": "create-checkout"}
    first = await api.call("POST", "/api/gateway-keys", json={"alias": "checkout"}, headers=headers)
    again = await api.call("POST", "/api/gateway-keys", json={"alias": "checkout"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    replayed = again.json()
    assert "shown when this request was first answered" in replayed.pop("warnings")[0]
    assert replayed == {name: value for name, value in first.json().items() if name != "key"}
    assert len((await api.ok("GET", "/api/gateway-keys"))["data"]) == 1


async def test_the_list_comes_in_pages(api: Management) -> None:
    created = [(await api.gateway_key())["id"] for _ in range(3)]
    first = await api.ok("GET", "/api/gateway-keys", params={"limit": 2})
    rest = await api.ok("GET", "/api/gateway-keys", params={"limit": 2, "cursor": first["next_cursor"]})
    assert [row["id"] for row in first["data"] + rest["data"]] == created
    assert rest["next_cursor"] is None


class TestImport:
    """Keys that clients hold already, moved over from another gateway."""

    async def test_where_the_deployment_allows_it_a_foreign_key_is_taken_over(self, tables: Tables) -> None:
        async with management(tables, imported_gateway_keys=True) as api:
            created = await api.gateway_key(key="kr_live_0123456789abcdef")
            assert "key" not in created
            assert created["mask"] == "kr_…cdef"
            assert (await presented(api, "kr_live_0123456789abcdef")).key.id == created["id"]

    async def test_twice_is_a_conflict(self, tables: Tables) -> None:
        async with management(tables, imported_gateway_keys=True) as api:
            await api.gateway_key(key="kr_live_0123456789abcdef")
            status, error = await api.refused(
                "POST", "/api/gateway-keys", by="oz", json={"key": "kr_live_0123456789abcdef"}
            )
            assert (status, error["code"]) == (409, "conflict")

    async def test_elsewhere_it_is_refused(self, api: Management) -> None:
        status, error = await api.refused("POST", "/api/gateway-keys", json={"key": OPENAI_KEY})
        assert (status, error["param"]) == (400, "key")
        assert OPENAI_KEY not in str(error)

    async def test_a_key_of_a_former_deployment_keeps_working_in_its_own_account(self, api: Management) -> None:
        former = mint("acme").reveal()
        created = await api.gateway_key(key=former)
        assert (await presented(api, former)).key.id == created["id"]

    async def test_a_key_that_names_another_account_is_refused(self, api: Management) -> None:
        status, _ = await api.refused("POST", "/api/gateway-keys", json={"key": mint("other").reveal()})
        assert status == 400
