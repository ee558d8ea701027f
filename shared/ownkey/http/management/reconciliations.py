"""`/api/reconciliations`: what was recorded against what providers report, and what the account wants done about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.errors import InvalidParameter
from ownkey.domain.money import parse_usd
from ownkey.domain.reconciliation import MAX_DAYS, LeakSettings, Reconciliation
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.admin_desk import AdminDesk
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, bad_cursor, read_cursor
from ownkey.http.management.auditing import note
from ownkey.http.management.csv_answers import answer_csv
from ownkey.http.management.idempotency import Idempotency
from ownkey.registry import Registry

Rows = Annotated[int, Query(ge=1, le=500)]


def routes(
    access: Access, registry: Registry, desk: AdminDesk, idempotency: Idempotency, now: Callable[[], datetime]
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api")

    @router.get("/reconciliations")
    async def list_reconciliations(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_RECONCILIATIONS)
        try:
            page = await registry.reconciliations(caller.account_id, limit=limit, cursor=read_cursor(cursor))
        except ValueError as e:
            raise bad_cursor() from e
        return answer_page(map(views.reconciliation, page.reconciliations), page.next_cursor)

    @router.post("/reconciliations")
    async def start_reconciliation(request: Request, body: bodies.StartReconciliation) -> Response:
        caller = await access.enter(request, Right.RECONCILE)
        first, last = _days(body.first, body.last, now().astimezone(UTC).date())

        async def create(run_id: str) -> Response:
            admin = await desk.for_provider(caller.account_id, body.provider)
            at = rfc3339(now())
            run = Reconciliation(
                id=run_id,
                account_id=caller.account_id,
                provider_id=admin.provider_id,
                first=first,
                last=last,
                started_by=caller.user_id,
                started_at=at,
                updated_at=at,
                day=first,
            )
            await registry.start_reconciliation(run, now())
            note(request, reconciliation_id=run_id, provider=admin.provider_id, first=first, last=last)
            # Accepted, not done: upkeep begins within a minute.
            return answer(views.reconciliation(run), 202)

        async def started_before(run_id: str) -> Response:
            return answer(views.reconciliation(await registry.reconciliation(caller.account_id, run_id)), 202)

        return await idempotency.once(
            request,
            account_id=caller.account_id,
            user_id=caller.user_id,
            resource_id=ids.new_id(ids.RECONCILIATION),
            create=create,
            shown=started_before,
        )

    @router.get("/reconciliations/{reconciliation_id}")
    async def read_reconciliation(request: Request, reconciliation_id: str) -> Response:
        caller = await access.enter(request, Right.READ_RECONCILIATIONS)
        return answer(views.reconciliation(await registry.reconciliation(caller.account_id, reconciliation_id)))

    @router.get("/reconciliations/{reconciliation_id}/rows")
    async def read_rows(
        request: Request,
        reconciliation_id: str,
        format: Literal["json", "csv"] = "json",
        limit: Rows = 100,
        cursor: Cursor = None,
    ) -> Response:
        caller = await access.enter(request, Right.READ_RECONCILIATIONS)
        run = await registry.reconciliation(caller.account_id, reconciliation_id)
        try:
            page = await registry.rows(caller.account_id, run.id, limit=limit, cursor=read_cursor(cursor))
        except ValueError as e:
            raise bad_cursor() from e
        if format == "csv":
            cells = [cell for row in page.rows for cell in views.reconciliation_cells(row)]
            name = f"reconciliation-{run.provider_id}-{run.first}-{run.last}.csv"
            return answer_csv(views.RECONCILIATION_COLUMNS, cells, name, page.next_cursor)
        return answer_page((views.reconciliation_row(row, run) for row in page.rows), page.next_cursor)

    @router.get("/reconciliation-settings")
    async def read_leak_settings(request: Request) -> Response:
        caller = await access.enter(request, Right.READ_RECONCILIATIONS)
        return etags.answer(views.leak_settings(await registry.leak_settings(caller.account_id)))

    @router.put("/reconciliation-settings")
    async def set_leak_settings(request: Request, body: bodies.SetLeakSettings) -> Response:
        caller = await access.enter(request, Right.RECONCILE)
        etags.check(request, views.leak_settings(await registry.leak_settings(caller.account_id)))
        settings = LeakSettings(parse_usd(body.leak_threshold_usd), body.disable_credential)
        await registry.put_leak_settings(caller.account_id, settings)
        note(request, leak_threshold_usd=body.leak_threshold_usd, disable_credential=settings.disable)
        return etags.answer(views.leak_settings(settings))

    return router


def _days(first: str, last: str, today: date) -> tuple[str, str]:
    """The days as they are kept.

    Raises:
        InvalidParameter: they are too many, the wrong way round, or still to come.
    """
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    if not start <= end <= today:
        raise InvalidParameter("`from` is not after `to`, and `to` not after today (UTC).", param="to")
    if (end - start).days >= MAX_DAYS:
        raise InvalidParameter(f"A reconciliation is of at most {MAX_DAYS} days.", param="from")
    return start.isoformat(), end.isoformat()
