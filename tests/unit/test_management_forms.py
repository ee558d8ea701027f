"""Credentials in the forms that their providers have them in: several parts, files, none at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ownkey.domain.credentials import Credential
from ownkey.validation import Kept
from tests.support.aws import Tables
from tests.support.kms import OWN_KMS_KEY
from tests.support.management import ANTHROPIC_KEY, OPENAI_KEY, Management, management

PEM = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 8 + "-----END PRIVATE KEY-----\n"
AZURE_KEY = "0123456789abcdef0123456789abcdef"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
AWS_TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN" * 3
ROLE = "arn:aws:iam::123456789012:role/ownkey-bedrock-team"

AZURE = {
    "provider_name": "Azure",
    "azure_endpoint": "https://your-resource.openai.azure.com",
    "azure_api_key": AZURE_KEY,
    "azure_deployment": "gpt-5-4",
}
BEDROCK = {
    "provider_name": "Bedrock",
    "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key": AWS_SECRET,
    "aws_region": "us-east-1",
}
BEDROCK_SESSION = {
    "provider_name": "Bedrock",
    "aws_credentials": {
        "access_key_id": "ASIAIOSFODNN7EXAMPLE",
        "secret_access_key": AWS_SECRET,
        "session_token": AWS_TOKEN,
        "region": "us-east-1",
    },
}
BEDROCK_KEY = {"provider": "Bedrock", "key": "ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl", "aws_region": "eu-central-1"}
VERTEX: dict[str, Any] = {
    "provider_name": "VertexAI",
    "vertex_service_account": {
        "type": "service_account",
        "project_id": "your-project",
        "private_key_id": "0123456789abcdef",
        "private_key": PEM,
        "client_email": "your-sa@your-project.iam.gserviceaccount.com",
    },
}
BEDROCK_ROLE = {"provider": "Bedrock", "role_arn": ROLE, "aws_region": "us-east-1"}
OPENAI_IDENTITY = {"provider": "OpenAI", "identity_provider_id": "idp_0123", "service_account_id": "svc_0123"}

SECRETS = (AZURE_KEY, AWS_SECRET, AWS_TOKEN, BEDROCK_KEY["key"], PEM.strip(), "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC")


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables, keyless_credentials=True) as running:
        yield running


async def save(api: Management, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return await api.ok("POST", "/api/byok", json={**body, **more})


async def opened(api: Management, credential_id: str) -> dict[str, str]:
    """The fields that are sealed."""
    stored = await api.registry.credential("acme", credential_id)
    if stored.sealed is None:
        return {}
    fields = await api.opener.open(stored.credential.binding(), stored.sealed)
    return {name: secret.reveal() for name, secret in fields.items()}


class TestSaving:
    @pytest.mark.parametrize(
        ("body", "sealed", "fields", "base_url", "mask"),
        [
            (
                AZURE,
                {"key": AZURE_KEY},
                {"host": "your-resource.openai.azure.com", "deployment": "gpt-5-4"},
                "https://your-resource.openai.azure.com",
                "…cdef, your-resource.openai.azure.com",
            ),
            (
                BEDROCK,
                {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": AWS_SECRET},
                {"region": "us-east-1"},
                "https://bedrock-runtime.us-east-1.amazonaws.com",
                "AKIA…MPLE, us-east-1",
            ),
            (
                BEDROCK_SESSION,
                {
                    "access_key_id": "ASIAIOSFODNN7EXAMPLE",
                    "secret_access_key": AWS_SECRET,
                    "session_token": AWS_TOKEN,
                },
                {"region": "us-east-1"},
                "https://bedrock-runtime.us-east-1.amazonaws.com",
                "ASIA…MPLE, us-east-1",
            ),
            (
                BEDROCK_KEY,
                {"key": BEDROCK_KEY["key"]},
                {"region": "eu-central-1"},
                "https://bedrock-runtime.eu-central-1.amazonaws.com",
                "…cGxl, eu-central-1",
            ),
            (
                VERTEX,
                {"private_key_id": "0123456789abcdef", "private_key": PEM.strip()},
                {
                    "project_id": "your-project",
                    "client_email": "your-sa@your-project.iam.gserviceaccount.com",
                    "location": "us-central1",
                },
                "https://us-central1-aiplatform.googleapis.com/v1/projects/your-project/locations/us-central1",
                "your-sa@your-project.iam.gserviceaccount.com, us-central1",
            ),
            (
                BEDROCK_ROLE,
                {},
                {"role_arn": ROLE, "region": "us-east-1"},
                "https://bedrock-runtime.us-east-1.amazonaws.com",
                f"{ROLE}, us-east-1",
            ),
            (
                OPENAI_IDENTITY,
                {},
                {
                    "identity_provider_id": "idp_0123",
                    "service_account_id": "svc_0123",
                    "audience": "https://api.openai.com/v1",
                },
                "https://api.openai.com/v1",
                "svc_0123",
            ),
        ],
        ids=["azure", "bedrock", "bedrock session", "bedrock key", "vertex", "bedrock role", "openai identity"],
    )
    async def test_the_secret_parts_are_sealed_and_the_others_shown(
        self,
        api: Management,
        body: dict[str, Any],
        sealed: dict[str, str],
        fields: dict[str, str],
        base_url: str,
        mask: str,
    ) -> None:
        shown = await save(api, body)
        assert (shown["fields"], shown["base_url"], shown["mask"]) == (fields, base_url, mask)
        assert (shown["custom_base_url"], shown["keyless"]) == (False, not sealed)
        assert await opened(api, shown["id"]) == sealed
        (candidate,) = api.validation.candidates
        assert (candidate.form, candidate.fields) == (shown["form"], fields)
        text = json.dumps([shown, await api.ok("GET", "/api/byok"), await api.ok("GET", "/api/byok/export")])
        assert not [secret for secret in SECRETS if secret in text or json.dumps(secret)[1:-1] in text]

    async def test_a_file_may_come_as_text(self, api: Management) -> None:
        text = json.dumps(VERTEX["vertex_service_account"])
        shown = await save(api, {"provider": "vertex", "vertex_service_account": text, "vertex_location": "global"})
        assert shown["base_url"] == "https://aiplatform.googleapis.com/v1/projects/your-project/locations/global"

    async def test_a_resource_of_ones_own_host_is_an_address_of_ones_own(self, api: Management) -> None:
        shown = await save(api, AZURE, azure_endpoint="https://azure-proxy.example.com")
        assert (shown["base_url"], shown["custom_base_url"]) == ("https://azure-proxy.example.com", True)

    @pytest.mark.parametrize(
        "endpoint",
        [
            "https://evil.example/#.openai.azure.com",
            "https://169.254.169.254",
            "http://your-resource.openai.azure.com",
            "https://your-resource.openai.azure.com@evil.example",
            "https://your-resource.openai.azure.com:8443",
        ],
    )
    async def test_no_address_leads_elsewhere(self, api: Management, endpoint: str) -> None:
        status, _ = await api.refused("POST", "/api/byok", json={**AZURE, "azure_endpoint": endpoint})
        assert status == 400
        assert api.validation.asked == []

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({**BEDROCK, "aws_region": "us-east-1.evil.example/"}, "aws_region"),
            ({**BEDROCK, "aws_secret_access_key": "ok-acme-something"}, "aws_secret_access_key"),
            ({**BEDROCK, "aws_secret_access_key": 5}, "aws_secret_access_key"),
            ({name: value for name, value in BEDROCK.items() if name != "aws_region"}, "aws_region"),
            ({**AZURE, "azure_deployment": "../../x"}, "azure_deployment"),
            ({**AZURE, "azure_region": "west"}, "azure_region"),
            ({**BEDROCK_SESSION, "aws_credentials": {"region": "us-east-1"}}, "aws_credentials.access_key_id"),
            (
                {**VERTEX, "vertex_service_account": {**VERTEX["vertex_service_account"], "type": "authorized_user"}},
                "vertex_service_account.type",
            ),
            ({**VERTEX, "vertex_service_account": "{"}, "vertex_service_account"),
            ({**BEDROCK, "base_url": "https://proxy.example"}, "base_url"),
            ({"provider": "OpenAI", "aws_region": "us-east-1", "key": OPENAI_KEY}, "aws_region"),
            ({"provider": "OpenAI"}, "key"),
            ({"provider": "OpenAI", "provider_name": "OpenAI", "key": OPENAI_KEY}, None),
            ({"key": OPENAI_KEY}, "provider"),
        ],
    )
    async def test_what_is_wrong_is_named_and_not_repeated(
        self, api: Management, body: dict[str, Any], param: str | None
    ) -> None:
        status, error = await api.refused("POST", "/api/byok", json=body)
        assert (status, error["param"]) == (400, param), error
        text = json.dumps(error)
        assert not [secret for secret in (*SECRETS, OPENAI_KEY, "evil.example") if secret in text]
        assert api.validation.asked == []

    async def test_a_part_repeated_in_a_public_field_is_refused(self, api: Management) -> None:
        status, error = await api.refused("POST", "/api/byok", json={**BEDROCK, "alias": AWS_SECRET})
        assert status == 400
        assert AWS_SECRET not in str(error)

    async def test_a_refusal_says_why_and_stores_nothing(self, api: Management) -> None:
        api.validation.reject(AZURE_KEY, "Access denied due to invalid subscription key.")
        status, error = await api.refused("POST", "/api/byok", json=AZURE)
        assert (status, error["code"]) == (422, "credential_rejected")
        assert await api.registry.credentials("acme") == []


class TestChanging:
    async def test_another_region_is_another_address_and_asks_for_the_secret(self, api: Management) -> None:
        saved = await save(api, BEDROCK)
        status, error = await api.refused("PATCH", f"/api/byok/{saved['id']}", json={"aws_region": "eu-west-1"})
        assert (status, error["param"]) == (400, "aws_region")
        body = {name: value for name, value in BEDROCK.items() if name != "provider_name"}
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={**body, "aws_region": "eu-west-1"})
        assert (changed["version"], changed["fields"]) == (2, {"region": "eu-west-1"})
        assert changed["base_url"] == "https://bedrock-runtime.eu-west-1.amazonaws.com"

    async def test_a_field_that_leads_nowhere_else_is_asked_about_and_changed(self, api: Management) -> None:
        """A deployment that is not there would fail every request: the provider is asked, with the stored key."""
        saved = await save(api, AZURE)
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"azure_deployment": "gpt-6"})
        assert [each.kept for each in api.validation.candidates] == [Kept.NOTHING, Kept.ACCEPTANCE], "marks may go"
        assert (changed["version"], changed["fields"]["deployment"]) == (1, "gpt-6")
        assert [each.fields["deployment"] for each in api.validation.candidates] == ["gpt-5-4", "gpt-6"]
        assert await opened(api, saved["id"]) == {"key": AZURE_KEY}
        api.validation.reject(AZURE_KEY, "no such deployment", 404)
        assert (await api.refused("PATCH", f"/api/byok/{saved['id']}", json={"azure_deployment": "gpt-7"}))[0] == 422
        assert (await api.ok("GET", f"/api/byok/{saved['id']}"))["fields"]["deployment"] == "gpt-6"

    async def test_an_optional_field_is_taken_away_by_null(self, api: Management) -> None:
        saved = await save(api, AZURE, api_version="2024-10-21")
        assert saved["fields"]["api_version"] == "2024-10-21"
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"api_version": None})
        assert "api_version" not in changed["fields"]

    async def test_settings_change_without_any_part(self, api: Management) -> None:
        saved = await save(api, VERTEX)
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"alias": "Google", "priority": 3})
        assert (changed["alias"], changed["fields"], changed["version"]) == ("Google", saved["fields"], 1)
        assert len(api.validation.asked) == 1

    async def test_a_misspelt_field_is_refused_here_too(self, api: Management) -> None:
        saved = await save(api, AZURE)
        for body in ({"prioritty": 1}, {"azure_deploymnet": "x"}, {OPENAI_KEY: "x"}):
            status, error = await api.refused("PATCH", f"/api/byok/{saved['id']}", json=body)
            assert (status, error["code"]) == (400, "invalid_parameter")
            assert OPENAI_KEY not in str(error)

    async def test_rotation_needs_the_secret_parts_alone(self, api: Management) -> None:
        saved = await save(api, AZURE)
        other = "fedcba9876543210fedcba9876543210"
        rotated = await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"azure_api_key": other})
        assert (rotated["version"], rotated["fields"], rotated["base_url"]) == (2, saved["fields"], saved["base_url"])
        assert await opened(api, saved["id"]) == {"key": other}

    async def test_a_rotation_without_a_secret_is_none(self, api: Management) -> None:
        saved = await save(api, AZURE)
        for body in ({}, {"azure_deployment": "gpt-6"}):
            assert (await api.refused("POST", f"/api/byok/{saved['id']}/rotate", json=body))[0] == 400

    async def test_a_rotation_may_change_the_form_but_keeps_no_other(self, api: Management) -> None:
        saved = await save(api, BEDROCK)
        body = {"key": BEDROCK_KEY["key"], "aws_region": "us-east-1"}
        path = f"/api/byok/{saved['id']}/rotate"
        status, error = await api.refused("POST", path, json={**body, "keep_previous": True})
        assert (status, error["param"]) == (400, "keep_previous")
        rotated = await api.ok("POST", path, json=body)
        assert (rotated["form"], rotated["version"]) == ("api_key", 2)
        assert await opened(api, saved["id"]) == {"key": BEDROCK_KEY["key"]}

    async def test_two_versions_of_a_structured_secret_stand_beside_each_other(self, api: Management) -> None:
        saved = await save(api, BEDROCK)
        body = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPL2", "aws_secret_access_key": AWS_SECRET, "keep_previous": True}
        rotated = await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json=body)
        assert [each["mask"] for each in rotated["versions"]] == ["AKIA…MPL2, us-east-1", "AKIA…MPLE, us-east-1"]


class TestKeyless:
    async def test_nothing_is_stored(self, api: Management) -> None:
        saved = await save(api, BEDROCK_ROLE)
        rows = await api.tables.db.query_all(api.tables.registry, "ACCT#acme", prefix="CRED#")
        assert [row["sk"] for row in rows] == [f"CRED#{saved['id']}"]
        assert api.kms.calls == 0
        assert saved["versions"][0]["mask"] == saved["mask"]

    async def test_another_role_is_asked_about_and_a_new_version(self, api: Management) -> None:
        saved = await save(api, BEDROCK_ROLE)
        other = ROLE.replace("team", "other")
        changed = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"role_arn": other})
        assert (changed["version"], changed["fields"]["role_arn"]) == (2, other)
        assert len(api.validation.asked) == 2
        moved = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"aws_region": "eu-west-1"})
        assert (moved["version"], moved["base_url"]) == (3, "https://bedrock-runtime.eu-west-1.amazonaws.com")

    async def test_it_can_become_a_key_and_a_key_can_become_it(self, api: Management) -> None:
        saved = await save(api, OPENAI_IDENTITY)
        keyed = await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY})
        assert (keyed["form"], keyed["keyless"], keyed["fields"], keyed["version"]) == ("key", False, {}, 2)
        body = {name: value for name, value in OPENAI_IDENTITY.items() if name != "provider"}
        again = await api.ok("PATCH", f"/api/byok/{saved['id']}", json=body)
        assert (again["form"], again["keyless"], again["version"]) == ("workload_identity", True, 3)
        assert await opened(api, saved["id"]) == {}
        rows = await api.tables.db.query_all(api.tables.registry, "ACCT#acme", prefix="CRED#")
        assert len(rows) == 1, "the key's ciphertext is gone"

    async def test_its_token_follows_nobody_elsewhere(self, api: Management) -> None:
        """Nothing is sealed for an address: whoever could set one would get the function's own token."""
        body = {**OPENAI_IDENTITY, "base_url": "https://evil.example/v1"}
        assert (await api.refused("POST", "/api/byok", json=body))[0] == 400
        saved = await save(api, OPENAI_IDENTITY)
        body = {"base_url": "https://evil.example/v1"}
        assert (await api.refused("PATCH", f"/api/byok/{saved['id']}", json=body))[0] == 400
        keyed = await api.save(base_url="https://proxy.example/v1")
        identity = {name: value for name, value in OPENAI_IDENTITY.items() if name != "provider"}
        changed = await api.ok("PATCH", f"/api/byok/{keyed['id']}", json=identity)
        assert (changed["base_url"], changed["custom_base_url"]) == ("https://api.openai.com/v1", False)

    async def test_there_is_nothing_to_rotate_keep_or_shred(self, api: Management) -> None:
        saved = await save(api, BEDROCK_ROLE)
        for path, body in (
            ("rotate", {"keep_previous": True}),
            ("rotate", {"key": BEDROCK_KEY["key"], "keep_previous": True}),
            ("shred", {"confirm": saved["id"]}),
        ):
            assert (await api.refused("POST", f"/api/byok/{saved['id']}/{path}", json=body))[0] == 400
        assert (await api.refused("POST", f"/api/byok/{saved['id']}/retire"))[0] == 409

    async def test_it_is_left_where_it_is_by_what_concerns_secrets(self, api: Management) -> None:
        saved = await save(api, BEDROCK_ROLE)
        await api.ok("PUT", "/api/accounts/acme/kms-key", json={"kms_key_arn": OWN_KMS_KEY})
        assert (await api.ok("POST", "/api/accounts/acme/shred", json={"confirm": "acme"}))["shredded"] == []
        await api.ok("POST", f"/api/byok/{saved['id']}/validate")
        await api.ok("DELETE", f"/api/byok/{saved['id']}")

    async def test_where_the_operator_does_not_allow_it_there_is_none(self, tables: Tables) -> None:
        async with management(tables) as api:
            status, error = await api.refused("POST", "/api/byok", json=BEDROCK_ROLE)
            assert status == 400
            assert "KeylessCredentials" in error["metadata"]["fix"]
            (form,) = (form for form in (await api.ok("GET", "/api/providers/bedrock"))["forms"] if form["keyless"])
            assert form["available"] is False


