"""Dual-key rotation: the new key beside the old one, a share of the traffic on each, until the old one is retired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.ledger import rollups
from ownkey.store.dynamodb import Update
from tests.support.attempts import attempt
from tests.support.aws import Tables
from tests.support.management import OPENAI_KEY, OPENAI_KEY_2, Management, management

OPENAI_KEY_3 = "sk-proj-333333333333333333333333333333333333QRST"


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


def by_day(update: Update) -> bool:
    """Whether it counts a credential's use of one day."""
    return "#credential" in update.key.pk and update.key.sk.startswith("D#")


async def rotate(api: Management, credential_id: str, key: str = OPENAI_KEY_2, **body: Any) -> dict[str, Any]:
    return await api.ok("POST", f"/api/byok/{credential_id}/rotate", json={"key": key, **body})


async def secrets(api: Management, credential_id: str) -> dict[int, str]:
    """What the vault holds of a credential, by version."""
    stored = await api.registry.credential_versions("acme", credential_id)
    opened = {}
    for each in stored:
        assert each.sealed is not None
        fields = await api.opener.open(each.credential.binding(), each.sealed)
        opened[each.credential.version] = fields["key"].reveal()
    return opened


def shares(view: dict[str, Any]) -> dict[int, int]:
    return {each["version"]: each["share_percent"] for each in view["versions"]}


