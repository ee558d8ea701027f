"""The same tables in the shim's DynamoDB, over HTTP: one call after the other, so that a seed decides their order here
too. Its stream is what billing reads, and the stream of its credits tells every balance that ever was.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from local.aws.server import start_aws
from ownkey.store.dynamodb import decode_item
from tests.simulation.books import Broken, Watch
from tests.simulation.model import Json, Refused

_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIATEST/20261121/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)
_STREAMS = "DynamoDBStreams_20120810"
_WATCHED = ("records", "credits")


class Shim:
    """One connection to the shim."""

    def __init__(self, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)

    def call(self, operation: str, params: Json, target: str = "DynamoDB_20120810") -> Json:
        """One call.

        Raises:
            Refused: with what the service says.
        """
        headers = {
            "X-Amz-Target": f"{target}.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": _AUTHORIZATION,
            "X-Amz-Date": "20261121T093000Z",
        }
        self._connection.request("POST", "/", json.dumps(params, separators=(",", ":")), headers)
        answer = self._connection.getresponse()
        body: Json = json.loads(answer.read() or b"{}")
        if answer.status == 200:
            return body
        code = str(body.pop("__type", "Unknown")).rpartition("#")[2]
        raise Refused(code, **{name: value for name, value in body.items() if name != "message"})

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


class InShim:
    """A world's tables in the shim."""

    def __init__(self, shim: Shim, tables: Sequence[str], run: str) -> None:
        self.names: Mapping[str, str] = {name: f"{name}-{run}" for name in tables}
        self._shim = shim
        self.perform = shim.call
        self._read: dict[str, list[Json]] = {name: [] for name in _WATCHED}
        self._iterators: dict[str, str] = {}
        for name, table in self.names.items():
            self._create(name, table)

    def stream(self) -> Sequence[Json]:
        return self._stream_of("records")

    def items(self, table: str) -> list[dict[str, Any]]:
        answer = self._shim.call("Scan", {"TableName": self.names[table], "ConsistentRead": True})
        assert "LastEvaluatedKey" not in answer
        return [decode_item(each) for each in answer["Items"]]

    def restless(self) -> list[str]:
        """Every balance that ever was, from the stream of the credits."""
        watch, broken = Watch({"credits": self.names["credits"], "ledger": "", "counters": ""}), []
        for each in self._stream_of("credits"):
            change = each["dynamodb"]
            place = (self.names["credits"], change["Keys"]["pk"]["S"], change["Keys"]["sk"]["S"])
            try:
                watch.look_at_balance(place, change.get("OldImage"), change.get("NewImage"))
            except Broken as e:
                broken.append(str(e))
        return broken

    def empty(self) -> None:
        """For the next seed: making tables anew takes far longer."""
        for table in self.names.values():
            answer = self._shim.call("Scan", {"TableName": table, "ProjectionExpression": "pk, sk"})
            gone = [{"DeleteRequest": {"Key": item}} for item in answer["Items"]]
            for first in range(0, len(gone), 25):
                self._shim.call("BatchWriteItem", {"RequestItems": {table: gone[first : first + 25]}})
        for name in _WATCHED:
            self._stream_of(name).clear()

    def _create(self, name: str, table: str) -> None:
        streamed = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        made = self._shim.call(
            "CreateTable",
            {
                "TableName": table,
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
                "BillingMode": "PAY_PER_REQUEST",
                **({"StreamSpecification": streamed} if name in _WATCHED else {}),
            },
        )
        if name in _WATCHED:
            arn = made["TableDescription"]["LatestStreamArn"]
            described = self._shim.call("DescribeStream", {"StreamArn": arn}, _STREAMS)["StreamDescription"]
            asked = {
                "StreamArn": arn,
                "ShardId": described["Shards"][0]["ShardId"],
                "ShardIteratorType": "TRIM_HORIZON",
            }
            self._iterators[name] = self._shim.call("GetShardIterator", asked, _STREAMS)["ShardIterator"]

    def _stream_of(self, name: str) -> list[Json]:
        while True:
            page = self._shim.call("GetRecords", {"ShardIterator": self._iterators[name], "Limit": 1000}, _STREAMS)
            self._iterators[name] = page["NextShardIterator"]
            if not page["Records"]:
                return self._read[name]
            self._read[name] += page["Records"]


@contextmanager
def shim() -> Iterator[Shim]:
    """AWS on loopback in a thread of this process, and a connection to it."""
    with start_aws() as server:
        made = Shim(server.endpoint_url)
        yield made
        made.close()
