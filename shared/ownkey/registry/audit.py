"""The audit log in DynamoDB: appended to and read, never changed. A table of its own, on which no role may update.

An entry stands under its time-ordered id, its end right behind it (`<id>#end`); read newest first, the end comes first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Literal

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, Fact, milliseconds, new_audit_id
from ownkey.domain.credentials import Binding
from ownkey.domain.times import rfc3339
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Item, Key, Put

_END = "#end"
_OF_AN_END = ("outcome", "status", "error_code", "facts")
_READ_AT_ONCE = 200
_MAX_ROUNDS = 20
"""Of one page: a filter that matches next to nothing answers with a cursor instead of running out of time."""
_DRAIN_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cause:
    """The request that a function works on, for the entries that it makes on the way."""

    request_id: str
    account_id: str
    """Who asks."""
    source_ip: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)


cause: ContextVar[Cause | None] = ContextVar("cause", default=None)
"""Set at the beginning of a request, in its own context."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None: all."""

    first: datetime | None = None
    last: datetime | None = None
    action: str | None = None
    """One action, or all of a resource (`credential`)."""
    actor_id: str | None = None
    credential_id: str | None = None

    def takes(self, entry: AuditEntry) -> bool:
        """Whether an entry of the right time is wanted."""
        return (
            self.action in (None, entry.action, entry.action.partition(".")[0])
            and self.actor_id in (None, entry.actor_id)
            and self.credential_id in (None, entry.facts.get("credential_id"))
        )


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries newest first. `next_cursor` continues; a page may be short, or empty, and have one."""

    entries: tuple[AuditEntry, ...]
    next_cursor: str | None


class AuditTrail:
    """The log's writer and reader. Belongs to one event loop.

    Args:
        function: The name of the function, for what it does by itself.
    """

    def __init__(
        self,
        db: DynamoDb,
        table: str,
        *,
        function: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._table = table
        self._function = function
        self._now = now
        self._pending: set[asyncio.Task[None]] = set()

    async def append(self, entry: AuditEntry) -> bool:
        """Writes an entry; False where one of its id stands there already, which stays as it is.

        Raises:
            StoreUnavailable: it may not have been written.
        """
        return await self._put(entry.account_id, entry.id, _to_item(entry))

    def write_of(self, entry: AuditEntry) -> Put:
        """The same as a part of a transaction: the entry stands exactly where what it tells of is done."""
        return self._write(entry.account_id, entry.id, _to_item(entry))

    async def end(self, entry: AuditEntry) -> None:
        """Writes what came of an entry: outcome, status, error code and facts; the rest was said before.

        Raises:
            StoreUnavailable: it may not have been written.
        """
        item = _to_item(entry)
        await self._put(entry.account_id, entry.id + _END, {name: item[name] for name in _OF_AN_END if name in item})

    def note_unwrap(self, binding: Binding, outcome: Literal["opened", "refused"]) -> None:
        """Notes that KMS was asked to open a credential. Returns at once: `drain` before the invocation ends."""
        about, at = cause.get(), self._now()
        # An account whose credential serves another's request learns that it was opened, and nothing of the request.
        lent = about is not None and binding.account_id not in (about.account_id, PLATFORM_ACCOUNT)
        if lent:
            about = None
        entry = AuditEntry(
            id=new_audit_id(at),
            account_id=binding.account_id,
            at=rfc3339(at),
            actor_kind=ActorKind.FUNCTION,
            actor_id=self._function,
            action="credential.unwrapped",
            outcome=AuditOutcome.SUCCEEDED if outcome == "opened" else AuditOutcome.REFUSED,
            request_id=about.request_id if about else None,
            source_ip=about.source_ip if about else None,
            facts={
                **(about.facts if about else {}),
                "credential_id": binding.credential_id,
                "version": binding.version,
                "provider": binding.provider_id,
                "destination": binding.destination,
                **({"shared": True} if lent else {}),
            },
        )
        task = asyncio.get_running_loop().create_task(self._append_or_log(entry))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def drain(self) -> None:
        """Waits, 5 s at most, until what was noted is written. Never raises for an entry that is lost: the log says."""
        if self._pending:
            _, unwritten = await asyncio.wait(self._pending, timeout=_DRAIN_S)
            if unwritten:
                _log.error("audit entries are late", extra={"entries": len(unwritten)})

    async def page(
        self, account_id: str, wanted: AuditFilter, *, limit: int = 50, cursor: str | None = None
    ) -> AuditPage:
        """Entries of an account that are wanted, newest first; `cursor` is `next_cursor` of the page before."""
        found: list[AuditEntry] = []
        last_seen: str | None = None
        async for entry in self._newest_first(account_id, wanted, cursor):
            if entry is None:
                return AuditPage(tuple(found), last_seen)
            if len(found) == limit:
                return AuditPage(tuple(found), last_seen)
            if wanted.takes(entry):
                found.append(entry)
            last_seen = entry.id
        return AuditPage(tuple(found), None)

    async def _newest_first(
        self, account_id: str, wanted: AuditFilter, cursor: str | None
    ) -> AsyncIterator[AuditEntry | None]:
        """Entries with their ends; a None where there is more than may be read at once."""
        lower, upper = _bounds(wanted, cursor)
        if lower > upper:
            return
        after: str | None = None
        ends: dict[str, Item] = {}
        for _ in range(_MAX_ROUNDS):
            page = await self._db.query(
                self._table,
                keys.audit(account_id),
                between=(lower, upper),
                after_sk=after,
                limit=_READ_AT_ONCE,
                newest_first=True,
            )
            for item in page.items:
                identifier, _, end = str(item["sk"]).partition("#")
                if end:
                    ends[identifier] = item
                elif identifier != cursor:
                    yield _to_entry(item, ends.pop(identifier, None))
            if page.next_sk is None:
                return
            after = page.next_sk
        yield None

    async def _append_or_log(self, entry: AuditEntry) -> None:
        try:
            await self.append(entry)
        except Exception:  # noqa: BLE001 - in the background, where nobody else would hear of it
            _log.exception(
                "an audit entry was lost",
                extra={"action": entry.action, "outcome": entry.outcome.value, **entry.facts},
            )

    async def _put(self, account_id: str, sk: str, item: Item) -> bool:
        try:
            await self._db.write(self._write(account_id, sk, item))
        except ConditionFailed:
            return False
        return True

    def _write(self, account_id: str, sk: str, item: Item) -> Put:
        at = Key(self._table, keys.audit(account_id), sk)
        return Put(at, item, condition="attribute_not_exists(pk)")


def _bounds(wanted: AuditFilter, cursor: str | None) -> tuple[str, str]:
    """Of the ids that are wanted, inclusive; the cursor itself, which was shown, is the highest."""
    lower = f"{ids.AUDIT}_" if wanted.first is None else ids.first_id(ids.AUDIT, milliseconds(wanted.first))
    # One past the last millisecond: an end stands behind its entry, and belongs to it.
    upper = f"{ids.AUDIT}_~" if wanted.last is None else ids.first_id(ids.AUDIT, milliseconds(wanted.last) + 1)
    return lower, upper if cursor is None else min(upper, cursor)


def _to_item(entry: AuditEntry) -> Item:
    named = {f.name: getattr(entry, f.name) for f in fields(AuditEntry) if f.name not in ("id", "account_id")}
    facts = {name: list(value) if isinstance(value, tuple) else value for name, value in entry.facts.items()}
    return named | {"actor_kind": entry.actor_kind.value, "outcome": entry.outcome.value, "facts": facts}


def _to_entry(item: Item, end: Item | None) -> AuditEntry:
    account_id = str(item["pk"]).partition("#")[2]
    values = {f.name: item[f.name] for f in fields(AuditEntry) if f.name in item}
    kinds = {"actor_kind": ActorKind(item["actor_kind"]), "outcome": AuditOutcome(item["outcome"])}
    entry = AuditEntry(**values | kinds | {"id": item["sk"], "account_id": account_id})
    if end is None:
        return entry
    return replace(
        entry,
        outcome=AuditOutcome(end["outcome"]),
        status=end.get("status"),
        error_code=end.get("error_code"),
        facts={**entry.facts, **end.get("facts", {})},
    )
