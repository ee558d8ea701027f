"""A client of AWS that counts: every item that is written or read, and the units that DynamoDB would charge for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.costs.units import item_bytes, read_units, write_units
from ownkey.store.aws import AwsClient, Json

_API = "DynamoDB_20120810"
_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
_IN_TRANSACTIONS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "Check"}


@dataclass(frozen=True, slots=True)
class Taken:
    """What was done to one item, or by one query."""

    action: str
    table: str
    sk: str
    write_units: int = 0
    read_units: float = 0.0
    transaction: bool = False


class Meter(AwsClient):
    """Counts calls of DynamoDB in `taken`, and the others in `others`. What it asks itself is not counted."""

    def __init__(self, region: str, environ: Mapping[str, str]) -> None:
        super().__init__(region, environ)
        self.taken: list[Taken] = []
        self.others: list[str] = []

    async def call_json(self, service: str, target: str, body: Json, *, json_version: str = "1.0") -> Json:
        """The call; refused ones count as those that succeed do."""
        if service != "dynamodb":
            self.others.append(target)
            return await super().call_json(service, target, body, json_version=json_version)
        action = target.rpartition(".")[2]
        written = list(_written(action, body))
        before = [await self._size(table, key) for _, table, key in written]
        try:
            answer = await super().call_json(service, target, body, json_version=json_version)
        finally:
            after = [await self._size(table, key) for _, table, key in written]
            transaction = action == "TransactWriteItems"
            for (what, table, key), old, new in zip(written, before, after, strict=True):
                units = write_units(old, new, transaction=transaction)
                self.taken.append(Taken(what, table, key["sk"]["S"], write_units=units, transaction=transaction))
        self.taken += _read(action, body, answer)
        return answer

    async def _size(self, table: str, key: Json) -> int:
        question = {"TableName": table, "Key": key, "ConsistentRead": True}
        answer = await super().call_json("dynamodb", f"{_API}.GetItem", question)
        return item_bytes(answer.get("Item", {}))


def _written(action: str, body: Json) -> Iterator[tuple[str, str, Json]]:
    """What is done, to which table's item."""
    if action in _WRITES:
        yield action, body["TableName"], _key(body)
    for entry in body["TransactItems"] if action == "TransactWriteItems" else ():
        ((kind, each),) = entry.items()
        yield _IN_TRANSACTIONS[kind], each["TableName"], _key(each)


def _key(body: Json) -> Json:
    whole: Mapping[str, Any] = body.get("Key") or body["Item"]
    return {name: whole[name] for name in ("pk", "sk")}


def _read(action: str, body: Json, answer: Json) -> Iterable[Taken]:
    match action:
        case "GetItem":
            units = read_units(item_bytes(answer.get("Item", {})), consistent=body.get("ConsistentRead", False))
            return [Taken(action, body["TableName"], body["Key"]["sk"]["S"], read_units=units)]
        case "BatchGetItem":
            return [
                Taken(action, table, key["sk"]["S"], read_units=_of_batch(key, wanted, answer["Responses"][table]))
                for table, wanted in body["RequestItems"].items()
                for key in wanted["Keys"]
            ]
        case "Query":
            size = sum(map(item_bytes, answer["Items"]))
            units = read_units(size, consistent=body.get("ConsistentRead", False))
            return [Taken(action, body["TableName"], "", read_units=units)]
        case "TransactGetItems":
            rows = zip(body["TransactItems"], answer["Responses"], strict=True)
            return [
                Taken(action, asked["Get"]["TableName"], asked["Get"]["Key"]["sk"]["S"], read_units=units)
                for asked, row in rows
                for units in [read_units(item_bytes(row.get("Item") or {}), transaction=True)]
            ]
    return []


def _of_batch(key: Json, wanted: Json, found: Iterable[Json]) -> float:
    item = next((row for row in found if all(row[name] == value for name, value in key.items())), {})
    return read_units(item_bytes(item), consistent=wanted.get("ConsistentRead", False))
