"""Event source mappings: DynamoDB streams polled into functions.

At least once, in order, in batches; what the function cannot process goes to the mapping's bucket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from local.batches import Batch, Discarded, Record, Work, created_at_s
from local.deployment import StreamMapping
from local.functions import Functions
from local.invocation import FunctionError, Throttled
from local.patterns import matches
from local.signed import AwsFailure, SignedCalls

_log = logging.getLogger(__name__)

Json = dict[str, Any]

_IDLE_S = 0.1  # AWS polls four times a second.
_PAGE = 1000
_TARGET = "DynamoDBStreams_20120810"
# AWS does not say how long it waits between retries; here nobody should wait for it.
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.05, 0.5
_AFTER_FAILURE_S = 0.5


class StreamPoller:
    """One mapping at work. `calls` are made under the function's own role, as on AWS."""

    def __init__(self, mapping: StreamMapping, functions: Functions, calls: SignedCalls) -> None:
        self.mapping = mapping
        self._functions = functions
        self._calls = calls
        self._function_arn = functions.pool(mapping.function_id).function.arn
        self._uuid = str(uuid.uuid4())
        self._shard_id = ""
        self._read_to = ""
        self._collected: list[Record] = []
        self._window_ends_s = 0.0
        self._drains: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._repeats = 0

    async def run(self) -> None:
        """Polls until cancelled. A failure of AWS on loopback is logged and survived."""
        iterator: str | None = None
        while True:
            try:
                iterator = iterator or await self._iterator()
                iterator = await self._turn(iterator)
            except AwsFailure as e:
                if e.code == "ExpiredIteratorException":  # The machine slept.
                    iterator = None
                    continue
                _log.error("%s: %s", self.mapping.id, e)
                await asyncio.sleep(_AFTER_FAILURE_S)

    async def drain(self) -> None:
        """Waits until everything that is in the stream now has been processed; no batching window is waited for."""
        drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drains.append(drained)
        self._wake.set()
        await drained

    def repeat_batches(self, count: int) -> None:
        """Hands each of the next `count` batches over twice, as at-least-once delivery may."""
        self._repeats += count

    async def _iterator(self) -> str:
        described = await self._call("DescribeStream", {"StreamArn": self.mapping.stream_arn})
        self._shard_id = described["StreamDescription"]["Shards"][0]["ShardId"]
        start: Json = {"ShardIteratorType": "TRIM_HORIZON" if self.mapping.starts_at_horizon else "LATEST"}
        if self._read_to:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._read_to}
        asked = {"StreamArn": self.mapping.stream_arn, "ShardId": self._shard_id, **start}
        return str((await self._call("GetShardIterator", asked))["ShardIterator"])

    async def _turn(self, iterator: str) -> str:
        """Reads on, processes what is due, and waits a little if there was nothing; the next iterator."""
        drains = list(self._drains)
        page = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": _PAGE})
        self._collect(page["Records"])
        await self._process_due()
        if not page["Records"]:
            for drained in drains:
                self._drains.remove(drained)
                if not drained.done():
                    drained.set_result(None)
            await self._rest()
        return str(page["NextShardIterator"])

    def _collect(self, records: Sequence[Record]) -> None:
        if records:
            self._read_to = records[-1]["dynamodb"]["SequenceNumber"]
        wanted = [
            {**record, "eventSourceARN": self.mapping.stream_arn}
            for record in records
            if not self.mapping.filters or any(matches(pattern, record) for pattern in self.mapping.filters)
        ]
        if wanted and not self._collected:
            self._window_ends_s = time.monotonic() + self.mapping.window_s
        self._collected += wanted

    async def _process_due(self) -> None:
        size = self.mapping.batch_size
        while len(self._collected) >= size or (
            self._collected and (self._drains or time.monotonic() >= self._window_ends_s)
        ):
            records, self._collected = tuple(self._collected[:size]), self._collected[size:]
            await self._process(records)

    async def _process(self, records: tuple[Record, ...]) -> None:
        mapping = self.mapping
        batch = Batch(
            records,
            max_retries=mapping.max_retries,
            max_age_s=mapping.max_age_s,
            bisects=mapping.bisects,
            reports_item_failures=mapping.reports_item_failures,
        )
        while work := batch.next:
            result = await self._invoke(work)
            if isinstance(result, FunctionError):
                _log.warning("%s: %s failed: %s", mapping.id, mapping.function_id, result.type)
                discarded = batch.failed(time.time())
            else:
                discarded = batch.succeeded(result, time.time())
                if self._repeats:
                    self._repeats -= 1
                    batch.repeat(work)
            if discarded is not None:
                await self._discard(discarded, result)
            elif batch.next is not None and batch.next.tries:
                await asyncio.sleep(min(_FIRST_RETRY_S * 2 ** (batch.next.tries - 1), _LONGEST_RETRY_S))

    async def _invoke(self, work: Work) -> bytes | FunctionError:
        payload = json.dumps({"Records": work.records}, separators=(",", ":")).encode()
        while True:
            try:
                return await self._functions.invoke(self.mapping.function_id, payload)
            except Throttled:  # Takes nothing from the batch's retries.
                await asyncio.sleep(_LONGEST_RETRY_S)

    async def _discard(self, discarded: Discarded, result: bytes | FunctionError) -> None:
        records = discarded.work.records
        _log.error("%s: gives up on %d records: %s", self.mapping.id, len(records), discarded.condition)
        if self.mapping.failure_bucket is None:
            return
        now = datetime.now(UTC)
        body = self._failure(discarded, result, now)
        key = f"aws/lambda/{self._uuid}/{self._shard_id}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
        try:
            await self._calls.put_object(self.mapping.failure_bucket, key, json.dumps(body).encode())
        except AwsFailure as e:  # As on AWS, where the records are then lost.
            _log.error("%s: the failed batch could not be kept: %s", self.mapping.id, e)

    def _failure(self, discarded: Discarded, result: bytes | FunctionError, now: datetime) -> Json:
        """The invocation record: for a bucket it holds the records too."""
        records = discarded.work.records
        response: Json = {"statusCode": 200, "executedVersion": "$LATEST"}
        if isinstance(result, FunctionError):
            response["functionError"] = "Unhandled"
        return {
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": self._function_arn,
                "condition": discarded.condition,
                "approximateInvokeCount": discarded.work.tries,
            },
            "responseContext": response,
            "version": "1.0",
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "DDBStreamBatchInfo": {
                "shardId": self._shard_id,
                "startSequenceNumber": records[0]["dynamodb"]["SequenceNumber"],
                "endSequenceNumber": records[-1]["dynamodb"]["SequenceNumber"],
                "approximateArrivalOfFirstRecord": _instant(created_at_s(records[0])),
                "approximateArrivalOfLastRecord": _instant(created_at_s(records[-1])),
                "batchSize": len(records),
                "streamArn": self.mapping.stream_arn,
            },
            "payload": {"Records": list(records)},
        }

    async def _call(self, operation: str, body: Json) -> Json:
        return await self._calls.call("dynamodb", f"{_TARGET}.{operation}", body)

    async def _rest(self) -> None:
        self._wake.clear()
        if self._drains:
            return
        due_s = self._window_ends_s - time.monotonic() if self._collected else _IDLE_S
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.0, min(_IDLE_S, due_s)))
        except TimeoutError:
            return


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
