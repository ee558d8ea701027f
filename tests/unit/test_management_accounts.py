"""`/api/accounts`: accounts and members; deposits asked for by the operator, carried out by billing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.accounts import Member, OnDisconnect, Role
from ownkey.http.management.user_pool import UserPool
from ownkey.ledger.records import to_deposit
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import Key, Put
from tests.support.aws import Tables, boto, environ
from tests.support.management import OPERATOR, Management, management


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def roles(api: Management, account_id: str = "acme") -> dict[str, str]:
    rows = (await api.ok("GET", f"/api/accounts/{account_id}/members", by=OPERATOR))["data"]
    return {row["user_id"]: row["role"] for row in rows}


class TestAccounts:
    async def test_the_operator_creates_one_for_its_owner(self, api: Management) -> None:
        body = {"id": "unit-7", "name": "Unit 7", "owner_email": "Una@unit7.example"}
        created = await api.ok("POST", "/api/accounts", by=OPERATOR, json=body)
        assert (created["id"], created["name"], created["role"]) == ("unit-7", "Unit 7", None)
        assert await roles(api, "unit-7") == {"una": "owner"}
        assert api.user_pool.invited == ["una@unit7.example"]
        await api.save(by="una")

    async def test_without_an_owner_it_is_the_operators_own(self, api: Management) -> None:
        created = await api.ok("POST", "/api/accounts", by=OPERATOR, json={"name": "Mine"})
        assert created["id"].startswith("acc_")
        assert created["role"] == "owner"
        await api.save(by=OPERATOR)

    async def test_nobody_else_creates_any(self, api: Management) -> None:
        status, error = await api.refused("POST", "/api/accounts", json={"name": "Mine"})
        assert (status, error["code"]) == (403, "forbidden")

    @pytest.mark.parametrize("taken", ["acme", "platform"])
    async def test_an_id_is_given_out_once(self, api: Management, taken: str) -> None:
        status, error = await api.refused("POST", "/api/accounts", by=OPERATOR, json={"id": taken, "name": "X"})
        assert (status, error["code"]) == (409, "conflict")

    @pytest.mark.parametrize("bad", ["a#b", "../x", "-a", "a" * 49, "ä", ""])
    async def test_an_id_is_plain(self, api: Management, bad: str) -> None:
        """It stands inside gateway keys and in the tables' keys."""
        status, error = await api.refused("POST", "/api/accounts", by=OPERATOR, json={"id": bad, "name": "X"})
        assert (status, error["param"]) == (400, "id")

    async def test_members_see_their_own_the_operator_all(self, api: Management) -> None:
        own = (await api.ok("GET", "/api/accounts", by="mia"))["data"]
        assert [(row["id"], row["role"]) for row in own] == [("acme", "member")]
        every = (await api.ok("GET", "/api/accounts", by=OPERATOR))["data"]
        assert [(row["id"], row["role"]) for row in every] == [("acme", None), ("other", None)]

    async def test_settings_change_and_raise_the_version(self, api: Management) -> None:
        before = (await api.registry.account("acme")).version
        changed = await api.ok("PATCH", "/api/accounts/acme", json={"platform_allowed": False})
        assert (changed["platform_allowed"], changed["name"]) == (False, "Acme")
        head = await api.registry.account("acme")
        assert (head.platform_allowed, head.version) == (False, before + 1)


