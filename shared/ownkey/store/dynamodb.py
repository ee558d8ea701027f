"""DynamoDB items in and out: the typed JSON codec, reads, conditional writes, transactions.

```
ConditionFailed       a condition did not hold; `item` is what stands there, where asked for
TransactionConflict   another transaction was at the same items; after the retries
```
Both are for the caller to turn into what they mean; `StoreUnavailable` (503) is for the client.
"""

from __future__ import annotations

import asyncio
import base64
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ownkey.domain.errors import StoreUnavailable
from ownkey.store.aws import AwsClient, AwsError, Json

Item = dict[str, Any]
"""Plain Python values: str, int, Decimal, bool, None, bytes, list, dict, set[str]."""

_BATCH_ATTEMPTS = 5
_CONFLICT_ATTEMPTS = 6
_FIRST_BACKOFF_S = 0.02


class ConditionFailed(Exception):
    """A condition did not hold. `index` is the action's place in a transaction; `item` what stands there, if asked."""

    def __init__(self, index: int = 0, item: Item | None = None, failed: Sequence[int] = (0,)) -> None:
        super().__init__(f"condition {index} did not hold")
        self.index = index
        self.item = item
        self.failed = tuple(failed)
        """Every action whose condition did not hold."""


class TransactionConflict(StoreUnavailable):
    """Other transactions kept touching the same items."""


def encode(value: Any) -> Json:
    """A Python value as a DynamoDB attribute value. Floats are refused: money is not a float."""
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case bytes():
            return {"B": base64.b64encode(value).decode()}
        case set() | frozenset():
            return {"SS": sorted(value)}
        case Mapping():
            return {"M": {key: encode(each) for key, each in value.items()}}
        case list() | tuple():
            return {"L": [encode(each) for each in value]}
    raise TypeError(f"not an attribute value: {type(value).__name__}")


