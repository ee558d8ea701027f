"""The books of a running stack, counted again by the command: right, then wrong, then put right."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ownkey.store import keys
from tests.e2e.accounts import Account
from tests.e2e.surfaces import CHAT, MESSAGES
from tests.e2e.world import World
from tools.verify.__main__ import main

Verify = Callable[..., int]


@pytest.fixture
def account(world: World) -> Account:
    """One that has used both sources."""
    account = world.account(credits_usd="5")
    CHAT.raw(account)
    MESSAGES.raw(account)
    account.save_key("openai")
    CHAT.raw(account)
    world.drain()
    return account


@pytest.fixture
def verify(world: World, account: Account, tmp_path: Path) -> Verify:
    """The command over one account."""
    stack = world.up.stack
    resources = {**stack.resources, "BillingFunction": stack.deployment.functions["BillingFunction"].arn}
    path = tmp_path / "resources.json"
    path.write_text(json.dumps(resources))
    endpoints = ["--dynamodb-endpoint", world.up.state.aws_endpoint, "--lambda-endpoint", stack.lambda_endpoint]

    def run(*options: str) -> int:
        return main(["--resources", str(path), "--account", account.id, *endpoints, *options])

    return run


def test_the_books_of_a_running_stack_are_right_and_are_put_right(
    world: World, account: Account, verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify() == 0
    assert "3 attempts, 0 not counted yet, 0 differences" in capsys.readouterr().out

    table = world.up.stack.resources["RollupsTable"]
    row = {"pk": {"S": keys.rollup(account.id, "source")}}
    items = world.dynamodb().query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": row["pk"]},
    )["Items"]
    wrong = next(item for item in items if item["sk"]["S"].startswith("M#") and "platform" in item["sk"]["S"])
    world.dynamodb().put_item(TableName=table, Item=wrong | {"attempts": {"N": "9"}})
    assert verify() == 1
    assert "attempts says 9, should say 2" in capsys.readouterr().out
    assert verify("--repair") == 0
    assert "1 of 1 rows rebuilt" in capsys.readouterr().out
    (entry,) = account.owner.ok("GET", "/api/audit", params={"action": "ledger.rebuilt"})["data"]
    assert (entry["actor_kind"], entry["details"]["rows"]) == ("operator", 1)
    assert verify() == 0


def test_a_balance_that_nobody_can_explain_is_posted(world: World, account: Account, verify: Verify) -> None:
    before = account.balance()["total_usd"]
    assert verify("--correct-balance", "--reason", "nothing is wrong") == 0
    world.dynamodb().update_item(
        TableName=world.up.stack.resources["CreditsTable"],
        Key={"pk": {"S": keys.credits_of(account.id)}, "sk": {"S": keys.BALANCE}},
        UpdateExpression="ADD available_nanousd :half",
        ExpressionAttributeValues={":half": {"N": "500000000"}},
    )
    assert verify() == 1
    assert verify("--repair") == 1, "a balance is never written over"
    for _ in range(2):
        assert verify("--correct-balance", "--reason", "a hand in the table") == 0
        world.drain()
        (posted,) = [each for each in account.entries() if each["kind"] == "correction"]
    assert (posted["amount_usd"], account.balance()["total_usd"]) == ("0.5", before + Decimal("0.5"))
    assert verify() == 0


def test_another_price_list_corrects_what_was_charged(
    world: World, account: Account, verify: Verify, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(Path("shared/ownkey/catalog/models.json").read_text())
    path, free = tmp_path / "models.json", {"prices": {"": {"input": "0", "output": "0"}}}
    path.write_text(json.dumps(rows | {"version": "same"}))
    assert verify("--reprice", str(path)) == 0, "the same prices"
    named = capsys.readouterr().out
    assert "would be" in named
    assert "to be corrected" not in named

    models = {**rows["models"], "openai": {**rows["models"]["openai"], CHAT.model: free}}
    path.write_text(json.dumps(rows | {"version": "free", "models": models}))
    assert verify("--reprice", str(path)) == 1
    for _ in range(2):
        assert verify("--reprice", str(path), "--apply") == 0
        world.drain()
        (corrected,) = [each for each in account.entries() if each["kind"] == "correction"]
    charged = Decimal(next(each for each in account.attempts() if each["model"] == CHAT.model)["charge_usd"])
    assert Decimal(corrected["amount_usd"]) == charged > 0
    assert verify() == 0
    with pytest.raises(SystemExit):
        verify("--apply")
    with pytest.raises(SystemExit):
        main(["--stack", "x", "--correct-balance"])


def test_upkeep_verifies_by_itself_and_tells(world: World) -> None:
    account_id = f"zz{secrets.token_hex(6)}"  # behind all others: the day's turn begins with it
    operator = world.operator(account_id)
    operator.ok("POST", "/api/accounts", {"id": account_id, "name": "last"})
    key = operator.ok("POST", "/api/gateway-keys", {"alias": "test"})
    account = Account(world, account_id, operator, key["key"], key["id"])
    account.save_key("openai")
    CHAT.raw(account)
    world.drain()
    names, today = world.up.stack.resources, datetime.now(UTC).date().isoformat()
    world.dynamodb().update_item(
        TableName=names["RollupsTable"],
        Key={"pk": {"S": keys.rollup(account_id, "source")}, "sk": {"S": f"D#{today}#byok"}},
        UpdateExpression="ADD attempts :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    note = {"first": {"S": today}, "last": {"S": today}, "after": {"S": "zz"}, "at_work": {"S": ""}}
    at = {"pk": {"S": keys.SWEEP_PARTITION}, "sk": {"S": "verified"}}
    world.dynamodb().put_item(TableName=names["RecordsTable"], Item={**at, **note, "done": {"BOOL": False}})

    assert world.upkeep("verify") == {"accounts": 1, "differences": 1, "unverified": 0, "left": 0}
    (entry,) = operator.ok("GET", "/api/audit", params={"action": "ledger.differs"})["data"]
    assert entry["details"]["differences"] == 1
    assert "attempts says 2, should say 1" in entry["details"]["named"][0]
    assert world.upkeep("verify")["accounts"] == 0, "the day is done"
