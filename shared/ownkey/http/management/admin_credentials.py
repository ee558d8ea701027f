"""`/api/admin-credentials`: what reads a provider's own report of usage. One for each provider."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.catalog import Catalog
from ownkey.domain import ids
from ownkey.domain.credentials import Credential
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.admin_desk import AdminDesk
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, cut
from ownkey.http.management.auditing import note
from ownkey.http.management.credentials import Saved, Seen
from ownkey.http.management.idempotency import Idempotency


def routes(access: Access, desk: AdminDesk, catalog: Catalog, idempotency: Idempotency) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/admin-credentials")

    def unchanged(request: Request) -> Seen:
        return lambda versions: etags.check(request, views.admin_credential(versions[0].credential, catalog))

    def saved(request: Request, each: Saved, status: int = 200) -> Response:
        _note(request, each.credential)
        shown = views.admin_credential(each.credential, catalog)
        return etags.answer({**shown, "warnings": list(each.warnings)}, status)

    @router.get("")
    async def list_admin_credentials(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.RECONCILE)
        page, after = cut(await desk.all(caller.account_id), limit, cursor, by=lambda each: each.id)
        return answer_page((views.admin_credential(each, catalog) for each in page), after)

    @router.post("")
    async def create_admin_credential(request: Request, body: bodies.CreateAdminCredential) -> Response:
        caller = await access.enter(request, Right.RECONCILE)

        async def create(admin_id: str) -> Response:
            created = await desk.create(caller.account_id, admin_id, body.provider, body.members())
            return saved(request, created, 201)

        async def made_before(admin_id: str) -> Response:
            stored = await desk.one(caller.account_id, admin_id)
            return etags.answer({**views.admin_credential(stored.credential, catalog), "warnings": []}, 201)

        return await idempotency.once(
            request,
            account_id=caller.account_id,
            user_id=caller.user_id,
            resource_id=ids.new_id(ids.ADMIN_CREDENTIAL),
            create=create,
            shown=made_before,
        )

    @router.get("/{admin_id}")
    async def read_admin_credential(request: Request, admin_id: str) -> Response:
        caller = await access.enter(request, Right.RECONCILE)
        stored = await desk.one(caller.account_id, admin_id)
        return etags.answer(views.admin_credential(stored.credential, catalog))

    @router.post("/{admin_id}/rotate")
    async def rotate_admin_credential(request: Request, admin_id: str, body: bodies.RotateAdminCredential) -> Response:
        caller = await access.enter(request, Right.RECONCILE)
        rotated = await desk.rotate(caller.account_id, admin_id, body.members(), seen=unchanged(request))
        return saved(request, rotated)

    @router.delete("/{admin_id}")
    async def delete_admin_credential(request: Request, admin_id: str) -> Response:
        caller = await access.enter(request, Right.RECONCILE)
        _note(request, await desk.delete(caller.account_id, admin_id, seen=unchanged(request)))
        return answer({"id": admin_id, "deleted": True})

    return router


def _note(request: Request, credential: Credential) -> None:
    note(request, credential_id=credential.id, provider=credential.provider_id, version=credential.version)
