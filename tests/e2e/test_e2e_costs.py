"""One request's cost, wherever it is asked for: the answer, the generation, the credits, usage, activity, statement."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.e2e.accounts import Account
from tests.e2e.surfaces import CHAT
from tests.e2e.world import World


def held_by(world: World, account: Account, path: str) -> dict[str, Any]:
    """What the holder of the account's gateway key is told."""
    answer = world.http("GET", path, headers={"authorization": f"Bearer {account.gateway_key}"})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_every_page_tells_the_same_cost(world):
    account = world.account(credits_usd="5")
    on_platform = CHAT.raw(account, "hello")
    account.save_key("OpenAI")
    on_own = CHAT.raw(account, "hello", user="ann")
    account.attempts()  # all are billed

    usage = on_platform.parse().usage.to_dict()
    platform = held_by(world, account, f"/v1/generation?id={on_platform.headers['x-ownkey-request-id']}")
    own = held_by(world, account, f"/api/v1/generation?id={on_own.headers['x-ownkey-request-id']}")
    assert (platform["is_byok"], platform["total_cost"]) == (False, usage["cost"])
    assert (own["is_byok"], own["total_cost"]) == (True, 0)
    assert own["upstream_inference_cost"] > 0
    assert own["attempts"][0]["credential_id"] != platform["attempts"][0]["credential_id"]

    charge = Decimal(platform["attempts"][0]["charge_usd"])
    credits = held_by(world, account, "/v1/credits")
    assert credits["total_credits"] == 5
    assert Decimal(str(credits["total_usage"])) == charge > 0

    statement = account.owner.ok("GET", "/api/statements")
    month = account.owner.ok("GET", "/api/usage", params={"granularity": "month"})
    assert Decimal(statement["closing_usd"]) == account.balance()["total_usd"] == 5 - charge
    assert Decimal(statement["totals"]["charge_usd"]) == Decimal(month["totals"]["charge_usd"]) == charge
    assert statement["totals"] == month["totals"]
    (row,) = account.owner.ok("GET", "/api/activity", params={"user": "ann", "source": "byok"})["data"]
    assert row["request_id"] == on_own.headers["x-ownkey-request-id"]


def test_savings_lead_from_the_baseline_to_what_was_paid_on_every_page(world):
    account = world.account(credits_usd="5")
    CHAT.raw(account, "hello", extra_headers={"X-Ownkey-Tags": "feature=search"})
    account.save_key("OpenAI")
    CHAT.raw(account, "hello", extra_headers={"X-Ownkey-Tags": "feature=search"})
    attempts = account.attempts()
    totals = account.owner.ok("GET", "/api/usage")["totals"]
    byok = account.owner.ok("GET", "/api/usage", params={"source": "byok"})["totals"]
    (feature,) = account.owner.ok("GET", "/api/usage", params={"dimension": "feature"})["data"]

    def dollars(rows: list[dict[str, Any]], name: str) -> Decimal:
        return sum((Decimal(row[name]) for row in rows), Decimal(0))

    for name in ("baseline_usd", "saved_usd", "saved_byok_usd", "saved_caching_usd", "saved_routing_usd"):
        assert Decimal(totals[name]) == dollars([each["savings"] for each in attempts], name) == Decimal(feature[name])
    paid = dollars([totals], "cost_byok_usd") + dollars([totals], "charge_usd")
    assert dollars([totals], "baseline_usd") - dollars([totals], "saved_usd") == paid
    assert byok["saved_usd"] == totals["saved_byok_usd"]
    assert abs(Decimal(byok["saved_usd"]) / Decimal(byok["cost_byok_usd"]) - Decimal("0.05")) < Decimal("0.0001")
    assert feature["value"] == "search"

    key = held_by(world, account, "/v1/key")
    for span in ("", "_daily", "_weekly", "_monthly"):
        assert key[f"usage{span}"] == float(totals["charge_usd"]) > 0
        assert key[f"byok_usage{span}"] == float(totals["cost_byok_usd"]) > 0


def test_the_holder_of_another_accounts_key_is_told_nothing(world):
    account, stranger = world.account(credits_usd="5"), world.account()
    request_id = CHAT.raw(account, "hello").headers["x-ownkey-request-id"]
    account.attempts()
    headers = {"authorization": f"Bearer {stranger.gateway_key}"}
    answer = world.http("GET", f"/v1/generation?id={request_id}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert held_by(world, stranger, "/v1/credits") == {"total_credits": 0, "total_usage": 0}
