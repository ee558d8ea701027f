"""`/api/byok`: what happens to a provider key once it is saved: changed, rotated, removed, asked about again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.ledger import rollups
from ownkey.store.dynamodb import Update
from ownkey.validation import Candidate, Finding, Kept, Verdict
from tests.support.attempts import attempt
from tests.support.aws import Tables
from tests.support.management import (
    OPENAI_KEY,
    OPENAI_KEY_2,
    Management,
    management,
)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


def by_day(update: Update) -> bool:
    """Whether it counts a credential's use of one day."""
    return "#credential" in update.key.pk and update.key.sk.startswith("D#")


async def versions(api: Management, account_id: str = "acme") -> int:
    return (await api.registry.account(account_id)).version


class TestUpdate:
    async def test_absent_is_unchanged(self, api: Management) -> None:
        key_id = (await api.gateway_key())["id"]
        saved = await api.save(alias="A", priority=4, organization="org-1", gateway_keys=[key_id])
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"weight": 7})
        assert {name for name in changed if changed[name] != saved[name]} == {"weight", "updated_at"}
        assert len(api.validation.asked) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"alias": "Renamed"},
            {"priority": 9},
            {"disabled": True},
            {"always_use": True},
            {"organization": "org-2"},
            {"project": "proj-2"},
            {"allowed_models": ["gpt-4o"]},
        ],
        ids=lambda change: next(iter(change)),
    )
    async def test_settings_change_without_the_key(self, api: Management, change: dict[str, Any]) -> None:
        saved = await api.save()
        before = await versions(api)
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json=change)
        assert change.items() <= changed.items()
        assert changed["version"] == 1
        assert await versions(api) == before + 1
        assert await api.stored() == {saved["id"]: OPENAI_KEY}

    async def test_null_lifts_a_restriction_where_it_is_said(self, api: Management) -> None:
        key_id = (await api.gateway_key())["id"]
        saved = await api.save(gateway_keys=[key_id], allowed_models=["gpt-4o"], organization="org-1")
        lifted = {"gateway_keys": None, "allowed_models": None, "organization": None}
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json=lifted)
        assert lifted.items() <= changed.items()

    @pytest.mark.parametrize("field", ["alias", "priority", "weight", "disabled", "always_use", "key"])
    async def test_null_is_no_value_of_the_others(self, api: Management, field: str) -> None:
        saved = await api.save()
        status, error = await api.refused("PATCH", f"/api/byok/{saved['id']}", json={field: None})
        assert (status, error["param"]) == (400, field)

    @pytest.mark.parametrize("field", ["gateway_keys", "allowed_models"])
    async def test_an_empty_list_is_refused(self, api: Management, field: str) -> None:
        """Emptying a scope must not widen it, and a credential for nothing is a mistake."""
        key_id = (await api.gateway_key())["id"]
        saved = await api.save(gateway_keys=[key_id], allowed_models=["gpt-4o"])
        status, _ = await api.refused("PATCH", f"/api/byok/{saved['id']}", json={field: []})
        assert status == 400

    @pytest.mark.parametrize("base_url", ["https://proxy.example/v1", "https://api.openai.com/v1/other"])
    async def test_a_new_destination_asks_for_the_key_again(self, api: Management, base_url: str) -> None:
        """C10: else a write-only key could be sent to an address of somebody's choice."""
        saved = await api.save()
        status, error = await api.refused("PATCH", f"/api/byok/{saved['id']}", json={"base_url": base_url})
        assert (status, error["param"]) == (400, "base_url")
        assert (await api.ok("GET", f"/api/byok/{saved['id']}"))["base_url"] == "https://api.openai.com/v1"

    async def test_going_back_to_the_providers_own_host_asks_for_it_too(self, api: Management) -> None:
        saved = await api.save(base_url="https://proxy.example/v1")
        status, _ = await api.refused("PATCH", f"/api/byok/{saved['id']}", json={"base_url": None})
        assert status == 400

    async def test_a_new_destination_with_the_key_is_a_new_version(self, api: Management) -> None:
        saved = await api.save()
        body = {"base_url": "https://Proxy.example/v1/", "key": OPENAI_KEY_2, "alias": "Proxy"}
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json=body)
        assert (changed["version"], changed["base_url"], changed["alias"]) == (2, "https://proxy.example/v1", "Proxy")
        assert api.validation.asked[-1] == ("openai", OPENAI_KEY_2, "https://proxy.example/v1")
        assert await api.stored() == {saved["id"]: OPENAI_KEY_2}

    async def test_the_same_destination_is_no_change(self, api: Management) -> None:
        saved = await api.save(base_url="https://proxy.example/v1")
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"base_url": "https://PROXY.example/v1/"})
        assert (changed["base_url"], changed["version"]) == ("https://proxy.example/v1", 1)

    async def test_a_rejected_key_leaves_all_as_it_was(self, api: Management) -> None:
        saved = await api.save()
        api.validation.reject(OPENAI_KEY_2)
        body = {"base_url": "https://proxy.example/v1", "key": OPENAI_KEY_2, "alias": "Proxy"}
        status, _ = await api.refused("PATCH", f"/api/byok/{saved['id']}", json=body)
        assert status == 422
        del saved["warnings"]
        assert await api.ok("GET", f"/api/byok/{saved['id']}") == saved
        assert await api.stored() == {saved["id"]: OPENAI_KEY}

    async def test_no_change_writes_nothing(self, api: Management) -> None:
        saved = await api.save(priority=1)
        before = await versions(api)
        for body in ({}, {"priority": 1, "gateway_keys": None, "alias": "OpenAI"}):
            await api.ok("PATCH", f"/api/byok/{saved['id']}", json=body)
        assert await versions(api) == before

    async def test_what_makes_a_credential_another_one_cannot_change(self, api: Management) -> None:
        saved = await api.save()
        for field in ("provider", "id", "version", "mask", "validated_at", "destination"):
            status, _ = await api.refused("PATCH", f"/api/byok/{saved['id']}", json={field: "x"})
            assert status == 400, field


