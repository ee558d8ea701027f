"""Transactions: all or nothing, once for each token, and never in each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.aws import start_aws
from tests.local.aws_clients import Aws, code, key, number, refusal


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Aws:
    return Aws(aws_endpoint)


@pytest.fixture
def table(aws: Aws) -> str:
    return aws.table()


def put(table: str, pk: str, condition: str | None = None, **attributes: Any) -> dict[str, Any]:
    action = {"TableName": table, "Item": {**key(pk), **attributes}}
    return {"Put": {**action, "ConditionExpression": condition} if condition else action}


def add(table: str, pk: str, amount: int, condition: str | None = None) -> dict[str, Any]:
    action: dict[str, Any] = {
        "TableName": table,
        "Key": key(pk),
        "UpdateExpression": "SET n = if_not_exists(n, :zero) + :amount",
        "ExpressionAttributeValues": {":amount": number(amount), ":zero": number(0)},
    }
    return {"Update": {**action, "ConditionExpression": condition} if condition else action}


def check(table: str, pk: str, condition: str = "attribute_exists(pk)", **more: Any) -> dict[str, Any]:
    return {"ConditionCheck": {"TableName": table, "Key": key(pk), "ConditionExpression": condition, **more}}


def transact(aws: Aws, *actions: dict[str, Any], **more: Any) -> None:
    aws.dynamodb.transact_write_items(TransactItems=list(actions), **more)


def refused(aws: Aws, *actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return refusal(aws.dynamodb.transact_write_items, TransactItems=list(actions), **more)


def codes(answer: dict[str, Any]) -> list[str]:
    return [reason["Code"] for reason in answer["CancellationReasons"]]


def test_every_kind_of_action_takes_effect_together(aws: Aws, table: str) -> None:
    other = aws.table(stream=None)
    transact(aws, put(table, "a"), put(table, "old"))
    delete = {"Delete": {"TableName": table, "Key": key("old")}}
    transact(aws, check(table, "a"), put(other, "b"), add(table, "c", 5), delete)
    assert aws.item(other, "b") == key("b")
    assert aws.item(table, "c") == {**key("c"), "n": number(5)}
    assert aws.item(table, "old") is None


def test_one_failed_condition_undoes_nothing_because_nothing_was_done(aws: Aws, table: str) -> None:
    transact(aws, put(table, "a", n=number(1)))
    answer = refused(
        aws,
        add(table, "a", 1),
        put(table, "a2"),
        put(table, "b", "attribute_exists(pk)"),
        check(table, "nobody"),
    )
    assert answer["Error"]["Code"] == "TransactionCanceledException"
    assert codes(answer) == ["None", "None", "ConditionalCheckFailed", "ConditionalCheckFailed"]
    assert answer["Error"]["Message"].endswith("[None, None, ConditionalCheckFailed, ConditionalCheckFailed]")
    assert aws.item(table, "a") == {**key("a"), "n": number(1)}
    assert aws.item(table, "a2") is None
    assert len(aws.records(table)) == 1


def test_a_reason_shows_the_item_where_asked(aws: Aws, table: str) -> None:
    transact(aws, put(table, "a", n=number(1)))
    asked = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    absent = "attribute_not_exists(pk)"
    answer = refused(
        aws, check(table, "a", absent, **asked), check(table, "b", **asked), check(table, "c", absent, **asked)
    )
    shown, absent_item, held = answer["CancellationReasons"]
    assert shown["Item"] == {**key("a"), "n": number(1)}
    assert shown["Message"] == "The conditional request failed"
    assert "Item" not in absent_item
    assert held == {"Code": "None"}


def test_an_update_that_does_not_fit_its_item_is_a_reason(aws: Aws, table: str) -> None:
    transact(aws, put(table, "a", n={"S": "text"}), put(table, "full", x={"S": "x" * 409_000}))
    grow = {
        "TableName": table,
        "Key": key("full"),
        "UpdateExpression": "SET y = :y",
        "ExpressionAttributeValues": {":y": {"S": "y" * 1000}},
    }
    answer = refused(aws, put(table, "b"), add(table, "a", 1), {"Update": grow})
    assert codes(answer) == ["None", "ValidationError", "ValidationError"]
    assert aws.item(table, "b") is None


@pytest.mark.parametrize(
    "actions",
    [
        lambda table: [],
        lambda table: [put(table, f"p{n}") for n in range(101)],
        lambda table: [put(table, "same"), check(table, "same", "attribute_not_exists(pk)")],
        lambda table: [put(table, "a", "n + n = n")],
        lambda table: [{"Update": {"TableName": table, "Key": key("a"), "UpdateExpression": "SET n = :undefined"}}],
        lambda table: [put(table, f"p{n}", x={"S": "x" * 400_000}) for n in range(11)],
    ],
    ids=["none", "101", "one item twice", "syntax", "undefined value", "over 4 MB"],
)
def test_a_request_that_is_wrong_in_itself(actions: Any, aws: Aws, table: str) -> None:
    status, answer = aws.raw("dynamodb", "TransactWriteItems", {"TransactItems": actions(table)})
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "ValidationException")
    assert aws.records(table) == []


def test_a_hundred_actions_are_not_too_many(aws: Aws, table: str) -> None:
    transact(aws, *(put(table, f"p{n}") for n in range(100)))
    assert len(aws.records(table)) == 100


def test_reads_of_one_moment(aws: Aws, table: str) -> None:
    transact(aws, put(table, "a", n=number(1), m=number(2)))
    gets = [{"Get": {"TableName": table, "Key": key(pk), "ProjectionExpression": "m"}} for pk in ("a", "nobody")]
    answer = aws.dynamodb.transact_get_items(TransactItems=gets)
    assert answer["Responses"] == [{"Item": {"m": number(2)}}, {}]


# ------------------------------------------------------------------ tokens
@pytest.fixture
def timed() -> Iterator[tuple[Aws, list[float]]]:
    """AWS under a clock that the test sets."""
    now_s = [1_000_000.0]
    with start_aws(clock=lambda: now_s[0]) as server:
        yield Aws(server.endpoint_url), now_s


def test_a_token_holds_for_ten_minutes(timed: tuple[Aws, list[float]]) -> None:
    aws, now_s = timed
    table = aws.table(stream=None)
    for wait_s, total in ((0, 1), (599, 1), (2, 2), (1, 2)):
        now_s[0] += wait_s
        transact(aws, add(table, "a", 1), ClientRequestToken="token")
        assert aws.item(table, "a") == {**key("a"), "n": number(total)}


def test_a_cancelled_transaction_leaves_its_token_free(aws: Aws, table: str) -> None:
    actions = [check(table, "a"), put(table, "b")]
    token = {"ClientRequestToken": table[-20:]}
    assert code(aws.dynamodb.transact_write_items, TransactItems=actions, **token) == "TransactionCanceledException"
    aws.dynamodb.put_item(TableName=table, Item=key("a"))
    transact(aws, *actions, **token)
    assert aws.item(table, "b") == key("b")


def test_a_repetition_succeeds_even_where_its_conditions_hold_no_more(aws: Aws, table: str) -> None:
    for _ in range(2):
        transact(aws, put(table, "once", "attribute_not_exists(pk)"), ClientRequestToken=table[-20:])
    assert aws.item(table, "once") == key("once")


# ------------------------------------------------------------------ threads
def test_holds_never_take_a_balance_below_zero(aws: Aws, table: str) -> None:
    """Eight threads want 200 holds of 7 from a balance of 500, which allows 71."""
    aws.dynamodb.put_item(TableName=table, Item={**key("balance"), "n": number(500)})
    enough = "n >= :needed"

    def hold(attempt: int) -> bool:
        take = add(table, "balance", -7, enough)
        take["Update"]["ExpressionAttributeValues"][":needed"] = number(7)
        try:
            transact(aws, take, put(table, f"hold-{attempt}", "attribute_not_exists(pk)", n=number(7)))
        except aws.dynamodb.exceptions.TransactionCanceledException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(hold, range(200))) == 71
    assert aws.item(table, "balance") == {**key("balance"), "n": number(500 - 71 * 7)}
    records = aws.records(table)
    assert len(records) == 1 + 2 * 71
    balances = [int(r["dynamodb"]["NewImage"]["n"]["N"]) for r in records if r["dynamodb"]["Keys"] == key("balance")]
    assert balances == [500 - 7 * n for n in range(72)]


def test_threads_lose_no_update(aws: Aws, table: str) -> None:
    request = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": number(1)}}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: aws.dynamodb.update_item(TableName=table, Key=key("a"), **request), range(200)))
    assert aws.item(table, "a") == {**key("a"), "n": number(200)}
