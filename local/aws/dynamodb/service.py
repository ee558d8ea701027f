"""The operations on items and streams, by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table as Definition

from local.aws.call import ACCOUNT_ID, AwsError, Call, refuse_unknown, validation
from local.aws.dynamodb import reads, transactions, writes
from local.aws.dynamodb.streams import TTL_IDENTITY, Stream, read_iterator
from local.aws.dynamodb.tables import FindTable, Table, not_found

Params = Mapping[str, Any]

_EXPIRY_HORIZON_S = 5 * 365 * 24 * 3600
"""DynamoDB leaves items alone whose time lies further back than five years."""

_EXPRESSIONS = ("ExpressionAttributeNames", "ExpressionAttributeValues")
_CONDITIONS = ("ConditionExpression", "ReturnValuesOnConditionCheckFailure", *_EXPRESSIONS)
_METERING = ("ReturnConsumedCapacity", "ReturnItemCollectionMetrics")  # taken, and not answered
_READS = ("ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames")
_PAGES = (
    *_READS,
    *_EXPRESSIONS,
    "IndexName",
    "Select",
    "Limit",
    "FilterExpression",
    "ExclusiveStartKey",
)
_MEMBERS: dict[str, frozenset[str]] = {
    operation: frozenset(members) | set(_METERING)
    for operation, members in {
        "GetItem": ("TableName", "Key", *_READS),
        "BatchGetItem": ("RequestItems",),
        "Query": ("TableName", "KeyConditionExpression", "ScanIndexForward", *_PAGES),
        "Scan": ("TableName", "Segment", "TotalSegments", *_PAGES),
        "PutItem": ("TableName", "Item", "ReturnValues", *_CONDITIONS),
        "UpdateItem": ("TableName", "Key", "UpdateExpression", "ReturnValues", *_CONDITIONS),
        "DeleteItem": ("TableName", "Key", "ReturnValues", *_CONDITIONS),
        "BatchWriteItem": ("RequestItems",),
        "TransactGetItems": ("TransactItems",),
        "TransactWriteItems": ("TransactItems", "ClientRequestToken"),
        "GetShardIterator": ("StreamArn", "ShardId", "ShardIteratorType", "SequenceNumber"),
        "GetRecords": ("ShardIterator", "Limit"),
    }.items()
}
_REFUSED = frozenset(
    {
        "ExecuteStatement",
        "BatchExecuteStatement",
        "ExecuteTransaction",
        "CreateBackup",
        "RestoreTableFromBackup",
        "RestoreTableToPointInTime",
        "ExportTableToPointInTime",
        "ImportTable",
    }
)
"""moto would answer these from its own items, of which it has none."""


_TABLES: WeakKeyDictionary[Definition, Table] = WeakKeyDictionary()
"""Every table's items. moto's tables are the process's, so these are too."""


