"""`/api/statements`: an account's months, as JSON, as a table, in FOCUS's columns."""

from __future__ import annotations

import asyncio
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ownkey.catalog import Catalog
from ownkey.domain.errors import InvalidParameter
from ownkey.http.management import views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import (
    Cursor,
    Limit,
    answer_list,
    answer_page,
    bad_cursor,
    cut,
    read_cursor,
    shown_cursor,
)
from ownkey.http.management.csv_answers import answer_csv
from ownkey.http.management.views.statements import COLUMNS, statement_head_cells, statement_line_cells
from ownkey.ledger import focus
from ownkey.ledger.exports import LINES, Exports
from ownkey.ledger.rollups import Dimension, Granularity, Rollups
from ownkey.registry import Registry

MAX_LINES = 1_000

MonthName = Annotated[str | None, Query(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
Lines = Annotated[int, Query(ge=1, le=MAX_LINES)]


def routes(
    access: Access,
    registry: Registry,
    catalog: Catalog,
    exports: Exports,
    rollups: Rollups,
    now: Callable[[], datetime],
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/statements")

    def month_of(given: str | None) -> str:
        current = now().astimezone(UTC).isoformat()[:7]
        if given is not None and given > current:
            raise InvalidParameter("This month is still to come.", param="month")
        return given or current

    def provider_name(provider_id: str) -> str:
        provider = catalog.find_provider(provider_id)
        return provider.display_name if provider else provider_id

    @router.get("/months")
    async def list_statements(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_MONEY)
        months = await exports.months(caller.account_id, month_of(None), now())
        page, after = cut(months, limit, cursor, by=lambda each: each.month, newest_first=True)
        return answer_page(map(views.statement_month, page), after)

    @router.get("")
    async def read_statement(
        request: Request,
        month: MonthName = None,
        by: Literal["source", "model", "gateway_key", "app", "user", "tag"] | None = None,
        format: Literal["json", "csv", "focus"] = "json",
        limit: Lines = MAX_LINES,
        cursor: Cursor = None,
    ) -> Response:
        caller = await access.enter(request, Right.READ_MONEY)
        account_id, wanted = caller.account_id, month_of(month)
        if format == "focus":
            return await focus_file(account_id, wanted, limit, read_cursor(cursor))
        dimensions = (Dimension(by),) if by else LINES
        after = read_cursor(cursor)
        try:
            statement, totals, page = await asyncio.gather(
                exports.statement(account_id, wanted, now()),
                exports.totals(account_id, wanted, wanted),
                exports.lines(account_id, wanted, dimensions, limit=limit, cursor=after),
            )
        except ValueError as e:
            raise bad_cursor() from e
        if format == "csv":
            head = statement_head_cells(statement) if after is None else []
            rows = [*head, *statement_line_cells(page.lines)]
            return answer_csv(COLUMNS, rows, f"statement-{wanted}.csv", page.next_cursor)
        return answer_list(
            (views.statement_line(dimension, row) for dimension, row in page.lines),
            next_cursor=None if page.next_cursor is None else shown_cursor(page.next_cursor),
            totals=views.rollup_totals(totals),
            **views.statement(statement),
        )

    async def focus_file(account_id: str, month: str, limit: int, after: str | None) -> Response:
        account = await registry.account(account_id)
        bill = focus.Bill(account_id, account.name, month, provider_name)
        last = f"{month}-{monthrange(int(month[:4]), int(month[5:]))[1]}"
        try:
            page = await rollups.page(
                account_id, Dimension.MODEL, Granularity.DAY, first=f"{month}-01", last=last, limit=limit, cursor=after
            )
        except ValueError as e:
            raise bad_cursor() from e
        rows = focus.usage_rows(bill, page.rows)
        if after is None:
            rows = focus.month_rows(bill, (await exports.statement(account_id, month, now())).moved) + rows
        return answer_csv(focus.COLUMNS, rows, f"focus-{month}.csv", page.next_cursor)

    return router
