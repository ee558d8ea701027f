"""Who may do what, for which account: the table of docs/contracts/management-api.md, request by request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ownkey.domain.accounts import Member, Role
from ownkey.http.management.access import GRANTS, OPERATOR_GRANTS, PLATFORM_GRANTS, Right
from tests.support.aws import Tables
from tests.support.management import NOW, OPENAI_KEY, OPERATOR, Management, management

PAGE = Path(__file__).parents[2] / "docs/contracts/management-api.md"
HERE = {"x-ownkey-account": "acme"}

CALLS: list[tuple[Right, str, str, Any]] = [
    (Right.READ_ACCOUNT, "GET", "/api/accounts/acme", None),
    (Right.CHANGE_ACCOUNT, "PATCH", "/api/accounts/acme", {"platform_allowed": False}),
    (Right.READ_MEMBERS, "GET", "/api/accounts/acme/members", None),
    (Right.CHANGE_MEMBERS, "POST", "/api/accounts/acme/members", {"email": "new@acme.example", "role": "member"}),
    (Right.READ_CREDENTIALS, "GET", "/api/byok", None),
    (Right.CHANGE_CREDENTIALS, "POST", "/api/byok", {"provider": "OpenAI", "key": OPENAI_KEY}),
    (Right.READ_GATEWAY_KEYS, "GET", "/api/gateway-keys", None),
    (Right.CREATE_GATEWAY_KEYS, "POST", "/api/gateway-keys", {}),
    (Right.READ_MONEY, "GET", "/api/balance", None),
    (Right.READ_MONEY, "GET", "/api/ledger", None),
    (Right.READ_MONEY, "GET", "/api/usage", None),
    (Right.READ_ACTIVITY, "GET", "/api/activity", None),
]
PERSONS = {
    "ann": GRANTS[Role.OWNER],
    "adi": GRANTS[Role.ADMIN],
    "mia": GRANTS[Role.MEMBER],
    "bea": GRANTS[Role.BILLING],
}
PERSONS[OPERATOR] = OPERATOR_GRANTS


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


@pytest.mark.parametrize("person", PERSONS)
async def test_each_role_does_what_the_table_says(api: Management, person: str) -> None:
    for right, method, path, body in CALLS:
        answered = (await api.call(method, path, by=person, headers=HERE, json=body)).status_code
        assert (answered < 300) == (right in PERSONS[person]), (right, answered)
        assert answered < 300 or answered == 403


async def test_a_stranger_finds_no_account(api: Management) -> None:
    """Exactly as if it did not exist (C13)."""
    for _, method, path, body in CALLS:
        there = await api.refused(method, path, by="oz", headers=HERE, json=body)
        nowhere = await api.refused(
            method, path.replace("acme", "nowhere"), by="oz", headers={"x-ownkey-account": "nowhere"}, json=body
        )
        assert there == nowhere, path
        assert there[0] == 404


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


def test_the_page_says_what_the_code_does() -> None:
    """One table for people, one for the code: the same."""
    grants = {
        "owner": GRANTS[Role.OWNER],
        "admin": GRANTS[Role.ADMIN],
        "member": GRANTS[Role.MEMBER],
        "billing": GRANTS[Role.BILLING],
        "operator": OPERATOR_GRANTS,
        "operator, in `platform`": PLATFORM_GRANTS,
    }
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    header = next(cells for cells in lines if cells[0] == "may")
    assert header[1:] == list(grants)
    table = {cells[0]: cells[1:] for cells in lines if len(cells) == len(header)}
    for right in Right:
        written = [who for who, cell in zip(grants, table[right.value], strict=True) if cell == "yes"]
        assert written == [who for who in grants if right in grants[who]], right.value
