"""Tables as files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from ownkey.http.management.answers import shown_cursor
from ownkey.http.management.views.tables import csv_table

NEXT_CURSOR = "X-Ownkey-Next-Cursor"
"""Where a file goes on, as `next_cursor` says it in JSON; absent at the end."""


def answer_csv(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], filename: str, next_cursor: str | None
) -> Response:
    """A CSV file with a head, in which no cell is a formula."""
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    if next_cursor is not None:
        headers[NEXT_CURSOR] = shown_cursor(next_cursor)
    return Response(csv_table(columns, rows), media_type="text/csv; charset=utf-8", headers=headers)
