"""Each function's role holds on a laptop too: what its policy does not allow is refused as AWS refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import Controls, start_aws
from local.aws.controls import ControlRefused
from local.aws.policies import Access, IdentityPolicies
from tests.local.aws_clients import Aws, code, key, refusal

ROLE = "AKIALOCALROLE"


@pytest.fixture(scope="module")
def owner() -> Iterator[Aws]:
    """An access key without a policy: it may do everything."""
    with start_aws() as server:
        yield Aws(server.endpoint_url)


@pytest.fixture(scope="module")
def role(owner: Aws) -> Aws:
    """The access key under test."""
    return owner.as_(ROLE)


@pytest.fixture(scope="module")
def table(owner: Aws) -> str:
    return owner.table()


def arn(table: str) -> str:
    return f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}"


def limit(aws: Aws, *statements: dict[str, Any]) -> None:
    Controls(aws.endpoint_url).set_policies({ROLE: statements})


def allow(actions: Any, resources: Any, **conditions: Any) -> dict[str, Any]:
    return {"effect": "Allow", "actions": actions, "resources": resources, "conditions": conditions}


def test_what_is_not_allowed_is_refused_in_awss_words(owner: Aws, role: Aws, table: str) -> None:
    limit(owner, allow(["dynamodb:GetItem"], [arn(table)]))
    assert role.item(table, "a") is None
    answer = refusal(role.dynamodb.put_item, TableName=table, Item=key("a"))
    assert answer["Error"]["Code"] == "AccessDeniedException"
    assert answer["Error"]["Message"] == (
        f"User: {ROLE} is not authorized to perform: dynamodb:PutItem on resource: {arn(table)} "
        "because no identity-based policy allows the dynamodb:PutItem action"
    )
    assert owner.item(table, "a") is None


def test_a_key_without_a_policy_may_do_everything(owner: Aws, table: str) -> None:
    limit(owner)
    owner.dynamodb.put_item(TableName=table, Item=key("free"))
    assert owner.item(table, "free") == key("free")


def test_a_resource_is_a_pattern(owner: Aws, role: Aws, table: str) -> None:
    for pattern, allowed in (("*", True), (arn("table-*"), True), (arn(table[:-1] + "?"), True), (arn("other"), False)):
        limit(owner, allow("dynamodb:*", pattern))
        attempt = {"TableName": table, "Key": key("a")}
        if allowed:
            role.dynamodb.get_item(**attempt)
        else:
            assert code(role.dynamodb.get_item, **attempt) == "AccessDeniedException"


def test_an_explicit_deny_wins(owner: Aws, role: Aws, table: str) -> None:
    deny = {"effect": "Deny", "actions": ["dynamodb:Delete*"], "resources": ["*"]}
    limit(owner, allow("*", "*"), deny)
    role.dynamodb.put_item(TableName=table, Item=key("a"))
    answer = refusal(role.dynamodb.delete_item, TableName=table, Key=key("a"))
    assert "with an explicit deny in an identity-based policy" in answer["Error"]["Message"]


TRANSACTION = {
    "dynamodb:PutItem": {"Put": {"Item": key("p")}},
    "dynamodb:UpdateItem": {"Update": {"Key": key("u"), "UpdateExpression": "REMOVE absent"}},
    "dynamodb:DeleteItem": {"Delete": {"Key": key("d")}},
    "dynamodb:ConditionCheckItem": {
        "ConditionCheck": {"Key": key("c"), "ConditionExpression": "attribute_not_exists(pk)"}
    },
}


@pytest.mark.parametrize("missing", TRANSACTION)
def test_a_transaction_needs_the_permission_of_each_action(missing: str, owner: Aws, role: Aws, table: str) -> None:
    actions = [{kind: {"TableName": table, **body}} for action in TRANSACTION.values() for kind, body in action.items()]
    limit(owner, allow(sorted(TRANSACTION), arn(table)))
    role.dynamodb.transact_write_items(TransactItems=actions)
    limit(owner, allow(sorted(TRANSACTION.keys() - {missing}), arn(table)))
    answer = refusal(role.dynamodb.transact_write_items, TransactItems=actions)
    assert answer["Error"]["Code"] == "AccessDeniedException"
    assert f"perform: {missing} on" in answer["Error"]["Message"]


def test_a_transactions_reads_need_get_item(owner: Aws, role: Aws, table: str) -> None:
    gets = {"TransactItems": [{"Get": {"TableName": table, "Key": key("a")}}]}
    limit(owner, allow("dynamodb:GetItem", arn(table)))
    role.dynamodb.transact_get_items(**gets)
    limit(owner, allow("dynamodb:BatchGetItem", arn(table)))
    assert code(role.dynamodb.transact_get_items, **gets) == "AccessDeniedException"


def test_a_batch_needs_its_own_permission_on_every_table(owner: Aws, role: Aws, table: str) -> None:
    other = owner.table(stream=None)
    wanted = {"RequestItems": {name: {"Keys": [key("a")]} for name in (table, other)}}
    limit(owner, allow("dynamodb:BatchGetItem", [arn(table), arn(other)]))
    role.dynamodb.batch_get_item(**wanted)
    limit(owner, allow(["dynamodb:BatchGetItem"], arn(table)), allow("dynamodb:GetItem", arn(other)))
    assert code(role.dynamodb.batch_get_item, **wanted) == "AccessDeniedException"


def test_an_index_is_a_resource_of_its_own(owner: Aws, role: Aws) -> None:
    index = {
        "IndexName": "by-sk",
        "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    table = owner.table(stream=None, GlobalSecondaryIndexes=[index])
    query = {"KeyConditionExpression": "sk = :v", "ExpressionAttributeValues": {":v": {"S": "a"}}, "IndexName": "by-sk"}
    limit(owner, allow("dynamodb:Query", arn(table)))
    assert code(role.dynamodb.query, TableName=table, **query) == "AccessDeniedException"
    limit(owner, allow("dynamodb:Query", arn(table) + "/index/*"))
    role.dynamodb.query(TableName=table, **query)


def test_leading_keys_limit_partitions(owner: Aws, role: Aws, table: str) -> None:
    actions = ["dynamodb:PutItem", "dynamodb:Query", "dynamodb:BatchWriteItem", "dynamodb:Scan"]
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["ATT#*"]}, "Null": {"dynamodb:LeadingKeys": "false"}}
    limit(owner, allow(actions, arn(table), **own))

    def query(pk: str) -> dict[str, Any]:
        return {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": pk}}}

    def batch(*pks: str) -> dict[str, Any]:
        return {"RequestItems": {table: [{"PutRequest": {"Item": key(pk)}} for pk in pks]}}

    role.dynamodb.put_item(TableName=table, Item=key("ATT#1"))
    role.dynamodb.query(TableName=table, **query("ATT#1"))
    role.dynamodb.batch_write_item(**batch("ATT#1", "ATT#2"))
    assert code(role.dynamodb.put_item, TableName=table, Item=key("DEP#1")) == "AccessDeniedException"
    assert code(role.dynamodb.query, TableName=table, **query("DEP#1")) == "AccessDeniedException"
    assert code(role.dynamodb.batch_write_item, **batch("ATT#1", "DEP#1")) == "AccessDeniedException"
    assert code(role.dynamodb.scan, TableName=table) == "AccessDeniedException"


def test_a_stream_is_read_under_its_own_arn(owner: Aws, role: Aws, table: str) -> None:
    reads = ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"]
    limit(owner, allow(reads, owner.stream_arn(table)), allow("dynamodb:DescribeTable", arn(table)))
    role.records(table)
    limit(owner, allow(reads[:2], owner.stream_arn(table)), allow("dynamodb:DescribeTable", arn(table)))
    iterator = role.iterator(table)
    assert code(role.streams.get_records, ShardIterator=iterator) == "AccessDeniedException"


# ------------------------------------------------------------------ KMS
CONTEXT = {"ownkey:account": "acc_1", "ownkey:provider": "openai"}
BOUND = {
    "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": list(CONTEXT)},
    "Null": {f"kms:EncryptionContext:{name}": "false" for name in CONTEXT},
}


def test_a_key_is_used_under_the_whole_context_or_not_at_all(owner: Aws, role: Aws) -> None:
    key_id = owner.kms.create_key()["KeyMetadata"]["Arn"]
    limit(owner, allow("kms:GenerateDataKey", key_id, **BOUND))

    def attempt(context: dict[str, str]) -> dict[str, Any]:
        return {"KeyId": key_id, "KeySpec": "AES_256", "EncryptionContext": context}

    role.kms.generate_data_key(**attempt(CONTEXT))
    for context in ({}, {"ownkey:account": "acc_1"}, {**CONTEXT, "more": "x"}):
        assert code(role.kms.generate_data_key, **attempt(context)) == "AccessDeniedException"
    assert code(role.kms.encrypt, KeyId=key_id, Plaintext=b"x", EncryptionContext=CONTEXT) == "AccessDeniedException"


def test_decryption_is_asked_of_the_key_that_sealed(owner: Aws, role: Aws) -> None:
    vault, other = (owner.kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    limit(owner, allow("kms:Decrypt", vault))
    blobs = {key_id: owner.kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"] for key_id in (vault, other)}
    assert role.kms.decrypt(CiphertextBlob=blobs[vault])["Plaintext"] == b"x"
    assert code(role.kms.decrypt, CiphertextBlob=blobs[other]) == "AccessDeniedException"


def test_reencryption_needs_both_ends(owner: Aws, role: Aws) -> None:
    source, destination = (owner.kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    blob = owner.kms.encrypt(KeyId=source, Plaintext=b"x")["CiphertextBlob"]
    again = {"CiphertextBlob": blob, "DestinationKeyId": destination}
    ends = (allow("kms:ReEncryptFrom", source), allow("kms:ReEncryptTo", destination))
    limit(owner, *ends)
    role.kms.re_encrypt(**again)
    for end in ends:
        limit(owner, end)
        assert code(role.kms.re_encrypt, **again) == "AccessDeniedException"


# ------------------------------------------------------------------ other services
def test_objects_and_buckets(owner: Aws, role: Aws) -> None:
    bucket = f"bucket-{id(owner)}"
    owner.client("s3").create_bucket(Bucket=bucket)
    own = {"StringEquals": {"s3:ResourceAccount": "123456789012"}}
    limit(
        owner,
        allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*", **own),
        allow("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
    )
    s3 = role.client("s3")
    s3.put_object(Bucket=bucket, Key="batch/1.json", Body=b"{}")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["batch/1.json"]
    assert code(s3.get_object, Bucket=bucket, Key="batch/1.json") == "AccessDenied"
    assert code(s3.delete_object, Bucket=bucket, Key="batch/1.json") == "AccessDenied"


def test_a_user_pool(owner: Aws, role: Aws) -> None:
    pool = owner.client("cognito-idp").create_user_pool(PoolName="pool")["UserPool"]
    limit(owner, allow(["cognito-idp:AdminGetUser"], pool["Arn"]))
    user = {"UserPoolId": pool["Id"], "Username": "ada@example.com"}
    assert code(role.client("cognito-idp").admin_get_user, **user) == "UserNotFoundException"
    assert code(role.client("cognito-idp").admin_create_user, **user) == "AccessDeniedException"


# ------------------------------------------------------------------ the evaluation itself
def allowed(statement: dict[str, Any], **context: tuple[str, ...]) -> bool:
    policies = IdentityPolicies()
    policies.replace({ROLE: [statement]})
    named = {name.replace("__", ":"): values for name, values in context.items()}
    return policies.refusal(ROLE, [Access("dynamodb:GetItem", "arn:x", named)]) is None


@pytest.mark.parametrize(
    ("operator", "wanted", "values", "holds"),
    [
        ("StringEquals", ["a"], ("a",), True),
        ("StringEquals", ["a", "b"], ("b",), True),
        ("StringEquals", "a", ("A",), False),
        ("StringEqualsIgnoreCase", "a", ("A",), True),
        ("StringNotEquals", ["a", "b"], ("c",), True),
        ("StringNotEquals", ["a", "b"], ("b",), False),
        ("StringNotEquals", "a", None, True),
        ("StringLike", "a*", ("abc",), True),
        ("StringLike", "a?", ("abc",), False),
        ("StringLike", "a*", None, False),
        ("StringLikeIfExists", "a*", None, True),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAnyValue:StringEquals", ["a"], ("c", "a"), True),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("Null", "true", None, True),
        ("Null", "false", None, False),
        ("Null", False, ("a",), True),
    ],
)
def test_a_condition_operator(operator: str, wanted: Any, values: tuple[str, ...] | None, holds: bool) -> None:
    statement = allow("dynamodb:*", "*", **{operator: {"dynamodb:LeadingKeys": wanted}})
    context = {} if values is None else {"dynamodb__LeadingKeys": values}
    assert allowed(statement, **context) is holds


def test_an_action_ignores_case_a_resource_does_not() -> None:
    assert allowed(allow("DYNAMODB:getitem", "arn:x"))
    assert not allowed(allow("dynamodb:GetItem", "ARN:X"))


@pytest.mark.parametrize(
    "statement",
    [
        {"effect": "Perhaps", "actions": "*", "resources": "*"},
        {"effect": "Allow", "actions": "*", "resources": "*", "principal": "*"},
        allow("*", "*", DateGreaterThan={"aws:CurrentTime": "2026-01-01"}),
        allow("*", "*", StringEquals={"aws:PrincipalTag/team": "a"}),
    ],
)
def test_a_statement_that_cannot_be_evaluated_is_refused_not_ignored(statement: dict[str, Any], owner: Aws) -> None:
    with pytest.raises(ControlRefused):
        limit(owner, statement)
