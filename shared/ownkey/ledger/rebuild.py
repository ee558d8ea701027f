"""Rows of projections, written anew as records and postings have them: usage, months' movements, counters of limits.

Each on the condition that it is as it was when it was counted again: what billing has added meanwhile is never lost,
and a row that is right already is written to no more. Balances and postings cannot be named here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, new_audit_id
from ownkey.domain.ledger import MovementKind
from ownkey.domain.limits import Window, period_end
from ownkey.domain.times import rfc3339
from ownkey.ledger.alerts import AuditPort
from ownkey.ledger.counters import KEPT_AFTER
from ownkey.ledger.differences import PROJECTIONS, Kind, Row
from ownkey.ledger.settlement import Tables
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Key, Update

ACTION = "ledger.rebuilt"
_ALWAYS: Mapping[Kind, tuple[str, ...]] = {
    Kind.AGGREGATE: ("attempts",),
    Kind.MOVEMENTS: tuple(f"{kind}_count" for kind in MovementKind),
    Kind.COUNTER: ("used", "committed"),
}
"""Counters of which every settlement changes one: they are compared even where a row did not have them."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of rows."""

    rebuilt: int
    changed: tuple[str, ...]
    """Partition and sort keys of those that others had changed meanwhile: to be counted again."""


def to_event(account_id: str, by: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What billing is asked for. `by`: who asks, for the audit log."""
    return {"rebuild": {"account": account_id, "by": by, "rows": [_to_json(row) for row in rows]}}


class Rebuilder:
    """Billing's: it alone may write projections."""

    def __init__(self, db: DynamoDb, tables: Tables, trail: AuditPort) -> None:
        self._db = db
        self._tables = tables
        self._trail = trail

    async def run(self, request: Mapping[str, Any], now: datetime) -> Rebuilt:
        """Carries out `to_event`'s `rebuild`.

        Raises:
            ValueError: a row that is no projection's, or another account's; nothing is written then.
        """
        account_id = request["account"]
        rows = [_from_json(account_id, each) for each in request["rows"]]
        changed = list[str]()
        for row in rows:
            try:
                await self._db.write(rebuilding(row, self._tables))
            except ConditionFailed:
                changed.append(f"{row.pk} {row.sk}")
        done = Rebuilt(len(rows) - len(changed), tuple(changed))
        if done.rebuilt:
            await self._db.write(self._trail.write_of(_entry(account_id, str(request["by"]), done, now)))
        return done


def rebuilding(row: Row, tables: Tables) -> Update:
    """The write of one row."""
    names = sorted({*row.stored, *row.expected, *_ALWAYS[row.kind]})
    placeholders = {f"#n{index}": name for index, name in enumerate(names)}
    values: dict[str, Any] = {":zero": 0}
    conditions, sets, removes = list[str](), list[str](), list[str]()
    for index, name in enumerate(names):
        if was := row.stored.get(name, 0):
            conditions.append(f"#n{index} = :was{index}")
            values[f":was{index}"] = was
        else:
            conditions.append(f"(attribute_not_exists(#n{index}) OR #n{index} = :zero)")
        if becomes := row.expected.get(name, 0):
            sets.append(f"#n{index} = :becomes{index}")
            values[f":becomes{index}"] = becomes
        else:
            removes.append(f"#n{index}")
    for name, value in _plain(row).items():
        sets.append(f"{name} = :{name}")
        values[f":{name}"] = value
    if all(row.stored.get(name, 0) for name in names):
        del values[":zero"]
    parts = [f"SET {', '.join(sets)}" if sets else "", f"REMOVE {', '.join(removes)}" if removes else ""]
    table = tables.counters if row.kind is Kind.COUNTER else tables.rollups
    return Update(
        Key(table, row.pk, row.sk),
        " ".join(part for part in parts if part),
        condition=" AND ".join(conditions),
        names=placeholders,
        values=values,
    )


def _plain(row: Row) -> dict[str, Any]:
    """What a row has beside its counters."""
    if row.kind is Kind.COUNTER:
        window, _, period = row.sk.partition("#")
        end = period_end(Window(window), period)
        return {} if end is None else {"ttl_s": int((end + KEPT_AFTER).timestamp())}
    return {"last_at": row.last_at} if row.last_at else {}


def _to_json(row: Row) -> dict[str, Any]:
    return {
        "kind": row.kind.value,
        "pk": row.pk,
        "sk": row.sk,
        "stored": dict(row.stored),
        "expected": dict(row.expected),
        "last_at": row.last_at,
    }


def _from_json(account_id: str, row: Mapping[str, Any]) -> Row:
    kind, pk = Kind(row["kind"]), str(row["pk"])
    begins = keys.counters(account_id, "") if kind is Kind.COUNTER else keys.rollup(account_id, "")
    if kind not in PROJECTIONS or not pk.startswith(begins):
        raise ValueError("not a row of a projection of the account")
    stored, expected = ({str(name): int(each) for name, each in row[part].items()} for part in ("stored", "expected"))
    return Row(kind, account_id, pk, str(row["sk"]), stored, expected, still=True, last_at=str(row["last_at"]))


def _entry(account_id: str, by: str, done: Rebuilt, now: datetime) -> AuditEntry:
    return AuditEntry(
        id=new_audit_id(now),
        account_id=account_id,
        at=rfc3339(now.astimezone(UTC)),
        actor_kind=ActorKind.OPERATOR,
        actor_id=by,
        action=ACTION,
        outcome=AuditOutcome.SUCCEEDED,
        facts={"rows": done.rebuilt, "changed": len(done.changed)},
    )
