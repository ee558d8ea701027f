"""Reads, batches and pages, as DynamoDB's documents have them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.local.aws_clients import Aws, code, key, number


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Aws:
    return Aws(aws_endpoint)


@pytest.fixture(scope="module")
def table(aws: Aws) -> str:
    return aws.table(stream=None)


def test_a_projection_keeps_the_shape(aws: Aws, table: str) -> None:
    item = {
        **key("item"),
        "n": number(5),
        "l": {"L": [number(n) for n in range(5)]},
        "m": {"M": {"below": {"S": "deep"}, "l": {"L": [{"M": {"a": number(1), "b": number(2)}}]}}},
    }
    aws.dynamodb.put_item(TableName=table, Item=item)
    answer = aws.dynamodb.get_item(
        TableName=table,
        Key=key("item"),
        ProjectionExpression="#n, m.l[0].a, l[3], l[1], absent",
        ExpressionAttributeNames={"#n": "n"},
    )
    assert answer["Item"] == {
        "n": number(5),
        "m": {"M": {"l": {"L": [{"M": {"a": number(1)}}]}}},
        "l": {"L": [number(1), number(3)]},
    }


def test_a_batch_reads_several_tables_at_once(aws: Aws, table: str) -> None:
    other = aws.table(stream=None)
    for name in (table, other):
        aws.dynamodb.put_item(TableName=name, Item={**key("batch"), "t": {"S": name}})
    wanted = {"Keys": [key("batch"), key("nobody")], "ConsistentRead": True}
    answer = aws.dynamodb.batch_get_item(RequestItems={table: wanted, other: wanted})
    assert {name: [row["t"]["S"] for row in rows] for name, rows in answer["Responses"].items()} == {
        table: [table],
        other: [other],
    }
    assert answer["UnprocessedKeys"] == {}


def test_a_batch_stops_at_16_mb_and_says_what_is_left(aws: Aws) -> None:
    table = aws.table(stream=None)
    for n in range(42):
        aws.dynamodb.put_item(TableName=table, Item={**key("big", f"{n:02}"), "x": {"S": "x" * 409_000}})
    keys = [key("big", f"{n:02}") for n in range(42)]
    answer = aws.dynamodb.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
    left = answer["UnprocessedKeys"][table]
    assert len(answer["Responses"][table]) == 41
    assert left == {"Keys": [key("big", "41")], "ConsistentRead": True}


@pytest.mark.parametrize(
    "keys", [[], [key("a"), key("a")], [key("a", str(n)) for n in range(101)]], ids=["none", "one twice", "101"]
)
def test_a_batch_that_is_refused(keys: list[dict[str, Any]], aws: Aws, table: str) -> None:
    status, answer = aws.raw("dynamodb", "BatchGetItem", {"RequestItems": {table: {"Keys": keys}}})
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "ValidationException")


def test_a_batch_writes_and_deletes(aws: Aws) -> None:
    table = aws.table(stream=None)
    aws.dynamodb.put_item(TableName=table, Item=key("gone"))
    requests = [{"PutRequest": {"Item": key("new")}}, {"DeleteRequest": {"Key": key("gone")}}]
    assert aws.dynamodb.batch_write_item(RequestItems={table: requests})["UnprocessedItems"] == {}
    assert (aws.item(table, "new"), aws.item(table, "gone")) == (key("new"), None)
    twice = [{"PutRequest": {"Item": key("new")}}, {"DeleteRequest": {"Key": key("new")}}]
    assert code(aws.dynamodb.batch_write_item, RequestItems={table: twice}) == "ValidationException"


# ------------------------------------------------------------------ queries
@pytest.fixture(scope="module")
def shelf(aws: Aws) -> str:
    """A table with ten rows of one partition, a partition beside it, and indexes."""
    name = aws.table(
        stream=None,
        AttributeDefinitions=[
            *({"AttributeName": each, "AttributeType": "S"} for each in ("pk", "sk", "kind")),
            {"AttributeName": "height", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-kind",
                "KeySchema": [
                    {"AttributeName": "kind", "KeyType": "HASH"},
                    {"AttributeName": "height", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    for n in range(10):
        extra = {"kind": {"S": "even" if n % 2 == 0 else "odd"}} if n < 8 else {}
        row = {**key("shelf", f"row#{n}"), "height": number(20 - n), "x": number(n), **extra}
        aws.dynamodb.put_item(TableName=name, Item=row)
    aws.dynamodb.put_item(TableName=name, Item=key("beside", "row#0"))
    return name


def query(aws: Aws, table: str, condition: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = aws.dynamodb.query(
        TableName=table,
        KeyConditionExpression=condition,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        **more,
    )
    return answer


def rows(answer: dict[str, Any]) -> list[int]:
    return [int(item["sk"]["S"].removeprefix("row#")) for item in answer["Items"]]


SHELF = {"S": "shelf"}


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        ("", range(10)),
        ("AND sk = :a", [3]),
        ("AND sk < :a", range(3)),
        ("AND sk <= :a", range(4)),
        ("AND sk > :a", range(4, 10)),
        ("AND sk >= :a", range(3, 10)),
        ("AND sk BETWEEN :a AND :b", range(3, 7)),
        ("AND begins_with(sk, :prefix)", range(10)),
    ],
)
def test_a_query_within_a_partition(limit: str, found: Any, aws: Aws, shelf: str) -> None:
    values = {"a": {"S": "row#3"}, "b": {"S": "row#6"}, "prefix": {"S": "row#"}}
    used = {name: values[name] for name in re.findall(r":(\w+)", limit)}
    for forward in (True, False):
        answer = query(aws, shelf, f"pk = :pk {limit}", {"pk": SHELF, **used}, ScanIndexForward=forward)
        assert rows(answer) == sorted(found, reverse=not forward)
        assert "LastEvaluatedKey" not in answer


@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_a_query_meet_end_to_end(forward: bool, aws: Aws, shelf: str) -> None:
    found: list[int] = []
    start: dict[str, Any] = {}
    while True:
        page = query(aws, shelf, "pk = :pk", {"pk": SHELF}, Limit=3, ScanIndexForward=forward, **start)
        found += rows(page)
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert found == sorted(range(10), reverse=not forward)


def test_a_limit_counts_what_is_read_a_filter_what_is_shown(aws: Aws, shelf: str) -> None:
    answer = query(aws, shelf, "pk = :pk", {"pk": SHELF, "two": number(2)}, FilterExpression="x > :two", Limit=5)
    assert (answer["ScannedCount"], answer["Count"], rows(answer)) == (5, 2, [3, 4])


def test_a_page_is_at_most_1_mb(aws: Aws) -> None:
    table = aws.table(stream=None)
    for n in range(4):
        aws.dynamodb.put_item(TableName=table, Item={**key("big", f"row#{n}"), "x": {"S": "x" * 300_000}})
    answer = query(aws, table, "pk = :pk", {"pk": {"S": "big"}})
    assert rows(answer) == [0, 1, 2]
    assert answer["LastEvaluatedKey"] == key("big", "row#2")


def test_an_index_holds_the_items_that_have_its_key(aws: Aws, shelf: str) -> None:
    answer = query(
        aws, shelf, "kind = :kind AND height < :r", {"kind": {"S": "even"}, "r": number(20)}, IndexName="by-kind"
    )
    assert rows(answer) == [6, 4, 2]
    assert answer["Items"][0] == {**key("shelf", "row#6"), "kind": {"S": "even"}, "height": number(14)}


def test_an_index_follows_its_items(aws: Aws, shelf: str) -> None:
    def odd() -> list[int]:
        return rows(query(aws, shelf, "kind = :kind", {"kind": {"S": "odd"}}, IndexName="by-kind"))

    assert odd() == [7, 5, 3, 1]
    aws.dynamodb.update_item(TableName=shelf, Key=key("shelf", "row#5"), UpdateExpression="REMOVE kind")
    aws.dynamodb.update_item(
        TableName=shelf,
        Key=key("shelf", "row#3"),
        UpdateExpression="SET height = :top",
        ExpressionAttributeValues={":top": number(100)},
    )
    assert odd() == [7, 1, 3]
    aws.dynamodb.delete_item(TableName=shelf, Key=key("shelf", "row#3"))
    aws.dynamodb.put_item(
        TableName=shelf, Item={**key("shelf", "row#3"), "height": number(17), "x": number(3), "kind": {"S": "odd"}}
    )
    aws.dynamodb.update_item(
        TableName=shelf,
        Key=key("shelf", "row#5"),
        UpdateExpression="SET kind = :kind",
        ExpressionAttributeValues={":kind": {"S": "odd"}},
    )
    assert odd() == [7, 5, 3, 1]


def test_an_index_key_has_its_type(aws: Aws, shelf: str) -> None:
    put = {"TableName": shelf, "Item": {**key("typed"), "kind": number(1)}}
    assert code(aws.dynamodb.put_item, **put) == "ValidationException"


@pytest.mark.parametrize(
    ("condition", "more"),
    [
        ("sk = :v", {}),
        ("pk > :v", {}),
        ("pk = :v AND sk <> :v", {}),
        ("pk = :v AND sk = :v AND sk = :v", {}),
        ("pk = :v OR sk = :v", {}),
        ("pk = :v AND x = :v", {}),
        ("pk = :v", {"IndexName": "no-such-index"}),
        ("kind = :v", {"IndexName": "by-kind", "ConsistentRead": True}),
        ("pk = :v", {"FilterExpression": "sk = :v"}),
        ("pk = :v", {"ExclusiveStartKey": {"pk": {"S": "a"}}}),
    ],
)
def test_a_query_that_is_refused(condition: str, more: dict[str, Any], aws: Aws, shelf: str) -> None:
    request = {"KeyConditionExpression": condition, "ExpressionAttributeValues": {":v": {"S": "a"}}}
    assert code(aws.dynamodb.query, TableName=shelf, **request, **more) == "ValidationException"


def test_a_scan_finds_every_item_once_page_by_page_and_in_segments(aws: Aws) -> None:
    table = aws.table(stream=None)
    for n in range(30):
        aws.dynamodb.put_item(TableName=table, Item=key(f"partition-{n // 3}", f"row#{n}"))
    paged: list[int] = []
    for page in aws.dynamodb.get_paginator("scan").paginate(TableName=table, PaginationConfig={"PageSize": 7}):
        paged += rows(page)
    segments = [rows(aws.dynamodb.scan(TableName=table, Segment=n, TotalSegments=3)) for n in range(3)]
    assert sorted(paged) == list(range(30))
    assert sorted(row for segment in segments for row in segment) == list(range(30))
    assert paged != sorted(paged)  # no more in order than in DynamoDB, where nobody may count on one
