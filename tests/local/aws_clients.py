"""Clients and tables for the tests of AWS on loopback."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

_ONCE = Config(retries={"total_max_attempts": 1}, max_pool_connections=16)
_TARGETS = {"dynamodb": "DynamoDB_20120810", "dynamodbstreams": "DynamoDBStreams_20120810", "kms": "TrentService"}


@dataclass
class Aws:
    """boto3 clients of one endpoint that never retry, under one access key."""

    endpoint_url: str
    access_key: str = "AKIATEST"
    region: str = "us-east-1"
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint_url,
                region_name=self.region,
                aws_access_key_id=self.access_key,
                aws_secret_access_key="test",
                config=_ONCE,
            )
        return self.clients[service]

    @cached_property
    def dynamodb(self) -> Any:
        return self.client("dynamodb")

    @cached_property
    def streams(self) -> Any:
        return self.client("dynamodbstreams")

    @cached_property
    def kms(self) -> Any:
        return self.client("kms")

    def as_(self, access_key: str) -> Aws:
        """The same AWS for another access key."""
        return Aws(self.endpoint_url, access_key, self.region)

    def table(self, *, stream: str | None = "NEW_AND_OLD_IMAGES", **more: Any) -> str:
        """A new table with `pk` and `sk`, and a stream unless `stream` is None."""
        name = f"table-{uuid.uuid4().hex[:12]}"
        if stream:
            more["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream}
        attributes = [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")]
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            **{"AttributeDefinitions": attributes, **more},
        )
        return name

    def item(self, table: str, pk: str, sk: str = "-") -> dict[str, Any] | None:
        found: dict[str, Any] = self.dynamodb.get_item(TableName=table, Key=key(pk, sk), ConsistentRead=True)
        return found.get("Item")

    def stream_arn(self, table: str) -> str:
        return str(self.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"])

    def iterator(self, table: str, kind: str = "TRIM_HORIZON", **more: str) -> str:
        arn = self.stream_arn(table)
        (shard,) = self.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        answer = self.streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **more
        )
        return str(answer["ShardIterator"])

    def records(self, table: str) -> list[dict[str, Any]]:
        """All records of a table's stream."""
        records: list[dict[str, Any]] = self.streams.get_records(ShardIterator=self.iterator(table))["Records"]
        return records

    def raw(
        self, service: str, operation: str, params: Mapping[str, Any], *, signed: bool = True
    ) -> tuple[int, dict[str, Any]]:
        """One call as it is on the wire, past boto3's own checks: the status and the parsed answer."""
        scope = "dynamodb" if service == "dynamodbstreams" else service
        headers = {"X-Amz-Target": f"{_TARGETS[service]}.{operation}", "Content-Type": "application/x-amz-json-1.0"}
        if signed:
            credential = f"{self.access_key}/20261121/{self.region}/{scope}/aws4_request"
            headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"
        connection = http.client.HTTPConnection(urlsplit(self.endpoint_url).netloc, timeout=10)
        try:
            connection.request("POST", "/", json.dumps(params), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def key(pk: str, sk: str = "-") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def number(value: object) -> dict[str, str]:
    return {"N": str(value)}


def refusal(call: Any, /, **params: Any) -> dict[str, Any]:
    """The error with which AWS refuses a boto3 call, as boto3 gives it; AssertionError where it does not."""
    try:
        call(**params)
    except ClientError as e:
        return e.response  # type: ignore[return-value]
    raise AssertionError("the call was not refused")


def code(call: Any, /, **params: Any) -> str:
    """The code with which AWS refuses a boto3 call."""
    return str(refusal(call, **params)["Error"]["Code"])
