"""Streams: one record for each change, in order, and reading on from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Controls, start_aws
from tests.local.aws_clients import Aws, code, key, number


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Aws:
    return Aws(aws_endpoint)


def write(aws: Aws, table: str, pk: str, value: int) -> None:
    aws.dynamodb.put_item(TableName=table, Item={**key(pk), "n": number(value)})


def test_the_life_of_an_item(aws: Aws) -> None:
    table = aws.table()
    write(aws, table, "a", 1)
    write(aws, table, "a", 2)
    aws.dynamodb.delete_item(TableName=table, Key=key("a"))
    aws.dynamodb.delete_item(TableName=table, Key=key("a"))
    one, two = ({**key("a"), "n": number(n)} for n in (1, 2))
    seen = [(r["eventName"], r["dynamodb"].get("OldImage"), r["dynamodb"].get("NewImage")) for r in aws.records(table)]
    assert seen == [("INSERT", None, one), ("MODIFY", one, two), ("REMOVE", two, None)]
    assert all(r["dynamodb"]["Keys"] == key("a") and r["eventSource"] == "aws:dynamodb" for r in aws.records(table))


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("KEYS_ONLY", set()),
        ("NEW_IMAGE", {"NewImage"}),
        ("OLD_IMAGE", {"OldImage"}),
        ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
    ],
)
def test_a_view_says_which_images_a_record_has(view: str, images: set[str], aws: Aws) -> None:
    table = aws.table(stream=view)
    write(aws, table, "a", 1)
    write(aws, table, "a", 2)
    (_, record) = aws.records(table)
    assert record["dynamodb"]["StreamViewType"] == view
    assert {"NewImage", "OldImage"} & record["dynamodb"].keys() == images


def test_a_transaction_writes_its_records_in_the_order_of_its_actions(aws: Aws) -> None:
    table = aws.table()
    puts = [{"Put": {"TableName": table, "Item": key(pk)}} for pk in ("c", "a", "b")]
    aws.dynamodb.transact_write_items(TransactItems=puts)
    assert [r["dynamodb"]["Keys"]["pk"]["S"] for r in aws.records(table)] == ["c", "a", "b"]


def read_on(aws: Aws, iterator: str, **more: Any) -> tuple[list[int], str]:
    answer = aws.streams.get_records(ShardIterator=iterator, **more)
    return [int(r["dynamodb"]["NewImage"]["n"]["N"]) for r in answer["Records"]], answer["NextShardIterator"]


def test_reading_on_page_by_page_and_waiting_at_the_end(aws: Aws) -> None:
    table = aws.table()
    for n in range(5):
        write(aws, table, "a", n)
    first, iterator = read_on(aws, aws.iterator(table), Limit=3)
    rest, iterator = read_on(aws, iterator)
    nothing, iterator = read_on(aws, iterator)
    write(aws, table, "a", 5)
    assert (first, rest, nothing, read_on(aws, iterator)[0]) == ([0, 1, 2], [3, 4], [], [5])


def test_reading_from_a_place(aws: Aws) -> None:
    table = aws.table()
    for n in range(4):
        write(aws, table, "a", n)
    latest = aws.iterator(table, "LATEST")
    write(aws, table, "a", 4)
    at = {"SequenceNumber": aws.records(table)[1]["dynamodb"]["SequenceNumber"]}
    assert read_on(aws, latest)[0] == [4]
    assert read_on(aws, aws.iterator(table, "AT_SEQUENCE_NUMBER", **at))[0] == [1, 2, 3, 4]
    assert read_on(aws, aws.iterator(table, "AFTER_SEQUENCE_NUMBER", **at))[0] == [2, 3, 4]


def test_a_page_has_a_thousand_records_at_most(aws: Aws) -> None:
    table = aws.table()
    for start in range(0, 1025, 25):
        rows = [{"PutRequest": {"Item": {**key("a", str(n)), "n": number(n)}}} for n in range(start, start + 25)]
        aws.dynamodb.batch_write_item(RequestItems={table: rows})
    first, iterator = read_on(aws, aws.iterator(table))
    assert (len(first), len(read_on(aws, iterator)[0])) == (1000, 25)


@pytest.fixture
def timed() -> Iterator[tuple[Aws, list[float]]]:
    now_s = [1_000_000.0]
    with start_aws(clock=lambda: now_s[0]) as server:
        yield Aws(server.endpoint_url), now_s


def test_an_iterator_lives_for_fifteen_minutes(timed: tuple[Aws, list[float]]) -> None:
    aws, now_s = timed
    iterator = aws.iterator(aws.table())
    now_s[0] += 900
    aws.streams.get_records(ShardIterator=iterator)
    now_s[0] += 1
    assert code(aws.streams.get_records, ShardIterator=iterator) == "ExpiredIteratorException"


def test_expired_items_leave_only_where_their_table_says_so(aws: Aws, aws_endpoint: str) -> None:
    swept, kept = aws.table(), aws.table()
    ttl = {"Enabled": True, "AttributeName": "until"}
    aws.dynamodb.update_time_to_live(TableName=swept, TimeToLiveSpecification=ttl)
    for table in (swept, kept):
        for pk, until in (("past", 100), ("now", 2_000_000_000), ("future", 2_000_000_001)):
            aws.dynamodb.put_item(TableName=table, Item={**key(pk), "until": number(until)})
        aws.dynamodb.put_item(TableName=table, Item={**key("text"), "until": {"S": "100"}})
    deleted = Controls(aws_endpoint).sweep_expired(now_s=2_000_000_000)
    assert (deleted[swept], deleted.get(kept)) == (1, None)
    left = {pk for pk in ("past", "now", "future", "text") if aws.item(swept, pk)}
    assert left == {"past", "future", "text"}  # what lies back more than five years is not for TTL


def test_a_cleared_table_has_neither_items_nor_records_and_others_have_theirs(aws: Aws, aws_endpoint: str) -> None:
    cleared, kept = aws.table(), aws.table()
    for table in (cleared, kept):
        write(aws, table, "a", 1)
    Controls(aws_endpoint).clear([cleared])
    assert (aws.item(cleared, "a"), aws.records(cleared)) == (None, [])
    assert aws.item(kept, "a")
    assert len(aws.records(kept)) == 1
    write(aws, cleared, "b", 2)
    assert [each["eventName"] for each in aws.records(cleared)] == ["INSERT"]
