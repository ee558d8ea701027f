"""Faults on demand, and counts of calls: what the tests of everything else are made with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, HTTPClientError, ReadTimeoutError

from local.aws import Controls, start_aws
from local.aws.controls import ControlRefused
from tests.local.aws_clients import Aws, code, key, number, refusal


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with start_aws() as running:
        yield Aws(running.endpoint_url)


@pytest.fixture
def controls(server: Aws) -> Iterator[Controls]:
    controls = Controls(server.endpoint_url)
    yield controls
    controls.clear_faults()


@pytest.fixture
def aws(server: Aws, controls: Controls) -> Aws:
    return server


@pytest.fixture(scope="module")
def table(server: Aws) -> str:
    return server.table()


def put(aws: Aws, table: str, pk: str = "a") -> str | None:
    """A put's refusal, None where it succeeds."""
    try:
        aws.dynamodb.put_item(TableName=table, Item=key(pk))
    except aws.dynamodb.exceptions.ClientError as e:
        return str(e.response["Error"]["Code"])
    return None


def test_the_nth_call_and_so_many_after_it_are_struck(aws: Aws, controls: Controls, table: str) -> None:
    controls.add_faults({"operation": "PutItem", "kind": "throttle", "nth": 2, "times": 2})
    throttled = "ProvisionedThroughputExceededException"
    assert [put(aws, table) for _ in range(5)] == [None, throttled, throttled, None, None]


def test_a_rule_without_end_ends_when_it_is_cleared(aws: Aws, controls: Controls, table: str) -> None:
    controls.add_faults({"service": "dynamodb", "kind": "internal", "times": None})
    assert [put(aws, table) for _ in range(3)] == ["InternalServerError"] * 3
    controls.clear_faults()
    assert put(aws, table) is None


def test_nothing_is_applied_by_a_call_that_is_refused(aws: Aws, controls: Controls, table: str) -> None:
    for kind in ("throttle", "internal", "conflict"):
        controls.add_faults({"operation": "PutItem", "kind": kind})
        assert put(aws, table, kind) is not None
        assert aws.item(table, kind) is None


def test_a_rule_is_about_a_table_and_a_key_wherever_they_stand_in_a_call(
    aws: Aws, controls: Controls, table: str
) -> None:
    other = aws.table(stream=None)
    controls.add_faults({"kind": "internal", "table": table, "key": {"pk": "target", "sk": "-"}, "times": None})
    write = {"Put": {"TableName": table, "Item": key("target")}}
    beside = {"Put": {"TableName": other, "Item": key("target")}}
    assert put(aws, other, "target") is None
    assert put(aws, table, "elsewhere") is None
    assert put(aws, table, "target") == "InternalServerError"
    assert code(aws.dynamodb.get_item, TableName=table, Key=key("target")) == "InternalServerError"
    assert code(aws.dynamodb.transact_write_items, TransactItems=[beside, write]) == "InternalServerError"
    wanted = {other: {"Keys": [key("a")]}, table: {"Keys": [key("a"), key("target")]}}
    assert code(aws.dynamodb.batch_get_item, RequestItems=wanted) == "InternalServerError"
    requests = {table: [{"PutRequest": {"Item": key("target")}}]}
    assert code(aws.dynamodb.batch_write_item, RequestItems=requests) == "InternalServerError"


def test_a_rule_is_about_one_access_key(aws: Aws, controls: Controls, table: str) -> None:
    controls.add_faults({"kind": "internal", "access_key": "AKIALOCALINFERENCE", "times": None})
    assert put(aws, table) is None
    assert put(aws.as_("AKIALOCALINFERENCE"), table) == "InternalServerError"


def test_a_conflict_is_a_reason_in_a_transaction(aws: Aws, controls: Controls, table: str) -> None:
    actions = [{"Put": {"TableName": table, "Item": key(pk)}} for pk in ("conflict-1", "conflict-2")]
    controls.add_faults(
        {"operation": "TransactWriteItems", "kind": "conflict"}, {"operation": "PutItem", "kind": "conflict"}
    )
    answer = refusal(aws.dynamodb.transact_write_items, TransactItems=actions)
    assert [reason["Code"] for reason in answer["CancellationReasons"]] == ["TransactionConflict", "None"]
    assert put(aws, table) == "TransactionConflictException"
    aws.dynamodb.transact_write_items(TransactItems=actions)


