"""A KMS key of the account's own: an off-switch in the account's hand, and what it looks like when it is off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.accounts import CHAT_MODEL, Account, Json, said
from tests.e2e.world import World
from tests.support.aws import boto


@dataclass(frozen=True)
class OwnKey:
    """A KMS key as its owner holds it."""

    kms: Any
    arn: str

    def disable(self) -> None:
        self.kms.disable_key(KeyId=self.arn)

    def enable(self) -> None:
        self.kms.enable_key(KeyId=self.arn)


@pytest.fixture
def own(world: World) -> OwnKey:
    kms = boto("kms", world.up.state.aws_endpoint)
    return OwnKey(kms, kms.create_key()["KeyMetadata"]["Arn"])


@pytest.fixture
def account(world: World) -> Account:
    """Without a platform key behind it: what does not open, fails."""
    return world.account(platform_allowed=False)


def kms_key(account: Account, arn: str | None) -> Json:
    return account.owner.ok("PUT", f"/api/accounts/{account.id}/kms-key", {"kms_key_arn": arn})


def ask(account: Account) -> tuple[int, str | None]:
    answer = account.post("/v1/chat/completions", {"model": CHAT_MODEL, "messages": said("hello")})
    return answer.status_code, None if answer.is_success else answer.json()["error"]["code"]


def wrapped_under(world: World, account: Account) -> set[str]:
    """The KMS keys of what the account has stored."""
    table = boto("dynamodb", world.up.state.aws_endpoint)
    rows = table.query(
        TableName=world.up.stack.resources["RegistryTable"],
        KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":pk": {"S": f"ACCT#{account.id}"}, ":prefix": {"S": "CRED#"}},
    )["Items"]
    return {row["kms_key_id"]["S"] for row in rows if "#V#" in row["sk"]["S"]}


def test_what_is_stored_moves_there_and_serves_on(world: World, account: Account, own: OwnKey) -> None:
    saved = account.save_key()
    assert ask(account) == (200, None)
    job = kms_key(account, own.arn)["rewrap"]
    assert (job["state"], job["total"]) == ("running", None)
    assert world.upkeep("sweep")["rewrapped"]["moved"] == 1
    done = account.owner.ok("GET", f"/api/accounts/{account.id}/kms-key")["rewrap"]
    assert (done["id"], done["state"], done["total"], done["done"]) == (job["id"], "done", 1, 1)
    assert wrapped_under(world, account) == {own.arn}
    assert ask(account) == (200, None)
    assert len(world.calls(saved.key)) == 2


def test_off_is_off_and_says_so_and_on_is_on(world: World, account: Account, own: OwnKey) -> None:
    kms_key(account, own.arn)
    saved = account.save_key()
    assert ask(account) == (200, None)
    own.disable()
    # What a warm function has opened it may use for five minutes more; every fresh one asks KMS.
    world.cool_down()
    assert ask(account) == (500, "credential_undecryptable")
    assert len(world.calls(saved.key)) == 1, "nothing was sent"
    world.rest()  # the mark is written beside the answer
    shown = account.owner.ok("GET", f"/api/byok/{saved.id}")
    assert shown["status"] == "undecryptable"
    assert "DisabledException" in shown["status_reason"]
    status, error = account.owner.refused("POST", "/api/byok", {"provider": "OpenAI", "key": f"sk-sim-{'0' * 40}"})
    assert (status, error["code"]) == (400, "kms_key_unusable")

    own.enable()
    verdict = account.owner.ok("POST", f"/api/byok/{saved.id}/validate")
    assert (verdict["verdict"], verdict["credential"]["status"]) == ("accepted", "active")
    assert ask(account) == (200, None)


def test_the_operator_cannot_turn_it_on_again(world: World, own: OwnKey) -> None:
    account = world.account(owner="keyholder@example.com", platform_allowed=False)
    kms_key(account, own.arn)
    operator = world.operator(account.id)
    for method, path, body in (
        ("PUT", "kms-key", {"kms_key_arn": None}),
        ("DELETE", "kms-key", None),
        ("POST", "shred", {"confirm": account.id}),
    ):
        assert operator.refused(method, f"/api/accounts/{account.id}/{path}", body)[0] == 403


def test_a_disabled_key_can_be_left_only_once_it_is_enabled(world: World, account: Account, own: OwnKey) -> None:
    """Nothing can be brought out from under it; nothing is lost either."""
    kms_key(account, own.arn)
    account.save_key()
    world.upkeep("sweep")
    own.disable()
    kms_key(account, None)
    assert world.upkeep("sweep")["rewrapped"]["failed"] == 1
    job = account.owner.ok("GET", f"/api/accounts/{account.id}/kms-key")["rewrap"]
    assert (job["state"], len(job["failures"])) == ("failed", 1)
    assert "DisabledException" in job["failures"][0]["reason"]
    own.enable()
    kms_key(account, None)
    assert world.upkeep("sweep")["rewrapped"]["moved"] == 1
    own.disable()
    world.cool_down()
    assert ask(account) == (200, None), "it no longer depends on the key it left"


def test_a_key_that_is_not_ours_to_use_is_refused_before_anything_depends_on_it(
    world: World, account: Account, own: OwnKey
) -> None:
    missing = own.arn[:-4] + "0000"
    own.disable()
    signing = own.kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    for arn in (missing, own.arn, signing):
        path = f"/api/accounts/{account.id}/kms-key"
        status, error = account.owner.refused("PUT", path, {"kms_key_arn": arn})
        assert (status, error["code"]) == (400, "kms_key_unusable")
    assert account.owner.ok("GET", f"/api/accounts/{account.id}/kms-key")["kms_key_arn"] is None


def test_shredding_is_for_good(world: World, account: Account) -> None:
    saved, other = account.save_key(), account.save_key()
    shredded = account.owner.ok("POST", f"/api/byok/{saved.id}/shred", {"confirm": saved.id})
    assert (shredded["status"], shredded["mask"]) == ("undecryptable", saved.saved["mask"])
    verdict = account.owner.ok("POST", f"/api/byok/{saved.id}/validate")
    assert verdict["verdict"] == "undecryptable"
    assert ask(account) == (200, None)
    assert (len(world.calls(saved.key)), len(world.calls(other.key))) == (0, 1)
    account.owner.ok("POST", f"/api/accounts/{account.id}/shred", {"confirm": account.id})
    assert ask(account) == (500, "credential_undecryptable")