class TestKeepingTheOldOne:
    async def test_both_versions_are_there_and_the_new_one_leads(self, api: Management) -> None:
        saved = await api.save()
        rotated = await rotate(api, saved["id"], keep_previous=True)
        assert (rotated["version"], rotated["mask"]) == (2, "sk-…WXYZ")
        assert [(each["version"], each["mask"]) for each in rotated["versions"]] == [(2, "sk-…WXYZ"), (1, "sk-…ABCD")]
        assert shares(rotated) == {2: 100, 1: 0}
        assert await secrets(api, saved["id"]) == {2: OPENAI_KEY_2, 1: OPENAI_KEY}

    async def test_the_old_one_keeps_the_share_it_is_given(self, api: Management) -> None:
        saved = await api.save()
        assert shares(await rotate(api, saved["id"], keep_previous=True, share_percent=90)) == {2: 10, 1: 90}
        for share in (50, 0, 100):
            view = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"previous_share_percent": share})
            assert shares(view) == {2: 100 - share, 1: share}
        assert len(api.validation.asked) == 2, "shifting traffic is nobody's question"

    async def test_each_version_says_since_when_it_is_there(self, api: Management) -> None:
        saved = await api.save()
        (first,) = saved["versions"]
        rotated = await rotate(api, saved["id"], keep_previous=True)
        now, before = rotated["versions"]
        assert before["created_at"] == first["created_at"]
        assert now["created_at"] > before["created_at"]
        again = await rotate(api, saved["id"], OPENAI_KEY_3, keep_previous=True)
        assert again["versions"][1]["created_at"] == now["created_at"]

    async def test_each_version_says_when_it_last_served(self, api: Management, tables: Tables) -> None:
        """What tells when the old one may go."""
        saved = await api.save()
        await rotate(api, saved["id"], keep_previous=True)
        now = datetime.now(UTC)
        for version, age in ((1, timedelta(days=3)), (2, timedelta(hours=1))):
            used = attempt("acme", at=now - age, credential_id=saved["id"], credential_version=version)
            (update,) = (each for each in rollups.updates([used], tables.rollups) if by_day(each))
            await tables.db.write(update)
        view = await api.ok("GET", f"/api/byok/{saved['id']}")
        expected = [(now - timedelta(hours=1)).isoformat(), (now - timedelta(days=3)).isoformat()]
        assert [each["last_used_at"] for each in view["versions"]] == expected
        assert view["last_used_at"] == expected[0]

    async def test_a_further_rotation_drops_the_oldest(self, api: Management) -> None:
        saved = await api.save()
        await rotate(api, saved["id"], keep_previous=True)
        await rotate(api, saved["id"], OPENAI_KEY_3, keep_previous=True)
        assert await secrets(api, saved["id"]) == {3: OPENAI_KEY_3, 2: OPENAI_KEY_2}

    async def test_a_rotation_in_place_drops_both(self, api: Management) -> None:
        saved = await api.save()
        await rotate(api, saved["id"], keep_previous=True)
        await rotate(api, saved["id"], OPENAI_KEY_3)
        assert await secrets(api, saved["id"]) == {3: OPENAI_KEY_3}
        rows = await api.tables.db.query_all(api.tables.registry, "ACCT#acme", prefix="CRED#")
        assert len(rows) == 2, "the credential and one secret"

    async def test_a_rejected_new_key_leaves_all_as_it_was(self, api: Management) -> None:
        saved = await api.save()
        await rotate(api, saved["id"], keep_previous=True, share_percent=30)
        before = await api.ok("GET", f"/api/byok/{saved['id']}")
        api.validation.reject(OPENAI_KEY_3)
        body = {"key": OPENAI_KEY_3, "keep_previous": True}
        assert (await api.refused("POST", f"/api/byok/{saved['id']}/rotate", json=body))[0] == 422
        assert await api.ok("GET", f"/api/byok/{saved['id']}") == before
        assert await secrets(api, saved["id"]) == {2: OPENAI_KEY_2, 1: OPENAI_KEY}

    async def test_it_is_one_credential_in_a_list(self, api: Management) -> None:
        saved = await api.save()
        await rotate(api, saved["id"], keep_previous=True)
        (row,) = (await api.ok("GET", "/api/byok"))["data"]
        assert len(row["versions"]) == 2

    @pytest.mark.parametrize(
        "body",
        [
            {"share_percent": 10},
            {"keep_previous": False, "share_percent": 10},
            {"keep_previous": True, "share_percent": 101},
            {"keep_previous": True, "share_percent": -1},
            {"keep_previous": True, "share_percent": None},
            {"keep_previous": "yes"},
        ],
    )
    async def test_a_share_is_a_percentage_of_a_kept_version(self, api: Management, body: dict[str, Any]) -> None:
        saved = await api.save()
        status, _ = await api.refused("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2, **body})
        assert status == 400
        assert await secrets(api, saved["id"]) == {1: OPENAI_KEY}

    async def test_without_a_previous_version_there_is_no_share(self, api: Management) -> None:
        saved = await api.save()
        body = {"previous_share_percent": 10}
        status, error = await api.refused("PATCH", f"/api/byok/{saved['id']}", json=body)
        assert (status, error["param"]) == (400, "previous_share_percent")

    async def test_a_changed_destination_keeps_no_version(self, api: Management) -> None:
        """The old key is sealed for the old address: it could never be opened for the new one."""
        saved = await api.save()
        await rotate(api, saved["id"], keep_previous=True)
        body = {"base_url": "https://proxy.example/v1", "key": OPENAI_KEY_3}
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json=body)
        assert shares(changed) == {3: 100}
        assert await secrets(api, saved["id"]) == {3: OPENAI_KEY_3}

    async def test_what_was_noted_of_the_old_keys_expiry_goes_with_it(self, api: Management) -> None:
        saved = await api.save(expires_at="2027-01-31T12:00:00Z")
        assert saved["expires_at"] == "2027-01-31T12:00:00.000000Z"
        assert (await rotate(api, saved["id"]))["expires_at"] is None
        rotated = await rotate(api, saved["id"], OPENAI_KEY_3, expires_at="2028-01-31T13:00:00+01:00")
        assert rotated["expires_at"] == "2028-01-31T12:00:00.000000Z"


class TestRetiring:
    async def test_the_old_one_goes_and_its_ciphertext_with_it(self, api: Management) -> None:
        saved = await api.save()
        await rotate(api, saved["id"], keep_previous=True, share_percent=50)
        before = (await api.registry.account("acme")).version
        retired = await api.ok("POST", f"/api/byok/{saved['id']}/retire")
        assert shares(retired) == {2: 100}
        assert await secrets(api, saved["id"]) == {2: OPENAI_KEY_2}
        assert (await api.registry.account("acme")).version == before + 1

    async def test_what_was_retired_is_not_there_to_be_retired(self, api: Management) -> None:
        saved = await api.save()
        assert (await api.refused("POST", f"/api/byok/{saved['id']}/retire"))[0] == 409

    async def test_removal_takes_both_along(self, api: Management) -> None:
        saved = await api.save()
        await rotate(api, saved["id"], keep_previous=True)
        await api.ok("DELETE", f"/api/byok/{saved['id']}")
        assert await api.tables.db.query_all(api.tables.registry, "ACCT#acme", prefix="CRED#") == []


