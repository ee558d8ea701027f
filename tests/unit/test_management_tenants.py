"""Every route, every role, every foreign id: what the table of roles says, and never anything of another account.

Generated from the API's own document: a route that is added is in here by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT, Member, Role
from ownkey.domain.invitations import Invitation
from ownkey.domain.limits import LimitScope
from ownkey.domain.reconciliation import Reconciliation
from ownkey.domain.rewraps import RewrapJob
from ownkey.http.management.access import GRANTS, OPERATOR_GRANTS, PLATFORM_GRANTS, Right
from ownkey.ledger.records import Deposit
from ownkey.registry import DeleteCredential
from tests.support.aws import Tables, boto
from tests.support.limits import limit
from tests.support.management import ANTHROPIC_KEY, NOW, OPERATOR, Management, management
from tests.support.openapi import ACCOUNT, Operation, operations, role_table
from tools.openapi.operations import Who

ROLES = {"owner": "ann", "admin": "adi", "member": "mia", "billing": "bea"}
STRANGER = "zoe"
IN_PLATFORM = "operator, in `platform`"
CANARY = "canary"
"""Stands in everything of the other account that anybody could be shown."""

BY_ACCOUNT = [each for each in operations() if each.may in set(Right)]
FOREIGN = [each for each in operations() if each.resources]
named = pytest.mark.parametrize


@dataclass
class World:
    """The API, and things to name in its paths."""

    api: Management
    made: dict[str, str] = field(default_factory=dict)
    numbers: Any = field(default_factory=itertools.count)

    async def values(self, operation: Operation, account_id: str, by: str, alias: str = "mine") -> dict[str, str]:
        """Something of the account's for each place of the operation, fresh where it is to be changed."""
        await self._prepare(operation, account_id, by)
        values = {ACCOUNT: account_id, "provider": "openai"}
        for name in operation.resources:
            values[name] = await getattr(self, name.lower())(operation, account_id, by, alias)
        return values

    async def _prepare(self, operation: Operation, account_id: str, by: str) -> None:
        """Of admin credentials there is one a provider: none before one is saved, one before it is used."""
        if (operation.method, operation.path) == ("POST", "/api/admin-credentials"):
            for each in await self.api.registry.admin_credentials(account_id):
                await self.api.registry.apply(account_id, [DeleteCredential(each.credential)])
        if (operation.method, operation.path) == ("POST", "/api/reconciliations"):
            await self.admin_id(operation, account_id, by, "mine")

    async def admin_id(self, _: Operation, account_id: str, __: str, alias: str) -> str:
        by = OPERATOR if account_id == PLATFORM_ACCOUNT else "ann" if account_id == "acme" else "oz"
        here = {"x-ownkey-account": account_id}
        for each in await self.api.registry.admin_credentials(account_id):
            return each.credential.id
        body = {"provider": "OpenAI", "key": f"sk-admin-{alias}-0123456789abcdefghijkl"}
        made = await self.api.ok("POST", "/api/admin-credentials", by=by, json=body, headers=here)
        return str(made["id"])

    async def reconciliation_id(self, _: Operation, account_id: str, __: str, ___: str) -> str:
        run = Reconciliation(
            ids.new_id(ids.RECONCILIATION), account_id, "openai", "2026-11-18", "2026-11-20", OPERATOR, NOW, NOW
        )
        await self.api.registry.start_reconciliation(run, datetime.now(UTC))
        return run.id

    async def user_id(self, _: Operation, account_id: str, __: str, alias: str) -> str:
        user_id = f"{alias}-u{next(self.numbers)}"
        member = Member(account_id, user_id, f"{user_id}@{alias}.example", Role.MEMBER, NOW)
        await self.api.registry.add_member(member)
        return user_id

    async def invitation_id(self, operation: Operation, account_id: str, by: str, alias: str) -> str:
        now = datetime.now(UTC)
        # Of those who are invited, the caller; else anybody.
        email = f"{by}@ownkey.example" if operation.may == Who.INVITED else f"{alias}-i{next(self.numbers)}@x.example"
        invitation = Invitation(
            id=ids.new_id(ids.INVITATION),
            account_id=account_id,
            email=email,
            role=Role.MEMBER,
            invited_by=OPERATOR,
            invited_as=None,
            invited_at=now.isoformat(),
            expires_at=(now + timedelta(days=1)).isoformat(),
        )
        await self.api.registry.create_invitation(invitation)
        return invitation.id

    async def deposit_id(self, _: Operation, account_id: str, __: str, alias: str) -> str:
        deposit = Deposit(account_id, ids.new_id(ids.DEPOSIT), 1, OPERATOR, NOW, alias)
        await self.api.records.request_deposit(deposit)
        return deposit.id

    async def credential_id(self, operation: Operation, account_id: str, _: str, alias: str) -> str:
        by = OPERATOR if account_id == PLATFORM_ACCOUNT else "ann" if account_id == "acme" else "oz"
        here = {"x-ownkey-account": account_id}
        body = {"provider": "Anthropic", "key": ANTHROPIC_KEY, "alias": f"{alias} key"}
        made = await self.api.ok("POST", "/api/byok", by=by, json=body, headers=here)
        if operation.path.endswith("/retire"):
            kept = {"key": f"{ANTHROPIC_KEY}2", "keep_previous": True}
            await self.api.ok("POST", f"/api/byok/{made['id']}/rotate", by=by, json=kept, headers=here)
        return str(made["id"])

    async def key_id(self, _: Operation, account_id: str, by: str, alias: str) -> str:
        person = by if account_id == "acme" and by in (ROLES["owner"], ROLES["admin"], ROLES["member"]) else None
        person = person or ("ann" if account_id == "acme" else "oz")
        return str((await self.api.gateway_key(by=person, alias=f"{alias} app"))["id"])

    keyid = key_id

    async def limit_id(self, _: Operation, account_id: str, __: str, alias: str) -> str:
        value = f"{alias}-l{next(self.numbers)}"
        made = limit(account_id=account_id, scope=LimitScope.USER, value=value, alerts=())
        await self.api.registry.create_limit(made)
        return made.id

    async def job_id(self, _: Operation, account_id: str, __: str, ___: str) -> str:
        job = RewrapJob(ids.new_id(ids.REWRAP), account_id, OPERATOR, NOW, NOW)
        await self.api.registry.start_rewrap(job)
        return job.id

    async def call(self, operation: Operation, values: Mapping[str, str], by: str, account_id: str) -> httpx.Response:
        """The operation with these values, in an account. `by` empty: without a session."""
        wanted = operation.request(values, account_id)
        if "email" in (wanted.get("json") or {}):  # Nobody is invited twice.
            wanted["json"] = wanted["json"] | {"email": f"new-{next(self.numbers)}@example.com"}
        if "scope" in (wanted.get("json") or {}):  # No limit is set twice.
            wanted["json"] = wanted["json"] | {"value": f"user-{next(self.numbers)}"}
        if not by:
            wanted["headers"]["authorization"] = ""
        return await self.api.call(wanted.pop("method"), wanted.pop("path"), by=by, **wanted)

    def items(self) -> list[str]:
        """Everything that is stored, but for the log of the callers' own account."""
        found = []
        for table in ("registry", "records", "credits", "ledger", "rollups", "health", "audit", "counters"):
            pages = boto("dynamodb", self.api.tables.endpoint).get_paginator("scan")
            for page in pages.paginate(TableName=getattr(self.api.tables, table)):
                found += [f"{table} {sorted(item.items())}" for item in page["Items"] if item["pk"] != _OWN_LOG]
        return sorted(found)


