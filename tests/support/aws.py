"""The product's tables in AWS on loopback, empty for each test."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cache

import boto3

from local.aws import Controls
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb

REGION = "us-east-1"


@dataclass(frozen=True)
class Tables:
    """Names of the tables, and a client of the product's own."""

    endpoint: str
    aws: AwsClient
    db: DynamoDb
    registry: str
    records: str
    credits: str
    ledger: str
    rollups: str
    health: str
    audit: str
    counters: str
    answers: str
    kms_key_id: str


def environ(endpoint: str) -> dict[str, str]:
    """The environment in which the product's own client finds AWS."""
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION}


@cache
def boto(service: str, endpoint: str):
    """A boto3 client, for what the product itself never does. Making one takes longer than most tests."""
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id="AKIATEST", aws_secret_access_key="test"
    )


def empty_tables(endpoint: str, aws: AwsClient) -> Tables:
    """The tables of this AWS with nothing in them, and a KMS key that nothing was sealed with."""
    names = _names(endpoint)
    Controls(endpoint).clear(names.values())
    key = boto("kms", endpoint).create_key()["KeyMetadata"]["Arn"]
    return Tables(endpoint, aws, DynamoDb(aws), **names, kms_key_id=key)


@cache
def _names(endpoint: str) -> dict[str, str]:
    """The tables by what they hold, created with the first test that wants them: emptying them takes far less."""
    dynamodb, run = boto("dynamodb", endpoint), uuid.uuid4().hex[:8]
    names = {}
    for name in ("registry", "records", "credits", "ledger", "rollups", "health", "audit", "counters", "answers"):
        names[name] = f"{name}-{run}"
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"} if name == "records" else None
        dynamodb.create_table(
            TableName=names[name],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
            **({"StreamSpecification": stream} if stream else {}),
        )
    return names
