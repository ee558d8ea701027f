"""Reconciliations: begun by management or by the day, worked on by upkeep; what they found, kept for a while.

Progress is written under the condition that nobody else wrote it since it was read: of two runs at once, one stops.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ownkey.domain import ids
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import NotFound
from ownkey.domain.reconciliation import (
    LEAK_LIFE_DAYS,
    LIFE_DAYS,
    Explanation,
    Leak,
    LeakSettings,
    ModelRow,
    Reconciliation,
    Row,
    RunState,
)
from ownkey.registry.changes import raise_version
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, Item, Key, Put, Update

_NOT_KNOWN = "-"
"""In the place of a credential's id: sorts before all of them."""
_OPEN_READ = 100
_AT_ONCE = 10
_RUNS = f"{ids.RECONCILIATION}_"


class ReconciliationTaken(Exception):
    """Another run is at the same reconciliation, or has ended it."""


@dataclass(frozen=True, slots=True)
class ReconciliationsPage:
    """Newest first; `next_cursor` continues."""

    reconciliations: tuple[Reconciliation, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RowsFound:
    """Rows by day and credential; `next_cursor` continues."""

    rows: tuple[Row, ...]
    next_cursor: str | None


class Reconciliations(RegistryTable):
    """Reads and writes of reconciliations, leaks and settings."""

    async def start_reconciliation(self, run: Reconciliation, at: datetime) -> None:
        """Stores a new one: upkeep begins it within a minute."""
        await self._db.transact(
            [
                Put(self._run_at(run), {**_from_run(run), **_until(at, LIFE_DAYS)}, "attribute_not_exists(pk)"),
                Put(self._key(keys.OPEN_RECONCILIATIONS, run.id), {"account_id": run.account_id}),
            ]
        )

    async def reconciliation(self, account_id: str, run_id: str) -> Reconciliation:
        """One of the account's.

        Raises:
            NotFound: it has none of this id.
        """
        item = await self._db.get(self._key(keys.reconciliations(account_id), run_id))
        if item is None or "provider_id" not in item:
            raise NotFound(f"There is no reconciliation {run_id}.")
        return _to_run(item)

    async def reconciliations(self, account_id: str, *, limit: int, cursor: str | None) -> ReconciliationsPage:
        """The account's, newest first.

        Raises:
            ValueError: the cursor is no place among them.
        """
        page = await self._db.query(
            self._table,
            keys.reconciliations(account_id),
            prefix=_RUNS,
            newest_first=True,
            limit=limit,
            after_sk=_place(cursor, _RUNS),
        )
        return ReconciliationsPage(tuple(map(_to_run, page.items)), page.next_sk)

    async def open_reconciliations(self) -> list[Reconciliation]:
        """Those that are not done, oldest first: some of them, where there are very many."""
        page = await self._db.query(self._table, keys.OPEN_RECONCILIATIONS, limit=_OPEN_READ)
        found = [
            await self._db.get(self._key(keys.reconciliations(item["account_id"]), item["sk"])) for item in page.items
        ]
        return [_to_run(item) for item in found if item is not None]

    async def note_reconciliation(self, run: Reconciliation) -> Reconciliation:
        """Stores how far it is; as it stands then.

        Raises:
            ReconciliationTaken: somebody else did since it was read.
        """
        noted = replace(run, revision=run.revision + 1)
        changed = _from_run(noted)
        names = {f"#{name}": name for name in changed}
        update = Update(
            self._run_at(run),
            "SET " + ", ".join(f"#{name} = :{name}" for name in changed),
            condition="#revision = :seen",
            names=names,
            values={**{f":{name}": value for name, value in changed.items()}, ":seen": run.revision},
        )
        open_at = self._key(keys.OPEN_RECONCILIATIONS, run.id)
        try:
            await self._db.transact([update, *([Delete(open_at)] if run.state is not RunState.RUNNING else [])])
        except ConditionFailed as e:
            raise ReconciliationTaken from e
        return noted

    async def put_recorded(self, run: Reconciliation, day: str, summed: Mapping[str, Any], at: datetime) -> None:
        """Keeps the sum of one day's records, whole or as far as it is."""
        item = {"summed": json.dumps(summed, separators=(",", ":")), **_until(at, 7)}
        await self._db.write(Put(self._found_at(run, keys.RECORDED_PREFIX + day), item))

    async def recorded(self, run: Reconciliation, day: str) -> Mapping[str, Any] | None:
        """The sum of one day's records as it was kept; None: not begun."""
        item = await self._db.get(self._found_at(run, keys.RECORDED_PREFIX + day))
        return None if item is None else json.loads(item["summed"])

    async def put_rows(self, run: Reconciliation, rows: Sequence[Row], at: datetime) -> None:
        """Keeps what was found; again after a run that was stopped."""
        for first in range(0, len(rows), _AT_ONCE):
            puts = (self._put_row(run, row, at) for row in rows[first : first + _AT_ONCE])
            await asyncio.gather(*(self._db.write(put) for put in puts))

    async def rows(self, account_id: str, run_id: str, *, limit: int, cursor: str | None = None) -> RowsFound:
        """What it found, by day and credential.

        Raises:
            ValueError: the cursor is no place among the rows.
        """
        after = _place(cursor, keys.ROW_PREFIX)
        partition = keys.reconciled(account_id, run_id)
        page = await self._db.query(self._table, partition, prefix=keys.ROW_PREFIX, limit=limit, after_sk=after)
        return RowsFound(tuple(_to_row(item["row"]) for item in page.items), page.next_sk)

    async def known_keys(self, account_id: str, provider_id: str) -> Mapping[str, str]:
        """API keys of the provider that were matched before: their ids → credentials."""
        item = await self._db.get(self._key(keys.reconciliations(account_id), keys.KNOWN_KEYS_PREFIX + provider_id))
        return item["keys"] if item else {}

    async def put_known_keys(self, account_id: str, provider_id: str, known: Mapping[str, str]) -> None:
        """Keeps them: a credential that was rotated is recognised by its former key, too."""
        at = self._key(keys.reconciliations(account_id), keys.KNOWN_KEYS_PREFIX + provider_id)
        await self._db.write(Put(at, {"keys": dict(known)}))

    async def put_leak(self, account_id: str, leak: Leak, at: datetime) -> None:
        """What no record explains of a credential: the newest finding replaces the one before."""
        item = {**asdict(leak), **_until(at, LEAK_LIFE_DAYS)}
        await self._db.write(
            Put(self._key(keys.reconciliations(account_id), keys.LEAK_PREFIX + leak.credential_id), item)
        )

    async def leaks(self, account_id: str) -> Mapping[str, Leak]:
        """By credential."""
        rows = await self._db.query_all(self._table, keys.reconciliations(account_id), prefix=keys.LEAK_PREFIX)
        found = [Leak(**{name: row[name] for name in Leak.__slots__}) for row in rows]
        return {leak.credential_id: leak for leak in found}

    async def leak_settings(self, account_id: str) -> LeakSettings:
        """What the account wants done; the defaults where it said nothing."""
        item = await self._db.get(self._key(keys.reconciliations(account_id), keys.SETTINGS))
        return LeakSettings() if item is None else LeakSettings(item["threshold_nanousd"], item["disable"])

    async def put_leak_settings(self, account_id: str, settings: LeakSettings) -> None:
        """Sets them."""
        await self._db.write(Put(self._key(keys.reconciliations(account_id), keys.SETTINGS), asdict(settings)))

    async def disable_credential(self, credential: Credential, at: str) -> bool:
        """Disables a credential from the next request on; False where it was changed or removed meanwhile."""
        update = Update(
            self._key(keys.account(credential.account_id), keys.credential(credential.id)),
            "SET disabled = :true, updated_at = :at",
            condition="#version = :version AND updated_at = :seen",
            names={"#version": "version"},
            values={":true": True, ":at": at, ":version": credential.version, ":seen": credential.updated_at},
        )
        try:
            await self._db.transact([raise_version(self._head_at(credential.account_id)), update])
        except ConditionFailed:
            return False
        return True

    def _put_row(self, run: Reconciliation, row: Row, at: datetime) -> Put:
        about = row.credential_id or f"{_NOT_KNOWN}{','.join(row.api_key_ids)}"
        at_row = self._found_at(run, f"{keys.ROW_PREFIX}{row.day}#{about}")
        return Put(at_row, {"row": _row_json(row), **_until(at, LIFE_DAYS)})

    def _run_at(self, run: Reconciliation) -> Key:
        return self._key(keys.reconciliations(run.account_id), run.id)

    def _found_at(self, run: Reconciliation, sk: str) -> Key:
        return self._key(keys.reconciled(run.account_id, run.id), sk)


def _place(cursor: str | None, prefix: str) -> str | None:
    if cursor is not None and not cursor.startswith(prefix):
        raise ValueError("not a place in this list")
    return cursor


def _until(at: datetime, days: int) -> dict[str, int]:
    return {"ttl_s": int((at.astimezone(UTC) + timedelta(days=days)).timestamp())}


def _from_run(run: Reconciliation) -> Item:
    return asdict(run) | {"state": run.state.value, "ambiguous": list(run.ambiguous), "leaks": list(run.leaks)}


def _to_run(item: Item) -> Reconciliation:
    values = {name: item[name] for name in Reconciliation.__slots__ if name in item}
    lists = {name: tuple(item.get(name, ())) for name in ("ambiguous", "leaks")}
    return Reconciliation(**values | lists | {"state": RunState(item["state"])})


def _row_json(row: Row) -> str:
    explained = {each.value: amount for each, amount in row.explained.items()}
    return json.dumps(asdict(row) | {"explained": explained}, separators=(",", ":"))


def _to_row(text: str) -> Row:
    values = json.loads(text)
    values["explained"] = {Explanation(name): amount for name, amount in values["explained"].items()}
    values["models"] = tuple(ModelRow(**model) for model in values["models"])
    values["api_key_ids"] = tuple(values["api_key_ids"])
    return Row(**values)
