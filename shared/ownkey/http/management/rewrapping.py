"""`/api/rewrap`, the operator's: every stored secret under the KMS key that it should be under.

For when the deployment's own KMS key is another one than before, as after a move to a new stack.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.errors import Conflict
from ownkey.domain.rewraps import RewrapJob
from ownkey.domain.times import rfc3339
from ownkey.http.management import views
from ownkey.http.management.access import Access
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, cut
from ownkey.http.management.auditing import note
from ownkey.http.management.idempotency import Idempotency
from ownkey.registry import Registry


def routes(access: Access, registry: Registry, idempotency: Idempotency, now: Callable[[], datetime]) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/rewrap")

    @router.get("")
    async def list_jobs(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        await access.operator(request)
        jobs, after = cut(await registry.rewraps(), limit, cursor, by=lambda job: job.id, newest_first=True)
        return answer_page(map(views.rewrap, jobs), after)

    @router.get("/{job_id}")
    async def read_job(request: Request, job_id: str) -> Response:
        await access.operator(request)
        return answer(views.rewrap(await registry.rewrap(job_id)))

    @router.post("")
    async def start_job(request: Request) -> Response:
        session = await access.operator(request)

        async def create(job_id: str) -> Response:
            if running := [job for job in await registry.open_rewraps() if job.account_id is None]:
                raise Conflict(
                    "A re-wrapping of all accounts is running already.",
                    fix=f"GET /api/rewrap/{running[0].id} says how far.",
                )
            at = rfc3339(now())
            job = RewrapJob(job_id, None, session.user_id, at, at)
            await registry.start_rewrap(job)
            note(request, job_id=job_id)
            # Accepted, not done: upkeep begins within a minute.
            return answer(views.rewrap(job), 202)

        async def started_before(job_id: str) -> Response:
            return answer(views.rewrap(await registry.rewrap(job_id)), 202)

        return await idempotency.once(
            request,
            account_id=PLATFORM_ACCOUNT,
            user_id=session.user_id,
            resource_id=ids.new_id(ids.REWRAP),
            create=create,
            shown=started_before,
        )

    return router
