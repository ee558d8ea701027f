"""A table's stream: one open shard, its records in commit order, each change exactly once.

Records are kept while the process lives (AWS keeps them for 24 hours). Iterators are stateless: they carry the
position, so polling costs only the records it returns.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.aws.call import AwsError, validation
from local.aws.dynamodb.values import Item, item_bytes

_ITERATOR_LIFE_S = 15 * 60
_MAX_RECORDS = 1000
_MAX_PAGE_BYTES = 1024 * 1024
TTL_IDENTITY = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
"""The `userIdentity` of records of items that expired, as GetRecords writes it (Lambda's events: in small letters)."""


@dataclass(slots=True)
class Stream:
    """The records of one period in which the stream was on; `view` is its StreamViewType."""

    arn: str
    label: str
    view: str
    region: str
    first_sequence_number: int
    shard_id: str
    records: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, key: Item, old: Item | None, new: Item | None, now_s: float, identity: dict[str, str] | None = None
    ) -> None:
        """Appends the record of one change; the caller leaves out changes that change nothing."""
        images: dict[str, Item] = {}
        if new is not None and self.view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
            images["NewImage"] = new
        if old is not None and self.view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
            images["OldImage"] = old
        record: dict[str, Any] = {
            "eventID": uuid.uuid4().hex,
            "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.region,
            "dynamodb": {
                "ApproximateCreationDateTime": int(now_s),
                "Keys": key,
                **images,
                "SequenceNumber": str(self.first_sequence_number + len(self.records)),
                "SizeBytes": item_bytes(key) + sum(item_bytes(image) for image in images.values()),
                "StreamViewType": self.view,
            },
        }
        if identity:
            record["userIdentity"] = identity
        self.records.append(record)

    # -------------------------------------------------------------- reading
    def iterator(self, params: Mapping[str, Any], now_s: float) -> str:
        """A shard iterator for GetShardIterator's parameters.

        Raises:
            AwsError: ResourceNotFoundException, ValidationException.
        """
        if params.get("ShardId") != self.shard_id:
            raise AwsError("ResourceNotFoundException", "Requested resource not found: Shard does not exist")
        return self._iterator_at(self._position(params), now_s)

    def page(self, position: int, limit: int, now_s: float) -> dict[str, Any]:
        """GetRecords' answer: at most `limit` records and about 1 MB from a position, and where to go on."""
        page: list[dict[str, Any]] = []
        total = 0
        for record in self.records[position : position + min(limit, _MAX_RECORDS)]:
            total += record["dynamodb"]["SizeBytes"]
            if page and total > _MAX_PAGE_BYTES:
                break
            page.append(record)
        return {"Records": page, "NextShardIterator": self._iterator_at(position + len(page), now_s)}

    def _position(self, params: Mapping[str, Any]) -> int:
        match params.get("ShardIteratorType"):
            case "TRIM_HORIZON":
                return 0
            case "LATEST":
                return len(self.records)
            case "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" as kind:
                at = int(params["SequenceNumber"]) - self.first_sequence_number
                if at < 0:
                    raise AwsError("TrimmedDataAccessException", "The data you are trying to access has been trimmed.")
                return at + 1 if kind == "AFTER_SEQUENCE_NUMBER" else at
        raise validation("ShardIteratorType is missing, or not one that the local stack knows")

    def _iterator_at(self, position: int, now_s: float) -> str:
        return base64.b64encode(json.dumps([self.arn, position, int(now_s)]).encode()).decode()


def read_iterator(token: Any, now_s: float) -> tuple[str, int]:
    """The stream's ARN and the position that a shard iterator carries.

    Raises:
        AwsError: ValidationException; ExpiredIteratorException after 15 minutes.
    """
    try:
        arn, position, issued_s = json.loads(base64.b64decode(token, validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise validation("Invalid ShardIterator") from None
    if now_s - issued_s > _ITERATOR_LIFE_S:
        raise AwsError("ExpiredIteratorException", "Iterator expired")
    return arn, position
