"""Gateway keys that change: rotated with an overlap, by two writers at once, and when each secret was last used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.errors import Conflict, GatewayKeyExpired, GatewayKeyRevoked, InvalidGatewayKey
from ownkey.domain.gateway_keys import digest_of, present
from ownkey.registry import Registry
from ownkey.registry.key_use import KeyUse
from tests.support.aws import Tables
from tests.support.management import Management, management

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SCOPE = {"models": ["gpt-4o*"], "addresses": ["203.0.113.0/24"]}


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def presented(api: Management, key: str) -> Any:
    """What the next inference request with this key would see."""
    read = present(key, allow_foreign=True)
    assert read is not None
    return await api.registry.read_for_request(read)


async def rotate(api: Management, key_id: str, **body: Any) -> dict[str, Any]:
    return await api.ok("POST", f"/api/gateway-keys/{key_id}/rotate", json=body)


class TestRotation:
    async def test_the_new_secret_is_shown_once_and_both_count(self, api: Management) -> None:
        created = await api.gateway_key(alias="checkout", **SCOPE)
        rotated = await rotate(api, created["id"])
        assert rotated["id"] == created["id"]
        assert rotated["key"] != created["key"]
        assert rotated["mask"] == f"ok-…{rotated['key'][-4:]}"
        for secret in (created["key"], rotated["key"]):
            key = (await presented(api, secret)).key
            assert (key.id, key.alias, key.models) == (created["id"], "checkout", tuple(SCOPE["models"]))
        shown = await api.ok("GET", f"/api/gateway-keys/{created['id']}")
        assert shown == {name: value for name, value in rotated.items() if name != "key"}
        assert [row["id"] for row in (await api.ok("GET", "/api/gateway-keys"))["data"]] == [created["id"]]

    async def test_the_old_secret_ends_with_the_overlap(self, api: Management) -> None:
        api.clock.append(NOON)
        created = await api.gateway_key()
        shown = (await rotate(api, created["id"], overlap_hours=2))["previous"]
        assert shown == {
            "mask": created["mask"],
            "status": "active",
            "expires_at": "2026-11-21T14:00:00.000000Z",
            "last_used_at": None,
        }
        api.clock.append(NOON + timedelta(hours=2))
        over = await api.ok("GET", f"/api/gateway-keys/{created['id']}")
        assert (over["status"], over["previous"]["status"]) == ("active", "ended")

    async def test_a_day_where_nothing_is_said(self, api: Management) -> None:
        api.clock.append(NOON)
        created = await api.gateway_key()
        rotated = await api.ok("POST", f"/api/gateway-keys/{created['id']}/rotate")
        assert rotated["previous"]["expires_at"] == "2026-11-22T12:00:00.000000Z"

    async def test_without_an_overlap_the_old_secret_ends_at_once_and_says_why(self, api: Management) -> None:
        created = await api.gateway_key(alias="checkout")
        rotated = await rotate(api, created["id"], overlap_hours=0)
        with pytest.raises(GatewayKeyExpired, match="'checkout' was rotated"):
            await presented(api, created["key"])
        assert (await presented(api, rotated["key"])).key.id == created["id"]

    async def test_rotating_again_ends_the_older_one(self, api: Management) -> None:
        first = await api.gateway_key()
        second = await rotate(api, first["id"])
        third = await rotate(api, first["id"])
        with pytest.raises(InvalidGatewayKey):
            await presented(api, first["key"])
        for secret in (second["key"], third["key"]):
            assert (await presented(api, secret)).key.id == first["id"]
        assert third["previous"]["mask"] == second["mask"]

    async def test_revoking_revokes_both_at_once(self, api: Management) -> None:
        created = await api.gateway_key()
        rotated = await rotate(api, created["id"])
        await api.ok("DELETE", f"/api/gateway-keys/{created['id']}")
        for secret in (created["key"], rotated["key"]):
            with pytest.raises(GatewayKeyRevoked):
                await presented(api, secret)

    async def test_a_change_holds_for_both_secrets(self, api: Management) -> None:
        created = await api.gateway_key()
        rotated = await rotate(api, created["id"])
        body = {"alias": "b", "addresses": ["203.0.113.7"], "expires_at": "2999-01-01T00:00:00Z"}
        await api.ok("PATCH", f"/api/gateway-keys/{created['id']}", json=body)
        for secret in (created["key"], rotated["key"]):
            key = (await presented(api, secret)).key
            assert (key.alias, key.addresses, key.expires_at) == ("b", ("203.0.113.7",), "2999-01-01T00:00:00.000000Z")

    async def test_no_overlap_outlives_the_key(self, api: Management) -> None:
        api.clock.append(NOON)
        created = await api.gateway_key(expires_in_days=1)
        rotated = await rotate(api, created["id"], overlap_hours=720)
        assert rotated["previous"]["expires_at"] == rotated["expires_at"] == "2026-11-22T12:00:00.000000Z"

    async def test_nothing_stored_gives_either_secret_away(self, api: Management) -> None:
        created = await api.gateway_key()
        rotated = await rotate(api, created["id"])
        rows = await api.tables.db.query_all(api.tables.registry, "KEYS#acme")
        for secret in (created["key"], rotated["key"]):
            rows += await api.tables.db.query_all(api.tables.registry, f"KEY#{digest_of(secret)}")
        assert len(rows) == 3
        for body in (created["key"].rpartition("-")[2], rotated["key"].rpartition("-")[2]):
            assert not any(body[at : at + 8] in str(rows) for at in range(len(body) - 8))

    @pytest.mark.parametrize("hours", [-1, 721, 1.5, "24", None])
    async def test_an_overlap_is_whole_hours_up_to_thirty_days(self, api: Management, hours: Any) -> None:
        created = await api.gateway_key()
        body = {"overlap_hours": hours}
        status, error = await api.refused("POST", f"/api/gateway-keys/{created['id']}/rotate", json=body)
        assert (status, error["param"]) == (400, "overlap_hours")
        assert (await presented(api, created["key"])).key.previous is None

    async def test_a_key_that_no_longer_counts_is_not_rotated(self, api: Management) -> None:
        api.clock.append(NOON)
        expired, revoked = await api.gateway_key(expires_in_days=1), await api.gateway_key()
        await api.ok("DELETE", f"/api/gateway-keys/{revoked['id']}")
        api.clock.append(NOON + timedelta(days=2))
        for created in (expired, revoked):
            status, error = await api.refused("POST", f"/api/gateway-keys/{created['id']}/rotate", json={})
            assert (status, error["code"]) == (409, "conflict")

    async def test_of_two_at_once_one_wins(self, api: Management) -> None:
        created = await api.gateway_key()
        path = f"/api/gateway-keys/{created['id']}/rotate"
        answers = await asyncio.gather(*(api.call("POST", path, json={}) for _ in range(4)))
        won = [each.json()["key"] for each in answers if each.status_code == 200]
        assert won
        assert {each.status_code for each in answers} <= {200, 409}
        shown = await api.ok("GET", f"/api/gateway-keys/{created['id']}")
        assert shown["mask"] in {f"ok-…{key[-4:]}" for key in won}

    async def test_an_imported_key_moves_over_to_one_of_ours(self, tables: Tables) -> None:
        async with management(tables, imported_gateway_keys=True) as api:
            foreign = "kr_live_0123456789abcdef"
            created = await api.gateway_key(key=foreign)
            rotated = await rotate(api, created["id"])
            assert rotated["key"].startswith("ok-acme-")
            for secret in (foreign, rotated["key"]):
                assert (await presented(api, secret)).key.id == created["id"]

    async def test_members_rotate_their_own_alone(self, api: Management) -> None:
        own, others = await api.gateway_key(by="mia"), await api.gateway_key(by="ann")
        path = f"/api/gateway-keys/{others['id']}/rotate"
        assert (await api.refused("POST", path, by="mia", json={}))[0] == 403
        assert (await api.refused("POST", path, by="oz", json={}))[0] == 404
        await api.ok("POST", f"/api/gateway-keys/{own['id']}/rotate", by="mia", json={})


class TestLastUse:
    async def test_is_shown_for_the_key_and_for_the_secret_before(self, api: Management) -> None:
        created = await api.gateway_key()
        assert created["last_used_at"] is None
        before = (await presented(api, created["key"])).key
        await KeyUse(api.tables.db, api.tables.health, now=lambda: NOON).note(before)
        assert (await api.ok("GET", f"/api/gateway-keys/{created['id']}"))[
            "last_used_at"
        ] == "2026-11-21T12:00:00.000000Z"
        rotated = await rotate(api, created["id"])
        assert rotated["previous"]["last_used_at"] == "2026-11-21T12:00:00.000000Z"
        current = (await presented(api, rotated["key"])).key
        await KeyUse(api.tables.db, api.tables.health, now=lambda: NOON + timedelta(hours=1)).note(current)
        (row,) = (await api.ok("GET", "/api/gateway-keys"))["data"]
        assert row["last_used_at"] == "2026-11-21T13:00:00.000000Z"
        assert row["previous"]["last_used_at"] == "2026-11-21T12:00:00.000000Z"

    async def test_changes_no_tag(self, api: Management) -> None:
        created = await api.gateway_key()
        path = f"/api/gateway-keys/{created['id']}"
        tag = (await api.call("GET", path)).headers["etag"]
        await KeyUse(api.tables.db, api.tables.health).note((await presented(api, created["key"])).key)
        assert (await api.call("GET", path)).headers["etag"] == tag


class TestTwoWriters:
    async def test_the_one_who_decided_on_stale_data_is_told(self, api: Management) -> None:
        created = await api.gateway_key(alias="a")
        seen = await api.registry.gateway_key("acme", created["id"])
        await api.ok("PATCH", f"/api/gateway-keys/{created['id']}", json={"models": ["gpt-4o"]})
        late = replace(seen, alias="late", updated_at="2026-11-21T12:00:00Z")
        with pytest.raises(Conflict):
            await api.registry.update_gateway_key(late, seen_updated_at=seen.updated_at)
        kept = await api.ok("GET", f"/api/gateway-keys/{created['id']}")
        assert (kept["alias"], kept["models"]) == ("a", ["gpt-4o"])

    @pytest.mark.parametrize(
        ("method", "action", "body"), [("PATCH", "", {"alias": "b"}), ("POST", "/rotate", {}), ("DELETE", "", None)]
    )
    async def test_if_match_names_what_the_change_is_decided_on(
        self, api: Management, method: str, action: str, body: Any
    ) -> None:
        created = await api.gateway_key(alias="a")
        path = f"/api/gateway-keys/{created['id']}"
        tag = (await api.call("GET", path)).headers["etag"]
        await api.ok("PATCH", path, json={"usage_cost_mode": "provider"})
        status, error = await api.refused(method, path + action, json=body, headers={"if-match": tag})
        assert (status, error["code"]) == (412, "precondition_failed")
        fresh = (await api.call("GET", path)).headers["etag"]
        await api.ok(method, path + action, json=body, headers={"if-match": fresh})

    async def test_a_revocation_holds_whoever_changes_the_key_meanwhile(
        self, api: Management, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        created = await api.gateway_key()
        rotations = iter(range(2))
        update = Registry.update_gateway_key

        async def rotated_in_between(registry: Registry, *args: Any, **options: Any) -> None:
            if next(rotations, None) is not None:
                secrets.append((await rotate(api, created["id"], overlap_hours=1))["key"])
            await update(registry, *args, **options)

        secrets = [created["key"]]
        monkeypatch.setattr(Registry, "update_gateway_key", rotated_in_between)
        assert (await api.ok("DELETE", f"/api/gateway-keys/{created['id']}"))["status"] == "revoked"
        for secret in secrets[1:]:
            with pytest.raises(GatewayKeyRevoked):
                await presented(api, secret)
        with pytest.raises(InvalidGatewayKey):
            await presented(api, secrets[0])