_OWN_LOG = {"S": "AUDIT#acme"}


@pytest.fixture
async def world(tables: Tables) -> AsyncIterator[World]:
    async with management(tables) as api:
        yield World(api)


def may(operation: Operation, who: str) -> bool:
    """What the page says of somebody in the account."""
    if operation.may == Who.OPERATOR:
        return who in ("operator", IN_PLATFORM)
    return role_table()[operation.may][who]


class TestRoles:
    """In the account itself: what the table says, and a refusal writes nothing but its line in the log."""

    @named("operation", BY_ACCOUNT, ids=str)
    async def test_each_may_do_what_the_table_says(self, world: World, operation: Operation) -> None:
        await world.api.save()
        for who, person in (*ROLES.items(), ("operator", OPERATOR)):
            values = await world.values(operation, "acme", person)
            before = world.items()
            response = await world.call(operation, values, person, "acme")
            if may(operation, who):
                assert response.is_success, (who, response.text)
            else:
                assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden"), who
                assert world.items() == before, who

    @named("operation", BY_ACCOUNT, ids=str)
    async def test_the_operator_in_the_platforms_own_account(self, world: World, operation: Operation) -> None:
        await world.credential_id(operation, PLATFORM_ACCOUNT, OPERATOR, "platform")
        granted = may(operation, IN_PLATFORM)
        values = await world.values(operation, PLATFORM_ACCOUNT if granted else "acme", OPERATOR)
        if granted and "keyId" in values:
            pytest.skip("no gateway key belongs to the platform's account")
        before = world.items()
        response = await world.call(operation, values | {ACCOUNT: PLATFORM_ACCOUNT}, OPERATOR, PLATFORM_ACCOUNT)
        if granted:
            assert response.is_success, response.text
        else:
            assert response.status_code in (403, 404)
            assert [each for each in world.items() if "AUDIT#platform" not in each] == [
                each for each in before if "AUDIT#platform" not in each
            ]

    @named("operation", [each for each in operations() if each.may == Who.OPERATOR], ids=str)
    async def test_what_is_the_operators_is_nobody_elses(self, world: World, operation: Operation) -> None:
        for person in (*ROLES.values(), STRANGER):
            values = await world.values(operation, "acme", person)
            before = world.items()
            assert (await world.call(operation, values, person, "acme")).status_code == 403
            assert world.items() == before
        assert (await world.call(operation, values, OPERATOR, "acme")).is_success

    @named("operation", [each for each in operations() if each.may in (Who.SIGNED_IN, Who.EVERYBODY)], ids=str)
    async def test_what_is_everybodys_shows_each_their_own(self, world: World, operation: Operation) -> None:
        await _furnish(world)
        for person in (*ROLES.values(), STRANGER):
            response = await world.call(operation, await world.values(operation, "acme", person), person, "acme")
            assert response.is_success, (person, response.text)
            assert CANARY not in response.text

    def test_the_page_says_what_the_code_does(self) -> None:
        grants = {str(role): GRANTS[role] for role in Role}
        grants |= {"operator": OPERATOR_GRANTS, IN_PLATFORM: PLATFORM_GRANTS}
        assert role_table() == {
            str(right): {who: right in granted for who, granted in grants.items()} for right in Right
        }


