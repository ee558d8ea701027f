"""A month's statement: the credits at its ends, what moved them, and what was used, line by line.

The lines are the aggregates of the month, which nothing is added to once it is over (`booking`), so a statement that is
closed never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ownkey.ledger.booking import closes_at
from ownkey.ledger.movements import Month, Movements
from ownkey.ledger.rollups import Dimension, Granularity, RollupRow, Rollups

LINES: tuple[Dimension, ...] = (
    Dimension.SOURCE,
    Dimension.MODEL,
    Dimension.GATEWAY_KEY,
    Dimension.APP,
    Dimension.USER,
    Dimension.TAG,
)
"""What a statement is broken down by, in its order."""

_FIRST_MONTH = "0000"


@dataclass(frozen=True, slots=True)
class Statement:
    """An account's month, but for its lines."""

    month: str
    """`2026-11`, UTC."""
    closed: bool
    """Whether it can no longer change."""
    opening_nanousd: int
    moved: Month

    @property
    def closing_nanousd(self) -> int:
        """All credits at the month's end, held ones too."""
        return self.opening_nanousd + self.moved.amount_nanousd


@dataclass(frozen=True, slots=True)
class LinesPage:
    """Lines by dimension, then value; `next_cursor` continues."""

    lines: tuple[tuple[Dimension, RollupRow], ...]
    next_cursor: str | None


class Exports:
    """Reads statements."""

    def __init__(self, movements: Movements, rollups: Rollups) -> None:
        self._movements = movements
        self._rollups = rollups

    async def statement(self, account_id: str, month: str, now: datetime) -> Statement:
        """A month's; one in which nothing moved has one all the same."""
        *before, found = _filled(await self._movements.months(account_id, last=month), [month])
        return Statement(month, now >= closes_at(month), sum(each.amount_nanousd for each in before), found)

    async def months(self, account_id: str, last: str, now: datetime) -> list[Statement]:
        """Every month in which credits moved or something was used, up to `last`, the newest first."""
        used = await self.totals(account_id, _FIRST_MONTH, last)
        moved = _filled(await self._movements.months(account_id, last=last), [row.time for row in used])
        statements, opening = list[Statement](), 0
        for month in moved:
            statements.append(Statement(month.month, now >= closes_at(month.month), opening, month))
            opening += month.amount_nanousd
        return statements[::-1]

    async def totals(self, account_id: str, first: str, last: str) -> list[RollupRow]:
        """All that was used in each of the months."""
        return await self._rollups.rows(account_id, Dimension.TOTAL, Granularity.MONTH, first=first, last=last)

    async def lines(
        self, account_id: str, month: str, dimensions: Sequence[Dimension], *, limit: int, cursor: str | None = None
    ) -> LinesPage:
        """A page of a month's lines.

        Raises:
            ValueError: the cursor is none of these lines'.
        """
        at, _, after = (cursor or "").partition("|")
        left = list(dimensions[dimensions.index(Dimension(at)) :]) if cursor else list(dimensions)
        found = list[tuple[Dimension, RollupRow]]()
        while left:
            page = await self._rollups.page(
                account_id,
                left[0],
                Granularity.MONTH,
                first=month,
                last=month,
                limit=limit - len(found),
                cursor=after or None,
            )
            found += [(left[0], row) for row in page.rows]
            after = page.next_cursor or ""
            if not after:
                left.pop(0)
            if after or len(found) == limit:
                break
        return LinesPage(tuple(found), f"{left[0]}|{after}" if left else None)


def _filled(months: Sequence[Month], wanted: Sequence[str]) -> list[Month]:
    """The months, and those that are wanted and have no movements, in order."""
    known = {each.month: each for each in months}
    return [known.get(month, Month(month, {}, 0)) for month in sorted({*known, *wanted})]
