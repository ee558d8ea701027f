"""Invitations: accepted by whoever has the address, worth what their author may give, gone after 14 days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.invitations import INVITATION_DAYS, email_digest
from ownkey.http.management import invitations
from ownkey.http.management.user_pool import UserPool
from ownkey.store.aws import AwsClient
from tests.support.aws import Tables, boto, environ
from tests.support.management import OPERATOR, Management, management

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PATH = "/api/accounts/acme/invitations"


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        running.clock.append(NOON)
        yield running


async def invite(api: Management, who: str = "zoe", role: str = "member", *, by: str = "ann") -> dict[str, Any]:
    """Invites `who`, whose address the user pool knows."""
    return await api.ok("POST", PATH, by=by, json={"email": f"{who}@ownkey.example", "role": role})


async def roles(api: Management) -> dict[str, str]:
    rows = (await api.ok("GET", "/api/accounts/acme/members", by=OPERATOR))["data"]
    return {row["user_id"]: row["role"] for row in rows}


class TestInviting:
    async def test_whoever_is_invited_sees_it_and_accepts(self, api: Management) -> None:
        invited = await invite(api, role="admin")
        assert {
            "email": "zoe@ownkey.example",
            "role": "admin",
            "invited_by": "ann",
            "invited_at": "2026-11-21T12:00:00.000000Z",
            "expires_at": "2026-12-05T12:00:00.000000Z",
        }.items() <= invited.items()
        (received,) = (await api.ok("GET", "/api/invitations", by="zoe"))["data"]
        assert (received["id"], received["account_id"], received["account_name"], received["role"]) == (
            invited["id"],
            "acme",
            "Acme",
            "admin",
        )
        assert (await api.refused("GET", "/api/byok?account=acme", by="zoe"))[0] == 404
        account = await api.ok("POST", f"/api/invitations/{invited['id']}/accept", by="zoe")
        assert (account["id"], account["role"]) == ("acme", "admin")
        assert (await roles(api))["zoe"] == "admin"
        await api.save(by="zoe")
        assert (await api.ok("GET", PATH))["data"] == (await api.ok("GET", "/api/invitations", by="zoe"))["data"] == []

    async def test_somebody_new_is_made_in_the_user_pool_so_that_they_get_a_mail(self, api: Management) -> None:
        await invite(api, "neo")
        assert api.user_pool.invited == ["neo@ownkey.example"]

    async def test_it_is_listed_and_read_by_members(self, api: Management) -> None:
        invited = await invite(api)
        assert (await api.ok("GET", PATH, by="mia"))["data"] == [invited]
        assert await api.ok("GET", f"{PATH}/{invited['id']}", by="mia") == invited
        assert (await api.refused("GET", PATH, by="bea"))[0] == 403

    async def test_an_address_is_invited_once(self, api: Management) -> None:
        await invite(api)
        status, error = await api.refused("POST", PATH, json={"email": "Zoe@ownkey.example", "role": "owner"})
        assert (status, error["code"]) == (409, "conflict")

    async def test_a_member_is_not_invited(self, api: Management) -> None:
        status, _ = await api.refused("POST", PATH, json={"email": "mia@acme.example", "role": "owner"})
        assert status == 409

    async def test_there_is_an_end_to_open_invitations(self, api: Management, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(invitations, "MAX_INVITATIONS", 2)
        await invite(api, "one")
        await invite(api, "two")
        assert (await api.refused("POST", PATH, json={"email": "three@ownkey.example", "role": "member"}))[0] == 409

    @pytest.mark.parametrize("bad", [{"email": "nobody", "role": "member"}, {"email": "a@b.example", "role": "king"}])
    async def test_a_bad_one_is_refused(self, api: Management, bad: dict[str, str]) -> None:
        assert (await api.refused("POST", PATH, json=bad))[0] == 400
        assert api.user_pool.invited == []


class TestRising:
    """An invitation gives no more than its author could give."""

    @pytest.mark.parametrize(
        ("by", "role", "status"),
        [("ann", "owner", 200), ("adi", "admin", 200), (OPERATOR, "owner", 200), ("adi", "owner", 403)],
    )
    async def test_owners_are_invited_by_owners_or_the_operator(
        self, api: Management, by: str, role: str, status: int
    ) -> None:
        body = {"email": "zoe@ownkey.example", "role": role}
        response = await api.call("POST", PATH, by=by, json=body)
        assert response.is_success == (status == 200)

    @pytest.mark.parametrize("by", ["mia", "bea"])
    async def test_members_and_billing_invite_nobody(self, api: Management, by: str) -> None:
        assert (await api.refused("POST", PATH, by=by, json={"email": "z@ownkey.example", "role": "billing"}))[0] == 403

    async def test_an_invitation_of_somebody_who_was_removed_counts_no_more(self, api: Management) -> None:
        invited = await invite(api, by="adi")
        await api.ok("DELETE", "/api/accounts/acme/members/adi")
        status, error = await api.refused("POST", f"/api/invitations/{invited['id']}/accept", by="zoe")
        assert (status, error["code"]) == (409, "conflict")
        assert "zoe" not in await roles(api)

    async def test_an_owners_invitation_falls_with_the_owner(self, api: Management) -> None:
        await api.ok("PATCH", "/api/accounts/acme/members/adi", json={"role": "owner"})
        invited = await invite(api, role="owner", by="adi")
        await api.ok("PATCH", "/api/accounts/acme/members/adi", json={"role": "admin"})
        assert (await api.refused("POST", f"/api/invitations/{invited['id']}/accept", by="zoe"))[0] == 409

    async def test_even_where_the_author_falls_in_the_same_moment(
        self, api: Management, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        invited = await invite(api, by="adi")
        accept = api.registry.accept_invitation

        async def just_after(*args: Any) -> None:
            await api.registry.remove_member(await api.registry.member("acme", "adi"))
            await accept(*args)

        monkeypatch.setattr(api.registry, "accept_invitation", just_after)
        assert (await api.refused("POST", f"/api/invitations/{invited['id']}/accept", by="zoe"))[0] == 409
        assert "zoe" not in await roles(api)

    async def test_an_admin_takes_no_owners_invitation_back(self, api: Management) -> None:
        invited = await invite(api, role="owner")
        assert (await api.refused("DELETE", f"{PATH}/{invited['id']}", by="adi"))[0] == 403
        await api.ok("DELETE", f"{PATH}/{invited['id']}", by="ann")

    async def test_accepting_changes_no_role_that_is_there(self, api: Management) -> None:
        """The last owner must not become a member by a slip."""
        invited = await invite(api, "zoe")
        await api.ok("POST", "/api/accounts/acme/members", json={"email": "zoe@ownkey.example", "role": "owner"})
        status, _ = await api.refused("POST", f"/api/invitations/{invited['id']}/accept", by="zoe")
        assert (status, (await roles(api))["zoe"]) == (409, "owner")
        await api.ok("POST", f"/api/invitations/{invited['id']}/decline", by="zoe")


class TestWhose:
    @pytest.mark.parametrize("action", ["accept", "decline"])
    @pytest.mark.parametrize("person", ["oz", "ann", OPERATOR])
    async def test_nobody_else_can_answer_it(self, api: Management, action: str, person: str) -> None:
        invited = await invite(api)
        unknown = await api.refused("POST", f"/api/invitations/inv_unknown/{action}", by=person)
        assert await api.refused("POST", f"/api/invitations/{invited['id']}/{action}", by=person) == unknown
        assert unknown[0] == 404
        assert (await api.ok("GET", PATH))["data"] == [invited]

    async def test_an_address_counts_once_it_is_verified(self, api: Management) -> None:
        invited = await invite(api)
        api.user_pool.unverified.add("zoe")
        assert (await api.ok("GET", "/api/invitations", by="zoe"))["data"] == []
        assert (await api.refused("POST", f"/api/invitations/{invited['id']}/accept", by="zoe"))[0] == 404
        api.user_pool.unverified.clear()
        await api.ok("POST", f"/api/invitations/{invited['id']}/accept", by="zoe")


class TestTheEnd:
    async def test_revoked_it_is_gone_for_both(self, api: Management) -> None:
        invited = await invite(api)
        assert await api.ok("DELETE", f"{PATH}/{invited['id']}") == {"id": invited["id"], "deleted": True}
        assert (await api.ok("GET", "/api/invitations", by="zoe"))["data"] == []
        assert (await api.refused("POST", f"/api/invitations/{invited['id']}/accept", by="zoe"))[0] == 404
        assert (await api.refused("DELETE", f"{PATH}/{invited['id']}"))[0] == 404

    async def test_declined_it_is_gone_for_both(self, api: Management) -> None:
        invited = await invite(api)
        await api.ok("POST", f"/api/invitations/{invited['id']}/decline", by="zoe")
        assert (await api.ok("GET", PATH))["data"] == []
        await invite(api)

    async def test_it_is_over_after_two_weeks_whenever_the_table_forgets_it(self, api: Management) -> None:
        invited = await invite(api)
        api.clock.append(NOON + timedelta(days=INVITATION_DAYS))
        assert (await api.ok("GET", PATH))["data"] == []
        assert (await api.ok("GET", "/api/invitations", by="zoe"))["data"] == []
        assert (await api.refused("GET", f"{PATH}/{invited['id']}"))[0] == 404
        assert (await api.refused("POST", f"/api/invitations/{invited['id']}/accept", by="zoe"))[0] == 404
        items = await api.tables.db.query_all(api.tables.registry, f"INVITED#{email_digest('zoe@ownkey.example')}")
        assert [item["ttl_s"] for item in items] == [int(api.clock[-1].timestamp())]

    async def test_it_is_used_once(self, api: Management) -> None:
        invited = await invite(api)
        path = f"/api/invitations/{invited['id']}/accept"
        answers = await asyncio.gather(*(api.call("POST", path, by="zoe") for _ in range(4)))
        assert sorted(each.is_success for each in answers) == [False, False, False, True]
        assert {each.status_code for each in answers} <= {200, 404, 409}
        assert (await roles(api))["zoe"] == "member"


async def test_all_of_it_stands_in_the_accounts_log(api: Management) -> None:
    api.clock.clear()
    first = await invite(api)
    await api.ok("POST", f"/api/invitations/{first['id']}/decline", by="zoe")
    second = await invite(api)
    await api.ok("POST", f"/api/invitations/{second['id']}/accept", by="zoe")
    third = await invite(api, "neo")
    await api.ok("DELETE", f"{PATH}/{third['id']}")
    rows = [(row["action"], row["actor_id"], row["target"]["invitation_id"]) for row in reversed(await api.log())]
    assert rows == [
        ("invitation.created", "ann", first["id"]),
        ("invitation.declined", "zoe", first["id"]),
        ("invitation.created", "ann", second["id"]),
        ("invitation.accepted", "zoe", second["id"]),
        ("invitation.created", "ann", third["id"]),
        ("invitation.revoked", "ann", third["id"]),
    ]
    assert "@" not in str(await api.log())


async def test_the_user_pool_says_whose_address_is_verified(aws_endpoint: str) -> None:
    cognito = boto("cognito-idp", aws_endpoint)
    pool_id = cognito.create_user_pool(PoolName="p", UsernameAttributes=["email"])["UserPool"]["Id"]
    aws = AwsClient(environ=environ(aws_endpoint))
    pool = UserPool(aws, pool_id)
    user_id = await pool.user_id("Neo@X.example")
    assert await pool.verified_email(user_id) == "neo@x.example"
    unverified = [{"Name": "email_verified", "Value": "false"}]
    cognito.admin_update_user_attributes(UserPoolId=pool_id, Username=user_id, UserAttributes=unverified)
    assert await pool.verified_email(user_id) is None
    await aws.close()
