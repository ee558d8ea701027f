"""`ETag` and `If-Match`: a change that was decided on another state is not made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ownkey.http.management import etags
from tests.support.aws import Tables
from tests.support.management import OPERATOR, Management, management


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def tag(api: Management, path: str) -> str:
    return str((await api.call("GET", path)).headers["etag"])


CHANGES: list[tuple[str, str, str, Any]] = [
    ("PATCH", "/api/accounts/acme", "/api/accounts/acme", {"name": "Acme 2"}),
    ("PATCH", "/api/settings", "/api/settings", {"platform_allowed": False}),
    ("PATCH", "/api/accounts/acme/members/mia", "/api/accounts/acme/members/mia", {"role": "billing"}),
    ("DELETE", "/api/accounts/acme/members/mia", "/api/accounts/acme/members/mia", None),
]


@pytest.mark.parametrize(("method", "path", "read", "body"), CHANGES, ids=[f"{m} {p}" for m, p, _, _ in CHANGES])
class TestChanging:
    async def test_with_the_tag_that_was_seen(
        self, api: Management, method: str, path: str, read: str, body: Any
    ) -> None:
        response = await api.call(method, path, json=body, headers={"if-match": await tag(api, read)})
        assert response.status_code == 200
        if "etag" in response.headers:
            assert response.headers["etag"] == await tag(api, read)

    @pytest.mark.parametrize("stale", ['"0"', 'W/"0"', '"0", "1"', "nonsense", ""])
    async def test_with_another_tag_is_refused_and_changes_nothing(
        self, api: Management, method: str, path: str, read: str, body: Any, stale: str
    ) -> None:
        before = await api.ok("GET", read)
        response = await api.call(method, path, json=body, headers={"if-match": stale})
        assert (response.status_code, response.json()["error"]["code"]) == (412, "precondition_failed")
        assert response.headers["x-should-retry"] == "false"
        assert await api.ok("GET", read) == before

    @pytest.mark.parametrize("pattern", ["*", '"0", {tag}', '{tag},W/"1"'])
    async def test_with_any_or_one_of_several(
        self, api: Management, method: str, path: str, read: str, body: Any, pattern: str
    ) -> None:
        wanted = pattern.format(tag=await tag(api, read))
        assert (await api.call(method, path, json=body, headers={"if-match": wanted})).status_code == 200

    async def test_without_one(self, api: Management, method: str, path: str, read: str, body: Any) -> None:
        assert (await api.call(method, path, json=body)).status_code == 200

    async def test_a_weak_tag_is_no_proof(self, api: Management, method: str, path: str, read: str, body: Any) -> None:
        weak = f"W/{await tag(api, read)}"
        assert (await api.call(method, path, json=body, headers={"if-match": weak})).status_code == 412


async def test_of_two_who_saw_the_same_the_second_is_told(api: Management) -> None:
    seen = {"if-match": await tag(api, "/api/accounts/acme")}
    await api.ok("PATCH", "/api/accounts/acme", json={"name": "First"}, headers=seen)
    status, error = await api.refused("PATCH", "/api/accounts/acme", by="adi", json={"name": "Second"}, headers=seen)
    assert (status, error["code"]) == (412, "precondition_failed")
    assert (await api.ok("GET", "/api/accounts/acme"))["name"] == "First"


async def test_credentials_come_and_go_without_changing_the_accounts_tag(api: Management) -> None:
    before = await tag(api, "/api/accounts/acme")
    await api.save()
    assert await tag(api, "/api/accounts/acme") == before


async def test_a_creation_answers_with_the_tag_of_what_it_made(api: Management) -> None:
    body = {"email": "neo@x.example", "role": "member"}
    invited = await api.call("POST", "/api/accounts/acme/invitations", json=body)
    path = f"/api/accounts/acme/invitations/{invited.json()['id']}"
    assert invited.headers["etag"] == await tag(api, path)
    assert (await api.call("DELETE", path, headers={"if-match": '"0"'})).status_code == 412
    assert (await api.call("DELETE", path, headers={"if-match": invited.headers["etag"]})).status_code == 200


async def test_lists_have_none(api: Management) -> None:
    for path in ("/api/accounts", "/api/accounts/acme/members", "/api/byok", "/api/gateway-keys", "/api/audit"):
        assert "etag" not in (await api.call("GET", path)).headers


async def test_a_right_is_asked_for_before_the_tag(api: Management) -> None:
    headers = {"if-match": '"0"'}
    assert (await api.refused("PATCH", "/api/accounts/acme", by="mia", json={"name": "x"}, headers=headers))[0] == 403
    assert (await api.refused("PATCH", "/api/accounts/acme", by="oz", json={"name": "x"}, headers=headers))[0] == 404
    assert (await api.call("PATCH", "/api/accounts/acme", by=OPERATOR, json={"name": "x"})).status_code == 200


class TestTags:
    def test_what_changes_by_itself_is_not_in_it(self) -> None:
        at = datetime(2026, 11, 21, tzinfo=UTC).isoformat()
        shown = {"id": "cred_1", "alias": "a", "versions": [{"version": 1}]}
        used = {
            **shown,
            "status": "cooling",
            "last_used_at": at,
            "warnings": ["w"],
            "versions": [{"version": 1, "last_used_at": at, "status": "active"}],
        }
        assert etags.tag_of(shown) == etags.tag_of(used)

    @pytest.mark.parametrize(
        "changed", [{"alias": "b"}, {"alias": None}, {}, {"alias": "a", "more": 1}, {"alias": "a", "versions": []}]
    )
    def test_everything_else_is(self, changed: dict[str, Any]) -> None:
        assert etags.tag_of({"alias": "a"}) != etags.tag_of(changed)

    def test_it_is_a_strong_tag(self) -> None:
        assert etags.tag_of({}).strip('"').isalnum()
        assert etags.tag_of({})[0] == etags.tag_of({})[-1] == '"'