class TestRotateAndDelete:
    async def test_rotation_replaces_the_secret_and_keeps_the_rest(self, api: Management) -> None:
        saved = await api.save(priority=3, base_url="https://proxy.example/v1")
        rotated = await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2})
        changed = {name for name in rotated if rotated[name] != saved[name]}
        assert changed == {"version", "versions", "mask", "updated_at", "validated_at"}
        assert (rotated["version"], rotated["mask"]) == (2, "sk-…WXYZ")
        assert await api.stored() == {saved["id"]: OPENAI_KEY_2}

    async def test_the_old_ciphertext_is_gone(self, api: Management) -> None:
        saved = await api.save()
        await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2})
        rows = await api.tables.db.query_all(api.tables.registry, "ACCT#acme", prefix="CRED#")
        assert [row["sk"].partition("#V#")[2] for row in rows] == ["", "00000002"]

    async def test_a_rejected_new_key_leaves_the_old_one_in_force(self, api: Management) -> None:
        saved = await api.save()
        api.validation.reject(OPENAI_KEY_2)
        status, _ = await api.refused("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2})
        assert status == 422
        assert await api.stored() == {saved["id"]: OPENAI_KEY}

    async def test_deletion_leaves_nothing(self, api: Management) -> None:
        saved = await api.save()
        before = await versions(api)
        assert await api.ok("DELETE", f"/api/byok/{saved['id']}") == {"id": saved["id"], "deleted": True}
        assert await api.tables.db.query_all(api.tables.registry, "ACCT#acme", prefix="CRED#") == []
        assert await versions(api) == before + 1
        assert (await api.refused("GET", f"/api/byok/{saved['id']}"))[0] == 404


class TestValidate:
    async def test_an_accepted_key_is_noted(self, api: Management) -> None:
        saved = await api.save()
        answer = await api.ok("POST", f"/api/byok/{saved['id']}/validate")
        assert (answer["verdict"], answer["reason"], answer["provider_status"]) == ("accepted", None, 200)
        assert answer["credential"]["validated_at"] > saved["validated_at"]
        assert await api.ok("GET", f"/api/byok/{saved['id']}") == answer["credential"]
        assert len(api.validation.asked) == 2

    @pytest.mark.parametrize("verdict", [Verdict.REJECTED, Verdict.UNREACHABLE, Verdict.UNDECRYPTABLE])
    async def test_any_other_verdict_changes_nothing(self, api: Management, verdict: Verdict) -> None:
        """The question was whether it is good: "no" is an answer, not an error."""
        saved = await api.save()
        api.validation.findings[OPENAI_KEY] = Finding(verdict, "said the provider", 401)
        answer = await api.ok("POST", f"/api/byok/{saved['id']}/validate")
        assert (answer["verdict"], answer["reason"]) == (verdict.value, "said the provider")
        del saved["warnings"]
        assert answer["credential"] == saved

    async def test_the_stored_ciphertext_is_what_travels(self, api: Management) -> None:
        saved = await api.save()
        await api.ok("POST", f"/api/byok/{saved['id']}/validate")
        stored = await api.registry.credential("acme", saved["id"])
        assert api.validation.candidates[-1] == Candidate.of(stored.credential, stored.sealed, kept=Kept.FINDING)


class TestLastUse:
    async def test_it_is_shown_from_what_was_billed(self, api: Management, tables: Tables) -> None:
        created = await api.call("POST", "/api/byok", json={"provider": "OpenAI", "key": OPENAI_KEY})
        credential_id = created.json()["id"]
        now = datetime.now(UTC)
        for age in (timedelta(days=2), timedelta(days=1), timedelta(days=40)):
            used = attempt("acme", at=now - age, credential_id=credential_id)
            (update,) = (each for each in rollups.updates([used], tables.rollups) if by_day(each))
            await tables.db.write(update)
        for path in ("/api/byok", f"/api/byok/{credential_id}"):
            body = (await api.call("GET", path)).json()
            shown = body["data"][0] if "data" in body else body
            assert shown["last_used_at"] == (now - timedelta(days=1)).isoformat()
