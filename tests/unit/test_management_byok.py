"""`/api/byok`: provider keys as a resource. Checked, asked about once, stored sealed, never shown again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ownkey.catalog import Catalog
from ownkey.domain.errors import GatewayFailure
from ownkey.http.management import drafting
from ownkey.upstream import UrlPolicy
from ownkey.validation import Candidate, Finding, Verdict
from tests.support.aws import Tables
from tests.support.management import (
    ANTHROPIC_KEY,
    OPENAI_KEY,
    OPENAI_KEY_2,
    OPERATOR,
    Management,
    management,
)

NOBODY = "cred_00000000000000000000000000"

NO_KEYS = {
    "": "empty",
    " \n": "empty",
    "sk-proj 0123456789": "space",
    "sk-proj-01234\n56789": "space",
    "sk-proj-‑unicode-hyphen": "characters",
    "sk-proj-0123\x00456789": "characters",
    f'"{OPENAI_KEY}"': "quotes",
    "ok-acme-whatever": "gateway key",
}
UNSAFE_BASE_URLS = (
    "http://llm.example/v1",
    "https://127.0.0.1/v1",
    "https://169.254.169.254/latest",
    "https://[::1]/v1",
    "https://2130706433/v1",
    "https://user:pass@llm.example/v1",
    "https://llm.example:8443/v1",
    "https://llm.example/v1?x=1",
    "https://llm.example/v1#.openai.com",
    "https://localhost/v1",
    "file:///etc/passwd",
)
BAD_FIELDS: list[tuple[str, Any]] = [
    ("gateway_keys", []),
    ("allowed_models", []),
    ("gateway_keys", ["gk_unknown"]),
    ("priority", -1),
    ("priority", "1"),
    ("weight", 0),
    ("weight", 1.5),
    ("alias", ""),
    ("alias", None),
    ("alias", " padded "),
    ("alias", "line\nbreak"),
    ("alias", "x" * 65),
    ("organization", "org\r\nx-injected: 1"),
    ("disabled", "yes"),
    ("key", 5),
    ("key", None),
    ("key", "x" * 9_000),
]


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def versions(api: Management, account_id: str = "acme") -> int:
    return (await api.registry.account(account_id)).version


class TestCreate:
    async def test_shows_everything_but_the_key(self, api: Management) -> None:
        response = await api.call("POST", "/api/byok", json={"provider": "OpenAI", "key": OPENAI_KEY})
        assert response.status_code == 201
        shown = response.json()
        assert shown.pop("id").startswith("cred_")
        times = {shown.pop(name) for name in ("created_at", "updated_at", "validated_at")}
        assert all(time.endswith("Z") for time in times)
        assert shown.pop("last_used_at") is None
        (version,) = shown.pop("versions")
        assert version.pop("created_at") in times
        assert version == {
            "version": 1,
            "mask": "sk-…ABCD",
            "status": "active",
            "status_until": None,
            "status_code": None,
            "status_reason": None,
            "share_percent": 100,
            "last_used_at": None,
        }
        assert shown == {
            "provider": "openai",
            "provider_name": "OpenAI",
            "alias": "OpenAI",
            "mask": "sk-…ABCD",
            "status": "active",
            "status_until": None,
            "status_code": None,
            "status_reason": None,
            "status_models": None,
            "provider_failing_until": None,
            "unexplained_spend": None,
            "validation": "verified",
            "version": 1,
            "form": "key",
            "keyless": False,
            "fields": {},
            "base_url": "https://api.openai.com/v1",
            "custom_base_url": False,
            "organization": None,
            "project": None,
            "priority": 0,
            "weight": 1,
            "allowed_models": None,
            "gateway_keys": None,
            "disabled": False,
            "always_use": False,
            "shared": False,
            "pricing": {"mode": "catalog"},
            "expires_at": None,
            "warnings": [],
        }

    async def test_stores_what_was_pasted_and_asks_the_provider_once(self, api: Management) -> None:
        saved = await api.save(key=f"  {OPENAI_KEY}\n")
        assert await api.stored() == {saved["id"]: OPENAI_KEY}
        assert api.validation.asked == [("openai", OPENAI_KEY, "https://api.openai.com/v1")]

    async def test_every_setting_can_be_given(self, api: Management) -> None:
        key_id = (await api.gateway_key())["id"]
        settings = {
            "alias": "Team A",
            "priority": 2,
            "weight": 5,
            "base_url": "https://proxy.example/openai/v1",
            "organization": "org-1",
            "project": "proj-1",
            "allowed_models": ["gpt-4o", "gpt-4o-mini"],
            "gateway_keys": [key_id],
            "disabled": True,
            "always_use": True,
        }
        saved = await api.save(**settings)
        assert settings.items() <= saved.items()
        assert (saved["status"], saved["custom_base_url"]) == ("disabled", True)
        (candidate,) = api.validation.candidates
        assert candidate.headers == {"organization": "org-1", "project": "proj-1"}
        assert candidate.binding.destination == "https://proxy.example/openai/v1"

    async def test_a_new_credential_raises_the_accounts_version(self, api: Management) -> None:
        """That is how a warm function knows its snapshot is stale."""
        before = await versions(api)
        await api.save()
        assert await versions(api) == before + 1

    async def test_aliases_without_one_are_numbered(self, api: Management) -> None:
        assert [(await api.save())["alias"] for _ in range(3)] == ["OpenAI", "OpenAI 2", "OpenAI 3"]

    async def test_a_rejected_key_is_answered_with_the_providers_reason_and_not_stored(self, api: Management) -> None:
        before = await versions(api)
        api.validation.reject(OPENAI_KEY, "Incorrect API key provided.")
        status, error = await api.refused("POST", "/api/byok", json={"provider": "openai", "key": OPENAI_KEY})
        assert status == 422
        assert (error["code"], error["param"]) == ("credential_rejected", "key")
        assert error["message"].startswith("OpenAI refused the key: Incorrect API key provided.")
        assert {
            "source": "provider",
            "fix": "Check the key in the provider's console and paste it again; nothing was stored.",
            "provider": "openai",
            "provider_status": 401,
        }.items() <= error["metadata"].items()
        assert len(api.validation.asked) == 1
        assert (await api.stored(), await versions(api)) == ({}, before)

    async def test_what_the_finding_says_to_do_is_what_the_error_says(self, api: Management) -> None:
        api.validation.findings[OPENAI_KEY] = Finding(Verdict.REJECTED, "STS refused.", 403, "Grant the function it.")
        _, error = await api.refused("POST", "/api/byok", json={"provider": "openai", "key": OPENAI_KEY})
        assert error["metadata"]["fix"] == "Grant the function it."

    async def test_a_provider_out_of_reach_is_not_a_rejection(self, api: Management) -> None:
        api.validation.lose(OPENAI_KEY)
        status, error = await api.refused("POST", "/api/byok", json={"provider": "openai", "key": OPENAI_KEY})
        assert (status, error["code"], error["metadata"]["source"]) == (502, "provider_unreachable", "provider")
        assert await api.stored() == {}

    async def test_a_key_that_the_vault_cannot_open_again_is_not_stored(self, api: Management) -> None:
        api.validation.findings[OPENAI_KEY] = Finding(Verdict.UNDECRYPTABLE, "KMS does not open it.")
        status, error = await api.refused("POST", "/api/byok", json={"provider": "openai", "key": OPENAI_KEY})
        assert (status, error["code"]) == (503, "vault_unavailable")
        assert await api.stored() == {}

    async def test_a_genuine_but_limited_key_is_saved_with_the_reason(self, api: Management) -> None:
        api.validation.findings[OPENAI_KEY] = Finding(Verdict.ACCEPTED, "You have insufficient permissions.", 403)
        assert (await api.save())["warnings"] == ["You have insufficient permissions."]

    async def test_a_key_of_unusual_format_is_saved_with_a_warning(self, api: Management) -> None:
        saved = await api.save(provider="Anthropic", key=OPENAI_KEY)
        assert len(saved["warnings"]) == 1

    async def test_a_provider_whose_check_nobody_confirmed_says_so(self, api: Management) -> None:
        saved = await api.save(provider="openai-compatible", base_url="https://llm.example/v1")
        assert "without checking" in saved["warnings"][0]

    async def test_what_cannot_be_a_key_is_not_asked_about(self, api: Management) -> None:
        for key, says in NO_KEYS.items():
            status, error = await api.refused("POST", "/api/byok", json={"provider": "openai", "key": key})
            assert (status, error["code"], error["param"]) == (400, "invalid_credential_format", "key"), key
            assert says in error["message"]
        assert api.validation.asked == []

    async def test_an_unknown_provider_is_named_in_no_answer(self, api: Management) -> None:
        """The name may be a key in the wrong place."""
        status, error = await api.refused("POST", "/api/byok", json={"provider": OPENAI_KEY, "key": "OpenAI"})
        assert (status, error["param"]) == (400, "provider")
        assert OPENAI_KEY not in str(error)

    async def test_a_header_that_the_provider_does_not_take_is_refused(self, api: Management) -> None:
        body = {"provider": "Anthropic", "key": ANTHROPIC_KEY, "organization": "org-1"}
        status, error = await api.refused("POST", "/api/byok", json=body)
        assert (status, error["param"]) == (400, "organization")

    async def test_a_base_url_that_a_key_must_not_reach_is_refused(self, api: Management) -> None:
        for base_url in UNSAFE_BASE_URLS:
            body = {"provider": "openai", "key": OPENAI_KEY, "base_url": base_url}
            status, error = await api.refused("POST", "/api/byok", json=body)
            assert (status, error["code"]) == (400, "unsafe_base_url"), base_url
        assert api.validation.asked == []

    async def test_an_endpoint_of_ones_own_needs_its_base_url(self, api: Management) -> None:
        body = {"provider": "openai-compatible", "key": "sk-local"}
        status, error = await api.refused("POST", "/api/byok", json=body)
        assert (status, error["param"]) == (400, "base_url")

    async def test_a_key_repeated_in_a_public_field_is_refused(self, api: Management) -> None:
        for field, value in {
            "alias": OPENAI_KEY,
            "organization": f"org-{OPENAI_KEY}",
            "base_url": f"https://llm.example/{OPENAI_KEY}",
            "allowed_models": [OPENAI_KEY],
        }.items():
            body = {"provider": "openai", "key": OPENAI_KEY, field: value}
            status, error = await api.refused("POST", "/api/byok", json=body)
            assert status == 400, field
            assert OPENAI_KEY not in str(error)
        assert api.validation.asked == []

    async def test_a_bad_field_is_named(self, api: Management) -> None:
        for field, value in BAD_FIELDS:
            body = {"provider": "openai", "key": OPENAI_KEY, field: value}
            status, error = await api.refused("POST", "/api/byok", json=body)
            assert (status, error["code"]) == (400, "invalid_parameter"), (field, value)
            assert error["param"].startswith(field)
        assert api.validation.asked == []

    async def test_a_misspelt_field_is_refused_not_ignored(self, api: Management) -> None:
        """`gateway_key` would otherwise save an account-wide credential."""
        body = {"provider": "openai", "key": OPENAI_KEY, "gateway_key": "gk_1"}
        status, error = await api.refused("POST", "/api/byok", json=body)
        assert (status, error["code"]) == (400, "invalid_parameter")
        assert "not known" in error["message"]

    async def test_another_accounts_gateway_key_is_no_scope(self, api: Management) -> None:
        theirs = (await api.gateway_key(by="oz"))["id"]
        body = {"provider": "openai", "key": OPENAI_KEY, "gateway_keys": [theirs]}
        status, error = await api.refused("POST", "/api/byok", json=body)
        assert (status, error["param"]) == (400, "gateway_keys")

    async def test_a_validation_that_fails_stores_nothing(self, tables: Tables) -> None:
        class Failing:
            async def validate(self, candidate: Candidate) -> Finding:
                raise GatewayFailure("An internal function did not answer.", retry_after_s=1)

        async with management(tables, validation=Failing()) as api:
            response = await api.call("POST", "/api/byok", json={"provider": "openai", "key": OPENAI_KEY})
            assert response.status_code == 500
            assert response.headers["retry-after"] == "1"
            assert await api.registry.credentials("acme") == []

    async def test_where_a_provider_is_simulated_its_keys_are_for_there(self, tables: Tables) -> None:
        """The local stack: overrides and allowed origins come from the environment."""
        catalog = Catalog.load({"openai": "http://127.0.0.1:9/v1"})
        policy = UrlPolicy(["http://127.0.0.1:9"])
        async with management(tables, catalog=catalog, url_policy=policy) as api:
            assert (await api.save())["base_url"] == "http://127.0.0.1:9/v1"
            own = await api.save(base_url="http://127.0.0.1:9/other")
            assert (own["base_url"], own["custom_base_url"]) == ("http://127.0.0.1:9/other", True)

    async def test_an_account_has_room_for_so_many(self, api: Management, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drafting, "MAX_CREDENTIALS", 1)
        key_id = (await api.gateway_key())["id"]
        await api.save()
        status, error = await api.refused("POST", "/api/byok", json={"provider": "OpenAI", "key": OPENAI_KEY_2})
        assert (status, error["code"]) == (409, "conflict")
        body = {"providerKeys": {"OpenAI": OPENAI_KEY_2}}
        assert (await api.refused("PATCH", f"/api/auth?keyId={key_id}", json=body))[0] == 409
        assert len(api.validation.asked) == 1


class TestRead:
    async def test_a_list_is_oldest_first_and_the_accounts_own(self, api: Management) -> None:
        saved = [(await api.save())["id"] for _ in range(2)]
        await api.save(by="oz")
        assert [row["id"] for row in (await api.ok("GET", "/api/byok"))["data"]] == saved

    async def test_one_is_read_as_it_was_shown(self, api: Management) -> None:
        saved = await api.save()
        del saved["warnings"]
        assert await api.ok("GET", f"/api/byok/{saved['id']}") == saved

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "", None),
            ("PATCH", "", {"alias": "mine"}),
            ("DELETE", "", None),
            ("POST", "/rotate", {"key": OPENAI_KEY_2}),
            ("POST", "/validate", None),
        ],
    )
    async def test_anothers_is_as_unknown_as_none(self, api: Management, method: str, path: str, body: Any) -> None:
        theirs = (await api.save(by="oz"))["id"]
        unknown = await api.refused(method, f"/api/byok/{NOBODY}{path}", json=body)
        status, error = await api.refused(method, f"/api/byok/{theirs}{path}", json=body)
        assert status == unknown[0] == 404
        assert error["message"].replace(theirs, NOBODY) == unknown[1]["message"]
        assert await api.stored("other") == {theirs: OPENAI_KEY}


class TestPlatform:
    async def test_the_operator_saves_platform_credentials_the_same_way(self, api: Management) -> None:
        body = {"provider": "OpenAI", "key": OPENAI_KEY}
        saved = await api.ok("POST", "/api/byok", by=OPERATOR, headers={"x-ownkey-account": "platform"}, json=body)
        assert await api.stored("platform") == {saved["id"]: OPENAI_KEY}
        listed = await api.ok("GET", "/api/byok?account=platform", by=OPERATOR)
        assert [row["id"] for row in listed["data"]] == [saved["id"]]

    async def test_the_platform_is_nobody_elses(self, api: Management) -> None:
        for method, path, body in (
            ("GET", "/api/byok", None),
            ("POST", "/api/byok", {"provider": "OpenAI", "key": OPENAI_KEY}),
        ):
            status, _ = await api.refused(method, path, headers={"x-ownkey-account": "platform"}, json=body)
            assert status == 404

    async def test_it_has_no_gateway_keys(self, api: Management) -> None:
        status, _ = await api.refused("POST", "/api/gateway-keys?account=platform", by=OPERATOR, json={})
        assert status == 403


def test_a_candidate_survives_the_journey(candidate: Candidate) -> None:
    assert Candidate.from_json(candidate.to_json()) == candidate


@pytest.fixture
async def candidate(api: Management) -> Candidate:
    await api.save(organization="org-1")
    return api.validation.candidates[0]