def decode(attribute: Mapping[str, Any]) -> Any:
    """The inverse of `encode`; whole numbers come back as `int`, others as `Decimal`."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return int(value) if value.lstrip("-").isdigit() else Decimal(value)
        case "M":
            return {key: decode(each) for key, each in value.items()}
        case "L":
            return [decode(each) for each in value]
        case "B":
            return base64.b64decode(value)
        case "SS":
            return set(value)
        case "NULL":
            return None
    raise TypeError(f"unknown attribute type {kind}")


def encode_item(item: Mapping[str, Any]) -> Json:
    """An item with every attribute encoded; attributes that are None are left out."""
    return {key: encode(value) for key, value in item.items() if value is not None}


def decode_item(attributes: Mapping[str, Any]) -> Item:
    """A whole item, decoded."""
    return {key: decode(value) for key, value in attributes.items()}


@dataclass(frozen=True, slots=True)
class Key:
    """A table's name and an item's `pk` and `sk`."""

    table: str
    pk: str
    sk: str

    def encoded(self) -> Json:
        """The key attributes."""
        return {"pk": {"S": self.pk}, "sk": {"S": self.sk}}


@dataclass(frozen=True, slots=True)
class Put:
    """Writes the whole item (its `pk` and `sk` come from `key`)."""

    key: Key
    item: Mapping[str, Any]
    condition: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Update:
    """Changes attributes by an update expression; creates the item where it is missing and no condition forbids."""

    key: Key
    expression: str
    condition: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes the item."""

    key: Key
    condition: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on an item that the transaction does not change."""

    key: Key
    condition: str
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


Write = Put | Update | Delete | Check


@dataclass(frozen=True, slots=True)
class Page:
    """Items of a query in key order; `next_sk` continues after the last one, None at the end."""

    items: tuple[Item, ...]
    next_sk: str | None


class DynamoDb:
    """The calls Ownkey makes, over one `AwsClient`."""

    def __init__(self, aws: AwsClient) -> None:
        self._aws = aws

    async def get(self, key: Key) -> Item | None:
        """One strongly consistent read."""
        answer = await self._call("GetItem", {"TableName": key.table, "Key": key.encoded(), "ConsistentRead": True})
        return decode_item(answer["Item"]) if "Item" in answer else None

    async def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """Strongly consistent reads of up to 100 items over any tables in one round trip; absent ones are left out."""
        pending: Json = {}
        for key in dict.fromkeys(keys):
            pending.setdefault(key.table, {"Keys": [], "ConsistentRead": True})["Keys"].append(key.encoded())
        found: dict[Key, Item] = {}
        for attempt in range(_BATCH_ATTEMPTS):
            answer = await self._call("BatchGetItem", {"RequestItems": pending})
            for table, rows in answer["Responses"].items():
                for row in rows:
                    item = decode_item(row)
                    found[Key(table, item["pk"], item["sk"])] = item
            pending = answer.get("UnprocessedKeys") or {}
            if not pending:
                return found
            await _backoff(attempt)
        raise StoreUnavailable("DynamoDB left keys unread.", retry_after_s=1)

    async def transact_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """Up to 100 items over any tables as they stood at one moment; absent ones are left out. Twice a read's price.

        Raises:
            TransactionConflict: a transaction kept writing one of them.
        """
        request: Json = {"TransactItems": [{"Get": {"TableName": key.table, "Key": key.encoded()}} for key in keys]}
        for attempt in range(_CONFLICT_ATTEMPTS):
            try:
                answer = await self._call("TransactGetItems", request)
            except AwsError as e:
                if e.code != "TransactionCanceledException":
                    raise
                reasons = e.body.get("CancellationReasons") or []
                if not all(reason.get("Code") in _TRANSIENT_REASONS for reason in reasons):
                    raise
                await _backoff(attempt)
                continue
            rows = zip(keys, answer["Responses"], strict=True)
            return {key: decode_item(row["Item"]) for key, row in rows if row.get("Item")}
        raise TransactionConflict("The item is being changed by others.", retry_after_s=1)

    async def query(
        self,
        table: str,
        pk: str,
        *,
        prefix: str = "",
        between: tuple[str, str] | None = None,
        after_sk: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
        consistent: bool = True,
        filter_expression: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Page:
        """One page of a partition: by prefix of `sk`, or between two (inclusive). At most 1 MB or `limit` items."""
        condition, bound = "pk = :pk", {":pk": {"S": pk}}
        if between:
            condition += " AND sk BETWEEN :from AND :to"
            bound |= {":from": {"S": between[0]}, ":to": {"S": between[1]}}
        elif prefix:
            condition += " AND begins_with(sk, :prefix)"
            bound |= {":prefix": {"S": prefix}}
        request: Json = {
            "TableName": table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": bound | {key: encode(value) for key, value in (values or {}).items()},
            "ConsistentRead": consistent,
            "ScanIndexForward": not newest_first,
        }
        if names:
            request["ExpressionAttributeNames"] = dict(names)
        if filter_expression:
            request["FilterExpression"] = filter_expression
        if limit:
            request["Limit"] = limit
        if after_sk:
            request["ExclusiveStartKey"] = Key(table, pk, after_sk).encoded()
        answer = await self._call("Query", request)
        last = answer.get("LastEvaluatedKey")
        return Page(tuple(decode_item(row) for row in answer["Items"]), last["sk"]["S"] if last else None)

    async def query_all(self, table: str, pk: str, **options: Any) -> list[Item]:
        """Every page of `query`."""
        items: list[Item] = []
        after: str | None = None
        while True:
            page = await self.query(table, pk, after_sk=after, **options)
            items += page.items
            if page.next_sk is None:
                return items
            after = page.next_sk

    async def write(self, action: Put | Update | Delete) -> None:
        """One conditional write.

        Raises:
            ConditionFailed: with the item that stands there.
        """
        operation, body = _action(action)
        body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        try:
            await self._call(f"{operation}Item", body)
        except AwsError as e:
            if e.code != "ConditionalCheckFailedException":
                raise
            old = e.body.get("Item")
            raise ConditionFailed(item=decode_item(old) if old else None) from e

    async def transact(self, actions: Sequence[Write], *, token: str | None = None) -> None:
        """All actions (at most 100, each on its own item) or none.

        Conflicts with other transactions are tried again with backoff. Each call has a token, so that a repeat of what
        was carried out, by the client's retries or late on the network, changes nothing for ten minutes.

        Args:
            token: Instead of one of its own, where the repeat is the caller's.

        Raises:
            ConditionFailed: with the first failed action's index and item, and the indexes of all that failed.
            TransactionConflict: still in conflict after the retries.
        """
        items = [_transact_action(action) for action in actions]
        request: Json = {"TransactItems": items, "ClientRequestToken": token or secrets.token_hex(16)}
        for attempt in range(_CONFLICT_ATTEMPTS):
            try:
                await self._call("TransactWriteItems", request)
                return
            except AwsError as e:
                if e.code not in ("TransactionCanceledException", "TransactionInProgressException"):
                    raise
                reasons = e.body.get("CancellationReasons") or []
                _raise_failed_condition(reasons)
                if not all(reason.get("Code") in _TRANSIENT_REASONS for reason in reasons):
                    raise
            await _backoff(attempt)
        raise TransactionConflict("The item is being changed by others.", retry_after_s=1)

    async def _call(self, operation: str, body: Json) -> Json:
        return await self._aws.call_json("dynamodb", f"DynamoDB_20120810.{operation}", body)


_TRANSIENT_REASONS = frozenset(
    {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", None}
)


def _raise_failed_condition(reasons: Sequence[Json]) -> None:
    failed = [index for index, reason in enumerate(reasons) if reason.get("Code") == "ConditionalCheckFailed"]
    if failed:
        old = reasons[failed[0]].get("Item")
        raise ConditionFailed(failed[0], decode_item(old) if old else None, failed)


def _action(action: Write) -> tuple[str, Json]:
    body: Json = {"TableName": action.key.table}
    match action:
        case Put():
            operation = "Put"
            body["Item"] = encode_item(action.item) | action.key.encoded()
        case Update():
            operation = "Update"
            body |= {"Key": action.key.encoded(), "UpdateExpression": action.expression}
        case Delete():
            operation = "Delete"
            body["Key"] = action.key.encoded()
        case Check():
            operation = "ConditionCheck"
            body["Key"] = action.key.encoded()
    if action.condition:
        body["ConditionExpression"] = action.condition
    if action.names:
        body["ExpressionAttributeNames"] = dict(action.names)
    if action.values:
        body["ExpressionAttributeValues"] = {key: encode(value) for key, value in action.values.items()}
    return operation, body


def _transact_action(action: Write) -> Json:
    operation, body = _action(action)
    if action.condition:
        body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return {operation: body}


async def _backoff(attempt: int) -> None:
    await asyncio.sleep(_FIRST_BACKOFF_S * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
