"""`/api/byok`, provider keys as a resource, and `PATCH /api/auth`, those of one gateway key at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ownkey.catalog import Catalog
from ownkey.domain.credentials import Credential
from ownkey.http.management import bodies, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import answer, answer_list
from ownkey.http.management.credentials import CredentialDesk, Destination, Saved
from ownkey.http.management.provider_keys import ProviderKeysDesk

LastUsed = Callable[[str], Awaitable[Mapping[str, str]]]
"""Account id → when each of its credentials last served, by credential id."""


def routes(
    access: Access, desk: CredentialDesk, provider_keys: ProviderKeysDesk, catalog: Catalog, last_used: LastUsed
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api")

    async def shown(each: Credential) -> dict[str, Any]:
        return views.credential(each, catalog, await last_used(each.account_id))

    async def saved(each: Saved, status: int = 200) -> Response:
        return answer({**await shown(each.credential), "warnings": list(each.warnings)}, status)

    @router.get("/byok")
    async def list_credentials(request: Request) -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS)
        credentials = await desk.credentials(caller.account_id)
        used = await last_used(caller.account_id)
        return answer_list(views.credential(each, catalog, used) for each in credentials)

    @router.post("/byok")
    async def create_credential(request: Request, body: bodies.CreateCredential) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        key = body.key.get_secret_value()
        created = await desk.create(caller.account_id, body.provider, key, base_url=body.base_url, given=body.given())
        return await saved(created, 201)

    @router.get("/byok/{credential_id}")
    async def read_credential(request: Request, credential_id: str) -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS)
        return answer(await shown(await desk.credential(caller.account_id, credential_id)))

    @router.patch("/byok/{credential_id}")
    async def update_credential(request: Request, credential_id: str, body: bodies.UpdateCredential) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        destination = Destination("base_url" in body.model_fields_set, body.base_url)
        pasted = body.key.get_secret_value() if "key" in body.model_fields_set else None
        return await saved(
            await desk.update(caller.account_id, credential_id, body.given(), destination=destination, pasted=pasted)
        )

    @router.delete("/byok/{credential_id}")
    async def delete_credential(request: Request, credential_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        await desk.delete(caller.account_id, credential_id)
        return answer({"id": credential_id, "deleted": True})

    @router.post("/byok/{credential_id}/rotate")
    async def rotate_credential(request: Request, credential_id: str, body: bodies.RotateCredential) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        return await saved(await desk.rotate(caller.account_id, credential_id, body.key.get_secret_value()))

    @router.post("/byok/{credential_id}/validate")
    async def validate_credential(request: Request, credential_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        credential, finding = await desk.validate(caller.account_id, credential_id)
        return answer({**views.finding(finding), "credential": await shown(credential)})

    @router.patch("/auth")
    async def set_provider_keys(
        request: Request, key_id: Annotated[str, Query(alias="keyId")], body: bodies.ProviderKeys
    ) -> Response:
        caller, gateway_key = await access.enter_with_gateway_key(request, Right.CHANGE_CREDENTIALS, key_id)
        warnings = await provider_keys.change(gateway_key, body.pasted())
        shown = views.provider_keys(gateway_key.id, await desk.credentials(caller.account_id), catalog)
        return answer(
            {"id": gateway_key.id, "alias": gateway_key.alias, "providerKeys": shown, "warnings": list(warnings)}
        )

    return router
