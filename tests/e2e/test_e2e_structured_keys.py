"""Credentials of several parts over the management API of the running stack, with the bodies that ARouter documents."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from local.aws_keys import simulated_secret
from tests.e2e.accounts import Account
from tests.e2e.service_accounts import EMAIL, key_file
from tests.e2e.world import World


def an_id(prefix: str) -> str:
    return prefix + uuid.uuid4().hex[:13].upper()


def azure() -> dict[str, Any]:
    return {
        "provider_name": "Azure",
        "azure_endpoint": "https://your-resource.openai.azure.com",
        "azure_api_key": f"sim-{uuid.uuid4().hex}",
        "azure_deployment": "gpt-5-4",
    }


def access_key() -> dict[str, Any]:
    key_id = an_id("AKIASIM")
    secret = simulated_secret(key_id)
    return {
        "provider_name": "Bedrock",
        "aws_access_key_id": key_id,
        "aws_secret_access_key": secret,
        "aws_region": "us-east-1",
    }


def session() -> dict[str, Any]:
    key_id = an_id("ASIASIM")
    inner = {
        "access_key_id": key_id,
        "secret_access_key": simulated_secret(key_id),
        "session_token": f"IQoJb3JpZ2luX2Vj{uuid.uuid4().hex}",
        "region": "us-east-1",
    }
    return {"provider_name": "Bedrock", "aws_credentials": inner}


def api_key() -> dict[str, Any]:
    return {"provider_name": "Bedrock", "key": f"ABSKsim-{uuid.uuid4().hex}", "aws_region": "us-east-1"}


@pytest.fixture(scope="module")
def vertex(world: World) -> dict[str, Any]:
    """A key file as Google writes it, of an account that the simulated Google knows."""
    return {"provider_name": "VertexAI", "vertex_service_account": key_file(world)}


def secrets_of(body: Any) -> list[str]:
    """What must be seen nowhere: the longest texts of the secret members."""
    if not isinstance(body, dict):
        return []
    named = ("azure_api_key", "aws_secret_access_key", "secret_access_key", "session_token", "key", "private_key")
    own = [value for name, value in body.items() if name in named]
    return own + [secret for value in body.values() for secret in secrets_of(value)]


def saved(account: Account, body: dict[str, Any]) -> dict[str, Any]:
    answer = account.owner.call("POST", "/api/byok", body)
    assert answer.status_code == 201, answer.text
    assert not [secret for secret in secrets_of(body) if secret in answer.text]
    return answer.json()


class TestEachFormIsSavedProvenAndShown:
    def test_azure(self, account):
        body = azure()
        shown = saved(account, body)
        assert shown["provider"] == "azure"
        assert shown["fields"] == {"host": "your-resource.openai.azure.com", "deployment": "gpt-5-4"}
        assert shown["mask"] == f"sim-…{body['azure_api_key'][-4:]}, your-resource.openai.azure.com"

    def test_bedrocks_access_key(self, account):
        body = access_key()
        shown = saved(account, body)
        assert (shown["form"], shown["fields"]) == ("access_key", {"region": "us-east-1"})
        assert shown["mask"] == f"AKIA…{body['aws_access_key_id'][-4:]}, us-east-1"

    def test_bedrocks_session(self, account):
        shown = saved(account, session())
        assert (shown["form"], shown["fields"]) == ("session", {"region": "us-east-1"})
        assert shown["mask"].startswith("ASIA…")

    def test_bedrocks_api_key(self, account):
        assert saved(account, api_key())["form"] == "api_key"

    def test_vertex(self, account, vertex):
        shown = saved(account, vertex)
        assert shown["fields"] == {"project_id": "your-project", "client_email": EMAIL, "location": "us-central1"}
        assert shown["mask"] == f"{EMAIL}, us-central1"


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("body", "changes", "words"),
        [
            (azure, {"azure_api_key": "f" * 32}, "invalid subscription key"),
            (access_key, {"aws_secret_access_key": "w" * 40}, "signature"),
            (api_key, {"key": "ABSKunknown0000"}, "make sure your API Key is valid"),
        ],
    )
    def test_a_bad_secret_comes_back_with_the_providers_reason_and_nothing_is_stored(
        self, account, body, changes, words
    ):
        answer = account.owner.call("POST", "/api/byok", body() | changes)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "credential_rejected")
        assert words in error["message"]
        assert account.owner.ok("GET", "/api/byok")["data"] == []

    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({"aws_region": "us-east-1.evil.example"}, "aws_region"),
            ({"aws_region": "us-east-1#"}, "aws_region"),
            ({"base_url": "https://evil.example"}, "base_url"),
            ({"aws_credentials": {"region": "us-east-1"}}, "aws_credentials"),
        ],
    )
    def test_what_leads_elsewhere_is_refused_before_anybody_is_asked(self, world, account, changes, param):
        body = access_key() | changes
        answer = account.owner.call("POST", "/api/byok", body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert world.all_calls(body["aws_access_key_id"]) == []

    @pytest.mark.parametrize("endpoint", ["https://a.openai.azure.com#@evil.example", "https://169.254.169.254"])
    def test_an_endpoint_that_is_none_of_azures_meets_the_guard(self, account, endpoint):
        answer = account.owner.call("POST", "/api/byok", azure() | {"azure_endpoint": endpoint})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] in ("unsafe_base_url", "invalid_parameter")


class TestChanges:
    def test_a_deployment_changes_alone_and_a_region_asks_for_the_secret(self, account):
        shown = saved(account, azure())
        changed = account.owner.ok("PATCH", f"/api/byok/{shown['id']}", {"azure_deployment": "gpt-6"})
        assert (changed["fields"]["deployment"], changed["version"], changed["mask"]) == ("gpt-6", 1, shown["mask"])
        shown = saved(account, access_key())
        answer = account.owner.call("PATCH", f"/api/byok/{shown['id']}", {"aws_region": "eu-west-1"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "aws_region")

    def test_a_rotation_takes_the_new_secret_and_keeps_the_rest(self, account):
        shown = saved(account, access_key())
        new = access_key()
        secret = {name: new[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
        rotated = account.owner.ok("POST", f"/api/byok/{shown['id']}/rotate", secret)
        assert (rotated["version"], rotated["fields"]) == (2, {"region": "us-east-1"})
        assert rotated["mask"] == f"AKIA…{new['aws_access_key_id'][-4:]}, us-east-1"


def test_no_secret_part_stands_in_the_table(world, account, vertex) -> None:
    bodies = [azure(), access_key(), session(), api_key(), vertex]
    for body in bodies:
        saved(account, body)
    kept = json.dumps(world.items("RegistryTable"), default=str)
    secrets = [secret for body in bodies for secret in secrets_of(body)]
    assert not [secret for secret in secrets if secret in kept or json.dumps(secret)[1:-1] in kept]
