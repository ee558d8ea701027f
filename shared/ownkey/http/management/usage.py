"""Balance, ledger, usage and single attempts: read, never written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ownkey.domain.errors import InvalidParameter
from ownkey.http.management import views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import (
    Cursor,
    Limit,
    answer,
    answer_list,
    answer_page,
    bad_cursor,
    read_cursor,
)
from ownkey.ledger.records import Records
from ownkey.ledger.rollups import Dimension, Granularity, Rollups
from ownkey.ledger.statements import Statements

_GRANULARITIES = {"day": Granularity.DAY, "hour": Granularity.HOUR}
_MAX_DAYS = {Granularity.DAY: 366, Granularity.HOUR: 31}
_DEFAULT_DAYS = {Granularity.DAY: 30, Granularity.HOUR: 2}
_LAST_HOUR = "T23"


def routes(
    access: Access, records: Records, rollups: Rollups, statements: Statements, now: Callable[[], datetime]
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api")

    def today() -> date:
        return now().astimezone(UTC).date()

    @router.get("/balance")
    async def read_balance(request: Request) -> Response:
        caller = await access.enter(request, Right.READ_MONEY)
        return answer(views.balance(await statements.balance(caller.account_id)))

    @router.get("/ledger")
    async def list_entries(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_MONEY)
        after = read_cursor(cursor)
        try:
            page = await statements.entries(caller.account_id, limit=limit, cursor=after)
        except ValueError as e:
            raise bad_cursor() from e
        return answer_page(map(views.entry, page.entries), page.next_cursor)

    @router.get("/usage")
    async def read_usage(
        request: Request,
        dimension: Dimension = Dimension.TOTAL,
        granularity: Literal["day", "hour"] = "day",
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
    ) -> Response:
        caller = await access.enter(request, Right.READ_MONEY)
        unit = _GRANULARITIES[granularity]
        last = last or today()
        first = first or last - timedelta(days=_DEFAULT_DAYS[unit] - 1)
        _check_range(dimension, unit, first, last)
        until = last.isoformat() + (_LAST_HOUR if unit is Granularity.HOUR else "")
        rows = await rollups.rows(caller.account_id, dimension, unit, first=first.isoformat(), last=until)
        return answer_list(
            map(views.rollup, rows),
            dimension=dimension.value,
            granularity=granularity,
            **{"from": first.isoformat(), "to": last.isoformat()},
        )

    @router.get("/activity")
    async def list_attempts(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_ACTIVITY)
        after = read_cursor(cursor)
        if after is not None:
            _check_day(after)
        page = await records.attempts(caller.account_id, newest_day=today(), limit=limit, cursor=after)
        return answer_page(map(views.attempt, page.records), page.next_cursor)

    return router


def _check_range(dimension: Dimension, unit: Granularity, first: date, last: date) -> None:
    if unit is Granularity.HOUR and dimension is not Dimension.TOTAL:
        raise InvalidParameter("Hours are kept for the total alone.", fix="Ask for days.", param="granularity")
    if first > last:
        raise InvalidParameter("`from` is after `to`.", param="from")
    if (last - first).days >= _MAX_DAYS[unit]:
        raise InvalidParameter(f"At most {_MAX_DAYS[unit]} days of this granularity at once.", param="from")


def _check_day(cursor: str) -> None:
    try:
        date.fromisoformat(cursor.partition("#")[0])
    except ValueError as e:
        raise bad_cursor() from e
