"""Batches through billing again. It counts what was never counted and nothing twice, so a replay may be repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tools.replay.batches import FailedBatch, UnreadableBatchError, read_batch

_MAX_RECORDS = 100
"""Of one event, as the stream brings them: what fitted one there fits one here."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one object of the bucket."""

    key: str
    records: int = 0
    failed: tuple[str, ...] = ()
    """Sequence numbers of the records that billing still cannot count."""
    error: str | None = None
    """Why none was tried: unreadable, or billing broke."""

    @property
    def done(self) -> bool:
        """Whether nothing of it is left to count."""
        return self.error is None and not self.failed


class Replay:
    """Over boto3's clients of S3 and Lambda."""

    def __init__(self, s3: Any, lambda_: Any, *, bucket: str, function: str) -> None:
        self._s3 = s3
        self._lambda = lambda_
        self._bucket = bucket
        self._function = function

    def keys(self, prefix: str) -> Iterator[str]:
        """The objects, in the order of their names: by mapping, shard and time."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for each in page.get("Contents", []):
                yield each["Key"]

    def read(self, key: str) -> FailedBatch:
        """One of them.

        Raises:
            UnreadableBatchError: it is no failed batch.
        """
        return read_batch(key, self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def run(self, key: str, *, delete: bool = False) -> Replayed:
        """Has one object counted.

        Args:
            delete: Removes it when nothing of it is left to count.
        """
        try:
            batch = self.read(key)
        except UnreadableBatchError as e:
            return Replayed(key, error=str(e))
        failed: list[str] = []
        for start in range(0, len(batch.records), _MAX_RECORDS):
            answer = self._invoke(batch.records[start : start + _MAX_RECORDS])
            if isinstance(answer, str):
                return Replayed(key, len(batch.records), tuple(failed), error=answer)
            failed += answer
        replayed = Replayed(key, len(batch.records), tuple(failed))
        if delete and replayed.done:
            self._s3.delete_object(Bucket=self._bucket, Key=key)
        return replayed

    def _invoke(self, records: Sequence[Any]) -> list[str] | str:
        """The records that billing could not count; or what broke it."""
        payload = json.dumps({"Records": records}).encode()
        answer = self._lambda.invoke(FunctionName=self._function, Payload=payload)
        body = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            return f"billing failed: {body.get('errorType')}"
        return [each["itemIdentifier"] for each in body["batchItemFailures"]]
