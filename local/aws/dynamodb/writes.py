"""Puts, updates, deletes and condition checks: first worked out, then committed.

A write is worked out without touching its table, so a transaction is the same thing as a single write: all outcomes
first, and if none was refused, all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.aws.call import AwsError, refuse_unknown, validation
from local.aws.dynamodb.conditions import check_operands, holds
from local.aws.dynamodb.expressions import Scope, project, read_scope
from local.aws.dynamodb.syntax import parse_condition, parse_update
from local.aws.dynamodb.tables import FindTable, Table
from local.aws.dynamodb.tree import Action, Condition, Expression
from local.aws.dynamodb.updates import check_update, updated
from local.aws.dynamodb.values import MAX_ITEM_BYTES, Item, canonical_item, item_bytes

_BATCH_LIMIT = 25
_BATCH_KINDS = {"Put": frozenset({"Item"}), "Delete": frozenset({"Key"})}


@dataclass(frozen=True, slots=True)
class Write:
    """One write as asked for. `target` is the request's Item or Key, `actions` an update's."""

    kind: str
    table: Table
    target: Any
    condition: Expression[Condition] | None
    actions: tuple[Action, ...]
    scope: Scope
    shows_old_on_failure: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What a write does: the item before and after, None where there is none."""

    table: Table
    key: Item
    old: Item | None
    new: Item | None


def read_write(kind: str, params: Mapping[str, Any], find_table: FindTable) -> Write:
    """Reads a Put, Update, Delete or ConditionCheck and refuses what is wrong with it on any item.

    Raises:
        AwsError: ValidationException, ResourceNotFoundException.
    """
    table = find_table(params.get("TableName"))
    condition = _optional(params, "ConditionExpression", lambda text: parse_condition("ConditionExpression", text))
    update = _optional(params, "UpdateExpression", parse_update)
    scope = read_scope(params, (condition, update))
    if condition:
        check_operands(condition, scope)
    elif kind == "ConditionCheck":
        raise validation("The ConditionExpression of a ConditionCheck is missing")
    if update:
        check_update(update.tree, scope, table.key_names)
    target = canonical_item(params.get("Item")) if kind == "Put" else params.get("Key")
    old_on_failure = _choice(params, "ReturnValuesOnConditionCheckFailure", ("NONE", "ALL_OLD")) == "ALL_OLD"
    return Write(kind, table, target, condition, update.tree if update else (), scope, old_on_failure)


def key_of(write: Write) -> Item:
    """The key of the item that a write is about.

    Raises:
        AwsError: ValidationException where it does not fit the table.
    """
    if write.kind == "Put":
        write.table.check_index_keys(write.target)
        if item_bytes(write.target) > MAX_ITEM_BYTES:
            raise validation("Item size has exceeded the maximum allowed size")
        return write.table.key_of(write.target)
    return write.table.read_key(write.target)


def outcome(write: Write, key: Item) -> Change:
    """What the write would do now.

    Raises:
        AwsError: ConditionalCheckFailedException (with the Item, where asked for); ValidationException where an
            update does not fit the item.
    """
    old = write.table.items.get(key)
    if write.condition and not holds(write.condition.tree, old, write.scope):
        shown: dict[str, Any] = {"Item": old} if old is not None and write.shows_old_on_failure else {}
        raise AwsError("ConditionalCheckFailedException", "The conditional request failed", **shown)
    return Change(write.table, key, old, _OUTCOMES[write.kind](write, key, old))


def _updated(write: Write, key: Item, old: Item | None) -> Item:
    new = updated(key if old is None else old, write.actions, write.scope)
    write.table.check_index_keys(new)
    if item_bytes(new) > MAX_ITEM_BYTES:
        raise validation("Item size to update has exceeded the maximum allowed size")
    return new


