"""The server: connections kept, moto's services behind it, a process of its own."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from local.aws import Controls, start_aws
from local.aws.controls import ControlRefused
from tests.local.aws_clients import Aws, key

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Aws:
    return Aws(aws_endpoint)


def test_a_connection_is_kept_over_calls(aws: Aws) -> None:
    connection = http.client.HTTPConnection(urlsplit(aws.endpoint_url).netloc)
    sockets = set()
    for target in ("DynamoDB_20120810.ListTables", "TrentService.ListKeys", "DynamoDB_20120810.ListTables"):
        authorization = "AWS4-HMAC-SHA256 Credential=AKIATEST/20261121/us-east-1/{}/aws4_request"
        service = "kms" if "Trent" in target else "dynamodb"
        headers = {"X-Amz-Target": target, "Authorization": authorization.format(service)}
        connection.request("POST", "/", b"{}", headers)
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        sockets.add(id(connection.sock))
    assert len(sockets) == 1
    connection.close()


def test_two_servers_of_one_process_show_the_same_tables(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item=key("a"))
    with start_aws() as other:
        assert Aws(other.endpoint_url).item(table, "a") == key("a")


def test_a_table_that_is_made_again_is_empty(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item=key("a"))
    schema = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
    aws.dynamodb.delete_table(TableName=table)
    aws.dynamodb.create_table(
        TableName=table, KeySchema=schema, AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST"
    )
    assert aws.item(table, "a") is None


def test_tables_of_two_regions_are_two(aws: Aws) -> None:
    table = aws.table()
    elsewhere = Aws(aws.endpoint_url, region="eu-central-1")
    with pytest.raises(elsewhere.dynamodb.exceptions.ResourceNotFoundException):
        elsewhere.item(table, "a")


def test_cognito_signs_in_and_publishes_its_keys(aws: Aws) -> None:
    cognito = aws.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="console", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    cognito.admin_create_user(UserPoolId=pool, Username="ada")
    cognito.admin_set_user_password(UserPoolId=pool, Username="ada", Password="Correct-horse-1", Permanent=True)
    parameters = {"USERNAME": "ada", "PASSWORD": "Correct-horse-1"}
    tokens = cognito.initiate_auth(ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)
    assert tokens["AuthenticationResult"]["AccessToken"].count(".") == 2
    with urlopen(f"{aws.endpoint_url}/{pool}/.well-known/jwks.json") as answer:
        assert json.load(answer)["keys"][0]["kty"] == "RSA"


def test_s3_keeps_what_it_is_given(aws: Aws) -> None:
    s3 = aws.client("s3")
    bucket, body = f"bucket-{id(aws)}", bytes(range(256)) * 20_000
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a folder/ünï %2F.bin", Body=body, Metadata={"made_by": "a test"})
    found = s3.get_object(Bucket=bucket, Key="a folder/ünï %2F.bin")
    assert found["Body"].read() == body
    assert found["Metadata"] == {"made_by": "a test"}
    assert s3.head_object(Bucket=bucket, Key="a folder/ünï %2F.bin")["ContentLength"] == len(body)


def test_other_services_are_motos(aws: Aws) -> None:
    queue = aws.client("sqs").create_queue(QueueName="queue")["QueueUrl"]
    aws.client("sqs").send_message(QueueUrl=queue, MessageBody="hello")
    assert aws.client("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "hello"
    aws.client("ssm").put_parameter(Name="p", Value="v", Type="String", Overwrite=True)
    assert aws.client("ssm").get_parameter(Name="p")["Parameter"]["Value"] == "v"
    secret = aws.client("secretsmanager").create_secret(Name=f"s-{id(aws)}", SecretString="v")["ARN"]
    assert aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"] == "v"
    aws.client("events").put_rule(Name="rule", ScheduleExpression="rate(1 minute)")
    assert aws.client("events").list_rules()["Rules"][0]["Name"] == "rule"


def test_what_motos_items_would_answer_wrongly_is_refused(aws: Aws) -> None:
    status, answer = aws.raw("dynamodb", "ExecuteStatement", {"Statement": "SELECT * FROM t"})
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "UnknownOperationException")


def test_a_body_that_is_no_json_is_refused(aws: Aws) -> None:
    connection = http.client.HTTPConnection(urlsplit(aws.endpoint_url).netloc)
    connection.request("POST", "/", b"nonsense", {"X-Amz-Target": "DynamoDB_20120810.GetItem"})
    answer = connection.getresponse()
    assert (answer.status, "SerializationException" in answer.read().decode()) == (400, True)
    connection.close()


def test_a_control_that_does_not_exist(aws: Aws) -> None:
    with pytest.raises(ControlRefused, match="no such control"):
        Controls(aws.endpoint_url)._send("GET", "gremlins")


def test_a_process_of_its_own_starts_and_ends() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "local.aws", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        endpoint_url = process.stdout.readline().split()[-1]
        with urlopen(f"{endpoint_url}/_ownkey/health") as answer:
            assert json.load(answer) == {"status": "ok"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
