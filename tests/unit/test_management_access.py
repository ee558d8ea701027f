"""Which account a request means, and who is let in. What each role may do there: test_management_tenants.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ownkey.domain.accounts import Member, Role
from tests.support.aws import Tables
from tests.support.management import NOW, OPERATOR, Management, management

HERE = {"x-ownkey-account": "acme"}


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def test_a_disused_membership_is_none(api: Management) -> None:
    await api.ok("DELETE", "/api/accounts/acme/members/mia")
    assert (await api.refused("GET", "/api/byok", by="mia", headers=HERE))[0] == 404


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": "Bearer "}])
async def test_without_a_session_there_is_nothing(api: Management, headers: dict[str, str]) -> None:
    """Neither a body's faults nor a path's existence are told to strangers."""
    for method, path, content in (
        ("GET", "/api/byok", None),
        ("POST", "/api/byok", b"{"),
        ("GET", "/api/nowhere", None),
    ):
        response = await api.client.request(method, path, headers=headers, content=content)
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_session")


class TestWhichAccount:
    async def test_the_only_one_need_not_be_named(self, api: Management) -> None:
        assert (await api.save())["id"] in await api.stored("acme")

    async def test_one_of_several_must_be(self, api: Management) -> None:
        await api.registry.add_member(Member("other", "ann", "ann@acme.example", Role.MEMBER, NOW))
        status, error = await api.refused("GET", "/api/byok")
        assert (status, error["param"]) == (400, "account")
        assert "acme, other" in error["metadata"]["fix"]
        await api.ok("GET", "/api/byok?account=acme")
        await api.ok("GET", "/api/byok", headers={"X-Ownkey-Account": "other"})

    async def test_header_and_query_must_agree(self, api: Management) -> None:
        assert (await api.refused("GET", "/api/byok?account=other", headers=HERE))[0] == 400

    async def test_the_role_is_that_of_the_named_account(self, api: Management) -> None:
        await api.registry.add_member(Member("other", "ann", "ann@acme.example", Role.BILLING, NOW))
        assert (await api.refused("GET", "/api/byok?account=other"))[0] == 403

    async def test_whoever_belongs_to_none_is_told_so(self, api: Management) -> None:
        status, error = await api.refused("GET", "/api/byok", by="zoe")
        assert (status, error["code"]) == (403, "forbidden")
        assert error["message"].startswith("You belong to no account.")


class TestOperator:
    async def test_an_operator_who_is_also_a_member_has_the_members_rights_too(self, api: Management) -> None:
        await api.registry.add_member(Member("acme", OPERATOR, "op@acme.example", Role.ADMIN, NOW))
        await api.save(by=OPERATOR)

    async def test_the_operator_gets_404_for_what_does_not_exist(self, api: Management) -> None:
        assert (await api.refused("GET", "/api/balance?account=nowhere", by=OPERATOR))[0] == 404
