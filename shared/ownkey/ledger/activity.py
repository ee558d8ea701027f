"""An account's attempts, newest first, filtered, in pages whose work is bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.ids import REQUEST, first_id
from ownkey.ledger.records import to_record
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb

DAYS_BACK = 31
"""How far a filter without a beginning reaches; and after how many days without an attempt a list without one ends."""
_QUERIES_A_PAGE = 31
_ITEMS_A_QUERY = 200
"""Read at most, where a filter may drop any of them: some 6,000 items a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFilter:
    """Which attempts are wanted; None: any. All that is named must hold."""

    model: str | None = None
    """As the provider names it, with the provider before it or without; or as the request did."""
    gateway_key: str | None = None
    provider: str | None = None
    source: str | None = None
    outcome: str | None = None
    user: str | None = None
    app: str | None = None
    tag: str | None = None

    @property
    def expression(self) -> str | None:
        """DynamoDB's filter; None: there is nothing to filter by."""
        return " AND ".join(_CONDITIONS[name] for name in self._named()) or None

    def values(self) -> Mapping[str, str]:
        """What stands for its placeholders."""
        named = {f":{name}": value for name, value in self._named().items()}
        if self.model is not None:
            provider_id, _, model_id = self.model.partition("/")
            named |= {":model_of": provider_id, ":model_id": model_id}
        return named

    def names(self) -> Mapping[str, str]:
        """The attributes' names: some are DynamoDB's own words."""
        expression = self.expression or ""
        return {alias: name for alias, name in _NAMES.items() if alias in expression.replace("(", " ").split()}

    def _named(self) -> dict[str, str]:
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}


_NAMES = {
    "#model": "model_id",
    "#requested": "requested_model",
    "#gateway_key": "gateway_key_id",
    "#provider": "provider_id",
    "#source": "source",
    "#outcome": "outcome",
    "#user": "user",
    "#app": "app",
    "#tags": "tags",
}
_CONDITIONS = {
    "model": "( #model = :model OR #requested = :model OR ( #provider = :model_of AND #model = :model_id ) )",
    "gateway_key": "#gateway_key = :gateway_key",
    "provider": "#provider = :provider",
    "source": "#source = :source",
    "outcome": "#outcome = :outcome",
    "user": "#user = :user",
    "app": "#app = :app",
    "tag": "contains( #tags , :tag )",
}


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """Attempts newest first; `next_cursor` continues, None where there are no older ones in reach."""

    records: tuple[AttemptRecord, ...]
    next_cursor: str | None


class Activity:
    """Reads over the records table."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def page(
        self,
        account_id: str,
        wanted: ActivityFilter,
        *,
        first: datetime | None = None,
        last: datetime,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ActivityPage:
        """Attempts of requests that came between two times, both included. A page may be short, and not the last.

        Args:
            first: None: as far back as there are some; with a filter, `DAYS_BACK` days before `last`.
            cursor: `next_cursor` of the page before: `<day>#<attempt id>`, the id empty at the start of a day.

        Raises:
            ValueError: the cursor is none.
        """
        expression = wanted.expression
        if first is None and expression:
            first = last - timedelta(days=DAYS_BACK)
        between = (first_id(REQUEST, _ms(first) if first else 0), first_id(REQUEST, _ms(last) + 1))
        oldest = first.astimezone(UTC).date() if first else date.min
        text, _, after = (cursor or f"{last.astimezone(UTC).date()}#").partition("#")
        day, found = date.fromisoformat(text), list[AttemptRecord]()
        if after and not between[0] <= after <= between[1]:
            raise ValueError("not a place in this range")
        for _ in range(_QUERIES_A_PAGE):
            if day < oldest or len(found) == limit:
                break
            page = await self._db.query(
                self._table,
                keys.attempts(account_id, day.isoformat()),
                between=between,
                newest_first=True,
                limit=_ITEMS_A_QUERY if expression else limit - len(found),
                after_sk=after or None,
                consistent=False,
                filter_expression=expression,
                names=wanted.names(),
                values=wanted.values(),
            )
            room = limit - len(found)
            found += [to_record(item) for item in page.items[:room]]
            if len(page.items) > room:
                return ActivityPage(tuple(found), f"{day}#{page.items[room - 1]['sk']}")
            after = page.next_sk or ""
            if not after:
                day -= timedelta(days=1)
        ended = day < oldest or (first is None and not found)
        return ActivityPage(tuple(found), None if ended else f"{day}#{after}")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
