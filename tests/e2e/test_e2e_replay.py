"""Batches that billing gave up on are in the bucket with their records, and the command counts them, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest

from local.aws.controls import Controls
from tests.e2e.surfaces import CHAT
from tests.e2e.world import World
from tools.replay.__main__ import main


class Bucket:
    """Where failed batches are kept, and the command over it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.name = world.up.stack.resources["FailedBatchesBucket"]
        self.s3 = boto3.client("s3", endpoint_url=world.up.state.aws_endpoint, region_name="us-east-1")

    def objects(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def replay(self, *options: str) -> int:
        stack = self._world.up.stack
        function = stack.deployment.functions["BillingFunction"].arn
        endpoints = ["--s3-endpoint", self._world.up.state.aws_endpoint, "--lambda-endpoint", stack.lambda_endpoint]
        return main(["--bucket", self.name, "--function", function, *endpoints, *options])


@pytest.fixture
def bucket(world: World) -> Iterator[Bucket]:
    world.drain()
    made = Bucket(world)
    for key in made.objects():
        made.s3.delete_object(Bucket=made.name, Key=key)
    yield made
    for key in made.objects():
        made.s3.delete_object(Bucket=made.name, Key=key)


def test_what_billing_gave_up_on_is_counted_once_by_a_replay(world, bucket, capsys):
    controls = Controls(world.up.state.aws_endpoint)
    billing = world.up.stack.deployment.functions["BillingFunction"].access_key
    account = world.account(credits_usd="5")
    assert account.balance()["available_usd"] == 5
    everything = {"access_key": billing, "operation": "TransactWriteItems", "kind": "internal", "times": None}
    controls.add_faults(everything)
    try:
        answer = CHAT.raw(account)
        world.drain()
    finally:
        controls.clear_faults()
    assert account.balance()["held_usd"] > 0, "what is not counted stays held"
    assert bucket.objects()

    assert bucket.replay("--list") == 0
    assert "RetryAttemptsExhausted" in capsys.readouterr().out
    assert account.balance()["held_usd"] > 0
    for options in ([], ["--delete"], []):
        assert bucket.replay(*options) == 0
        charge = Decimal(account.attempt(answer.headers["x-ownkey-request-id"])["charge_usd"])
        assert account.balance() == {"available_usd": 5 - charge, "held_usd": 0, "total_usd": 5 - charge}
        assert [row["attempts"] for row in account.usage()] == [1]
    assert capsys.readouterr().out.endswith("\n0 batches, 0 not counted\n")
    assert bucket.objects() == []


def failed_batch(*records: dict[str, Any]) -> bytes:
    context = {"condition": "RetryAttemptsExhausted"}
    payload = json.dumps({"Records": records})
    return json.dumps({"requestContext": context, "timestamp": "2026-11-21T09:30:00Z", "payload": payload}).encode()


def test_what_still_cannot_be_counted_is_named_and_kept(bucket, capsys):
    image = {"pk": {"S": "ATT#x#2026-11-21"}, "sk": {"S": "req_1#00"}, "state": {"S": "ended"}}
    poison = {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "77", "NewImage": image}}
    removed = {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "78"}}
    bucket.s3.put_object(Bucket=bucket.name, Key="aws/lambda/poison", Body=failed_batch(poison, removed))
    bucket.s3.put_object(Bucket=bucket.name, Key="aws/lambda/stranger", Body=b"[]")
    bucket.s3.put_object(Bucket=bucket.name, Key="aws/lambda/empty", Body=failed_batch())

    assert bucket.replay("--delete") == 1
    out = capsys.readouterr().out
    assert "poison: 2 records: cannot count 77" in out
    assert "stranger: TypeError in what should be a failed batch" in out
    assert out.endswith("3 batches, 2 not counted\n")
    assert bucket.objects() == ["aws/lambda/poison", "aws/lambda/stranger"]
    assert bucket.replay("--prefix", "aws/lambda/none") == 0
