"""The audit log on the running stack: management's actions and the functions' unwraps, who, what, from where."""

from __future__ import annotations

import time

from tests.e2e.accounts import CHAT_MODEL, Account, Json, said
from tests.e2e.stage import WAIT_S
from tests.e2e.world import World


def log(account: Account, query: str = "") -> list[Json]:
    return account.owner.ok("GET", f"/api/audit{query}")["data"]


def unwraps(account: Account, function: str) -> list[Json]:
    """Those of one function, once there are any: it writes them when its answer has gone."""
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up:
        if found := log(account, f"?action=credential.unwrapped&actor={function}"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"no unwrap of {function} after {WAIT_S:.0f} s")


def test_a_saved_key_has_an_entry_of_who_saved_it_and_one_of_the_function_that_opened_it(
    world: World, account: Account
) -> None:
    key = account.save_key("OpenAI")
    (created,) = log(account, "?action=credential.created")
    assert {
        "actor_id": account.owner.ok("GET", "/api/me")["user_id"],
        "outcome": "succeeded",
    }.items() <= created.items()
    assert (created["source_ip"], created["target"]["credential_id"]) == ("127.0.0.1", key.id)
    assert created["user_agent"].startswith("python-httpx")
    (opened,) = unwraps(account, "validation")
    assert (opened["actor_kind"], opened["outcome"]) == ("function", "succeeded")
    assert {"credential_id": key.id, "version": 1, "provider": "openai"}.items() <= opened["target"].items()
    assert key.key not in str(log(account))


def test_an_inference_that_opens_a_credential_is_in_the_log_with_its_request(world: World, account: Account) -> None:
    key = account.save_key("OpenAI")
    answer = account.post("/v1/chat/completions", {"model": CHAT_MODEL, "messages": said("hello")})
    assert answer.status_code == 200
    (opened,) = unwraps(account, "inference")
    assert opened["request_id"] == answer.headers["x-ownkey-request-id"]
    assert opened["target"] == {
        "credential_id": key.id,
        "version": 1,
        "provider": "openai",
        "gateway_key_id": account.gateway_key_id,
    }
    assert opened["source_ip"] == "127.0.0.1"


def test_anothers_ciphertext_is_refused_in_the_log_too(world: World, account: Account) -> None:
    mine, theirs = account.save_key("OpenAI"), world.account().save_key("OpenAI")
    world.move_ciphertext(theirs, mine)
    account.post("/v1/chat/completions", {"model": CHAT_MODEL, "messages": said("hello")})
    (refused,) = unwraps(account, "inference")
    assert (refused["outcome"], refused["target"]["credential_id"]) == ("refused", mine.id)


def test_the_log_is_an_accounts_own(world: World, account: Account) -> None:
    account.save_key("OpenAI")
    stranger = world.account(owner="nobody-here@example.com")
    status, error = stranger.owner.refused("GET", "/api/audit", headers={"x-ownkey-account": account.id})
    assert (status, error["code"]) == (404, "not_found")
    assert all(account.id not in str(row) for row in log(stranger))


def test_a_repeated_deposit_is_carried_out_once(world: World, account: Account) -> None:
    operator, key = world.operator(account.id), {"idempotency-key": f"deposit-{account.id}"}
    path, body = f"/api/accounts/{account.id}/deposits", {"amount_usd": "7"}
    answers = [operator.call("POST", path, body, headers=key) for _ in range(3)]
    assert [each.status_code for each in answers] == [202] * 3
    assert len({each.json()["id"] for each in answers}) == 1
    assert account.balance()["total_usd"] == 7
    (row,) = account.owner.ok("GET", path)["data"]
    assert row["state"] == "billed"


def test_two_of_the_same_creation_at_once_are_one(world: World, account: Account) -> None:
    headers = {"idempotency-key": f"key-{account.id}"}
    first = account.owner.call("POST", "/api/gateway-keys", {"alias": "app"}, headers=headers)
    again = account.owner.call("POST", "/api/gateway-keys", {"alias": "app"}, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.json()["id"] == first.json()["id"]
    assert "key" not in again.json()
    assert first.json()["key"] not in str(world.items("RegistryTable"))
