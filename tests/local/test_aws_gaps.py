"""What moto gets wrong, each held against AWS's documents: closed here, and still open in bare moto.

The second half is the point: it proves that every check can fail, and that without the shim the build would. Where a
newer moto closes a gap, its check fails there, and the code that closed it may go.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import moto.dynamodb.models
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from local.aws import Controls, start_aws
from tests.local.aws_clients import Aws, code, key, number, refusal

Gap = Callable[[Aws], None]
GAPS: dict[str, Gap] = {}


def gap(check: Gap) -> Gap:
    GAPS[check.__name__] = check
    return check


@pytest.fixture(scope="module")
def shim() -> Iterator[Aws]:
    with start_aws() as server:
        yield Aws(server.endpoint_url)


@pytest.fixture(scope="module")
def bare_moto() -> Iterator[Aws]:
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moto.dynamodb.models, "copy", Unhurried)
        yield Aws(f"http://{host}:{port}", region="eu-west-1")
    server.stop()


class Unhurried:
    """`copy`, as moto's transactions use it: between the copy that they may put back and their writes others get their
    turn, so that its races are lost every time."""

    @staticmethod
    def deepcopy(value: Any) -> Any:
        copied = copy.deepcopy(value)
        time.sleep(0.02)
        return copied


def attempt(call: Callable[..., Any], **params: Any) -> bool:
    try:
        call(**params)
    except ClientError:
        return False
    return True


# ------------------------------------------------------------------ transactions
@gap
def once_only_keys_are_written_once(aws: Aws) -> None:
    table = aws.table()

    def claim(attempt_number: int) -> bool:
        put = {
            "TableName": table,
            "Item": key(f"once-{attempt_number % 5}"),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        count = {
            "TableName": table,
            "Key": key("count"),
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": number(1)},
        }
        return attempt(aws.dynamodb.transact_write_items, TransactItems=[{"Put": put}, {"Update": count}])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(40))) == 5
    counted = aws.item(table, "count")
    assert counted is not None
    assert counted["n"] == number(5)


@gap
def a_client_token_makes_a_transaction_happen_once(aws: Aws) -> None:
    table = aws.table()
    add = {
        "TableName": table,
        "Key": key("a"),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": number(1)},
    }
    for _ in range(2):
        aws.dynamodb.transact_write_items(TransactItems=[{"Update": add}], ClientRequestToken=table[-12:])
    assert aws.item(table, "a") == {**key("a"), "n": number(1)}


@gap
def a_client_token_belongs_to_one_request(aws: Aws) -> None:
    table = aws.table()
    put = aws.dynamodb.transact_write_items
    put(TransactItems=[{"Put": {"TableName": table, "Item": key("a")}}], ClientRequestToken=table[-12:])
    other = [{"Put": {"TableName": table, "Item": key("b")}}]
    assert code(put, TransactItems=other, ClientRequestToken=table[-12:]) == "IdempotentParameterMismatchException"


@gap
def a_cancelled_transaction_keeps_what_others_wrote(aws: Aws) -> None:
    """moto puts a copy of the whole table back, and with it the past."""
    table = aws.table(stream=None)
    for start in range(0, 200, 25):
        rows = [{"PutRequest": {"Item": {**key("filler", str(n)), "n": number(n)}}} for n in range(start, start + 25)]
        aws.dynamodb.batch_write_item(RequestItems={table: rows})
    never = {"TableName": table, "Key": key("nobody"), "ConditionExpression": "attribute_exists(pk)"}

    def cancel(_: int) -> bool:
        return attempt(aws.dynamodb.transact_write_items, TransactItems=[{"ConditionCheck": never}])

    def write(number_: int) -> bool:
        return attempt(aws.dynamodb.put_item, TableName=table, Item=key("kept", str(number_)))

    with ThreadPoolExecutor(4) as cancelling, ThreadPoolExecutor(4) as writing:
        cancelled = [cancelling.submit(cancel, n) for n in range(24)]
        assert all(writing.map(write, range(60)))
        assert not any(future.result() for future in cancelled)
    kept = {":pk": {"S": "kept"}}
    found = aws.dynamodb.query(
        TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=kept, Select="COUNT"
    )
    assert found["Count"] == 60


@gap
def a_transaction_names_the_action_whose_key_is_wrong(aws: Aws) -> None:
    table = aws.table()
    put = {"TableName": table, "Item": key("a")}
    wrong = {"TableName": table, "Item": {"pk": number(7), "sk": {"S": "-"}}}
    answer = refusal(aws.dynamodb.transact_write_items, TransactItems=[{"Put": put}, {"Put": wrong}])
    assert [reason["Code"] for reason in answer["CancellationReasons"]] == ["None", "ValidationError"]


# ------------------------------------------------------------------ streams
@gap
def an_upsert_by_update_is_one_insert(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.update_item(
        TableName=table,
        Key=key("a"),
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": number(1)},
    )
    (record,) = aws.records(table)
    assert record["eventName"] == "INSERT"
    assert record["dynamodb"]["NewImage"] == {**key("a"), "n": number(1)}
    assert "OldImage" not in record["dynamodb"]


@gap
def a_write_that_changes_nothing_is_not_in_the_stream(aws: Aws) -> None:
    table = aws.table()
    for _ in range(2):
        aws.dynamodb.put_item(TableName=table, Item={**key("a"), "n": number(1)})
    same = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": number(1)}}
    aws.dynamodb.update_item(TableName=table, Key=key("a"), **same)
    assert [record["eventName"] for record in aws.records(table)] == ["INSERT"]


@gap
def sequence_numbers_are_unique_and_rise_whatever_threads_do(aws: Aws) -> None:
    table = aws.table()
    never = {"TableName": table, "Key": key("nobody"), "ConditionExpression": "attribute_exists(pk)"}

    def write(number_: int) -> None:
        item = key("a", str(number_))
        if number_ % 4 == 0:
            put = {"Put": {"TableName": table, "Item": item}}
            attempt(aws.dynamodb.transact_write_items, TransactItems=[put, {"ConditionCheck": never}])
        else:
            aws.dynamodb.put_item(TableName=table, Item=item)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(80)))
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in aws.records(table)]
    assert len(numbers) == 60
    assert numbers == sorted(set(numbers))


@gap
def items_expire_where_their_table_says_so(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
    )
    now_s = int(time.time())
    for name, at in (("old", now_s - 1), ("new", now_s + 3600)):
        aws.dynamodb.put_item(TableName=table, Item={**key(name), "expires_at": number(at)})
    assert Controls(aws.endpoint_url).sweep_expired()[table] == 1
    assert aws.item(table, "old") is None
    assert aws.item(table, "new") is not None
    (*_, removal) = aws.records(table)
    assert removal["eventName"] == "REMOVE"
    assert removal["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


# ------------------------------------------------------------------ conditions
def holds(aws: Aws, condition: str, item: dict[str, Any], **values: Any) -> bool:
    """Whether a condition holds on an item; anything but yes and no is an error."""
    table = aws.table(stream=None)
    aws.dynamodb.put_item(TableName=table, Item={**key("a"), **item})
    check: dict[str, Any] = {"TableName": table, "Key": key("a"), "ConditionExpression": condition}
    if values:
        check["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    try:
        aws.dynamodb.delete_item(**check)
    except aws.dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


@gap
def a_condition_takes_no_arithmetic(aws: Aws) -> None:
    table = aws.table()
    put = {"TableName": table, "Item": key("a"), "ExpressionAttributeValues": {":n": number(1)}}
    assert code(aws.dynamodb.put_item, ConditionExpression="n + :n > :n", **put) == "ValidationException"


@gap
def a_condition_may_stand_on_several_lines(aws: Aws) -> None:
    assert holds(aws, "attribute_exists(pk)\n\tAND n = :n", {"n": number(1)}, n=number(1))


@gap
def values_of_two_types_are_neither_less_nor_more(aws: Aws) -> None:
    assert not holds(aws, "n < :text", {"n": number(1)}, text={"S": "2"})


@gap
def a_missing_attribute_equals_nothing(aws: Aws) -> None:
    assert not holds(aws, "a = b", {})
    assert not holds(aws, "a = :null", {}, null={"NULL": True})


@gap
def true_is_not_one(aws: Aws) -> None:
    assert not holds(aws, "flag = :one", {"flag": {"BOOL": True}}, one=number(1))


# ------------------------------------------------------------------ numbers and sizes
@gap
def a_number_has_38_digits_at_most(aws: Aws) -> None:
    table = aws.table()
    for many in ("1" * 39, "0." + "1" * 39):
        item = {**key("a"), "n": number(many)}
        assert code(aws.dynamodb.put_item, TableName=table, Item=item) == "ValidationException"
    aws.dynamodb.put_item(TableName=table, Item={**key("a"), "n": number("1" * 38)})


@gap
def a_sum_of_more_than_38_digits_is_refused(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item={**key("a"), "n": number("9" * 38)})
    add = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": number("0.1")}}
    assert code(aws.dynamodb.update_item, TableName=table, Key=key("a"), **add) == "ValidationException"


@gap
def a_number_comes_back_in_one_form(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item={**key("a"), "n": {"L": [number(n) for n in ("1.50", "007", "1e3")]}})
    item = aws.item(table, "a")
    assert item is not None
    assert item["n"] == {"L": [number("1.5"), number(7), number(1000)]}


@gap
def an_item_may_have_400_kb(aws: Aws) -> None:
    table = aws.table(stream=None)
    overhead = len("pkask-x")
    fits = {**key("a"), "x": {"S": "x" * (400 * 1024 - overhead)}}
    aws.dynamodb.put_item(TableName=table, Item=fits)
    larger = {**key("a"), "x": {"S": "x" * (400 * 1024 - overhead + 1)}}
    assert code(aws.dynamodb.put_item, TableName=table, Item=larger) == "ValidationException"


@gap
def a_page_that_meets_its_limit_says_where_to_go_on(aws: Aws) -> None:
    table = aws.table(stream=None)
    aws.dynamodb.put_item(TableName=table, Item=key("a"))
    query = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "a"}}, "Limit": 1}
    assert aws.dynamodb.query(TableName=table, **query)["LastEvaluatedKey"] == key("a")


@gap
def an_unsigned_call_is_refused(aws: Aws) -> None:
    status, answer = aws.raw("dynamodb", "ListTables", {}, signed=False)
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "MissingAuthenticationTokenException")


# ------------------------------------------------------------------ KMS
CONTEXT = {"account": "acc_1", "credential": "cred_1"}


def sealed(aws: Aws, key_id: str, context: dict[str, str] = CONTEXT) -> bytes:
    blob: bytes = aws.kms.generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=context)[
        "CiphertextBlob"
    ]
    return blob


def new_key(aws: Aws) -> str:
    return str(aws.kms.create_key()["KeyMetadata"]["Arn"])


def uses(aws: Aws, key_id: str, blob: bytes) -> dict[str, Callable[[], Any]]:
    """Every use of a key's material."""
    kms, context = aws.kms, {"EncryptionContext": CONTEXT}
    return {
        "Encrypt": lambda: kms.encrypt(KeyId=key_id, Plaintext=b"x", **context),
        "Decrypt": lambda: kms.decrypt(CiphertextBlob=blob, **context),
        "GenerateDataKey": lambda: kms.generate_data_key(KeyId=key_id, KeySpec="AES_256", **context),
        "GenerateDataKeyWithoutPlaintext": lambda: kms.generate_data_key_without_plaintext(
            KeyId=key_id, KeySpec="AES_256", **context
        ),
        "ReEncrypt from": lambda: kms.re_encrypt(
            CiphertextBlob=blob, SourceEncryptionContext=CONTEXT, DestinationKeyId=new_key(aws)
        ),
    }