class DynamoDb:
    """Items and streams of all tables in moto's backends. Not thread-safe: the caller holds the one lock."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tokens = transactions.ClientTokens()

    def serves(self, operation: str) -> bool:
        """Whether the operation is one on items or streams; moto serves the others."""
        return operation in _MEMBERS or operation in _REFUSED

    def call(self, call: Call) -> dict[str, Any]:
        """The answer to one operation.

        Raises:
            AwsError: with DynamoDB's code and message.
        """
        if call.operation in _REFUSED:
            raise AwsError("UnknownOperationException", f"The local stack does not have {call.operation}.")
        refuse_unknown(call.operation, call.params, _MEMBERS[call.operation])
        return _OPERATIONS[call.operation](self, call)

    def sweep_expired(self, now_s: float | None = None) -> dict[str, int]:
        """Deletes the items whose time has come, where a table has TTL on; how many, by table name.

        DynamoDB does this up to days late, so here it happens when asked for. The deletions are in the stream, with
        DynamoDB itself as their author.
        """
        now_s = self._clock() if now_s is None else now_s
        deleted = {}
        for table in self._every_table():
            if table.definition.ttl["TimeToLiveStatus"] != "ENABLED":
                continue
            attribute = table.definition.ttl["AttributeName"]
            expired = [item for item in table.items.scan() if _is_expired(item.get(attribute), now_s)]
            changes = [writes.Change(table, table.key_of(item), item, None) for item in expired]
            writes.commit(changes, now_s, TTL_IDENTITY)
            deleted[table.name] = len(changes)
        return deleted

    def clear(self, names: Iterable[str]) -> None:
        """Makes these tables as if nothing had ever been written to them. DynamoDB cannot: it is for tests."""
        wanted = set(names)
        for table in self._every_table():
            if table.name in wanted:
                table.clear()

    def key_names(self, region: str, name: Any) -> tuple[str, ...]:
        """The key attributes of a table, hash first; empty for a table that does not exist."""
        try:
            return self._finder(region)(name).key_names
        except AwsError:
            return ()

    def queried_hash_value(self, call: Call) -> str | None:
        """The partition key that a Query asks for, as text; None where the query is not well formed."""
        try:
            return reads.queried_hash_value(call.params, self._finder(call.region))
        except AwsError:
            return None

    # -------------------------------------------------------------- tables
    def _finder(self, region: str) -> FindTable:
        backend = dynamodb_backends[ACCOUNT_ID][region]

        def find(name: Any) -> Table:
            if not isinstance(name, str):
                raise validation("1 validation error detected: Value null at 'tableName' failed to satisfy constraint")
            try:
                definition = backend.get_table(name)
            except JsonRESTError:
                raise not_found() from None
            return _table(definition)

        return find

    def _every_table(self) -> Iterator[Table]:
        for backend in dynamodb_backends[ACCOUNT_ID].values():
            for definition in list(backend.tables.values()):
                yield _table(definition)

    def _stream(self, arn: Any) -> Stream:
        region, name = _stream_parts(arn)
        stream = self._finder(region)(name).stream
        if stream is None or stream.arn != arn:
            raise not_found(f"Requested resource not found: Stream: {arn} not found")
        return stream


def _table(definition: Definition) -> Table:
    table = _TABLES.get(definition)
    if table is None:
        table = _TABLES[definition] = Table(definition)
    return table


def _stream_parts(arn: Any) -> tuple[str, str]:
    match str(arn).split(":", 5):
        case ["arn", _, "dynamodb", region, _, resource] if resource.count("/") >= 3:
            return region, resource.split("/")[1]
    raise validation(f"Invalid StreamArn: {arn}")


def _is_expired(value: Mapping[str, Any] | None, now_s: float) -> bool:
    return value is not None and "N" in value and now_s - _EXPIRY_HORIZON_S < float(value["N"]) <= now_s


def _get_records(db: DynamoDb, call: Call) -> dict[str, Any]:
    arn, position = read_iterator(call.params.get("ShardIterator"), db._clock())
    return db._stream(arn).page(position, call.params.get("Limit", 1000), db._clock())


_OPERATIONS: dict[str, Callable[[DynamoDb, Call], dict[str, Any]]] = {
    "GetItem": lambda db, call: reads.get_item(call.params, db._finder(call.region)),
    "BatchGetItem": lambda db, call: reads.batch_get_item(call.params, db._finder(call.region)),
    "Query": lambda db, call: reads.query(call.params, db._finder(call.region)),
    "Scan": lambda db, call: reads.scan(call.params, db._finder(call.region)),
    "PutItem": lambda db, call: writes.put_item(call.params, db._finder(call.region), db._clock()),
    "UpdateItem": lambda db, call: writes.update_item(call.params, db._finder(call.region), db._clock()),
    "DeleteItem": lambda db, call: writes.delete_item(call.params, db._finder(call.region), db._clock()),
    "BatchWriteItem": lambda db, call: writes.batch_write_item(call.params, db._finder(call.region), db._clock()),
    "TransactGetItems": lambda db, call: transactions.transact_get_items(call.params, db._finder(call.region)),
    "TransactWriteItems": lambda db, call: transactions.transact_write_items(
        call.params, db._finder(call.region), db._tokens, call.region, db._clock()
    ),
    "GetShardIterator": lambda db, call: {
        "ShardIterator": db._stream(call.params.get("StreamArn")).iterator(call.params, db._clock())
    },
    "GetRecords": _get_records,
}