_OUTCOMES: dict[str, Callable[[Write, Item, Item | None], Item | None]] = {
    "Put": lambda write, key, old: write.target,
    "Update": _updated,
    "Delete": lambda write, key, old: None,
    "ConditionCheck": lambda write, key, old: old,
}


def commit(changes: Iterable[Change], now_s: float, identity: dict[str, str] | None = None) -> None:
    """Makes the changes. One that changes nothing writes nothing to the stream, as in DynamoDB."""
    for change in changes:
        if change.old == change.new:
            continue
        change.table.replace(change.old, change.new)
        if stream := change.table.stream:
            stream.add(change.key, change.old, change.new, now_s, identity)


# ------------------------------------------------------------------ operations
def put_item(params: Mapping[str, Any], find_table: FindTable, now_s: float) -> dict[str, Any]:
    """PutItem."""
    returned = _choice(params, "ReturnValues", ("NONE", "ALL_OLD"))
    change = _single("Put", params, find_table, now_s)
    return _attributes(change.old if returned == "ALL_OLD" else None)


def delete_item(params: Mapping[str, Any], find_table: FindTable, now_s: float) -> dict[str, Any]:
    """DeleteItem."""
    returned = _choice(params, "ReturnValues", ("NONE", "ALL_OLD"))
    change = _single("Delete", params, find_table, now_s)
    return _attributes(change.old if returned == "ALL_OLD" else None)


def update_item(params: Mapping[str, Any], find_table: FindTable, now_s: float) -> dict[str, Any]:
    """UpdateItem."""
    returned = _choice(params, "ReturnValues", ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"))
    write = read_write("Update", params, find_table)
    change = outcome(write, key_of(write))
    commit([change], now_s)
    if returned == "NONE":
        return {}
    item = change.new if returned.endswith("NEW") else change.old
    if item is not None and returned.startswith("UPDATED"):
        item = project(item, [write.scope.steps(action.path) for action in write.actions])
    return _attributes(item)


def batch_write_item(params: Mapping[str, Any], find_table: FindTable, now_s: float) -> dict[str, Any]:
    """BatchWriteItem. Nothing is ever left unprocessed, unless a fault says so."""
    requests = [
        (name, kind.removesuffix("Request"), body)
        for name, entries in params.get("RequestItems", {}).items()
        for entry in entries
        for kind, body in entry.items()
    ]
    if not 1 <= len(requests) <= _BATCH_LIMIT:
        raise validation("Too many items requested for the BatchWriteItem call")
    changes: list[Change] = []
    for name, kind, body in requests:
        if kind not in _BATCH_KINDS:
            raise validation("BatchWriteItem takes PutRequest and DeleteRequest")
        refuse_unknown(f"{kind}Request", body, _BATCH_KINDS[kind])
        write = read_write(kind, {"TableName": name, **body}, find_table)
        key = key_of(write)
        if any(each.key == key and each.table is write.table for each in changes):
            raise validation("Provided list of item keys contains duplicates")
        changes.append(outcome(write, key))
    commit(changes, now_s)
    return {"UnprocessedItems": {}}


def _single(kind: str, params: Mapping[str, Any], find_table: FindTable, now_s: float) -> Change:
    write = read_write(kind, params, find_table)
    change = outcome(write, key_of(write))
    commit([change], now_s)
    return change


def _attributes(item: Item | None) -> dict[str, Any]:
    return {"Attributes": item} if item else {}


def _optional(params: Mapping[str, Any], member: str, parse: Callable[[str], Any]) -> Any:
    return None if (text := params.get(member)) is None else parse(text)


def _choice(params: Mapping[str, Any], member: str, options: tuple[str, ...]) -> str:
    value = params.get(member, options[0])
    if value not in options:
        raise validation(
            f"1 validation error detected: Value '{value}' at '{member[0].lower()}{member[1:]}' failed to satisfy "
            f"constraint: Member must satisfy enum value set: [{', '.join(options)}]"
        )
    return value  # type: ignore[no-any-return]