class TestTheKeysOfOneApp:
    async def test_a_provider_without_a_plain_key_is_sent_elsewhere(self, api: Management) -> None:
        key_id = (await api.gateway_key())["id"]
        for name in ("Azure", "Bedrock", "VertexAI"):
            body = {"providerKeys": {name: AZURE_KEY}}
            status, error = await api.refused("PATCH", f"/api/auth?keyId={key_id}", json=body)
            assert (status, error["code"]) == (400, "invalid_parameter"), name
            assert "POST /api/byok" in error["metadata"]["fix"]
        assert api.validation.asked == []

    async def test_an_identity_of_its_own_becomes_the_key(self, api: Management) -> None:
        key_id = (await api.gateway_key())["id"]
        saved = await save(api, OPENAI_IDENTITY, gateway_keys=[key_id])
        await api.ok("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": {"OpenAI": OPENAI_KEY}})
        assert await opened(api, saved["id"]) == {"key": OPENAI_KEY}
        credential: Credential = (await api.registry.credential("acme", saved["id"])).credential
        assert (credential.form, credential.keyless, credential.fields) == ("key", False, {})


class TestProviders:
    async def test_a_provider_says_what_its_credentials_are_made_of(self, api: Management) -> None:
        shown = await api.ok("GET", "/api/providers/azure", by="bea")
        assert (shown["id"], shown["name"], shown["validation"]) == ("azure", "Azure OpenAI", "verified")
        (form,) = shown["forms"]
        fields = {each["name"]: each for each in form["fields"]}
        assert set(AZURE) - {"provider_name"} <= set(fields)
        assert (fields["azure_api_key"]["secret"], fields["azure_endpoint"]["secret"]) == (True, False)
        assert (fields["azure_deployment"]["required"], fields["api_version"]["required"]) == (True, False)
        assert fields["azure_endpoint"]["help"].startswith("Keys and Endpoint")

    async def test_every_provider_is_listed_with_a_form(self, api: Management) -> None:
        rows, cursor = [], ""
        for _ in range(10):
            page = await api.ok("GET", f"/api/providers?limit=100{cursor}")
            rows += page["data"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
        assert {"openai", "anthropic", "azure", "bedrock", "vertex"} <= {row["id"] for row in rows}
        assert all(form["fields"] for row in rows for form in row["forms"])
        openai = next(row for row in rows if row["id"] == "openai")
        assert [form["id"] for form in openai["forms"]] == ["key", "workload_identity"]
        assert openai["settings"] == ["organization", "project"]

    async def test_an_unknown_one_is_not_found(self, api: Management) -> None:
        status, error = await api.refused("GET", f"/api/providers/{ANTHROPIC_KEY}")
        assert status == 404
        assert ANTHROPIC_KEY not in str(error)

    async def test_strangers_see_none(self, api: Management) -> None:
        assert (await api.client.get("/api/providers")).status_code == 401