def test_a_batch_may_be_done_in_part(aws: Aws, controls: Controls, table: str) -> None:
    controls.add_faults(
        {"kind": "unprocessed", "operation": "BatchWriteItem"}, {"kind": "unprocessed", "operation": "BatchGetItem"}
    )
    rows = [{"PutRequest": {"Item": key("part", str(n))}} for n in range(3)]
    answer = aws.dynamodb.batch_write_item(RequestItems={table: rows})
    assert answer["UnprocessedItems"] == {table: rows[2:]}
    aws.dynamodb.batch_write_item(RequestItems=answer["UnprocessedItems"])
    wanted = {table: {"Keys": [key("part", str(n)) for n in range(3)], "ConsistentRead": True}}
    answer = aws.dynamodb.batch_get_item(RequestItems=wanted)
    assert len(answer["Responses"][table]) == 2
    assert answer["UnprocessedKeys"] == {table: {"Keys": [key("part", "2")], "ConsistentRead": True}}


def test_applied_and_answered_with_an_error(aws: Aws, controls: Controls, table: str) -> None:
    controls.add_faults({"operation": "PutItem", "kind": "applied_then_error"})
    assert put(aws, table, "applied") == "InternalServerError"
    assert aws.item(table, "applied") == key("applied")


def test_applied_and_never_answered(aws: Aws, controls: Controls, table: str) -> None:
    controls.add_faults({"operation": "PutItem", "kind": "applied_then_lost"})
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        aws.dynamodb.put_item(TableName=table, Item=key("lost"))
    assert aws.item(table, "lost") == key("lost")


def test_a_timeout_is_silence_and_nothing_applied(aws: Aws, controls: Controls, table: str) -> None:
    impatient = boto3.client(
        "dynamodb",
        endpoint_url=aws.endpoint_url,
        config=Config(read_timeout=0.2, retries={"total_max_attempts": 1}),
    )
    controls.add_faults({"operation": "PutItem", "kind": "timeout"})
    with pytest.raises(ReadTimeoutError):
        impatient.put_item(TableName=table, Item=key("silent"))
    assert aws.item(table, "silent") is None


def test_latency_delays_one_call_and_no_other(aws: Aws, controls: Controls, table: str) -> None:
    controls.add_faults({"operation": "PutItem", "kind": "latency_ms", "latency_ms": 400})
    with ThreadPoolExecutor(1) as pool:
        started_s = time.monotonic()
        slow = pool.submit(put, aws, table, "slow")
        while aws.item(table, "slow") is None:  # applied at once, answered later
            time.sleep(0.005)
        assert not slow.done()
        assert slow.result() is None
    assert time.monotonic() - started_s >= 0.4


def test_kms_is_throttled_in_its_own_words(aws: Aws, controls: Controls) -> None:
    key_id = aws.kms.create_key()["KeyMetadata"]["KeyId"]
    controls.add_faults({"service": "kms", "operation": "Encrypt", "kind": "throttle"})
    assert code(aws.kms.encrypt, KeyId=key_id, Plaintext=b"x") == "ThrottlingException"
    aws.kms.encrypt(KeyId=key_id, Plaintext=b"x")


@pytest.mark.parametrize("rule", [{}, {"kind": "gremlins"}, {"kind": "throttle", "tabel": "x"}])
def test_a_rule_that_cannot_be_read_is_refused(rule: dict[str, Any], controls: Controls) -> None:
    with pytest.raises(ControlRefused):
        controls.add_faults(rule)


# ------------------------------------------------------------------ counts
def test_calls_are_counted_by_operation_and_access_key(aws: Aws, controls: Controls, table: str) -> None:
    inference = aws.as_("AKIALOCALINFERENCE")
    controls.reset_calls()
    put(aws, table)
    for _ in range(2):
        inference.item(table, "a")
    code(inference.dynamodb.put_item, TableName="no-such-table", Item={**key("a"), "n": number(1)})
    assert controls.calls() == {
        "total": {"dynamodb.GetItem": 2, "dynamodb.PutItem": 2},
        "by_access_key": {
            "AKIALOCALINFERENCE": {"dynamodb.GetItem": 2, "dynamodb.PutItem": 1},
            "AKIATEST": {"dynamodb.PutItem": 1},
        },
    }
    controls.reset_calls()
    assert controls.calls() == {"total": {}, "by_access_key": {}}