class TestForeignAccounts:
    """Another's account is as one that does not exist, whoever asks."""

    @named("operation", [*BY_ACCOUNT, *(each for each in operations() if ACCOUNT in each.places)], ids=str)
    async def test_named_by_people_of_another(self, world: World, operation: Operation) -> None:
        await _furnish(world)
        theirs = await world.values(operation, "other", "oz", CANARY)
        nothing = {name: _made_up(value) for name, value in theirs.items()} | {"provider": "openai"}
        before = world.items()
        for person in (*ROLES.values(), STRANGER):
            there = await world.call(operation, theirs, person, "other")
            nowhere = await world.call(operation, nothing | {ACCOUNT: "nowhere"}, person, "nowhere")
            assert there.status_code == (403 if operation.may == Who.OPERATOR else 404), person
            assert _said(there, theirs) == _said(nowhere, nothing | {ACCOUNT: "nowhere"})
            assert CANARY not in _without_ids(there, theirs)
        assert world.items() == before

    @named("operation", BY_ACCOUNT, ids=str)
    async def test_the_operator_does_there_what_the_table_says_and_no_more(
        self, world: World, operation: Operation
    ) -> None:
        await _furnish(world)
        theirs = await world.values(operation, "other", "oz", CANARY)
        before = [each for each in world.items() if "AUDIT#other" not in each]
        response = await world.call(operation, theirs, OPERATOR, "other")
        assert response.is_success == may(operation, "operator"), response.text
        if not response.is_success:
            assert response.status_code == 403
            assert CANARY not in _without_ids(response, theirs)
            assert [each for each in world.items() if "AUDIT#other" not in each] == before


