"""DynamoDB in this process: as much of it as the ledger asks for. One call is atomic, and every commit can be watched.

Expressions are compiled once into Python. What it does not know it refuses, so that nothing passes for checked that
was not; that it does what the shim's DynamoDB does is a test (`test_simulation`).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

Json = dict[str, Any]
Item = Mapping[str, Any]
"""As on the wire: attribute values by name."""
Place = tuple[str, str, str]
"""Table, `pk`, `sk`."""
Change = tuple[Place, Item | None, Item | None]
"""Before and after."""
Condition = Callable[[Item, Item, Mapping[str, str]], bool]
Updating = Callable[[Json, Item, Mapping[str, str]], None]


class Refused(Exception):
    """The service's verdict: the body of an answer with status 400."""

    def __init__(self, code: str, **body: Any) -> None:
        super().__init__(code)
        self.body: Json = {"__type": code, "message": code, **body}


class Model:
    """All tables; they exist by being named."""

    def __init__(self, watch: Callable[[list[Change]], None] = lambda _: None) -> None:
        self.items: dict[Place, Item] = {}
        self._sorted: dict[tuple[str, str], list[str]] = {}
        self._watch = watch
        self._tokens = set[str]()

    def perform(self, operation: str, params: Json) -> Json:
        """The answer to one operation.

        Raises:
            Refused: a condition does not hold.
        """
        return _OPERATIONS[operation](self, params)

    def partition(self, table: str, pk: str) -> list[Item]:
        """A partition's items by their sort keys."""
        return [self.items[table, pk, sk] for sk in self._sorted.get((table, pk), ())]

    def table(self, table: str) -> Iterable[Item]:
        """All items of a table."""
        return [item for place, item in self.items.items() if place[0] == table]

    # ── Reads

    def _get(self, params: Json) -> Json:
        item = self.items.get(_place(params["TableName"], params["Key"]))
        return {} if item is None else {"Item": item}

    def _transact_get(self, params: Json) -> Json:
        return {"Responses": [self._get(each["Get"]) for each in params["TransactItems"]]}

    def _batch_get(self, params: Json) -> Json:
        asked = {name: request["Keys"] for name, request in params["RequestItems"].items()}
        found = {
            name: [self.items[at] for key in keys if (at := _place(name, key)) in self.items]
            for name, keys in asked.items()
        }
        return {"Responses": found}

    def _query(self, params: Json) -> Json:
        values, table = params["ExpressionAttributeValues"], params["TableName"]
        pk = values[":pk"]["S"]
        sks = self._sorted.get((table, pk), [])
        first, last = 0, len(sks)
        if ":from" in values:
            first, last = bisect_left(sks, values[":from"]["S"]), bisect_right(sks, values[":to"]["S"])
        elif ":prefix" in values:
            prefix = values[":prefix"]["S"]
            first, last = bisect_left(sks, prefix), bisect_left(sks, prefix + "\U0010ffff")
        wanted = sks[first:last]
        if not params["ScanIndexForward"]:
            wanted.reverse()
        if start := params.get("ExclusiveStartKey"):
            after = start["sk"]["S"]
            wanted = [sk for sk in wanted if (sk > after) is params["ScanIndexForward"] and sk != after]
        limit = params.get("Limit", len(wanted))
        rows = [self.items[table, pk, sk] for sk in wanted[:limit]]
        answer: Json = {}
        if len(wanted) > limit:
            answer["LastEvaluatedKey"] = {name: rows[-1][name] for name in ("pk", "sk")}
        if text := params.get("FilterExpression"):
            holds, names = condition(text), params.get("ExpressionAttributeNames", {})
            rows = [row for row in rows if holds(row, values, names)]
        return answer | {"Items": rows}

    # ── Writes

    def _write(self, kind: str, params: Json) -> Json:
        change, holds = self._changed(kind, params)
        if not holds:
            old = {"Item": change[1]} if change[1] is not None else {}
            raise Refused("ConditionalCheckFailedException", **old)
        self._commit([change])
        return {}

    def _transact(self, params: Json) -> Json:
        actions = [next(iter(each.items())) for each in params["TransactItems"]]
        assert 1 <= len(actions) <= 100, f"a transaction of {len(actions)} actions"
        if params["ClientRequestToken"] in self._tokens:
            return {}
        done = [self._changed(kind, body) for kind, body in actions]
        places = {change[0] for change, _ in done}
        assert len(places) == len(done), "a transaction writes one item twice"
        if not all(holds for _, holds in done):
            reasons = [
                {"Code": "None"}
                if holds
                else {"Code": "ConditionalCheckFailed", **({"Item": change[1]} if change[1] is not None else {})}
                for change, holds in done
            ]
            raise Refused("TransactionCanceledException", CancellationReasons=reasons)
        self._tokens.add(params["ClientRequestToken"])
        self._commit([change for (change, _), (kind, _) in zip(done, actions, strict=True) if kind != "ConditionCheck"])
        return {}

    def _changed(self, kind: str, params: Json) -> tuple[Change, bool]:
        """What a write would change, and whether its condition holds."""
        at = _place(params["TableName"], params["Item"] if kind == "Put" else params["Key"])
        old = self.items.get(at)
        values, names = params.get("ExpressionAttributeValues", {}), params.get("ExpressionAttributeNames", {})
        text = params.get("ConditionExpression")
        if text and not condition(text)(old or {}, values, names):
            return (at, old, None), False
        new: Json | None = None
        if kind == "Put":
            new = dict(params["Item"])
        elif kind == "Update":
            new = dict(old) if old is not None else dict(params["Key"])
            updating(params["UpdateExpression"])(new, values, names)
        return (at, old, new), True

    def _commit(self, changes: list[Change]) -> None:
        for at, old, new in changes:
            sks = self._sorted.setdefault(at[:2], [])
            if new is None:
                if old is not None:
                    del self.items[at]
                    del sks[bisect_left(sks, at[2])]
                continue
            if old is None:
                insort(sks, at[2])
            self.items[at] = new
        self._watch(changes)


