"""How a month's statement is shown, and written as a table."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from ownkey.domain.ledger import MovementKind
from ownkey.domain.money import NANOUSD_PER_USD, usd_string
from ownkey.http.management.views.money import USAGE_COLUMNS, rollup, usage_cells
from ownkey.ledger.booking import closes_at
from ownkey.ledger.exports import Statement
from ownkey.ledger.movements import Moved
from ownkey.ledger.rollups import Dimension, RollupRow

Json = dict[str, Any]

COLUMNS = ("section", "value", "count", "amount_usd", *USAGE_COLUMNS[2:])
"""Of the table: opening, movements and closing have a count and an amount, lines what aggregates have."""


def statement_month(each: Statement) -> Json:
    """A month in the list of months."""
    return {
        "month": each.month,
        "status": "closed" if each.closed else "open",
        "closes_at": closes_at(each.month).isoformat().replace("+00:00", "Z"),
        "opening_usd": usd_string(each.opening_nanousd),
        "closing_usd": usd_string(each.closing_nanousd),
    }


def statement(each: Statement) -> Json:
    """All of a month but its lines."""
    return {
        **statement_month(each),
        "movements": [_movement(kind, moved) for kind, moved in each.moved.kinds.items()],
        "overrun_usd": usd_string(each.moved.overrun_nanousd),
    }


def statement_line(dimension: Dimension, row: RollupRow) -> Json:
    """What was used under one value of a dimension."""
    shown = rollup(row)
    del shown["time"]
    return {"dimension": dimension.value, **shown}


def statement_head_cells(each: Statement) -> list[Json]:
    """The first rows of the table: opening, movements, closing."""
    moved = [
        _cells("movement", kind.value, moved.amount_nanousd, moved.count) for kind, moved in each.moved.kinds.items()
    ]
    return [
        _cells("opening", each.month, each.opening_nanousd),
        *moved,
        _cells("closing", each.month, each.closing_nanousd),
    ]


def statement_line_cells(lines: Iterable[tuple[Dimension, RollupRow]]) -> list[Json]:
    """The other rows."""
    return [{"section": dimension.value, **usage_cells(row)} for dimension, row in lines]


def _movement(kind: MovementKind, moved: Moved) -> Json:
    return {
        "kind": kind.value,
        "count": moved.count,
        "amount_usd": usd_string(moved.amount_nanousd),
        "available_usd": usd_string(moved.available_nanousd),
        "held_usd": usd_string(moved.held_nanousd),
    }


def _cells(section: str, value: str, nanousd: int, count: int | None = None) -> Json:
    # A number, so that a spreadsheet is given one: text that begins with a minus would be taken for a formula.
    return {"section": section, "value": value, "count": count, "amount_usd": Decimal(nanousd) / NANOUSD_PER_USD}
