"""GetItem, BatchGetItem, Query and Scan. Every read is strongly consistent, whatever was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.dynamodb.models.table import GlobalSecondaryIndex, SecondaryIndex

from local.aws.call import refuse_unknown, validation
from local.aws.dynamodb.conditions import check_operands, holds, paths_of
from local.aws.dynamodb.expressions import Scope, Steps, check_overlap, project, read_scope
from local.aws.dynamodb.keyconditions import read_key_condition
from local.aws.dynamodb.syntax import parse_condition, parse_projection
from local.aws.dynamodb.tables import Bounds, Collection, FindTable, Table
from local.aws.dynamodb.tree import Condition, Expression, Path
from local.aws.dynamodb.values import Item, canonical_item, item_bytes

_BATCH_LIMIT = 100
_BATCH_MEMBERS = frozenset({"Keys", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"})
_MAX_BATCH_BYTES = 16 * 1024 * 1024
_MAX_PAGE_BYTES = 1024 * 1024


def get_item(params: Mapping[str, Any], find_table: FindTable) -> dict[str, Any]:
    """GetItem."""
    item = read_item(params, find_table)
    return {} if item is None else {"Item": item}


def read_item(params: Mapping[str, Any], find_table: FindTable) -> Item | None:
    """The item that a Get asks for, projected where it says so.

    Raises:
        AwsError: ValidationException, ResourceNotFoundException.
    """
    table = find_table(params.get("TableName"))
    paths = _projection(params)
    item = table.items.get(table.read_key(params.get("Key")))
    return item if item is None or paths is None else project(item, paths)


def batch_get_item(params: Mapping[str, Any], find_table: FindTable) -> dict[str, Any]:
    """BatchGetItem. Keys are left unprocessed past 16 MB, as in DynamoDB."""
    requests = params.get("RequestItems") or {}
    if not 1 <= sum(len(request.get("Keys", ())) for request in requests.values()) <= _BATCH_LIMIT:
        raise validation("Too many items requested for the BatchGetItem call")
    responses: dict[str, list[Item]] = {}
    unprocessed: dict[str, Any] = {}
    total = 0
    for name, request in requests.items():
        refuse_unknown("BatchGetItem", request, _BATCH_MEMBERS)
        table, paths = find_table(name), _projection(request)
        keys = [table.read_key(key) for key in request.get("Keys", ())]
        if len({table.items.place(key) for key in keys}) < len(keys):
            raise validation("Provided list of item keys contains duplicates")
        found = responses.setdefault(name, [])
        for key in keys:
            item = table.items.get(key)
            total += 0 if item is None else item_bytes(item)
            if total > _MAX_BATCH_BYTES:
                unprocessed.setdefault(name, {**request, "Keys": []})["Keys"].append(key)
            elif item is not None:
                found.append(item if paths is None else project(item, paths))
    return {"Responses": responses, "UnprocessedKeys": unprocessed}


def query(params: Mapping[str, Any], find_table: FindTable) -> dict[str, Any]:
    """Query, of a table or an index."""
    source, page, hash_value, bounds = _read_query(params, find_table)
    return page.fill(source.collection.query(hash_value, bounds, page.after, params.get("ScanIndexForward", True)))


def queried_hash_value(params: Mapping[str, Any], find_table: FindTable) -> str:
    """The partition key that a Query asks for, as text; raises as the Query would."""
    return str(_read_query(params, find_table)[2])


def _read_query(params: Mapping[str, Any], find_table: FindTable) -> tuple[_Source, _Page, Any, Bounds]:
    if "KeyConditionExpression" not in params:
        raise validation("The KeyConditionExpression parameter must be specified in the request.")
    source = _source(params, find_table)
    condition = parse_condition("KeyConditionExpression", params["KeyConditionExpression"])
    page = _read_page(params, source, condition)
    hash_value, bounds = read_key_condition(
        condition.tree, page.scope, source.collection.hash_name, source.own_sort_names, source.table.types
    )
    return source, page, hash_value, bounds


def scan(params: Mapping[str, Any], find_table: FindTable) -> dict[str, Any]:
    """Scan, of a table or an index, whole or in segments."""
    source = _source(params, find_table)
    if ("Segment" in params) != ("TotalSegments" in params):
        raise validation("The Segment and TotalSegments parameters are required together")
    segment, segments = params.get("Segment", 0), params.get("TotalSegments", 1)
    if not 0 <= segment < segments:
        raise validation("The Segment parameter is zero-based and must be less than parameter TotalSegments")
    page = _read_page(params, source)
    return page.fill(source.collection.scan(page.after, segment, segments))


@dataclass(frozen=True, slots=True)
class _Source:
    """What a Query or Scan reads: a table, or an index of it."""

    table: Table
    index: SecondaryIndex | None
    collection: Collection

    @property
    def own_sort_names(self) -> tuple[str, ...]:
        """The sort attributes of the table's or the index's own key schema."""
        schema = self.index.schema if self.index else self.table.definition.schema
        return tuple(each["AttributeName"] for each in schema[1:])

    @property
    def start_names(self) -> tuple[str, ...]:
        """The attributes of a LastEvaluatedKey."""
        return tuple(dict.fromkeys((self.collection.hash_name, *self.collection.sort_names)))

    def project(self, item: Item) -> Item:
        """An item as the index holds it."""
        kind = self.index.projection.get("ProjectionType", "ALL") if self.index else "ALL"
        if self.index is None or kind == "ALL":
            return item
        kept = {*self.start_names, *self.index.projection.get("NonKeyAttributes", ())}
        return {name: value for name, value in item.items() if name in kept}


def _source(params: Mapping[str, Any], find_table: FindTable) -> _Source:
    table = find_table(params.get("TableName"))
    if (name := params.get("IndexName")) is None:
        return _Source(table, None, table.items)
    index, collection = table.index(name)
    if params.get("ConsistentRead") and isinstance(index, GlobalSecondaryIndex):
        raise validation("Consistent reads are not supported on global secondary indexes")
    return _Source(table, index, collection)


@dataclass(frozen=True, slots=True)
class _Page:
    """What makes a page out of candidates: where to start, how far to go, what to keep of it."""

    source: _Source
    scope: Scope
    filter: Expression[Condition] | None
    paths: list[Steps] | None
    after: Item | None
    limit: int | None
    counts_only: bool

    def fill(self, candidates: Iterable[Item]) -> dict[str, Any]:
        """The answer: at most `limit` items or 1 MB evaluated, of these the ones that pass the filter."""
        kept: list[Item] = []
        evaluated = total = 0
        last: Item | None = None
        more = False
        for item in candidates:
            total += item_bytes(item)
            if more := evaluated == self.limit or (evaluated > 0 and total > _MAX_PAGE_BYTES):
                break
            evaluated, last = evaluated + 1, item
            held = self.source.project(item)
            if self.filter is None or holds(self.filter.tree, held, self.scope):
                kept.append(held if self.paths is None else project(held, self.paths))
        answer: dict[str, Any] = {"Count": len(kept), "ScannedCount": evaluated}
        if not self.counts_only:
            answer["Items"] = kept
        # Where Limit is met exactly, DynamoDB does not look whether there is more: it gives a key to go on from.
        if last is not None and (more or evaluated == self.limit):
            answer["LastEvaluatedKey"] = {name: last[name] for name in self.source.start_names}
        return answer


def _read_page(params: Mapping[str, Any], source: _Source, condition: Expression[Condition] | None = None) -> _Page:
    filter_text, projection_text = params.get("FilterExpression"), params.get("ProjectionExpression")
    chosen = None if filter_text is None else parse_condition("FilterExpression", filter_text)
    projection = None if projection_text is None else parse_projection(projection_text)
    scope = read_scope(params, (condition, chosen, projection))
    for expression in (condition, chosen):
        if expression:
            check_operands(expression, scope)
    if condition and chosen:
        _refuse_keys(chosen, scope, source)
    limit = params.get("Limit")
    if limit is not None and limit < 1:
        raise validation("1 validation error detected: Value at 'limit' failed to satisfy constraint: at least 1")
    return _Page(
        source,
        scope,
        chosen,
        _steps(projection, scope),
        _start_key(params, source),
        limit,
        params.get("Select") == "COUNT",
    )


def _refuse_keys(chosen: Expression[Condition], scope: Scope, source: _Source) -> None:
    keys = {source.collection.hash_name, *source.own_sort_names}
    for path in paths_of(chosen.tree):
        if (name := scope.steps(path)[0]) in keys:
            raise validation(
                f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
            )


def _start_key(params: Mapping[str, Any], source: _Source) -> Item | None:
    if (given := params.get("ExclusiveStartKey")) is None:
        return None
    key = canonical_item(given)
    if key.keys() != set(source.start_names) or any(source.table.types[name] not in key[name] for name in key):
        raise validation("The provided starting key is invalid")
    return key


def _projection(params: Mapping[str, Any]) -> list[Steps] | None:
    text = params.get("ProjectionExpression")
    projection = None if text is None else parse_projection(text)
    return _steps(projection, read_scope(params, (projection,)))


def _steps(projection: Expression[tuple[Path, ...]] | None, scope: Scope) -> list[Steps] | None:
    if projection is None:
        return None
    steps = [scope.steps(path) for path in projection.tree]
    check_overlap("ProjectionExpression", steps)
    return steps
