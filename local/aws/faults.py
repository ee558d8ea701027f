"""Faults for tests: what goes wrong with which calls, and when.

A rule picks calls by service, operation, table, key and access key, and applies to `times` of them from the `nth` on
(`times` null: to all). Its kind says what happens:

=================== ==========================================================================================
throttle            refused before anything is applied: ProvisionedThroughputExceededException, or ThrottlingException
internal            InternalServerError, 500, nothing applied
conflict            a transaction is under way on the item: TransactionCanceledException with TransactionConflict, or
                    TransactionConflictException for a single write
unprocessed         a batch is done in part: its last entry comes back unprocessed (a batch of one is throttled)
timeout             no answer, nothing applied; the connection stays open until the client gives up
latency_ms          applied and answered, `latency_ms` later
applied_then_error  applied, and answered with InternalServerError
applied_then_lost   applied, and the connection breaks without an answer
=================== ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.aws.call import AwsError, Call
from local.aws.dynamodb.transactions import canceled

KINDS = frozenset(
    {
        "throttle",
        "internal",
        "conflict",
        "unprocessed",
        "timeout",
        "latency_ms",
        "applied_then_error",
        "applied_then_lost",
    }
)
_MEMBERS = frozenset({"service", "operation", "table", "key", "access_key", "nth", "times", "kind", "latency_ms"})


class BadRule(ValueError):
    """A rule that cannot be read."""


@dataclass(slots=True)
class Rule:
    """One rule and how many calls it has seen. `key` are key attributes as plain strings: `{"pk": "ACC#1"}`."""

    kind: str
    service: str | None
    operation: str | None
    table: str | None
    key: Mapping[str, str]
    access_key: str | None
    nth: int
    times: int | None
    latency_ms: int
    seen: int = 0

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Rule:
        """Reads a rule; `kind` is required, everything else narrows it.

        Raises:
            BadRule: unknown members or kind.
        """
        if unknown := document.keys() - _MEMBERS:
            raise BadRule(f"unknown members of a rule: {sorted(unknown)}")
        if document.get("kind") not in KINDS:
            raise BadRule(f"kind must be one of {sorted(KINDS)}, not {document.get('kind')!r}")
        return cls(
            document["kind"],
            document.get("service"),
            document.get("operation"),
            document.get("table"),
            document.get("key") or {},
            document.get("access_key"),
            document.get("nth", 1),
            document.get("times", 1),
            document.get("latency_ms", 0),
        )

    def strikes(self, call: Call) -> bool:
        """Whether the rule applies to this call; counts the calls it is about."""
        if not self._is_about(call):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)

    def _is_about(self, call: Call) -> bool:
        given = ((self.service, call.service), (self.operation, call.operation), (self.access_key, call.access_key))
        if any(wanted is not None and wanted != found for wanted, found in given):
            return False
        if self.table is None and not self.key:
            return True
        return any((self.table is None or table == self.table) and self._matches(item) for table, item in touched(call))

    def _matches(self, item: Mapping[str, Any]) -> bool:
        return all(value in (item.get(name) or {}).values() for name, value in self.key.items())


class Faults:
    """The rules in force, in order."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Adds rules; raises BadRule, and then none is added."""
        self._rules += [Rule.of(document) for document in documents]

    def clear(self) -> None:
        """Everything works again."""
        self._rules.clear()

    def strike(self, call: Call) -> Rule | None:
        """The first rule that applies to this call. Every rule about it counts it, the ones behind too."""
        struck = [rule for rule in self._rules if rule.strikes(call)]
        return struck[0] if struck else None


def touched(call: Call) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tables of a DynamoDB call, each with the keys or items it names there."""
    params = call.params
    if "TableName" in params:
        yield params["TableName"], params.get("Key") or params.get("Item") or {}
    for table, requests in (params.get("RequestItems") or {}).items():
        entries = requests.get("Keys", ()) if isinstance(requests, dict) else requests
        for entry in entries:
            body = next((entry[kind] for kind in ("PutRequest", "DeleteRequest") if kind in entry), None)
            yield table, entry if body is None else body.get("Item") or body.get("Key") or {}
    for action in params.get("TransactItems") or ():
        for body in action.values():
            yield body.get("TableName", ""), body.get("Item") or body.get("Key") or {}


def refusal(rule: Rule, call: Call) -> AwsError | None:
    """The error that a rule answers with instead of applying the call; None for the kinds that do not."""
    match rule.kind:
        case "throttle":
            return _throttled(call)
        case "internal":
            return internal_error()
        case "conflict":
            return _conflict(call)
    return None


def internal_error() -> AwsError:
    """What a service says when it fails, whether it has applied the call or not."""
    return AwsError("InternalServerError", "Internal server error", status=500)


def _throttled(call: Call) -> AwsError:
    if call.service == "dynamodb":
        return AwsError("ProvisionedThroughputExceededException", "The level of configured throughput was exceeded.")
    return AwsError("ThrottlingException", "Rate exceeded")


def _conflict(call: Call) -> AwsError:
    if call.operation.startswith("Transact"):
        others = len(call.params.get("TransactItems", ())) - 1
        reason = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
        return canceled([reason, *({"Code": "None"} for _ in range(others))])
    return AwsError("TransactionConflictException", "Transaction is ongoing for the item")


# ------------------------------------------------------------------ batches done in part
_UNPROCESSED = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}


def hold_back(call: Call) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """A batch without its last entry, and what to add to the answer for the entry left out.

    Raises:
        AwsError: where nothing would be left to do, as DynamoDB then throttles; ValueError for what is no batch.
    """
    if call.operation not in _UNPROCESSED:
        raise ValueError(f"{call.operation} is not a batch")
    requests = dict(call.params["RequestItems"])
    table = next(reversed(requests))
    entries = _entries(requests[table])
    if len(requests) == 1 and len(entries) == 1:
        raise _throttled(call)
    held = _with_entries(requests[table], entries[-1:])
    if len(entries) == 1:
        del requests[table]
    else:
        requests[table] = _with_entries(requests[table], entries[:-1])
    return {**call.params, "RequestItems": requests}, {_UNPROCESSED[call.operation]: {table: held}}


def _entries(request: Any) -> list[Any]:
    return list(request["Keys"] if isinstance(request, dict) else request)


def _with_entries(request: Any, entries: list[Any]) -> Any:
    return {**request, "Keys": entries} if isinstance(request, dict) else entries
