"""Keys over the management API of the running stack: real sessions, real validation, ciphertext in the table."""

from __future__ import annotations

import base64
import json

import pytest

from ownkey.store import keys
from tests.e2e.accounts import Account, new_provider_key
from tests.e2e.world import World


def credentials(account: Account) -> list[dict]:
    return account.owner.ok("GET", "/api/byok")["data"]


def validations(world: World, key: str) -> int:
    """How many times the provider was asked about a key."""
    return sum(each.path.endswith("/models") for each in world.all_calls(key))


class TestProviderKeysOfAGatewayKey:
    """`PATCH /api/auth?keyId=…`"""

    def patch(self, account: Account, keys: object, **options):
        query = {"keyId": account.gateway_key_id}
        return account.owner.call("PATCH", "/api/auth", {"providerKeys": keys}, params=query, **options)

    def test_sets_a_key_for_each_provider_each_asked_once(self, world, account):
        keys = {"OpenAI": new_provider_key("OpenAI"), "Anthropic": new_provider_key("Anthropic")}
        answer = self.patch(account, keys)
        assert answer.status_code == 200
        assert answer.json()["providerKeys"] == {
            "OpenAI": f"sk-…{keys['OpenAI'][-4:]}",
            "Anthropic": f"sk-…{keys['Anthropic'][-4:]}",
        }
        assert {each["provider"]: each["gateway_keys"] for each in credentials(account)} == {
            "openai": [account.gateway_key_id],
            "anthropic": [account.gateway_key_id],
        }
        assert [validations(world, key) for key in keys.values()] == [1, 1]

    def test_names_no_account_the_gateway_key_has_one(self, world):
        account = world.account(owner="only@example.com")
        headers = {"authorization": f"Bearer {account.owner.token}"}
        answer = world.http(
            "PATCH",
            f"/api/auth?keyId={account.gateway_key_id}",
            headers=headers,
            json={"providerKeys": {"OpenAI": new_provider_key()}},
        )
        assert answer.status_code == 200
        assert len(credentials(account)) == 1

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_nothing_clears_one_provider(self, account, nothing):
        self.patch(account, {"OpenAI": new_provider_key("OpenAI"), "Anthropic": new_provider_key("Anthropic")})
        assert self.patch(account, {"OpenAI": nothing}).json()["providerKeys"].keys() == {"Anthropic"}
        assert [each["provider"] for each in credentials(account)] == ["anthropic"]

    def test_null_clears_all(self, account):
        self.patch(account, {"OpenAI": new_provider_key("OpenAI"), "Anthropic": new_provider_key("Anthropic")})
        assert self.patch(account, None).json()["providerKeys"] == {}
        assert credentials(account) == []

    def test_one_rejected_key_stores_none(self, account):
        wrong = "sk-nobody-knows-this-key-0123456789"
        answer = self.patch(account, {"Anthropic": new_provider_key("Anthropic"), "OpenAI": wrong})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "credential_rejected")
        assert error["param"] == "providerKeys.OpenAI"
        assert error["metadata"]["source"] == "provider"
        assert wrong not in answer.text
        assert credentials(account) == []

    def test_takes_a_session_not_a_gateway_key(self, account):
        answer = self.patch(account, None, headers={"authorization": f"Bearer {account.gateway_key}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_session")


class TestCredentials:
    """`/api/byok`"""

    def test_a_saved_key_is_never_shown_again(self, account):
        key = account.save_key("OpenAI", alias="main")
        shown = [key.saved, account.owner.ok("GET", f"/api/byok/{key.id}"), *credentials(account)]
        assert {each["mask"] for each in shown} == {f"sk-…{key.key[-4:]}"}
        assert {each["alias"] for each in shown} == {"main"}
        assert key.key not in json.dumps(shown)

    @pytest.mark.parametrize("provider", ["OpenAI", "Anthropic", "Groq"])
    def test_a_key_the_provider_rejects_stores_nothing(self, world, account, provider):
        before = len(world.items("RegistryTable"))
        wrong = f"wrong-{new_provider_key()[8:]}"
        status, error = account.owner.refused("POST", "/api/byok", {"provider": provider, "key": wrong})
        assert (status, error["code"]) == (422, "credential_rejected")
        assert provider in error["message"]
        assert len(world.items("RegistryTable")) == before

    def test_a_provider_that_repeats_the_key_is_not_repeated(self, world, account):
        key = new_provider_key()
        world.script("openai", key=key, fail="401", echo_key=True)
        response = account.owner.call("POST", "/api/byok", {"provider": "OpenAI", "key": key})
        assert response.status_code == 422
        assert key not in response.text
        assert key[8:24] not in response.text

    @pytest.mark.parametrize("failing", ["500", "bad_gateway", "overloaded"])
    def test_a_provider_that_says_nothing_of_the_key_is_no_rejection(self, world, account, failing):
        key = new_provider_key()
        world.script("groq", key=key, fail=failing)
        status, error = account.owner.refused("POST", "/api/byok", {"provider": "Groq", "key": key})
        assert (status, error["code"]) == (502, "provider_unreachable")
        assert credentials(account) == []

    def test_a_key_over_its_rate_limit_is_a_key_and_is_saved_with_a_warning(self, world, account):
        key = new_provider_key()
        world.script("openai", key=key, fail="429", times=1)
        assert any("Rate limit" in warning for warning in account.save_key("OpenAI", key).saved["warnings"])

    def test_an_unreachable_provider_is_no_rejection(self, world, account):
        body = {
            "provider": "OpenAI-compatible endpoint",
            "key": new_provider_key(),
            "base_url": f"{world.stage.closed_origin}/v1",
        }
        status, error = account.owner.refused("POST", "/api/byok", body)
        assert (status, error["code"]) == (502, "provider_unreachable")
        assert error["metadata"]["fix"]
        assert credentials(account) == []

    @pytest.mark.parametrize(
        "base_url",
        ["http://169.254.169.254/latest", "https://10.0.0.8/v1", "https://user@example.com/v1", "ftp://example.com"],
    )
    def test_a_base_url_into_ones_own_network_is_refused_before_any_call(self, account, base_url):
        body = {"provider": "openai-compatible", "key": new_provider_key(), "base_url": base_url}
        status, error = account.owner.refused("POST", "/api/byok", body)
        assert (status, error["code"]) == (400, "unsafe_base_url")
        assert credentials(account) == []

    def test_a_destination_does_not_change_without_the_key(self, world, account):
        key = account.save_key("openai-compatible", base_url=world.scene().base_url)
        elsewhere = world.scene().base_url
        status, error = account.owner.refused("PATCH", f"/api/byok/{key.id}", {"base_url": elsewhere})
        assert (status, error["param"]) == (400, "base_url")
        changed = account.owner.ok("PATCH", f"/api/byok/{key.id}", {"base_url": elsewhere, "key": key.key})
        assert (changed["base_url"], changed["version"]) == (elsewhere, 2)

    def test_validation_tells_a_key_that_was_revoked_since(self, world, account):
        key = account.save_key("OpenAI")
        assert account.owner.ok("POST", f"/api/byok/{key.id}/validate")["verdict"] == "accepted"
        world.set_key("openai", key.key, False)
        assert account.owner.ok("POST", f"/api/byok/{key.id}/validate")["verdict"] == "rejected"

    def test_rotation_to_a_rejected_key_keeps_the_old_one(self, account):
        key = account.save_key("OpenAI")
        status, error = account.owner.refused("POST", f"/api/byok/{key.id}/rotate", {"key": "sk-not-known-anywhere-1"})
        assert (status, error["code"]) == (422, "credential_rejected")
        kept = account.owner.ok("GET", f"/api/byok/{key.id}")
        assert (kept["version"], kept["mask"]) == (1, key.saved["mask"])

    def test_a_deleted_credential_is_gone(self, account):
        key = account.save_key("OpenAI")
        assert account.owner.ok("DELETE", f"/api/byok/{key.id}")["deleted"] is True
        status, error = account.owner.refused("GET", f"/api/byok/{key.id}")
        assert (status, error["code"]) == (404, "not_found")

    def test_the_table_holds_ciphertext_alone(self, world, account):
        key = account.save_key("OpenAI", alias="main").key
        mine = world.partition("RegistryTable", keys.account(account.id))
        secrets = [each for each in mine if "ciphertext" in each]
        assert len(secrets) == 1
        assert isinstance(secrets[0]["ciphertext"]["B"], bytes)
        assert isinstance(secrets[0]["wrapped_key"]["B"], bytes)
        everything = repr(world.items("RegistryTable")).encode()
        for form in (key.encode(), base64.b64encode(key.encode()), key.encode().hex().encode(), key[8:].encode()):
            assert form not in everything


@pytest.fixture(scope="module")
def alice(world: World) -> Account:
    account = world.account(owner="alice@example.com")
    account.save_key("OpenAI")
    return account


@pytest.fixture(scope="module")
def bob(world: World) -> Account:
    return world.account(owner="bob@example.com")


class TestTenants:
    """Of another account nobody learns anything, not even that it is there."""

    @pytest.mark.parametrize(
        "method, action, body",
        [
            ("GET", "", None),
            ("PATCH", "", {"disabled": True}),
            ("DELETE", "", None),
            ("POST", "/rotate", {"key": "sk-sim-bobs-own-key-0123456789"}),
            ("POST", "/validate", None),
        ],
    )
    def test_anothers_credential_is_not_found(self, alice, bob, method, action, body):
        (hers,) = credentials(alice)
        for account_id in (bob.id, alice.id):
            path, headers = f"/api/byok/{hers['id']}{action}", {"x-ownkey-account": account_id}
            status, error = bob.owner.refused(method, path, body, headers=headers)
            assert (status, error["code"]) == (404, "not_found")
        assert credentials(alice) == [hers]

    @pytest.mark.parametrize(
        "path",
        ["byok", "gateway-keys", "balance", "ledger", "usage", "activity", "accounts/{id}", "accounts/{id}/members"],
    )
    def test_anothers_account_is_not_found(self, alice, bob, path):
        path = f"/api/{path.format(id=alice.id)}"
        status, error = bob.owner.refused("GET", path, headers={"x-ownkey-account": alice.id})
        assert (status, error["code"]) == (404, "not_found")

    def test_anothers_gateway_key_takes_no_provider_keys(self, alice, bob):
        body = {"providerKeys": {"OpenAI": new_provider_key()}}
        query = {"keyId": alice.gateway_key_id}
        status, error = bob.owner.refused("PATCH", "/api/auth", body, params=query)
        assert (status, error["code"]) == (404, "not_found")
        assert len(credentials(alice)) == 1

    def test_lists_show_ones_own_alone(self, alice, bob):
        assert [each["id"] for each in bob.owner.ok("GET", "/api/gateway-keys")["data"]] == [bob.gateway_key_id]
        assert [each["id"] for each in bob.owner.ok("GET", "/api/accounts")["data"]] == [bob.id]
        assert credentials(bob) == []
