"""Conditional writes and updates, as DynamoDB's documents have them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.local.aws_clients import Aws, code, key, number, refusal


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Aws:
    return Aws(aws_endpoint)


@pytest.fixture(scope="module")
def table(aws: Aws) -> str:
    return aws.table(stream=None)


ITEM: dict[str, Any] = {
    **key("item"),
    "n": number(5),
    "s": {"S": "hello"},
    "b": {"B": b"abc"},
    "t": {"BOOL": True},
    "nothing": {"NULL": True},
    "ss": {"SS": ["x", "y"]},
    "l": {"L": [number(n) for n in range(11)]},
    "m": {"M": {"below": {"S": "deep"}, "l": {"L": [{"M": {"a": number(1)}}]}}},
}
VALUES: dict[str, Any] = {
    ":five": number(5),
    ":four": number(4),
    ":six": number(6),
    ":one": number(1),
    ":hello": {"S": "hello"},
    ":he": {"S": "he"},
    ":x": {"S": "x"},
    ":abc": {"B": b"abc"},
    ":b": {"B": b"b"},
    ":N": {"S": "N"},
    ":null": {"NULL": True},
    ":true": {"BOOL": True},
    ":yx": {"SS": ["y", "x"]},
    ":eleven": number(11),
    ":three": number(3),
    ":deep": {"S": "deep"},
}


def conditional(aws: Aws, table: str, condition: str) -> str | None:
    """How a put on ITEM under a condition is refused, None where it is not."""
    used = {name: VALUES[name] for name in re.findall(r":\w+", condition) if name in VALUES}
    request: dict[str, Any] = {"TableName": table, "Item": ITEM, "ConditionExpression": condition}
    if used:
        request["ExpressionAttributeValues"] = used
    try:
        aws.dynamodb.put_item(**request)
    except aws.dynamodb.exceptions.ClientError as e:
        return str(e.response["Error"]["Code"])
    return None


@pytest.mark.parametrize(
    "condition",
    [
        "n = :five",
        "n <> :four",
        "absent <> :four",
        "absent <> another",
        "n BETWEEN :four AND :six",
        "n IN (:one, :five)",
        "attribute_exists(m.below) and attribute_not_exists(m.absent)",
        "attribute_type(n, :N)",
        "begins_with(s, :he)",
        "contains(s, :he)",
        "contains(b, :b)",
        "contains(ss, :x)",
        "contains(l, :four)",
        "size(s) = :five",
        "size(b) = :three",
        "size(l) = :eleven",
        "ss = :yx",
        "nothing = :null",
        "t = :true",
        "l[10] > :six",
        "m.l[0].a = :one",
        "m.below = :deep",
        "NOT n = :four",
        "n = :four OR n = :five AND s = :hello",
        "(n = :four OR n = :five) AND s = :hello",
    ],
)
def test_a_condition_that_holds(condition: str, aws: Aws, table: str) -> None:
    aws.dynamodb.put_item(TableName=table, Item=ITEM)
    assert conditional(aws, table, condition) is None


@pytest.mark.parametrize(
    "condition",
    [
        "n = :four",
        "n = :hello",
        "absent = :five",
        "absent = another",
        "absent = :null",
        "absent < :five",
        "s < :five",
        "t = :one",
        "s = :abc",
        "n BETWEEN :one AND :four",
        "size(absent) = :one",
        "size(n) = :one",
        "contains(n, :five)",
        "NOT n = :five",
        "n = :five AND s = :he",
        "(n = :five OR n = :four) AND s = :he",
    ],
)
def test_a_condition_that_does_not_hold(condition: str, aws: Aws, table: str) -> None:
    aws.dynamodb.put_item(TableName=table, Item=ITEM)
    assert conditional(aws, table, condition) == "ConditionalCheckFailedException"


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "n",
        "n =",
        "n + :one = :five",
        "n = :five AND",
        "n = :five s = :hello",
        "n = 5",
        "((n = :five))",
        "n = n",
        "name = :hello",
        "n = :undefined",
        "#undefined = :five",
        "unknown(n)",
        "attribute_exists(:five)",
        "attribute_exists(n, s)",
        "size(n)",
        "t < :true",
        "begins_with(s, :five)",
        "n BETWEEN :six AND :four",
        "n BETWEEN :four AND :hello",
        "l[x] = :five",
        "n ! :five",
    ],
)
def test_a_condition_that_can_never_be_right(condition: str, aws: Aws, table: str) -> None:
    assert conditional(aws, table, condition) == "ValidationException"


def test_a_condition_on_an_item_that_does_not_exist(aws: Aws, table: str) -> None:
    delete = {"TableName": table, "Key": key("nobody")}
    aws.dynamodb.delete_item(**delete, ConditionExpression="attribute_not_exists(pk)")
    refused = code(aws.dynamodb.delete_item, **delete, ConditionExpression="attribute_exists(pk)")
    assert refused == "ConditionalCheckFailedException"


def test_a_failed_condition_shows_what_stands_there(aws: Aws, table: str) -> None:
    aws.dynamodb.put_item(TableName=table, Item=ITEM)
    put = {"TableName": table, "Item": key("item"), "ConditionExpression": "attribute_not_exists(pk)"}
    shown = refusal(aws.dynamodb.put_item, **put, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert shown["Item"]["s"] == {"S": "hello"}
    assert "Item" not in refusal(aws.dynamodb.put_item, **put)


def test_names_and_values_that_no_expression_uses_are_refused(aws: Aws, table: str) -> None:
    put = {"TableName": table, "Item": key("a"), "ConditionExpression": "attribute_not_exists(pk)"}
    for unused in (
        {"ExpressionAttributeNames": {"#n": "n"}},
        {"ExpressionAttributeValues": {":n": number(1)}},
    ):
        answer = refusal(aws.dynamodb.put_item, **put, **unused)
        assert answer["Error"]["Code"] == "ValidationException"
        assert "unused in expressions" in answer["Error"]["Message"]


MISSPELT = {"ConditionExpresion": "attribute_not_exists(pk)"}


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("PutItem", lambda table: {"TableName": table, "Item": key("a"), **MISSPELT}),
        (
            "TransactWriteItems",
            lambda table: {"TransactItems": [{"Put": {"TableName": table, "Item": key("a"), **MISSPELT}}]},
        ),
        ("BatchWriteItem", lambda table: {"RequestItems": {table: [{"PutRequest": {"Item": key("a"), **MISSPELT}}]}}),
        ("BatchGetItem", lambda table: {"RequestItems": {table: {"Keys": [key("a")], **MISSPELT}}}),
    ],
)
def test_a_member_that_nobody_knows_is_refused(operation: str, params: Any, aws: Aws, table: str) -> None:
    """AWS ignores it: a misspelt condition would be no condition. boto3 would not send it, our own client would."""
    status, answer = aws.raw("dynamodb", operation, params(table))
    assert status == 400
    assert "ConditionExpresion" in answer["message"]


# ------------------------------------------------------------------ updates
def update(aws: Aws, table: str, before: dict[str, Any], expression: str, **values: Any) -> dict[str, Any]:
    """What an update makes of an item, without its key."""
    aws.dynamodb.put_item(TableName=table, Item={**key("u"), **before})
    request: dict[str, Any] = {"TableName": table, "Key": key("u"), "UpdateExpression": expression}
    if values:
        request["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    after: dict[str, Any] = aws.dynamodb.update_item(**request, ReturnValues="ALL_NEW")["Attributes"]
    assert aws.item(table, "u") == after
    return {name: value for name, value in after.items() if name not in ("pk", "sk")}


def numbers(*values: object) -> dict[str, Any]:
    return {"L": [number(value) for value in values]}


UPDATES: dict[str, tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]] = {
    "set": ({}, "SET a = :v", {"v": number(1)}, {"a": number(1)}),
    "set from another attribute": ({"a": number(1)}, "SET b = a", {}, {"a": number(1), "b": number(1)}),
    "values are those before the update": (
        {"a": number(1), "b": number(2)},
        "SET a = b, b = a",
        {},
        {"a": number(2), "b": number(1)},
    ),
    "arithmetic": ({"a": number("0.1")}, "SET a = a + :v", {"v": number("0.2")}, {"a": number("0.3")}),
    "subtraction below zero": ({"a": number(1)}, "SET a = a - :v", {"v": number(3)}, {"a": number(-2)}),
    "if_not_exists, absent": (
        {},
        "SET a = if_not_exists(a, :z) + :v",
        {"z": number(0), "v": number(1)},
        {"a": number(1)},
    ),
    "if_not_exists, present": (
        {"a": number(5)},
        "SET a = if_not_exists(a, :z) + :v",
        {"z": number(0), "v": number(1)},
        {"a": number(6)},
    ),
    "list_append": ({"a": numbers(1)}, "SET a = list_append(a, :v)", {"v": numbers(2, 3)}, {"a": numbers(1, 2, 3)}),
    "beyond a list's end is at its end, in order": (
        {"a": numbers(1)},
        "SET a[7] = :y, a[5] = :x",
        {"x": number(2), "y": number(3)},
        {"a": numbers(1, 2, 3)},
    ),
    "a nested member": (
        {"m": {"M": {"x": number(1), "l": numbers(1, 2)}}},
        "SET m.x = :v, m.l[1] = :v",
        {"v": number(9)},
        {"m": {"M": {"x": number(9), "l": numbers(1, 9)}}},
    ),
    "remove": ({"a": number(1), "b": number(2)}, "REMOVE a, absent", {}, {"b": number(2)}),
    "removed indexes are those before the update": (
        {"a": numbers(0, 1, 2, 3)},
        "REMOVE a[0], a[2]",
        {},
        {"a": numbers(1, 3)},
    ),
    "add to a number": ({"a": number(1)}, "ADD a :v", {"v": number(-3)}, {"a": number(-2)}),
    "add to nothing": ({}, "ADD a :v", {"v": number(2)}, {"a": number(2)}),
    "add to a set": ({"a": {"SS": ["x"]}}, "ADD a :v", {"v": {"SS": ["y", "x"]}}, {"a": {"SS": ["x", "y"]}}),
    "delete from a set": ({"a": {"SS": ["x", "y"]}}, "DELETE a :v", {"v": {"SS": ["x"]}}, {"a": {"SS": ["y"]}}),
    "an emptied set is gone": ({"a": {"SS": ["x"]}}, "DELETE a :v", {"v": {"SS": ["x"]}}, {}),
    "several sections": (
        {"a": number(1), "b": number(1)},
        "ADD a :v REMOVE b SET c = :v",
        {"v": number(1)},
        {"a": number(2), "c": number(1)},
    ),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update(name: str, aws: Aws, table: str) -> None:
    before, expression, values, after = UPDATES[name]
    assert update(aws, table, before, expression, **values) == after


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "SET",
        "SET a = :v,",
        "SET a :v",
        "SET a = :v SET b = :v",
        "SET pk = :v",
        "SET a = :v, a = :v",
        "SET m = :v, m.x = :v",
        "SET m.x = :v, m[0] = :v",
        "SET absent.x = :v",
        "SET n.x = :v",
        "SET a = absent + :v",
        "SET a = s + :v",
        "SET a = size(s) + :v",
        "SET a = :v + :v + :v",
        "ADD s :v",
        "DELETE n :v",
        "SET l = list_append(l, :v)",
    ],
)
def test_an_update_that_is_refused_changes_nothing(expression: str, aws: Aws, table: str) -> None:
    before = {**key("u"), "n": number(1), "s": {"S": "x"}, "l": numbers(1), "m": {"M": {}}}
    aws.dynamodb.put_item(TableName=table, Item=before)
    request = {"TableName": table, "Key": key("u"), "UpdateExpression": expression}
    values = {"ExpressionAttributeValues": {":v": number(1)}} if ":v" in expression else {}
    assert code(aws.dynamodb.update_item, **request, **values) == "ValidationException"
    assert aws.item(table, "u") == before


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        ("NONE", None),
        ("ALL_OLD", {**key("r"), "a": number(1), "b": number(1)}),
        ("ALL_NEW", {**key("r"), "a": number(2), "b": number(1), "c": number(1)}),
        ("UPDATED_OLD", {"a": number(1)}),
        ("UPDATED_NEW", {"a": number(2), "c": number(1)}),
    ],
)
def test_what_an_update_returns(returned: str, shown: Any, aws: Aws, table: str) -> None:
    aws.dynamodb.put_item(TableName=table, Item={**key("r"), "a": number(1), "b": number(1)})
    answer = aws.dynamodb.update_item(
        TableName=table,
        Key=key("r"),
        UpdateExpression="ADD a :v SET c = :v",
        ExpressionAttributeValues={":v": number(1)},
        ReturnValues=returned,
    )
    assert answer.get("Attributes") == shown


@pytest.mark.parametrize(
    "value",
    [
        {"N": "x"},
        {"N": "1_0"},
        {"N": " 1"},
        {"N": "1e126"},
        {"N": "1e-131"},
        {"SS": []},
        {"SS": ["a", "a"]},
        {"NS": ["1", "1.0"]},
        {"NULL": False},
        {"S": "a", "N": "1"},
        {},
        {"X": "a"},
    ],
)
def test_a_value_that_cannot_be_stored(value: dict[str, Any], aws: Aws, table: str) -> None:
    status, answer = aws.raw("dynamodb", "PutItem", {"TableName": table, "Item": {**key("v"), "x": value}})
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "ValidationException")


@pytest.mark.parametrize(
    "bad", [{"pk": {"S": "a"}}, {**key("a"), "x": {"S": "-"}}, key(""), {"pk": number(1), "sk": {"S": "-"}}]
)
def test_a_key_that_is_not_the_tables(bad: dict[str, Any], aws: Aws, table: str) -> None:
    assert code(aws.dynamodb.get_item, TableName=table, Key=bad) == "ValidationException"


def test_a_table_that_does_not_exist(aws: Aws) -> None:
    assert code(aws.dynamodb.get_item, TableName="no-such-table", Key=key("a")) == "ResourceNotFoundException"
