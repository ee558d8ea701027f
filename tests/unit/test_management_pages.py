"""Lists in pages: a cursor is a place in an order, so that nothing is shown twice or left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.http.management.answers import cut, read_cursor, shown_cursor
from tests.support.aws import Tables
from tests.support.management import OPENAI_KEY, OPERATOR, Management, management


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def fill_accounts(api: Management) -> None:
    for n in range(3):
        await api.ok("POST", "/api/accounts", by=OPERATOR, json={"name": f"Unit {n}"})


async def fill_members(api: Management) -> None:
    for n in range(3):
        body = {"email": f"m{n}@x.example", "role": "member"}
        await api.ok("POST", "/api/accounts/acme/members", json=body)


async def fill_invitations(api: Management) -> None:
    for n in range(5):
        body = {"email": f"i{n}@x.example", "role": "member"}
        await api.ok("POST", "/api/accounts/acme/invitations", json=body)


async def fill_received(api: Management) -> None:
    for account_id in ("acme", "other"):
        body = {"email": "zoe@ownkey.example", "role": "member"}
        await api.ok("POST", f"/api/accounts/{account_id}/invitations", by=OPERATOR, json=body)


async def fill_deposits(api: Management) -> None:
    for n in range(5):
        await api.ok("POST", "/api/accounts/acme/deposits", by=OPERATOR, json={"amount_usd": f"{n + 1}"})


async def fill_byok(api: Management) -> None:
    for n in range(5):
        await api.save(key=f"{OPENAI_KEY}{n}")


async def fill_gateway_keys(api: Management) -> None:
    for n in range(5):
        await api.gateway_key(alias=f"app {n}")


LISTS: list[tuple[str, str, Any]] = [
    ("/api/accounts", OPERATOR, fill_accounts),
    ("/api/accounts/acme/members", "ann", fill_members),
    ("/api/accounts/acme/invitations", "ann", fill_invitations),
    ("/api/invitations", "zoe", fill_received),
    ("/api/accounts/acme/deposits", "ann", fill_deposits),
    ("/api/byok", "ann", fill_byok),
    ("/api/gateway-keys", "ann", fill_gateway_keys),
]


@pytest.mark.parametrize(("path", "by", "fill"), LISTS, ids=[path for path, _, _ in LISTS])
class TestEveryList:
    @pytest.mark.parametrize("limit", [1, 2, 4])
    async def test_pages_together_are_the_list(
        self, api: Management, path: str, by: str, fill: Any, limit: int
    ) -> None:
        await fill(api)
        whole = await api.ok("GET", path, by=by)
        assert whole["next_cursor"] is None
        assert len(whole["data"]) >= 2
        found, cursor = [], ""
        for _ in range(10):
            page = await api.ok("GET", f"{path}?limit={limit}{cursor}", by=by)
            assert len(page["data"]) <= limit
            found += page["data"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == whole["data"]

    @pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=%FF", "cursor=a"])
    async def test_a_bad_page_is_named(self, api: Management, path: str, by: str, fill: Any, query: str) -> None:
        status, error = await api.refused("GET", f"{path}?{query}", by=by)
        assert (status, error["param"]) == (400, query.partition("=")[0])


async def test_what_goes_between_two_pages_moves_nothing_else(api: Management) -> None:
    await fill_gateway_keys(api)
    await fill_byok(api)
    first = await api.ok("GET", "/api/byok?limit=2")
    await api.ok("DELETE", f"/api/byok/{first['data'][0]['id']}")
    rest = await api.ok("GET", f"/api/byok?cursor={first['next_cursor']}")
    assert [row["alias"] for row in (*first["data"], *rest["data"])] == [
        "OpenAI",
        *(f"OpenAI {n}" for n in range(2, 6)),
    ]


@given(st.sets(st.text(min_size=1, max_size=8)), st.integers(1, 5), st.booleans())
def test_pages_of_anything_are_the_whole_once(items: set[str], limit: int, newest_first: bool) -> None:
    found: list[str] = []
    cursor: str | None = None
    for _ in range(len(items) + 1):
        page, after = cut(items, limit, cursor, by=str, newest_first=newest_first)
        assert len(page) <= limit
        found += page
        if after is None:
            break
        cursor = shown_cursor(after)
    assert found == sorted(items, reverse=newest_first)


@given(st.text())
def test_a_cursor_is_read_as_it_was_shown(place: str) -> None:
    assert read_cursor(shown_cursor(place)) == place
