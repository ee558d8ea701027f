"""A failed batch as Lambda keeps it in a bucket: why it was given up, and the records themselves.

https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html. `payload` is the whole event; it may stand
there as JSON or as the text of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class UnreadableBatchError(Exception):
    """What is in the bucket is no failed batch of a DynamoDB stream."""


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """Records that billing could not count."""

    key: str
    """The object's."""
    reason: str
    """Lambda's word for why: `RetryAttemptsExhausted`, …"""
    failed_at: str
    records: tuple[Mapping[str, Any], ...]


def read_batch(key: str, body: bytes) -> FailedBatch:
    """One object of the bucket.

    Raises:
        UnreadableBatchError: it is something else.
    """
    try:
        document = json.loads(body)
        payload = document["payload"]
        event = json.loads(payload) if isinstance(payload, str) else payload
        records = tuple(event["Records"])
        if not all("SequenceNumber" in record["dynamodb"] for record in records):
            raise KeyError("SequenceNumber")  # by which billing names a record
        return FailedBatch(key, document["requestContext"]["condition"], document["timestamp"], records)
    except (KeyError, TypeError, ValueError) as e:
        raise UnreadableBatchError(f"{key}: {type(e).__name__} in what should be a failed batch") from e
