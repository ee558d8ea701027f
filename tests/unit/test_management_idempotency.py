"""`Idempotency-Key`: a creation happens once however often it is asked for, and nothing secret is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ownkey.domain.errors import StoreUnavailable
from ownkey.registry.idempotency import LEASE_S, TTL_S
from ownkey.store.dynamodb import Key, Put
from tests.support.aws import Tables, boto
from tests.support.management import ANTHROPIC_KEY, OPENAI_KEY, OPERATOR, Management, management

KEY = "0f6d1c1e-repeat-me"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Creation:
    """One way of creating something: who may, by what, and where it is listed."""

    path: str
    body: dict[str, Any]
    other: dict[str, Any]
    listed: str
    by: str = "ann"
    status: int = 201
    found_by: str = "id"


CREATIONS = {
    "account": Creation("/api/accounts", {"name": "Unit"}, {"name": "Unit 2"}, "/api/accounts", OPERATOR),
    "member": Creation(
        "/api/accounts/acme/members",
        {"email": "neo@x.example", "role": "member"},
        {"email": "neo@x.example", "role": "admin"},
        "/api/accounts/acme/members",
        found_by="user_id",
    ),
    "invitation": Creation(
        "/api/accounts/acme/invitations",
        {"email": "neo@x.example", "role": "member"},
        {"email": "trinity@x.example", "role": "member"},
        "/api/accounts/acme/invitations",
    ),
    "deposit": Creation(
        "/api/accounts/acme/deposits",
        {"amount_usd": "10.125"},
        {"amount_usd": "10.1250"},
        "/api/accounts/acme/deposits",
        OPERATOR,
        202,
    ),
    "credential": Creation(
        "/api/byok",
        {"provider": "OpenAI", "key": OPENAI_KEY},
        {"provider": "Anthropic", "key": ANTHROPIC_KEY},
        "/api/byok",
    ),
    "gateway key": Creation("/api/gateway-keys", {"alias": "app"}, {"alias": "other"}, "/api/gateway-keys"),
}


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        running.clock.append(NOON)
        yield running


@pytest.fixture(params=CREATIONS)
def creation(request: pytest.FixtureRequest) -> Creation:
    return CREATIONS[request.param]


async def create(api: Management, what: Creation, key: str = KEY, **changes: Any) -> httpx.Response:
    return await api.call(
        "POST", what.path, **{"by": what.by, "json": what.body, "headers": {"idempotency-key": key}} | changes
    )


async def count(api: Management, what: Creation) -> int:
    by = OPERATOR if what.path.startswith("/api/accounts") else what.by
    return len((await api.ok("GET", what.listed, by=by))["data"])


async def notes(api: Management) -> list[dict[str, Any]]:
    pages = boto("dynamodb", api.tables.endpoint).get_paginator("scan").paginate(TableName=api.tables.registry)
    return [item for page in pages for item in page["Items"] if item["pk"]["S"].startswith("IDEM#")]


class TestRepeating:
    async def test_makes_one_thing_and_answers_with_it(self, api: Management, creation: Creation) -> None:
        before = await count(api, creation)
        first = await create(api, creation)
        assert (first.status_code, "idempotent-replayed" in first.headers) == (creation.status, False)
        again = await create(api, creation)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (creation.status, "true")
        assert again.json()[creation.found_by] == first.json()[creation.found_by]
        assert await count(api, creation) == before + 1

    async def test_a_body_is_the_same_however_it_is_written(self, api: Management, creation: Creation) -> None:
        await create(api, creation)
        spaced = "{ " + ", ".join(f'"{k}":  "{v}"' for k, v in reversed(creation.body.items())) + " }"
        headers = {"idempotency-key": KEY, "content-type": "application/json"}
        again = await api.call("POST", creation.path, by=creation.by, content=spaced, headers=headers)
        assert again.headers["idempotent-replayed"] == "true"

    async def test_another_body_under_the_same_key_is_refused(self, api: Management, creation: Creation) -> None:
        await create(api, creation)
        before = await count(api, creation)
        refused = await create(api, creation, json=creation.other)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "idempotency_mismatch")
        assert await count(api, creation) == before

    async def test_of_several_at_once_one_creates(self, api: Management, creation: Creation) -> None:
        before = await count(api, creation)
        answers = await asyncio.gather(*(create(api, creation) for _ in range(4)))
        codes = [each.json().get("error", {}).get("code") for each in answers]
        made = [n for n, each in enumerate(answers) if each.is_success and "idempotent-replayed" not in each.headers]
        assert len(made) == 1
        assert set(codes) <= {None, "idempotency_in_flight"}
        assert await count(api, creation) == before + 1
        for each in answers:
            if each.status_code == 409:
                assert each.headers["x-should-retry"] == "false"

    async def test_without_a_key_each_request_is_one_of_its_own(self, api: Management) -> None:
        what = CREATIONS["deposit"]
        for _ in range(2):
            await create(api, what, headers={})
        assert await count(api, what) == 2

    async def test_other_people_and_routes_have_the_key_to_themselves(self, api: Management) -> None:
        await create(api, CREATIONS["gateway key"])
        by_another = await create(api, CREATIONS["gateway key"], by="adi", json={"alias": "of adi"})
        elsewhere = await create(api, CREATIONS["credential"])
        assert (by_another.status_code, elsewhere.status_code) == (201, 201)

    async def test_what_is_answered_is_what_the_resource_says_now(self, api: Management) -> None:
        first = (await create(api, CREATIONS["credential"])).json()
        await api.ok("PATCH", f"/api/byok/{first['id']}", json={"alias": "renamed"})
        assert (await create(api, CREATIONS["credential"])).json()["alias"] == "renamed"

    async def test_what_was_removed_since_is_not_found(self, api: Management) -> None:
        first = (await create(api, CREATIONS["credential"])).json()
        await api.ok("DELETE", f"/api/byok/{first['id']}")
        assert (await create(api, CREATIONS["credential"])).status_code == 404

    async def test_the_provider_is_asked_once(self, api: Management) -> None:
        for _ in range(3):
            await create(api, CREATIONS["credential"])
        assert len(api.validation.asked) == 1

    async def test_the_audit_log_tells_a_replay(self, api: Management) -> None:
        api.clock.clear()
        for _ in range(2):
            await create(api, CREATIONS["gateway key"])
        replayed, first = await api.log()
        assert (replayed["details"].get("replayed"), first["details"].get("replayed")) == (True, None)

    async def test_a_key_is_remembered_for_a_day(self, api: Management) -> None:
        what = CREATIONS["deposit"]
        await create(api, what)
        (note,) = await notes(api)
        assert int(note["ttl_s"]["N"]) == int(NOON.timestamp()) + TTL_S
        # DynamoDB is late in removing it: it counts as gone all the same.
        api.clock.append(NOON + timedelta(seconds=TTL_S))
        assert "idempotent-replayed" not in (await create(api, what)).headers
        assert await count(api, what) == 2


class TestFailures:
    async def test_a_refusal_does_not_use_the_key_up(self, api: Management) -> None:
        what = CREATIONS["credential"]
        api.validation.reject(OPENAI_KEY)
        assert (await create(api, what)).status_code == 422
        assert await notes(api) == []
        assert (await create(api, what, json=what.other)).status_code == 201

    async def test_a_provider_out_of_reach_does_not_either(self, api: Management) -> None:
        what = CREATIONS["credential"]
        api.validation.lose(OPENAI_KEY)
        assert (await create(api, what)).status_code == 502
        api.validation.findings.clear()
        made = await create(api, what)
        assert (made.status_code, "idempotent-replayed" in made.headers) == (201, False)
        assert await count(api, what) == 1

    async def test_after_a_failure_of_ours_another_body_is_another_request(self, api: Management) -> None:
        what = CREATIONS["credential"]
        api.validation.lose(OPENAI_KEY)
        await create(api, what)
        made = await create(api, what, json=what.other)
        assert (made.status_code, made.json()["provider"]) == (201, "anthropic")

    @pytest.mark.parametrize("what", [CREATIONS["deposit"], CREATIONS["invitation"], CREATIONS["account"]])
    async def test_what_was_made_though_the_answer_was_lost_is_found(
        self, api: Management, what: Creation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The write arrived and its answer did not: the repeat must not deposit twice."""
        owner, name = {
            "/api/accounts/acme/deposits": (api.records, "request_deposit"),
            "/api/accounts/acme/invitations": (api.registry, "create_invitation"),
            "/api/accounts": (api.registry, "create_account"),
        }[what.path]
        before, working = await count(api, what), getattr(owner, name)

        async def answer_lost(*args: Any, **options: Any) -> Any:
            await working(*args, **options)
            raise StoreUnavailable("DynamoDB did not answer.")

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, answer_lost)
            assert (await create(api, what)).status_code == 503
        again = await create(api, what)
        assert (again.is_success, again.headers["idempotent-replayed"]) == (True, "true")
        assert await count(api, what) == before + 1
        assert (await create(api, what)).headers["idempotent-replayed"] == "true"

    async def test_a_request_whose_function_died_is_taken_over_once_it_cannot_live(self, api: Management) -> None:
        what = CREATIONS["deposit"]
        made = (await create(api, what)).json()["id"]
        (note,) = await api.tables.db.query_all(api.tables.registry, "IDEM#acme")
        at = Key(api.tables.registry, note["pk"], note["sk"])
        await api.tables.db.write(Put(at, note | {"state": "in_flight"}))
        refused = await create(api, what)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_in_flight")
        api.clock.append(NOON + timedelta(seconds=LEASE_S))
        assert (await create(api, what, json=what.other)).json()["error"]["code"] == "idempotency_mismatch"
        again = await create(api, what)
        assert (again.json()["id"], await count(api, what)) == (made, 1)

    async def test_one_that_died_before_it_made_anything_is_made_under_the_id_that_it_noted(
        self, api: Management
    ) -> None:
        what = CREATIONS["deposit"]
        await create(api, what)
        (note,) = await api.tables.db.query_all(api.tables.registry, "IDEM#acme")
        noted = f"dep_{'0' * 25}z"
        at = Key(api.tables.registry, note["pk"], note["sk"])
        await api.tables.db.write(Put(at, note | {"state": "in_flight", "resource_id": noted}))
        api.clock.append(NOON + timedelta(seconds=LEASE_S))
        again = await create(api, what)
        assert (again.json()["id"], "idempotent-replayed" in again.headers) == (noted, False)

    @pytest.mark.parametrize("bad", ["", "two words", "ü", "x" * 256])
    async def test_a_key_is_short_plain_text(self, api: Management, bad: str) -> None:
        response = await create(api, CREATIONS["deposit"], headers={"idempotency-key": bad.encode()})
        assert (response.status_code, response.json()["error"]["param"]) == (400, "Idempotency-Key")

    async def test_a_right_is_asked_for_before_the_key(self, api: Management) -> None:
        await create(api, CREATIONS["credential"])
        assert (await create(api, CREATIONS["credential"], by="mia")).status_code == 403


