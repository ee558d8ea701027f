"""`/api/byok`, provider keys as a resource, and `PATCH /api/auth`, those of one gateway key at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ownkey.catalog import Catalog
from ownkey.domain import ids
from ownkey.domain.credentials import Credential, StoredCredential
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, cut
from ownkey.http.management.auditing import note
from ownkey.http.management.cards import Cards
from ownkey.http.management.confirming import require_confirmed
from ownkey.http.management.credentials import CredentialDesk, Saved, Seen
from ownkey.http.management.idempotency import Idempotency
from ownkey.http.management.provider_keys import ProviderKeysDesk


def routes(
    access: Access,
    desk: CredentialDesk,
    provider_keys: ProviderKeysDesk,
    catalog: Catalog,
    cards: Cards,
    idempotency: Idempotency,
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api")

    def unchanged(request: Request) -> Seen:
        """Holds a write to what its client saw."""
        return lambda versions: etags.check(request, cards.unadorned(versions))

    async def shown(account_id: str, credential_id: str) -> dict[str, Any]:
        (view,) = await cards.of(account_id, await desk.credential(account_id, credential_id))
        return view

    async def saved(request: Request, each: Saved, status: int = 200) -> Response:
        _note(request, each.credential)
        view = await shown(each.credential.account_id, each.credential.id)
        return etags.answer({**view, "warnings": list(each.warnings)}, status)

    @router.get("/byok")
    async def list_credentials(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS)
        stored = await desk.credentials(caller.account_id)
        page, after = cut({each.credential.id for each in stored}, limit, cursor, by=str)
        wanted = set(page)
        rows = await cards.of(caller.account_id, [each for each in stored if each.credential.id in wanted])
        return answer_page(rows, after)

    @router.post("/byok")
    async def create_credential(request: Request, body: bodies.CreateCredential) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)

        async def create(credential_id: str) -> Response:
            created = await desk.create(
                caller.account_id, credential_id, body.provider, pasted=body.pasted(), given=body.given()
            )
            return await saved(request, created, 201)

        async def made_before(credential_id: str) -> Response:
            return etags.answer({**await shown(caller.account_id, credential_id), "warnings": []}, 201)

        return await idempotency.once(
            request,
            account_id=caller.account_id,
            user_id=caller.user_id,
            resource_id=ids.new_id(ids.CREDENTIAL),
            create=create,
            shown=made_before,
        )

    @router.get("/byok/{credential_id}")
    async def read_credential(request: Request, credential_id: str) -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS)
        return etags.answer(await shown(caller.account_id, credential_id))

    @router.patch("/byok/{credential_id}")
    async def update_credential(request: Request, credential_id: str, body: bodies.UpdateCredential) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        updated = await desk.update(
            caller.account_id,
            credential_id,
            pasted=body.pasted(),
            given=body.given(),
            share_percent=body.share(),
            seen=unchanged(request),
        )
        note(request, changed=tuple(sorted(body.model_fields_set & set(type(body).model_fields))))
        return await saved(request, updated)

    @router.delete("/byok/{credential_id}")
    async def delete_credential(request: Request, credential_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        _note(request, await desk.delete(caller.account_id, credential_id, seen=unchanged(request)))
        return answer({"id": credential_id, "deleted": True})

    @router.post("/byok/{credential_id}/rotate")
    async def rotate_credential(request: Request, credential_id: str, body: bodies.RotateCredential) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        rotated = await desk.rotate(
            caller.account_id,
            credential_id,
            pasted=body.pasted(),
            expires_at=body.expires_at,
            share_percent=body.share(),
            seen=unchanged(request),
        )
        note(request, kept_previous=body.keep_previous)
        return await saved(request, rotated)

    @router.post("/byok/{credential_id}/retire")
    async def retire_previous(request: Request, credential_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        _note(request, await desk.retire(caller.account_id, credential_id, seen=unchanged(request)))
        return etags.answer(await shown(caller.account_id, credential_id))

    @router.post("/byok/{credential_id}/shred")
    async def shred_credential(request: Request, credential_id: str, body: bodies.Confirmation) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        require_confirmed(body, credential_id)
        _note(request, await desk.shred(caller.account_id, credential_id, seen=unchanged(request)))
        return etags.answer(await shown(caller.account_id, credential_id))

    @router.post("/byok/{credential_id}/validate")
    async def validate_credential(request: Request, credential_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        credential, finding = await desk.validate(caller.account_id, credential_id)
        _note(request, credential)
        note(request, verdict=finding.verdict.value)
        return answer({**views.finding(finding), "credential": await shown(caller.account_id, credential_id)})

    @router.patch("/auth")
    async def set_provider_keys(
        request: Request, key_id: Annotated[str, Query(alias="keyId")], body: bodies.ProviderKeys
    ) -> Response:
        caller, gateway_key = await access.enter_with_gateway_key(request, Right.CHANGE_CREDENTIALS, key_id)
        changed = await provider_keys.change(gateway_key, body.pasted())
        note(request, credential_ids=changed.credential_ids)
        masks = views.provider_keys(gateway_key.id, _current(await desk.credentials(caller.account_id)), catalog)
        warnings = list(changed.warnings)
        return answer({"id": gateway_key.id, "alias": gateway_key.alias, "providerKeys": masks, "warnings": warnings})

    return router


def _note(request: Request, credential: Credential) -> None:
    note(request, credential_id=credential.id, provider=credential.provider_id, version=credential.version)


def _current(stored: Sequence[StoredCredential]) -> list[Credential]:
    return [each.credential for each in stored if not each.is_previous]