_OPERATIONS: Mapping[str, Callable[[Model, Json], Json]] = {
    "GetItem": Model._get,
    "BatchGetItem": Model._batch_get,
    "TransactGetItems": Model._transact_get,
    "Query": Model._query,
    "PutItem": lambda model, params: model._write("Put", params),
    "UpdateItem": lambda model, params: model._write("Update", params),
    "DeleteItem": lambda model, params: model._write("Delete", params),
    "TransactWriteItems": Model._transact,
}


def _place(table: str, key: Item) -> Place:
    return table, key["pk"]["S"], key["sk"]["S"]


# ── Expressions

_TOKEN = re.compile(r"\s*([#:]?\w+|<>|<=|>=|[=<>(),+-])")
_LOGIC = {"AND": "and", "OR": "or", "NOT": "not", "(": "(", ")": ")"}
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _tokens(text: str) -> list[str]:
    found = _TOKEN.findall(text)
    assert "".join(found) == re.sub(r"\s", "", text), f"not an expression known here: {text}"
    return found


def _name(token: str) -> str:
    return f"names[{token!r}]" if token[0] == "#" else repr(token)


def _operand(token: str) -> str:
    return f"values[{token!r}]" if token[0] == ":" else f"item.get({_name(token)})"


def _compared(sign: str, left: Item | None, right: Item | None) -> bool:
    """What is not there, or of another type, is never equal, less or more."""
    if left is None or right is None:
        return False
    ((kind, one),), ((other, two),) = left.items(), right.items()
    if kind != other:
        return sign == "<>"
    return _COMPARISONS[sign](int(one), int(two)) if kind == "N" else _COMPARISONS[sign](one, two)


@lru_cache(maxsize=1024)
def condition(text: str) -> Condition:
    """A condition or filter: of an item, values and names."""
    tokens, source, at = _tokens(text), list[str](), 0
    while at < len(tokens):
        token = tokens[at]
        if token in ("attribute_exists", "attribute_not_exists"):
            source.append(f"({_name(tokens[at + 2])} {'not in' if 'not' in token else 'in'} item)")
            at += 4
        elif token in _LOGIC:
            source.append(_LOGIC[token])
            at += 1
        else:
            left, sign, right = tokens[at : at + 3]
            assert sign in _COMPARISONS, f"not a comparison known here: {text}"
            source.append(f"compared({sign!r}, {_operand(left)}, {_operand(right)})")
            at += 3
    text = f"lambda item, values, names: {' '.join(source)}"
    return eval(text, {"compared": _compared})  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def updating(text: str) -> Updating:
    """An update expression: of an item that it changes, values and names. SET and ADD."""
    tokens, lines, at, section = _tokens(text), list[str](), 0, ""
    while at < len(tokens):
        if tokens[at] in ("SET", "ADD"):
            section, at = tokens[at], at + 1
        target = _name(tokens[at])
        if section == "ADD":
            lines.append(f"new[{target}] = added(item.get({target}), values[{tokens[at + 1]!r}], 1)")
            at += 2
        else:
            assert tokens[at + 1] == "=", f"not an update known here: {text}"
            term, at = _term(tokens, at + 2)
            while at < len(tokens) and tokens[at] in "+-":
                sign = 1 if tokens[at] == "+" else -1
                other, at = _term(tokens, at + 1)
                term = f"added({term}, {other}, {sign})"
            lines.append(f"new[{target}] = {term}")
        at += at < len(tokens) and tokens[at] == ","
    scope: Json = {"added": _added}
    body = "\n    ".join(lines)
    exec(f"def update(item, values, names):\n    new = {{}}\n    {body}\n    item.update(new)", scope)
    return scope["update"]  # type: ignore[no-any-return]


def _term(tokens: list[str], at: int) -> tuple[str, int]:
    if tokens[at] != "if_not_exists":
        return _operand(tokens[at]), at + 1
    _, _, path, _, default, _ = tokens[at : at + 6]
    return f"item.get({_name(path)}, {_operand(default)})", at + 6


def _added(old: Item | None, change: Item, sign: int) -> Json:
    return {"N": str((int(old["N"]) if old else 0) + sign * int(change["N"]))}