class TestTheKeysOfOneApp:
    async def test_setting_it_anew_replaces_both(self, api: Management) -> None:
        """`PATCH /api/auth` says which key serves: no second one stays behind."""
        key_id = (await api.gateway_key())["id"]
        await api.ok("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": {"OpenAI": OPENAI_KEY}})
        (row,) = (await api.ok("GET", "/api/byok"))["data"]
        await rotate(api, row["id"], keep_previous=True)
        await api.ok("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": {"OpenAI": OPENAI_KEY_3}})
        assert await secrets(api, row["id"]) == {3: OPENAI_KEY_3}

    async def test_clearing_it_deletes_both(self, api: Management) -> None:
        key_id = (await api.gateway_key())["id"]
        saved = await api.save(gateway_keys=[key_id])
        await rotate(api, saved["id"], keep_previous=True)
        await api.ok("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": {"OpenAI": None}})
        assert await api.tables.db.query_all(api.tables.registry, "ACCT#acme", prefix="CRED#") == []


class TestSeveralAtOnce:
    async def test_a_rotation_does_not_undo_a_setting_that_was_changed_meanwhile(self, api: Management) -> None:
        """It stores the whole public part: were the change not looked for, it would be lost without a word."""
        saved = await api.save()
        validate = api.validation.validate

        async def renamed_meanwhile(candidate: Any) -> Any:
            api.validation.validate = validate
            await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"alias": "Renamed"})
            return await validate(candidate)

        api.validation.validate = renamed_meanwhile
        status, error = await api.refused("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2})
        assert (status, error["code"]) == (409, "conflict")
        assert (await api.ok("GET", f"/api/byok/{saved['id']}"))["alias"] == "Renamed"
        assert await secrets(api, saved["id"]) == {1: OPENAI_KEY}

    async def test_if_match_holds_a_write_to_what_was_seen(self, api: Management) -> None:
        saved = await api.save()
        seen = (await api.call("GET", f"/api/byok/{saved['id']}")).headers["etag"]
        await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"alias": "Other"})
        stale = {"if-match": seen}
        for method, path, body in (
            ("PATCH", "", {"alias": "Mine"}),
            ("POST", "/rotate", {"key": OPENAI_KEY_2}),
            ("POST", "/retire", None),
            ("POST", "/shred", {"confirm": saved["id"]}),
            ("DELETE", "", None),
        ):
            status, error = await api.refused(method, f"/api/byok/{saved['id']}{path}", json=body, headers=stale)
            assert (status, error["code"]) == (412, "precondition_failed"), path
        now = (await api.call("GET", f"/api/byok/{saved['id']}")).headers["etag"]
        await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"alias": "Mine"}, headers={"if-match": now})

    async def test_use_and_validation_do_not_change_the_tag(self, api: Management) -> None:
        saved = await api.save()
        seen = (await api.call("GET", f"/api/byok/{saved['id']}")).headers["etag"]
        await api.ok("POST", f"/api/byok/{saved['id']}/validate")
        assert (await api.call("GET", f"/api/byok/{saved['id']}")).headers["etag"] == seen

    async def test_a_repeated_creation_makes_one_credential(self, api: Management) -> None:
        body = {"provider": "OpenAI", "key": OPENAI_KEY}
        first, second = [
            await api.call("POST", "/api/byok", json=body, headers={"idempotency-key": "once"}) for _ in range(2)
        ]
        assert (first.status_code, second.status_code) == (201, 201)
        assert second.headers["idempotent-replayed"] == "true"
        assert first.json()["id"] == second.json()["id"]
        assert len((await api.ok("GET", "/api/byok"))["data"]) == 1
        assert len(api.validation.asked) == 1
