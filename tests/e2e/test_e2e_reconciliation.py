"""What Ownkey recorded against what the provider reports, on the running stack: nothing is left over, until somebody
else uses the key."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from tests.e2e.accounts import CHAT_MODEL, MESSAGES_MODEL, Account, Json, SavedKey, said
from tests.e2e.world import World

ADMIN_KEYS = {"OpenAI": "sk-admin-sim-{}", "Anthropic": "sk-ant-admin01-sim-{}"}


@pytest.fixture
def account(world: World) -> Account:
    """Of what the simulated vendor has served, the tests before are forgotten: it reports to all who ask."""
    world.call(world.up.simulator.journal.clear)
    world.call(world.up.simulator.bill.clear)
    return world.account(platform_allowed=False)


def save_admin(account: Account, provider: str) -> Json:
    key = ADMIN_KEYS[provider].format(secrets.token_hex(16))
    return account.owner.ok("POST", "/api/admin-credentials", {"provider": provider, "key": key})


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def reconcile(account: Account, provider: str) -> Json:
    account.world.drain()
    days = {"provider": provider, "from": today(), "to": today()}
    begun = account.owner.ok("POST", "/api/reconciliations", days)
    assert begun["state"] == "running"
    account.world.upkeep("sweep")
    done = account.owner.ok("GET", f"/api/reconciliations/{begun['id']}")
    assert (done["state"], done["reason"]) == ("done", None), done
    return done


def rows(account: Account, run: Json) -> list[Json]:
    return account.owner.ok("GET", f"/api/reconciliations/{run['id']}/rows")["data"]


def row_of(account: Account, run: Json, credential: SavedKey) -> Json:
    return next(row for row in rows(account, run) if row["credential_id"] == credential.id)


def card(account: Account, credential: SavedKey) -> Json:
    return account.owner.ok("GET", f"/api/byok/{credential.id}")


def leak(world: World, path: str, headers: Mapping[str, str], body: Json) -> None:
    """A request that does not pass the gateway."""
    answer = httpx.post(world.up.simulator.origin + path, headers=dict(headers), json=body, trust_env=False)
    assert answer.status_code == 200, answer.text


def leak_openai(world: World, key: str) -> None:
    body = {"model": CHAT_MODEL, "messages": said("whose key is this? " * 20)}
    leak(world, "/openai/v1/chat/completions", {"authorization": f"Bearer {key}"}, body)


def ask_openai(account: Account) -> None:
    client = account.openai()
    client.chat.completions.create(model=CHAT_MODEL, messages=said("hello"))
    for _ in client.chat.completions.create(model=CHAT_MODEL, messages=said("and again " * 30), stream=True):
        pass
    # Again: the second time a part of the prompt comes from the cache.
    client.chat.completions.create(model=CHAT_MODEL, messages=said("word " * 3_000))
    client.chat.completions.create(model=CHAT_MODEL, messages=said("word " * 3_000))


def test_what_passed_the_gateway_is_what_openai_reports(account: Account) -> None:
    saved = account.save_key("OpenAI")
    save_admin(account, "OpenAI")
    ask_openai(account)

    run = reconcile(account, "OpenAI")
    row = row_of(account, run, saved)
    assert Decimal(run["recorded_usd"]) > 0
    assert run["reported_usd"] == run["recorded_usd"]
    assert (row["variance_usd"], row["unexplained_usd"], row["explained"]) == ("0", "0", {})
    (model,) = row["models"]
    assert model["recorded_requests"] == model["reported_requests"] == 4
    assert model["recorded_tokens"] == model["reported_tokens"] > 6_000
    assert run["leaks"] == []
    assert card(account, saved)["unexplained_spend"] is None


def test_a_request_past_the_gateway_raises_the_alarm(world: World, account: Account) -> None:
    good, leaked = account.save_key("OpenAI"), account.save_key("OpenAI")
    save_admin(account, "OpenAI")
    account.owner.ok("PUT", "/api/reconciliation-settings", {"leak_threshold_usd": "0"})
    ask_openai(account)
    leak_openai(world, leaked.key)

    run = reconcile(account, "OpenAI")
    assert [each["credential_id"] for each in run["leaks"]] == [leaked.id]
    assert Decimal(run["unexplained_usd"]) > 0
    assert row_of(account, run, good)["unexplained_usd"] == "0"
    shown = card(account, leaked)["unexplained_spend"]
    assert shown["amount_usd"] == row_of(account, run, leaked)["unexplained_usd"]
    assert (shown["from"], shown["to"], shown["reconciliation_id"]) == (today(), today(), run["id"])
    (entry,) = account.owner.ok("GET", "/api/audit", params={"action": "credential.leak_suspected"})["data"]
    assert (entry["actor_kind"], entry["target"]["credential_id"]) == ("system", leaked.id)
    assert entry["details"]["unexplained_usd"] == shown["amount_usd"]
    assert card(account, leaked)["disabled"] is False, "nobody asked for that"

    # Looking again finds the same, and tells nobody twice.
    reconcile(account, "OpenAI")
    assert len(account.owner.ok("GET", "/api/audit", params={"action": "credential.leak_suspected"})["data"]) == 1

    offered = shown["disable"]
    account.owner.ok(offered["method"], offered["path"], offered["body"])
    assert card(account, leaked)["disabled"] is True


def test_where_the_account_says_so_the_credential_is_disabled_at_once(world: World, account: Account) -> None:
    leaked = account.save_key("OpenAI")
    save_admin(account, "OpenAI")
    settings = {"leak_threshold_usd": "0", "disable_credential": True}
    account.owner.ok("PUT", "/api/reconciliation-settings", settings)
    leak_openai(world, leaked.key)

    reconcile(account, "OpenAI")
    assert card(account, leaked)["disabled"] is True
    answer = account.post("/v1/chat/completions", {"model": CHAT_MODEL, "messages": said("hello")})
    assert answer.is_error, "the next request goes by it"


def test_anthropic_reports_by_key_and_bills_by_day(world: World, account: Account) -> None:
    saved = account.save_key("Anthropic")
    save_admin(account, "Anthropic")
    account.owner.ok("PUT", "/api/reconciliation-settings", {"leak_threshold_usd": "0"})
    client = account.anthropic()
    client.messages.create(model=MESSAGES_MODEL, max_tokens=50, messages=said("hello"))
    system = [{"type": "text", "text": "word " * 5_000, "cache_control": {"type": "ephemeral"}}]
    for _ in range(2):
        client.messages.create(model=MESSAGES_MODEL, max_tokens=50, messages=said("hello"), system=system)

    run = reconcile(account, "Anthropic")
    row = row_of(account, run, saved)
    assert (row["variance_usd"], row["charged_usd"]) == ("0", None)
    assert (run["leaks"], run["unexplained_usd"]) == ([], "0")

    headers = {"x-api-key": saved.key, "anthropic-version": "2023-06-01"}
    body = {"model": MESSAGES_MODEL, "max_tokens": 50, "messages": said("whose key is this?")}
    leak(world, "/anthropic/v1/messages", headers, body)
    assert [each["credential_id"] for each in reconcile(account, "Anthropic")["leaks"]] == [saved.id]


def test_keys_that_are_not_ours_are_said_so_and_alarm_nobody(world: World, account: Account) -> None:
    account.save_key("OpenAI")
    save_admin(account, "OpenAI")
    account.owner.ok("PUT", "/api/reconciliation-settings", {"leak_threshold_usd": "0"})
    leak_openai(world, "sk-sim-another-teams-key-of-the-same-organization")

    run = reconcile(account, "OpenAI")
    (row,) = rows(account, run)
    assert (row["credential_id"], row["known_to_ownkey"], len(row["api_key_ids"])) == (None, False, 1)
    assert Decimal(run["not_known_to_ownkey_usd"]) > 0
    assert (run["leaks"], run["unexplained_usd"]) == ([], "0")


def test_a_rotated_key_that_somebody_still_uses_is_found_by_its_credential(world: World, account: Account) -> None:
    saved = account.save_key("OpenAI")
    save_admin(account, "OpenAI")
    account.owner.ok("PUT", "/api/reconciliation-settings", {"leak_threshold_usd": "0"})
    ask_openai(account)
    reconcile(account, "OpenAI")

    rotated = {"key": f"sk-sim-{secrets.token_hex(20)}"}
    account.owner.ok("POST", f"/api/byok/{saved.id}/rotate", rotated)
    leak_openai(world, saved.key)
    assert [each["credential_id"] for each in reconcile(account, "OpenAI")["leaks"]] == [saved.id]


def test_the_days_run_comes_by_itself_for_each_admin_credential(world: World, account: Account) -> None:
    save_admin(account, "OpenAI")
    assert world.upkeep("reconcile")["begun"] >= 1
    world.upkeep("sweep")
    (run,) = account.owner.ok("GET", "/api/reconciliations")["data"]
    assert (run["state"], run["started_by"]) == ("done", "upkeep")


def test_an_admin_key_that_the_provider_refuses_is_not_saved(account: Account) -> None:
    body = {"provider": "OpenAI", "key": "sk-sim-an-inference-key-in-the-wrong-place"}
    status, error = account.owner.refused("POST", "/api/admin-credentials", body)
    assert (status, error["code"]) == (422, "credential_rejected")
    assert account.owner.ok("GET", "/api/admin-credentials")["data"] == []


def test_aws_bill_is_shown_beside_what_was_recorded_and_alarms_nobody(world: World, account: Account) -> None:
    from local.aws_keys import simulated_secret
    from local.simulator.reports import BillLine

    lines = [("Claude Haiku 4.5 (Amazon Bedrock Edition), USE1-input", "1.25"), ("Amazon S3, Requests", "9")]
    for about, amount in lines:
        world.call(world.up.simulator.bill.append, BillLine("bedrock", today(), amount, about))
    access_key = f"AKIASIM{secrets.token_hex(6).upper()}"
    secret = {"access_key_id": access_key, "secret_access_key": simulated_secret(access_key)}
    saved = account.owner.ok("POST", "/api/admin-credentials", {"provider": "Bedrock", **secret})
    assert secret["secret_access_key"] not in str(saved)
    wrong = {**secret, "secret_access_key": "x" * 40}
    status, error = account.owner.refused("POST", f"/api/admin-credentials/{saved['id']}/rotate", wrong)
    assert (status, error["code"]) == (422, "credential_rejected")

    run = reconcile(account, "Bedrock")
    (row,) = rows(account, run)
    assert (row["credential_id"], row["charged_usd"], row["recorded_usd"]) == (None, "1.25", "0")
    assert (run["charged_usd"], run["leaks"]) == ("1.25", [])


def test_kms_refuses_to_open_an_admin_key_for_requests(world: World, account: Account) -> None:
    """Were its rows ever among the provider keys: the role that serves requests may not open what is sealed for it."""
    key = ADMIN_KEYS["OpenAI"].format(secrets.token_hex(16))
    saved = account.owner.ok("POST", "/api/admin-credentials", {"provider": "OpenAI", "key": key})
    moved = [each for each in world.items("RegistryTable") if each["sk"]["S"].startswith(f"ADMIN#{saved['id']}")]
    assert len(moved) == 2
    for item in moved:
        sk = item["sk"]["S"].replace("ADMIN#", "CRED#")
        plain = {"form": {"S": "key"}} if "mask" in item else {}
        world.dynamodb().put_item(
            TableName=world.up.stack.resources["RegistryTable"], Item=item | {"sk": {"S": sk}} | plain
        )
    answer = account.post("/v1/chat/completions", {"model": CHAT_MODEL, "messages": said("hello")})
    assert answer.json()["error"]["code"] == "credential_undecryptable", answer.text
    assert world.calls(key) == []