class TestMembers:
    async def test_a_new_one_is_found_or_invited_by_e_mail(self, api: Management) -> None:
        response = await api.call(
            "POST", "/api/accounts/acme/members", json={"email": "Neo@x.example", "role": "billing"}
        )
        assert response.status_code == 201
        shown = response.json()
        assert (shown["user_id"], shown["email"], shown["role"]) == ("neo", "neo@x.example", "billing")
        await api.ok("GET", "/api/balance", by="neo")

    async def test_again_changes_the_role(self, api: Management) -> None:
        body = {"email": "mia@acme.example", "role": "admin"}
        assert (await api.call("POST", "/api/accounts/acme/members", json=body)).status_code == 200
        assert (await roles(api))["mia"] == "admin"

    @pytest.mark.parametrize(
        ("by", "email", "role", "allowed"),
        [
            ("ann", "mia@acme.example", "owner", True),
            (OPERATOR, "mia@acme.example", "owner", True),
            ("adi", "mia@acme.example", "admin", True),
            ("adi", "mia@acme.example", "owner", False),
            ("adi", "adi@acme.example", "owner", False),
            ("adi", "ann@acme.example", "member", False),
        ],
    )
    async def test_an_admin_cannot_make_or_unmake_owners(
        self, api: Management, by: str, email: str, role: str, allowed: bool
    ) -> None:
        before = await roles(api)
        response = await api.call("POST", "/api/accounts/acme/members", by=by, json={"email": email, "role": role})
        assert response.is_success == allowed
        assert allowed or (response.status_code, await roles(api)) == (403, before)

    async def test_an_owner_under_another_spelling_is_still_an_owner(self, api: Management) -> None:
        """The pool decides who it is; the e-mail in the list may be an older one."""
        body = {"email": "ann@former.example", "role": "member"}
        assert (await api.refused("POST", "/api/accounts/acme/members", by="adi", json=body))[0] == 403

    async def test_the_last_owner_stays(self, api: Management) -> None:
        body = {"email": "ann@acme.example", "role": "admin"}
        assert (await api.refused("POST", "/api/accounts/acme/members", json=body))[0] == 409
        assert (await api.refused("DELETE", "/api/accounts/acme/members/ann"))[0] == 409
        await api.ok("POST", "/api/accounts/acme/members", json={"email": "adi@acme.example", "role": "owner"})
        await api.ok("DELETE", "/api/accounts/acme/members/ann")
        assert (await api.refused("GET", "/api/byok?account=acme"))[0] == 404

    async def test_an_admin_removes_members_but_no_owner(self, api: Management) -> None:
        await api.ok("DELETE", "/api/accounts/acme/members/mia", by="adi")
        assert (await api.refused("DELETE", "/api/accounts/acme/members/ann", by="adi"))[0] == 403
        assert (await api.refused("DELETE", "/api/accounts/acme/members/mia", by="adi"))[0] == 404

    @pytest.mark.parametrize("bad", ["nobody", "a@b", "a b@c.example", "a@c.example\nx", "ä@c.example", ""])
    async def test_an_e_mail_looks_like_one(self, api: Management, bad: str) -> None:
        status, error = await api.refused("POST", "/api/accounts/acme/members", json={"email": bad, "role": "member"})
        assert (status, error["param"]) == (400, "email")
        assert api.user_pool.invited == []

    async def test_a_role_is_one_of_four(self, api: Management) -> None:
        body = {"email": "a@c.example", "role": "operator"}
        status, error = await api.refused("POST", "/api/accounts/acme/members", json=body)
        assert (status, error["param"]) == (400, "role")

    async def test_two_owners_who_remove_each_other_at_once_leave_one(self, api: Management) -> None:
        await api.ok("PATCH", "/api/accounts/acme/members/adi", json={"role": "owner"})
        for _ in range(5):
            both = await asyncio.gather(
                api.call("DELETE", "/api/accounts/acme/members/adi", by="ann"),
                api.call("PATCH", "/api/accounts/acme/members/ann", by="adi", json={"role": "member"}),
            )
            assert sum(each.is_success for each in both) <= 1, [each.text for each in both]
            owners = [who for who, role in (await roles(api)).items() if role == "owner"]
            assert owners
            for who in {"ann", "adi"} - set(owners):
                body = {"email": f"{who}@acme.example", "role": "owner"}
                await api.ok("POST", "/api/accounts/acme/members", by=OPERATOR, json=body)

    async def test_an_owner_checked_a_moment_ago_must_still_be_one(
        self, api: Management, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second to leave had seen the first: only the write itself can tell."""
        await api.ok("PATCH", "/api/accounts/acme/members/adi", json={"role": "owner"})
        transact = api.tables.db.transact

        async def after_the_other_left(actions: Any, **options: Any) -> None:
            monkeypatch.setattr(api.tables.db, "transact", transact)
            await api.registry.remove_member(await api.registry.member("acme", "adi"))
            await transact(actions, **options)

        monkeypatch.setattr(api.tables.db, "transact", after_the_other_left)
        assert (await api.refused("DELETE", "/api/accounts/acme/members/ann", by=OPERATOR))[0] == 409
        assert (await roles(api))["ann"] == "owner"

    async def test_a_role_is_changed_from_what_was_seen(self, api: Management, monkeypatch: pytest.MonkeyPatch) -> None:
        """An admin who saw a member must not unmake the owner that the member has become."""
        change = api.registry.change_member

        async def after_the_rise(seen: Member, changed: Member) -> None:
            monkeypatch.setattr(api.registry, "change_member", change)
            await change(seen, replace(seen, role=Role.OWNER))
            await change(seen, changed)

        monkeypatch.setattr(api.registry, "change_member", after_the_rise)
        body = {"role": "billing"}
        assert (await api.refused("PATCH", "/api/accounts/acme/members/mia", by="adi", json=body))[0] == 409
        assert (await roles(api))["mia"] == "owner"

    async def test_one_member_is_read_and_changed(self, api: Management) -> None:
        shown = await api.ok("GET", "/api/accounts/acme/members/mia", by="mia")
        assert (shown["user_id"], shown["email"], shown["role"]) == ("mia", "mia@acme.example", "member")
        changed = await api.ok("PATCH", "/api/accounts/acme/members/mia", json={"role": "billing"})
        assert changed == shown | {"role": "billing"}
        assert (await api.refused("PATCH", "/api/accounts/acme/members/zoe", json={"role": "billing"}))[0] == 404


class TestSettings:
    async def test_they_are_what_requests_go_by(self, api: Management) -> None:
        assert await api.ok("GET", "/api/settings", by="mia") == {
            "account_id": "acme",
            "platform_allowed": True,
            "on_disconnect": "drain",
            "disabled": False,
            "pools": {},
            "kms_key_arn": None,
            "deployment": {"imported_gateway_keys": False, "keyless_credentials": False},
        }
        changed = await api.ok("PATCH", "/api/settings", json={"platform_allowed": False})
        assert changed["platform_allowed"] is False
        assert (await api.registry.account("acme")).platform_allowed is False

    async def test_an_account_says_what_becomes_of_an_answer_whose_client_has_gone(self, api: Management) -> None:
        before = await api.registry.account("acme")
        assert before.on_disconnect is OnDisconnect.DRAIN
        changed = await api.ok("PATCH", "/api/settings", json={"on_disconnect": "abort"})
        assert changed["on_disconnect"] == "abort"
        head = await api.registry.account("acme")
        assert (head.on_disconnect, head.version) == (OnDisconnect.ABORT, before.version + 1)
        back = await api.ok("PATCH", "/api/accounts/acme", json={"on_disconnect": "drain"})
        assert back["on_disconnect"] == "drain"
        assert (await api.refused("PATCH", "/api/settings", json={"on_disconnect": "hang up"}))[0] == 400

    @pytest.mark.parametrize("body", [{"disabled": True}, {"pools": {}}, {"kms_key_arn": None}, {"name": "x"}])
    async def test_what_has_a_place_of_its_own_is_not_changed_here(self, api: Management, body: Any) -> None:
        assert (await api.refused("PATCH", "/api/settings", json=body))[0] == 400

    async def test_the_operator_disables_an_account_and_nobody_else(self, api: Management) -> None:
        for who in ("ann", "adi"):
            assert (await api.refused("PATCH", "/api/accounts/acme", by=who, json={"disabled": True}))[0] == 403
        assert (await api.ok("PATCH", "/api/accounts/acme", by=OPERATOR, json={"disabled": True}))["disabled"] is True
        assert (await api.registry.account("acme")).disabled
        await api.ok("PATCH", "/api/accounts/acme", by=OPERATOR, json={"disabled": False})

    async def test_two_changes_at_once_are_both_there_or_one_is_told(self, api: Management) -> None:
        both = await asyncio.gather(
            api.call("PATCH", "/api/accounts/acme", json={"name": "Acme 2"}),
            api.call("PATCH", "/api/settings", by="adi", json={"platform_allowed": False}),
        )
        head = await api.registry.account("acme")
        assert both[0].is_success == (head.name == "Acme 2")
        assert both[1].is_success == (head.platform_allowed is False)
        assert {each.status_code for each in both} <= {200, 409}


class TestMe:
    async def test_says_who_calls_and_where_they_belong(self, api: Management) -> None:
        assert await api.ok("GET", "/api/me", by="mia") == {
            "user_id": "mia",
            "email": "mia@ownkey.example",
            "operator": False,
            "accounts": [{"id": "acme", "name": "Acme", "role": "member"}],
        }

    async def test_the_operator_is_told_so_and_strangers_belong_nowhere(self, api: Management) -> None:
        assert (await api.ok("GET", "/api/me", by=OPERATOR))["operator"] is True
        assert (await api.ok("GET", "/api/me", by="zoe"))["accounts"] == []


class TestDeposits:
    async def test_they_are_listed_until_billing_has_carried_them_out(self, api: Management) -> None:
        body = {"amount_usd": "10.50", "note": "November"}
        asked = await api.ok("POST", "/api/accounts/acme/deposits", by=OPERATOR, json=body)
        assert {
            "amount_usd": "10.5",
            "note": "November",
            "state": "requested",
            "billed_at": None,
        }.items() <= asked.items()
        (listed,) = (await api.ok("GET", "/api/accounts/acme/deposits", by="bea"))["data"]
        assert listed == asked == await api.ok("GET", f"/api/accounts/acme/deposits/{asked['id']}", by="mia")
        (item,) = await api.tables.db.query_all(api.tables.records, "DEP#acme")
        at = Key(api.tables.records, item["pk"], item["sk"])
        await api.tables.db.write(Put(at, item | {"billed_at": "2026-11-21T12:00:05Z"}))
        assert (await api.ok("GET", f"/api/accounts/acme/deposits/{asked['id']}"))["state"] == "billed"
        assert (await api.refused("GET", "/api/accounts/acme/deposits/dep_none"))[0] == 404
        assert (await api.refused("GET", f"/api/accounts/other/deposits/{asked['id']}", by="oz"))[0] == 404

    async def test_the_operators_deposit_is_a_record_for_billing(self, api: Management) -> None:
        body = {"amount_usd": "10.00", "note": "November"}
        response = await api.call("POST", "/api/accounts/acme/deposits", by=OPERATOR, json=body)
        assert response.status_code == 202
        answer = response.json()
        assert (answer["amount_usd"], answer["state"]) == ("10", "requested")
        (item,) = await api.tables.db.query_all(api.tables.records, "DEP#acme")
        assert item["state"] == "requested"
        deposit = to_deposit(item)
        assert (deposit.id, deposit.amount_nanousd, deposit.requested_by, deposit.note) == (
            answer["id"],
            10_000_000_000,
            OPERATOR,
            "November",
        )

    async def test_an_owner_grants_no_credits(self, api: Management) -> None:
        assert (await api.refused("POST", "/api/accounts/acme/deposits", json={"amount_usd": "10"}))[0] == 403

    @pytest.mark.parametrize("amount", ["0", "-1", "1e-10", "0.0000000001", "ten", "NaN", "Infinity", 10, 10.5, None])
    async def test_an_amount_is_a_positive_decimal_string(self, api: Management, amount: Any) -> None:
        body = {"amount_usd": amount}
        status, error = await api.refused("POST", "/api/accounts/acme/deposits", by=OPERATOR, json=body)
        assert (status, error["param"]) == (400, "amount_usd")
        assert await api.tables.db.query_all(api.tables.records, "DEP#acme") == []

    async def test_an_account_that_does_not_exist_gets_none(self, api: Management) -> None:
        path = "/api/accounts/nowhere/deposits"
        assert (await api.refused("POST", path, by=OPERATOR, json={"amount_usd": "1"}))[0] == 404


class TestUserPool:
    """Against Cognito's API."""

    @pytest.fixture
    async def pool(self, aws_endpoint: str) -> AsyncIterator[UserPool]:
        pool = boto("cognito-idp", aws_endpoint).create_user_pool(PoolName="p", UsernameAttributes=["email"])
        aws = AwsClient(environ=environ(aws_endpoint))
        yield UserPool(aws, pool["UserPool"]["Id"])
        await aws.close()

    async def test_somebody_new_is_invited_and_found_again(self, pool: UserPool) -> None:
        first = await pool.user_id("neo@x.example")
        assert await pool.user_id("neo@x.example") == first
        assert await pool.user_id("trinity@x.example") != first
        assert await pool.email(first) == "neo@x.example"
