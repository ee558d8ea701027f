"""`GET /api/providers`: whom credentials can be saved for, and in which forms; `GET /api/catalog`: of which day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.catalog import Catalog
from ownkey.domain.errors import NotFound
from ownkey.http.management import views
from ownkey.http.management.access import session_of
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, cut


def routes(catalog: Catalog, now: Callable[[], datetime], *, keyless: bool) -> APIRouter:
    """The endpoints: for everybody who is signed in, since they say nothing of any account."""
    router = APIRouter(prefix="/api")

    @router.get("/catalog")
    async def read_catalog(request: Request) -> Response:
        session_of(request)
        return answer(views.catalog_state(catalog, now().astimezone(UTC).date()))

    @router.get("/providers")
    async def list_providers(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        session_of(request)
        rows, after = cut(catalog.providers, limit, cursor, by=lambda each: each.id)
        return answer_page((views.provider(each, keyless=keyless) for each in rows), after)

    @router.get("/providers/{provider}")
    async def read_provider(request: Request, provider: str) -> Response:
        session_of(request)
        found = catalog.find_provider(provider)
        if found is None:
            raise NotFound("There is no such provider in this deployment's catalog.", fix="Use its name or id.")
        return answer(views.provider(found, keyless=keyless))

    return router
