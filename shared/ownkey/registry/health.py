"""Health's marks in DynamoDB: one item an account, one attribute a mark, in a table of its own.

Every request reads the account's item and the platform's within its one round trip. Writes are rare, and each is
conditional on the mark being what the decision was taken on: of several functions that learn the same thing at once one
writes it, and the others find it written. No write waits for another account's, nor touches a mark it did not see.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.health import (
    HEALTHY,
    Health,
    HealthState,
    Mark,
    Marks,
    after_fault,
    after_validation,
    claimed,
    credential_key,
    model_key,
    prunable,
)
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Item, Key, Update

logger = logging.getLogger(__name__)

Decide = Callable[[Mark | None], Mark | None]
"""What is to stand in a mark's place, given what stands there; the same: nothing is written."""

_TRIES = 5


def now_ms() -> int:
    """Now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class HealthBook:
    """Reads and writes marks."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def read(self, account_id: str) -> Health:
        """The account's marks.

        Raises:
            StoreUnavailable: the table cannot be read.
        """
        return to_health(await self._db.get(health_at(self._table, account_id)))

    async def change(self, account_id: str, key: str, decide: Decide, *, seen: Health, at_ms: int) -> None:
        """Puts into a mark's place what `decide` says, on the latest that stands there; prunes while at it.

        Args:
            seen: What the caller knows: tried first, so that most changes cost one write.

        Raises:
            StoreUnavailable: it may not be written.
        """
        health, stored = seen, _to_item(seen.marks)
        for _ in range(_TRIES):
            old = health.marks.get(key)
            new = decide(old)
            if new == old:
                return
            pruned = prunable(health.marks, at_ms, keep=key, adds=new is not None)
            update = _swap(health_at(self._table, account_id), stored, {key: new, **dict.fromkeys(pruned)})
            try:
                await self._db.write(update)
            except ConditionFailed as e:
                health, stored = to_health(e.item), e.item or {}
            else:
                return
        logger.warning("a mark keeps being changed by others", extra={"account_id": account_id, "mark": key})

    async def claim(self, account_id: str, probes: Mapping[str, Mark], at_ms: int) -> Health | None:
        """Takes the right to be the probe of these marks, of all or of none.

        Returns:
            None: it is the caller's. Else the marks as they stand now: somebody else was first.

        Raises:
            StoreUnavailable: whose it is cannot be told.
        """
        taken = {key: claimed(mark, at_ms) for key, mark in probes.items()}
        try:
            await self._db.write(_swap(health_at(self._table, account_id), _to_item(probes), taken))
        except ConditionFailed as e:
            return to_health(e.item)
        return None

    async def accepted(self, account_id: str, credential_id: str, version: int, *, unreserved: bool) -> None:
        """Takes away what a validation disproves. Marks of other versions stay.

        Raises:
            StoreUnavailable: it may not be written.
        """
        health, at_ms = await self.read(account_id), now_ms()
        for model, _ in list(health.of_version(credential_id, version)):
            key = credential_key(credential_id, version) if model is None else model_key(credential_id, version, model)

            def decide(old: Mark | None, model: str | None = model) -> Mark | None:
                return old and after_validation(model, old, at_ms, unreserved=unreserved)

            await self.change(account_id, key, decide, seen=health, at_ms=at_ms)

    async def found(self, account_id: str, credential_id: str, version: int, fault: Fault) -> None:
        """Marks a credential's version for what a validation found.

        Raises:
            StoreUnavailable: it may not be written.
        """
        health, at_ms = await self.read(account_id), now_ms()
        key = credential_key(credential_id, version)
        await self.change(account_id, key, lambda old: after_fault(old, fault, at_ms), seen=health, at_ms=at_ms)


def health_at(table: str, account_id: str) -> Key:
    """Where an account's marks stand."""
    return Key(table, keys.health(account_id), keys.HEALTH)


def to_health(item: Item | None) -> Health:
    """An item's marks. What cannot be read, since a newer release wrote it, says nothing."""
    if not item:
        return HEALTHY
    marks = {key: mark for key, value in item.items() if key not in ("pk", "sk") and (mark := _to_mark(value))}
    return Health(marks) if marks else HEALTHY


def _to_mark(value: object) -> Mark | None:
    if not isinstance(value, dict):
        return None
    try:
        kinds = {"state": HealthState(value["state"]), "code": FaultKind(value["code"])}
        return Mark(**{"until_ms": None, **value, **kinds})
    except (KeyError, TypeError, ValueError):
        return None


def _to_item(marks: Marks) -> Item:
    """Marks as attributes: always the same for the same mark, as conditions compare an attribute as a whole."""
    return {key: _from_mark(mark) for key, mark in marks.items()}


def _from_mark(mark: Mark) -> Item:
    values = asdict(mark) | {"state": mark.state.value, "code": mark.code.value}
    return {name: value for name, value in values.items() if value is not None}


def _swap(at: Key, stored: Item, marks: Mapping[str, Mark | None]) -> Update:
    """Replaces marks (None: takes away), if each attribute still is as `stored` has it."""
    names = {f"#m{n}": key for n, key in enumerate(marks)}
    values: Item = {}
    conditions, sets, removes = [], [], []
    for n, (key, mark) in enumerate(marks.items()):
        if key not in stored:
            conditions.append(f"attribute_not_exists(#m{n})")
        else:
            conditions.append(f"#m{n} = :o{n}")
            values[f":o{n}"] = stored[key]
        if mark is None:
            removes.append(f"#m{n}")
        else:
            sets.append(f"#m{n} = :m{n}")
            values[f":m{n}"] = _from_mark(mark)
    return Update(at, _clauses(SET=sets, REMOVE=removes), " AND ".join(conditions), names, values)


def _clauses(**clauses: Iterable[str]) -> str:
    return " ".join(f"{word} {', '.join(parts)}" for word, parts in clauses.items() if parts)