@gap
def a_disabled_key_does_nothing(aws: Aws) -> None:
    key_id = new_key(aws)
    blob = sealed(aws, key_id)
    aws.kms.disable_key(KeyId=key_id.rpartition("/")[2])
    for use in uses(aws, key_id, blob).values():
        assert code(use) == "DisabledException"
    aws.kms.enable_key(KeyId=key_id.rpartition("/")[2])
    for use in uses(aws, key_id, blob).values():
        use()


@gap
def a_key_that_awaits_deletion_does_nothing(aws: Aws) -> None:
    key_id = new_key(aws)
    blob = sealed(aws, key_id)
    aws.kms.schedule_key_deletion(KeyId=key_id.rpartition("/")[2], PendingWindowInDays=7)
    for use in uses(aws, key_id, blob).values():
        assert code(use) == "KMSInvalidStateException"
    assert code(aws.kms.enable_key, KeyId=key_id.rpartition("/")[2]) == "KMSInvalidStateException"


@gap
def a_key_is_disabled_by_its_arn(aws: Aws) -> None:
    key_id = new_key(aws)
    aws.kms.disable_key(KeyId=key_id)
    assert aws.kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "Disabled"
    aws.kms.enable_key(KeyId=key_id)
    assert aws.kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "Enabled"


@gap
def an_encryption_context_is_its_names_and_values_not_their_text(aws: Aws) -> None:
    key_id = new_key(aws)
    blob = sealed(aws, key_id, {"a": "bc"})
    decrypt = aws.kms.decrypt
    assert code(decrypt, CiphertextBlob=blob, EncryptionContext={"ab": "c"}) == "InvalidCiphertextException"


@gap
def a_ciphertext_of_another_key_is_an_incorrect_key(aws: Aws) -> None:
    one, other = new_key(aws), new_key(aws)
    blob = sealed(aws, one)
    decrypt = aws.kms.decrypt
    assert code(decrypt, KeyId=other, CiphertextBlob=blob, EncryptionContext=CONTEXT) == "IncorrectKeyException"
    again = {"SourceKeyId": other, "SourceEncryptionContext": CONTEXT, "DestinationKeyId": one}
    assert code(aws.kms.re_encrypt, CiphertextBlob=blob, **again) == "IncorrectKeyException"


# ------------------------------------------------------------------ both ways
@pytest.mark.parametrize("name", GAPS)
def test_the_shim_closes(name: str, shim: Aws) -> None:
    GAPS[name](shim)


@pytest.mark.parametrize("name", GAPS)
def test_bare_moto_still_has(name: str, bare_moto: Aws) -> None:
    try:
        GAPS[name](bare_moto)
    except Exception:
        return
    pytest.fail(f"moto has closed the gap: {name}")
