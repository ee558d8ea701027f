"""Balance, ledger, usage and single attempts: read, never written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ownkey.domain.attempts import Outcome
from ownkey.domain.credentials import CredentialSource
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
    shown_cursor,
)
from ownkey.http.management.csv_answers import answer_csv
from ownkey.http.management.moments import Moment, begin, end
from ownkey.http.management.views.money import USAGE_COLUMNS, usage_cells
from ownkey.ledger.activity import Activity, ActivityFilter
from ownkey.ledger.rollups import Dimension, Granularity, Rollups, feature_tag, kept_as
from ownkey.ledger.statements import Statements

MAX_ROWS = 1_000
"""Of one page of aggregates: some 0.7 MB."""

_GRANULARITIES = {"month": Granularity.MONTH, "day": Granularity.DAY, "hour": Granularity.HOUR}
_MAX_DAYS = {Granularity.MONTH: 3_660, Granularity.DAY: 366, Granularity.HOUR: 31}
_DEFAULT_DAYS = {Granularity.MONTH: 365, Granularity.DAY: 30, Granularity.HOUR: 2}
_LAST_HOUR = "T23"

Value = Annotated[str | None, Query(min_length=1, max_length=400)]
Rows = Annotated[int, Query(ge=1, le=MAX_ROWS)]


def routes(
    access: Access, activity: Activity, rollups: Rollups, statements: Statements, now: Callable[[], datetime]
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
        dimension: Dimension | None = None,
        granularity: Literal["month", "day", "hour"] = "day",
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
        source: CredentialSource | None = None,
        gateway_key: Value = None,
        model: Value = None,
        provider: Value = None,
        credential: Value = None,
        app: Value = None,
        user: Value = None,
        tag: Value = None,
        feature: Value = None,
        format: Literal["json", "csv"] = "json",
        limit: Rows = MAX_ROWS,
        cursor: Cursor = None,
    ) -> Response:
        caller = await access.enter(request, Right.READ_MONEY)
        given = (source, gateway_key, model, provider, credential, app, user, tag, feature)
        named = {each: value for each, value in zip(_FILTERS, given, strict=True) if value is not None}
        dimension, admits = _wanted(dimension, named)
        unit = _GRANULARITIES[granularity]
        last = last or today()
        first = first or last - timedelta(days=_DEFAULT_DAYS[unit] - 1)
        _check_range(dimension, unit, first, last)
        after = read_cursor(cursor)
        try:
            page = await rollups.page(
                caller.account_id,
                dimension,
                unit,
                first=first.isoformat()[: unit.chars],
                last=(last.isoformat() + _LAST_HOUR)[: unit.chars],
                admits=admits,
                limit=limit,
                cursor=after,
            )
        except ValueError as e:
            raise bad_cursor() from e
        if format == "csv":
            return answer_csv(USAGE_COLUMNS, map(usage_cells, page.rows), "usage.csv", page.next_cursor)
        return answer_list(
            map(views.rollup, page.rows),
            totals=views.rollup_totals(page.rows),
            next_cursor=None if page.next_cursor is None else shown_cursor(page.next_cursor),
            dimension=dimension.value,
            granularity=granularity,
            **{"from": first.isoformat(), "to": last.isoformat()},
        )

    @router.get("/activity")
    async def list_attempts(
        request: Request,
        first: Annotated[Moment | None, Query(alias="from")] = None,
        last: Annotated[Moment | None, Query(alias="to")] = None,
        source: CredentialSource | None = None,
        outcome: Outcome | None = None,
        gateway_key: Value = None,
        model: Value = None,
        provider: Value = None,
        app: Value = None,
        user: Value = None,
        tag: Value = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        caller = await access.enter(request, Right.READ_ACTIVITY)
        wanted = ActivityFilter(
            model=model,
            gateway_key=gateway_key,
            provider=provider,
            source=source,
            outcome=outcome,
            user=user,
            app=app,
            tag=tag,
        )
        since = None if first is None else begin(first)
        until = end(today().isoformat() if last is None else last)
        if since is not None and since > until:
            raise InvalidParameter("`from` is after `to`.", param="from")
        after = read_cursor(cursor)
        try:
            page = await activity.page(caller.account_id, wanted, first=since, last=until, limit=limit, cursor=after)
        except ValueError as e:
            raise bad_cursor() from e
        return answer_page(map(views.attempt, page.records), page.next_cursor)

    return router


_FILTERS = (
    Dimension.SOURCE,
    Dimension.GATEWAY_KEY,
    Dimension.MODEL,
    Dimension.PROVIDER,
    Dimension.CREDENTIAL,
    Dimension.APP,
    Dimension.USER,
    Dimension.TAG,
    Dimension.FEATURE,
)
_ADMITS: Mapping[Dimension, Callable[[str, str], bool]] = {
    Dimension.MODEL: lambda kept, wanted: wanted in (kept, kept.partition("/")[2]),
    Dimension.PROVIDER: lambda kept, wanted: kept.partition("/")[0] == wanted,
    Dimension.CREDENTIAL: lambda kept, wanted: wanted in (kept, kept.partition("@")[0]),
    Dimension.FEATURE: lambda kept, wanted: kept == feature_tag(wanted),
}
"""Whether a kept row is meant: a model with or without its provider, a credential with or without its version."""


def _wanted(
    dimension: Dimension | None, named: Mapping[Dimension, str]
) -> tuple[Dimension, Callable[[str], bool] | None]:
    """The dimension that is shown, and which of the rows behind it are wanted (None: all)."""
    if not named:
        return dimension or Dimension.TOTAL, None
    (by, wanted), *more = named.items()
    shown = dimension or by
    if more or kept_as(shown) is not kept_as(by):
        raise InvalidParameter(
            "Aggregates are kept for one dimension at a time.",
            fix="Filter by the dimension that is shown; GET /api/activity filters single requests by several.",
            param=(more[0][0] if more else by).value,
        )
    admits = _ADMITS.get(by, str.__eq__)
    return shown, lambda kept: admits(kept, wanted)


def _check_range(dimension: Dimension, unit: Granularity, first: date, last: date) -> None:
    if unit is Granularity.HOUR and kept_as(dimension) is not Dimension.SOURCE:
        raise InvalidParameter(
            "Hours are kept for the total and by source alone.", fix="Ask for days.", param="granularity"
        )
    if first > last:
        raise InvalidParameter("`from` is after `to`.", param="from")
    if (last - first).days >= _MAX_DAYS[unit]:
        raise InvalidParameter(f"At most {_MAX_DAYS[unit]} days of this granularity at once.", param="from")