class TestForeignIds:
    """In one's own account, the id of a thing of another's is as one that nobody has."""

    @named("operation", FOREIGN, ids=str)
    async def test_are_not_found(self, world: World, operation: Operation) -> None:
        await _furnish(world)
        theirs = await world.values(operation, "other", "oz", CANARY) | {ACCOUNT: "acme"}
        nothing = {name: _made_up(value) for name, value in theirs.items()} | {ACCOUNT: "acme", "provider": "openai"}
        before = world.items()
        for who, person in (*ROLES.items(), ("operator", OPERATOR), ("stranger", STRANGER)):
            if operation.may == Who.OPERATOR and person == OPERATOR:
                continue  # Re-wrappings belong to the deployment.
            there = await world.call(operation, theirs, person, "acme")
            nowhere = await world.call(operation, nothing, person, "acme")
            assert _said(there, theirs) == _said(nowhere, nothing), who
            assert there.status_code in (403, 404), who
            if operation.may in set(Right) and who in ROLES:
                # A gateway key that names its account itself is looked for first: without it there is no role.
                assert (there.status_code == 404) == (may(operation, who) or "keyId" in operation.places), who
            assert CANARY not in _without_ids(there, theirs), who
        assert world.items() == before

    @named("operation", operations(), ids=str)
    async def test_without_a_session_there_is_nothing(self, world: World, operation: Operation) -> None:
        if operation.may == Who.EVERYBODY:
            pytest.skip("says nothing of anybody")
        theirs = await world.values(operation, "other", "oz", CANARY)
        before = world.items()
        response = await world.call(operation, theirs, "", "other")
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_session")
        assert CANARY not in response.text
        assert world.items() == before

    @named("method", ["POST", "PATCH"])
    async def test_in_a_body_are_not_found_either(self, world: World, method: str) -> None:
        """A credential for another account's gateway key."""
        theirs, mine = (await world.api.gateway_key(by="oz"))["id"], await world.api.save()
        body = {"gateway_keys": [theirs]}
        path = "/api/byok" if method == "POST" else f"/api/byok/{mine['id']}"
        whole = {"provider": "Anthropic", "key": ANTHROPIC_KEY, **body} if method == "POST" else body
        status, error = await world.api.refused(method, path, json=whole)
        assert (status, error["param"]) == (400, "gateway_keys")

    @named("path", ["/api/audit", "/api/audit/export"])
    async def test_in_a_filter_find_nothing(self, world: World, path: str) -> None:
        theirs = await world.api.save(by="oz", alias=f"{CANARY} key")
        for query in (f"credential_id={theirs['id']}", "actor=oz"):
            response = await world.api.call("GET", f"{path}?{query}")
            assert response.is_success
            assert "oz" not in response.text
            assert CANARY not in response.text


async def _furnish(world: World) -> None:
    """The other account has one of everything, with the canary in every word that people chose."""
    everything = Operation("GET", "", {"parameters": [], "x-ownkey-right": ""})
    here = {"x-ownkey-account": "other"}
    await world.api.ok("PATCH", "/api/accounts/other", by="oz", json={"name": f"{CANARY} account"})
    for make in (world.user_id, world.invitation_id, world.deposit_id, world.credential_id, world.key_id):
        await make(everything, "other", "oz", CANARY)
    strategy = {"strategy": "weighted"}
    await world.api.ok("PUT", "/api/pools/anthropic", by="oz", json=strategy, headers=here)


def _made_up(value: str) -> str:
    """An id like it that nobody has."""
    return value[:-4] + "0000" if value.startswith(("cred_", "gk_", "inv_", "dep_", "rw_")) else "nobody"


def _said(response: httpx.Response, values: Mapping[str, str]) -> tuple[int, str]:
    """Status and error, without the request's id and the ids that were sent."""
    return response.status_code, _without_ids(response, values)


def _without_ids(response: httpx.Response, values: Mapping[str, str]) -> str:
    text = response.text.replace(response.headers["x-ownkey-request-id"], "…")
    for value in sorted({*values.values(), "other", "acme", "nowhere"}, key=len, reverse=True):
        text = text.replace(value, "…")
    return text
