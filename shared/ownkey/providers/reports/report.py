"""The seam between a provider's report and whoever sends its questions.

A report is read question by question; where it is stands in a `Place`: JSON that may be kept and gone on from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol
from urllib.parse import urlencode

from ownkey.domain.money import NANOUSD_PER_USD, round_nanousd
from ownkey.domain.reconciliation import Charge, ProviderKey, ReportLine

Place = dict[str, Any]
Json = Mapping[str, Any]
_MOST_USD = Decimal(10**9)


class UnreadableReport(Exception):
    """An answer that is no page of the report. Says what is missing, never what is there."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, UTC, both included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """When it begins."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """When it is over: the midnight after its last day."""
        return datetime(self.last.year, self.last.month, self.last.day, tzinfo=UTC) + timedelta(days=1)

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Question:
    """One request: a path with its query, under the base URL that the credential is sealed for."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @staticmethod
    def get(path: str, query: Sequence[tuple[str, str | int]]) -> Question:
        """A GET with a query."""
        return Question(f"{path}?{urlencode(query)}")


@dataclass(frozen=True, slots=True)
class Answered:
    """What one answer tells, and where the report goes on (None: nowhere)."""

    lines: tuple[ReportLine, ...] = ()
    charges: tuple[Charge, ...] = ()
    keys: tuple[ProviderKey, ...] = ()
    place: Place | None = None


class Report(Protocol):
    """One provider's report."""

    first: Mapping[str, Any]
    """Where it begins. The question there is the cheapest proof that the credential may ask at all."""

    def question(self, place: Place, period: Period) -> Question:
        """What to ask at a place."""

    def read(self, place: Place, body: bytes) -> Answered:
        """What the answer tells.

        Raises:
            UnreadableReport: it is no page of this report.
        """


def page_of(body: bytes) -> Json:
    """An answer's JSON object.

    Raises:
        UnreadableReport: it has none.
    """
    try:
        page = json.loads(body)
    except ValueError as e:
        raise UnreadableReport("the report is no JSON") from e
    if not isinstance(page, dict):
        raise UnreadableReport("the report is no object")
    return page


def rows_of(page: Json, name: str) -> Iterator[Json]:
    """The objects of a list.

    Raises:
        UnreadableReport: there is no such list.
    """
    rows = page.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnreadableReport(f"the report has no list {name}")
    yield from rows


def next_of(page: Json, place: Place, after: Place | None, *, name: str = "next_page") -> Place | None:
    """Where a report of pages goes on: at its next page, else at what comes after it.

    Raises:
        UnreadableReport: it has more, and does not say where; or says to begin again.
    """
    following = page.get(name)
    if not page.get("has_more", bool(following)):
        return after
    if not isinstance(following, str) or not following or following == place.get("page"):
        raise UnreadableReport(f"the report has more, and no {name}")
    return {**place, "page": following}


def nanousd(amount: Any, unit_usd: Decimal = Decimal(1)) -> int:
    """An amount (a decimal string, or a number) in nano-dollars.

    Args:
        unit_usd: What one of it is in dollars: 0.01 of cents.

    Raises:
        UnreadableReport: it is none.
    """
    try:
        usd = Decimal(str(amount)) * unit_usd
    except InvalidOperation as e:
        raise UnreadableReport("an amount of the report is no number") from e
    if not usd.is_finite() or abs(usd) > _MOST_USD:
        raise UnreadableReport("an amount of the report is no amount")
    return round_nanousd(usd * NANOUSD_PER_USD)


def only_usd(currency: Any) -> None:
    """Refuses every other currency: there is no rate to convert by.

    Raises:
        UnreadableReport: it is another one.
    """
    if str(currency).lower() != "usd":
        raise UnreadableReport("the report is in another currency than US dollars")


def day_of(seconds: Any) -> str:
    """The UTC day of an epoch time.

    Raises:
        UnreadableReport: it is none.
    """
    if not isinstance(seconds, int):
        raise UnreadableReport("a bucket of the report has no start")
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def text_of(value: Any) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None