class TestWhatIsKept:
    async def test_neither_body_nor_secret_nor_key_stands_in_a_note(self, api: Management, creation: Creation) -> None:
        answer = (await create(api, creation)).json()
        await create(api, creation)
        (note,) = await notes(api)
        text = str(note)
        assert set(note) == {
            "pk",
            "sk",
            "state",
            "status",
            "token",
            "salt",
            "fingerprint",
            "resource_id",
            "lease_until_s",
            "ttl_s",
        }
        for secret in (OPENAI_KEY, ANTHROPIC_KEY, KEY, answer.get("key"), *map(str, creation.body.values())):
            assert secret is None or secret not in text

    async def test_the_same_body_has_another_fingerprint_under_another_key(self, api: Management) -> None:
        """Else whoever reads the table could tell who saved the same provider key."""
        for key in ("one", "two"):
            await create(api, CREATIONS["gateway key"], key)
        first, second = await notes(api)
        assert first["fingerprint"] != second["fingerprint"]

    async def test_a_gateway_key_is_not_shown_again(self, api: Management) -> None:
        what = CREATIONS["gateway key"]
        first, again = (await create(api, what)).json(), (await create(api, what)).json()
        assert first["key"].startswith("ok-acme-")
        assert "key" not in again
        assert again["warnings"]
