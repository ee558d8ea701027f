"""Money comes in: a gift at sign-up, a payment that Stripe tells of, and a platform request that spends them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from local.template import load_template
from tests.e2e.accounts import CHAT_MODEL, Account
from tests.e2e.world import World
from tests.support.payments import NEXT_SECRET, SECRET, WRONG_SECRET, charge, event, session, signature, text_of

NAME = "stripe-webhook"
PARAMETERS = {
    "StripeWebhookSecretArn": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{NAME}",
    "SignUpCreditUsd": "0.25",
}
TEMPLATE = Path(__file__).parents[2] / "template.yaml"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stack that takes payments and gives new accounts a quarter."""
    running = World(tmp_path_factory.mktemp("payments"), parameters=PARAMETERS)
    running.start()
    vault(running).create_secret(Name=NAME, SecretString=SECRET)
    yield running
    running.stop()


def vault(world: World) -> Any:
    return boto3.client(
        "secretsmanager",
        endpoint_url=world.up.state.aws_endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="test",
    )


def post(world: World, told: Any, *secrets: str) -> httpx.Response:
    body = text_of(told)
    headers = {"content-type": "application/json; charset=utf-8", "stripe-signature": signature(body, *secrets)}
    return world.http("POST", "/payments/stripe", content=body.encode(), headers=headers)


def available(account: Account) -> Decimal:
    account.world.drain()
    return Decimal(account.owner.ok("GET", "/api/balance")["available_usd"])


def paid(account: Account, number: int = 1, **changes: Any) -> Any:
    """A payment of ten dollars for the account, all its ids its own."""
    ids = {"id": f"cs_{account.id}_{number}", "payment_intent": f"pi_{account.id}_{number}"}
    return event(session(account.id, 1_000, **ids | changes), id=f"evt_{account.id}_{number}")


def test_a_new_account_spends_what_it_was_given_and_then_what_was_paid(world: World) -> None:
    account = world.account()
    assert available(account) == Decimal("0.25")
    answers = [post(world, paid(account)) for _ in range(2)]
    assert [(each.status_code, each.json()["outcome"]) for each in answers] == [(200, "deposited"), (200, "known")]
    assert available(account) == Decimal("10.25")

    asked = [{"role": "user", "content": "[[sim: input_tokens=1000 output_tokens=500]]"}]
    answer = account.openai().chat.completions.with_raw_response.create(model=CHAT_MODEL, messages=asked)
    assert answer.headers["x-ownkey-byok"] == "false"
    # 1,000 × $0.15 and 500 × $0.60 a million, and 5 %.
    assert available(account) == Decimal("10.25") - Decimal("0.0004725")
    causes = [(each["kind"], each["cause"]) for each in account.owner.ok("GET", "/api/ledger")["data"]]
    assert causes[-2:] == [("deposit", "deposit"), ("sign_up", "sign_up")]
    listed = account.owner.ok("GET", f"/api/accounts/{account.id}/deposits")["data"]
    assert [(each["kind"], each["state"]) for each in listed] == [("payment", "billed"), ("sign_up", "billed")]
    assert listed[0]["payment"]["payment_intent"] == f"pi_{account.id}_1"


def test_what_stripe_did_not_sign_does_nothing(world: World) -> None:
    account = world.account()
    for answer in (
        post(world, paid(account), WRONG_SECRET),
        world.http("POST", "/payments/stripe", json=paid(account)),
        world.http("POST", "/payments/stripe", content=b"\xff\xfe", headers={"stripe-signature": "t=1,v1=0"}),
        world.http("POST", "/payments/stripe", content=b"x", headers={"content-type": "multipart/form-data"}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_signature")
        assert answer.headers["x-ownkey-request-id"]
    assert available(account) == Decimal("0.25")


def test_what_a_person_must_decide_stands_in_the_operators_log(world: World) -> None:
    account = world.account()
    assert post(world, paid(account, currency="eur")).json()["outcome"] == "noted"
    refund = event(charge(payment_intent=f"pi_{account.id}"), "charge.refunded", id=f"evt_{account.id}_2")
    assert post(world, refund).json()["outcome"] == "noted"
    rows = world.operator("platform").ok("GET", "/api/audit?action=payment")["data"]
    reasons = {row["details"]["event_id"]: row["details"]["reason"] for row in rows}
    assert reasons[f"evt_{account.id}_1"] == "currency"
    assert reasons[f"evt_{account.id}_2"] == "refunded"
    assert available(account) == Decimal("0.25")


def test_a_rotated_secret_is_taken_by_new_environments_and_an_empty_one_by_none(world: World) -> None:
    account = world.account()
    vault(world).put_secret_value(SecretId=NAME, SecretString=f"{SECRET} {NEXT_SECRET}")
    world.kill("PaymentsFunction")
    assert post(world, paid(account, 1), NEXT_SECRET).json()["outcome"] == "deposited"
    assert post(world, paid(account, 2), SECRET).json()["outcome"] == "deposited"

    vault(world).put_secret_value(SecretId=NAME, SecretString=" ")
    world.kill("PaymentsFunction")
    assert post(world, paid(account, 3), "whsec_").status_code >= 500
    assert "is empty" in world.call(world.up.stack.log, "PaymentsFunction")
    vault(world).put_secret_value(SecretId=NAME, SecretString=SECRET)
    assert post(world, paid(account, 3)).json()["outcome"] == "deposited"
    assert available(account) == Decimal("30.25")


def test_its_log_has_no_secret_and_no_refusal_by_aws(world: World) -> None:
    log = world.call(world.up.stack.log, "PaymentsFunction")
    assert "not authorized" not in log
    for secret in (SECRET, NEXT_SECRET, "payer@example.com"):
        assert secret not in log


def test_without_a_signing_secret_there_is_no_function() -> None:
    options = {"region": "us-east-1", "account_id": "123456789012", "stack_name": "s"}
    given = {"OperatorEmail": "op@example.com"}
    without = load_template(TEMPLATE, given, **options)
    assert not [name for name in without.resources if "Payments" in name]
    assert "PaymentsFunction" in load_template(TEMPLATE, given | PARAMETERS, **options).resources
