"""`/api/audit`: who did what in the account; filtered, in pages, exported."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, StringConstraints
from starlette.responses import Response

from ownkey.domain.errors import InvalidParameter
from ownkey.domain.times import parse_rfc3339, rfc3339
from ownkey.http.management import views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import Cursor, Limit, answer_page, bad_cursor, read_cursor, shown_cursor
from ownkey.registry.audit import AuditFilter, AuditTrail

MAX_EXPORTED = 1_000
"""Entries of one export: well within the 6 MB that a function may answer."""

_ENTRY_ID = re.compile(r"^aud_[0-9a-z]{26}$")
_MEDIA_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


def _time(text: str) -> str:
    try:
        return rfc3339(parse_rfc3339(text))
    except ValueError:
        raise ValueError("must be a time with its offset, such as 2027-01-31T12:00:00Z") from None


Time = Annotated[str, StringConstraints(max_length=40), AfterValidator(_time)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Exported = Annotated[int, Query(ge=1, le=MAX_EXPORTED)]


def routes(access: Access, trail: AuditTrail) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/audit")

    @router.get("")
    async def list_audit(
        request: Request,
        first: Annotated[Time | None, Query(alias="from")] = None,
        last: Annotated[Time | None, Query(alias="to")] = None,
        action: Word | None = None,
        actor: Word | None = None,
        credential_id: Word | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        caller = await access.enter(request, Right.READ_AUDIT)
        wanted = _filter(first, last, action, actor, credential_id)
        page = await trail.page(caller.account_id, wanted, limit=limit, cursor=_entry_id(cursor))
        return answer_page(map(views.audit_entry, page.entries), page.next_cursor)

    @router.get("/export")
    async def export_audit(
        request: Request,
        format: Literal["jsonl", "csv"] = "jsonl",
        first: Annotated[Time | None, Query(alias="from")] = None,
        last: Annotated[Time | None, Query(alias="to")] = None,
        action: Word | None = None,
        actor: Word | None = None,
        credential_id: Word | None = None,
        limit: Exported = MAX_EXPORTED,
        cursor: Cursor = None,
    ) -> Response:
        caller = await access.enter(request, Right.READ_AUDIT)
        wanted = _filter(first, last, action, actor, credential_id)
        page = await trail.page(caller.account_id, wanted, limit=limit, cursor=_entry_id(cursor))
        write = views.audit_csv if format == "csv" else views.audit_jsonl
        headers = {"Content-Disposition": f'attachment; filename="audit.{format}"'}
        if page.next_cursor is not None:
            headers["X-Ownkey-Next-Cursor"] = shown_cursor(page.next_cursor)
        return Response(write(page.entries), media_type=_MEDIA_TYPES[format], headers=headers)

    return router


def _filter(
    first: str | None, last: str | None, action: str | None, actor: str | None, credential_id: str | None
) -> AuditFilter:
    since, until = (None if each is None else parse_rfc3339(each) for each in (first, last))
    if since and until and since > until:
        raise InvalidParameter("`from` is after `to`.", param="from")
    return AuditFilter(since, until, action, actor, credential_id)


def _entry_id(cursor: str | None) -> str | None:
    after = read_cursor(cursor)
    if after is not None and not _ENTRY_ID.match(after):
        raise bad_cursor()
    return after
