"""A DynamoDB stream polled into a function, through a running stack and against a stream played by the test."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from local.deployment import StreamMapping
from local.invocation import Throttled
from local.resources import aws_client
from local.signed import AwsFailure
from local.streams import StreamPoller
from tests.local.conftest import Running, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Table:
    """The table whose stream is polled; each test's items have names of their own."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._client = aws_client("dynamodb", running.stack.aws_endpoint, "us-east-1")
        self.prefix = uuid.uuid4().hex[:6]

    def put(self, *names: str, state: str = "ended", **more: str) -> None:
        for name in names:
            item = {"pk": f"{self.prefix}-{name}", "state": state, **more}
            self._client.put_item(
                TableName=self._running.stack.resources["RecordsTable"],
                Item={key: {"S": value} for key, value in item.items()},
            )

    def batches(self) -> list[list[str]]:
        """The names of this test in each batch that the function got."""
        found = [
            [name.removeprefix(f"{self.prefix}-") for name in note["names"] if name.startswith(self.prefix)]
            for note in self._running.notes("batches")
        ]
        return [names for names in found if names]

    def records(self) -> list[Any]:
        return [
            record
            for note in self._running.notes("batches")
            for record in note["records"]
            if record["dynamodb"]["Keys"]["pk"]["S"].startswith(self.prefix)
        ]

    def failed_batches(self) -> list[Any]:
        """What is in the mapping's bucket."""
        s3, bucket = aws_client("s3", self._running.stack.aws_endpoint, "us-east-1"), "ownkey-local-failedbatchesbucket"
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        assert all(key.startswith("aws/lambda/") for key in keys)
        bodies = [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
        return [
            body
            for body in bodies
            if body["payload"]["Records"][0]["dynamodb"]["Keys"]["pk"]["S"].startswith(self.prefix)
        ]


@pytest.fixture
def table(running: Running) -> Table:
    return Table(running)


async def test_records_arrive_in_order_and_once(running: Running, table: Table) -> None:
    names = [f"{n:02}" for n in range(25)]
    await asyncio.to_thread(table.put, *names)
    await running.stack.drain_stream()
    assert [name for batch in table.batches() for name in batch] == names
    assert all(len(batch) <= 10 for batch in table.batches())


async def test_a_record_is_as_lambda_hands_it_over(running: Running, table: Table) -> None:
    await asyncio.to_thread(table.put, "one", count="5")
    await running.stack.drain_stream()
    (record,) = table.records()
    assert (record["eventName"], record["eventSource"], record["awsRegion"]) == ("INSERT", "aws:dynamodb", "us-east-1")
    assert "/stream/" in record["eventSourceARN"]
    assert record["dynamodb"]["NewImage"]["count"] == {"S": "5"}
    assert record["dynamodb"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"


async def test_what_the_filter_does_not_want_never_reaches_the_function(running: Running, table: Table) -> None:
    await asyncio.to_thread(table.put, "open", state="started")
    await asyncio.to_thread(table.put, "billed", done_at="now")
    await asyncio.to_thread(table.put, "wanted")
    await running.stack.drain_stream()
    assert table.batches() == [["wanted"]]


async def test_an_error_is_tried_again(running: Running, table: Table) -> None:
    await asyncio.to_thread(table.put, "bad", asked="raise once")
    await running.stack.drain_stream()
    assert table.batches() == [["bad"], ["bad"]]


async def test_a_function_killed_in_the_middle_of_a_batch_gets_it_again(running: Running, table: Table) -> None:
    await asyncio.to_thread(table.put, "bad", asked="die once")
    await running.stack.drain_stream()
    assert table.batches() == [["bad"], ["bad"]]
    assert "SIGKILL" in running.stack.log("ConsumerFunction")


async def test_a_reported_failure_is_tried_again_alone(running: Running, table: Table) -> None:
    await asyncio.to_thread(table.put, "bad", asked="report once")
    await running.stack.drain_stream()
    assert table.batches() == [["bad"], ["bad"]]
    assert table.failed_batches() == []


async def test_poison_goes_to_the_bucket_with_its_record_and_holds_up_nothing(running: Running, table: Table) -> None:
    await asyncio.to_thread(table.put, "bad", asked="raise always")
    await asyncio.to_thread(table.put, "good")
    await running.stack.drain_stream()
    assert ["good"] in table.batches() or any("good" in batch for batch in table.batches())

    (kept,) = table.failed_batches()
    (record,) = kept["payload"]["Records"]
    assert record["dynamodb"]["NewImage"]["asked"] == {"S": "raise always"}
    assert kept["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert kept["requestContext"]["approximateInvokeCount"] == 3
    assert kept["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    info = kept["DDBStreamBatchInfo"]
    assert info["startSequenceNumber"] == info["endSequenceNumber"] == record["dynamodb"]["SequenceNumber"]
    assert info["batchSize"] == 1


async def test_a_batch_can_be_delivered_twice(running: Running, table: Table) -> None:
    running.stack.repeat_batches(1)
    await asyncio.to_thread(table.put, "one")
    await running.stack.drain_stream()
    await asyncio.to_thread(table.put, "two")
    await running.stack.drain_stream()
    assert table.batches() == [["one"], ["one"], ["two"]]


async def test_a_window_is_waited_for_unless_the_stream_is_drained() -> None:
    stream = PlayedStream()
    poller = stream.poller(window_s=60, batch_size=3)
    polling = asyncio.create_task(poller.run())
    stream.write(1, 2)
    await asyncio.sleep(0.3)
    assert stream.invoked == []
    stream.write(3, 4)
    await until(lambda: stream.invoked == [[1, 2, 3]])
    await poller.drain()
    assert stream.invoked == [[1, 2, 3], [4]]
    polling.cancel()


async def test_an_elapsed_window_delivers_what_there_is() -> None:
    stream = PlayedStream()
    polling = asyncio.create_task(stream.poller(window_s=0.2, batch_size=100).run())
    stream.write(1)
    await until(lambda: stream.invoked == [[1]])
    polling.cancel()


@pytest.mark.parametrize("code", ["InternalFailure", "ExpiredIteratorException"])
async def test_a_stream_that_cannot_be_read_is_read_again_where_it_was(code: str) -> None:
    stream = PlayedStream()
    stream.write(1)
    poller = stream.poller()
    polling = asyncio.create_task(poller.run())
    await poller.drain()
    stream.failures = [AwsFailure("asked to", code)]
    stream.write(2)
    await poller.drain()
    assert stream.failures == []
    assert stream.invoked == [[1], [2]]
    polling.cancel()


async def test_a_function_without_a_free_environment_is_waited_for() -> None:
    stream = PlayedStream()
    stream.throttles = 1
    stream.write(1)
    poller = stream.poller()
    polling = asyncio.create_task(poller.run())
    await poller.drain()
    assert stream.invoked == [[1]], "though the mapping has no retries"
    polling.cancel()


class PlayedStream:
    """A stream and a function, played: the stream's records are the numbers from 1 on."""

    def __init__(self) -> None:
        self._records: list[dict[str, Any]] = []
        self.invoked: list[list[int]] = []
        self.failures: list[AwsFailure] = []
        self.throttles = 0
        self.function = type("Function", (), {"arn": "arn:aws:lambda:us-east-1:1:function:f"})()

    def poller(self, *, window_s: float = 0, batch_size: int = 10) -> StreamPoller:
        mapping = StreamMapping(
            id="Mapping",
            function_id="Function",
            stream_arn="arn:stream",
            filters=(),
            batch_size=batch_size,
            window_s=window_s,
            starts_at_horizon=True,
            reports_item_failures=False,
            bisects=False,
            max_retries=0,
            max_age_s=None,
            failure_bucket=None,
        )
        return StreamPoller(mapping, self, self)  # type: ignore[arg-type]

    def write(self, *numbers: int) -> None:
        self._records += [{"dynamodb": {"SequenceNumber": str(n), "ApproximateCreationDateTime": 0}} for n in numbers]

    def pool(self, name: str) -> PlayedStream:
        return self

    async def invoke(self, name: str, payload: bytes) -> bytes:
        if self.throttles:
            self.throttles -= 1
            raise Throttled(name)
        records = json.loads(payload)["Records"]
        self.invoked.append([int(record["dynamodb"]["SequenceNumber"]) for record in records])
        return b"null"

    async def call(self, service: str, target: str, body: dict[str, Any]) -> dict[str, Any]:
        operation = target.rpartition(".")[2]
        if operation == "DescribeStream":
            return {"StreamDescription": {"Shards": [{"ShardId": "shard"}]}}
        if operation == "GetShardIterator":
            after = body.get("SequenceNumber") if body["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER" else 0
            return {"ShardIterator": str(after)}
        if self.failures:
            raise self.failures.pop()
        at = int(body["ShardIterator"])
        return {"Records": self._records[at:], "NextShardIterator": str(len(self._records))}
