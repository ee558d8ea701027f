"""`/api/gateway-keys`: created (shown once), listed, changed, revoked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import gateway_keys as keys
from ownkey.domain import ids
from ownkey.domain.errors import Forbidden, InvalidCredentialFormat, InvalidParameter
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.secrets import Secret, mask
from ownkey.http.management import bodies, views
from ownkey.http.management.access import Access, Caller, Right
from ownkey.http.management.answers import answer, answer_list
from ownkey.http.management.times import parse_rfc3339, rfc3339
from ownkey.registry import Registry


def routes(access: Access, registry: Registry, now: Callable[[], datetime], *, allow_foreign: bool) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/gateway-keys")

    @router.get("")
    async def list_gateway_keys(request: Request) -> Response:
        caller = await access.enter(request, Right.READ_GATEWAY_KEYS)
        return answer_list(views.gateway_key(each, now()) for each in await registry.gateway_keys(caller.account_id))

    @router.post("")
    async def create_gateway_key(request: Request, body: bodies.CreateGatewayKey) -> Response:
        caller = await access.enter(request, Right.CREATE_GATEWAY_KEYS)
        imported = None if body.key is None else Secret(body.key.get_secret_value().strip())
        if imported is not None:
            _check_imported(imported, caller.account_id, allow_foreign=allow_foreign)
        key = imported or keys.mint(caller.account_id)
        stored = GatewayKey(
            id=ids.new_id(ids.GATEWAY_KEY),
            account_id=caller.account_id,
            alias=body.alias,
            digest=keys.digest_of(key.reveal()),
            mask=mask(key.reveal()),
            created_at=rfc3339(now()),
            created_by=caller.user_id,
            expires_at=_expiry(body, now()),
            usage_cost_mode=body.usage_cost_mode,
        )
        await registry.create_gateway_key(stored)
        # The one time it is shown. An imported key is known to who sent it.
        shown = {} if imported else {"key": key.reveal()}
        return answer({**views.gateway_key(stored, now()), **shown}, 201)

    @router.get("/{key_id}")
    async def read_gateway_key(request: Request, key_id: str) -> Response:
        caller = await access.enter(request, Right.READ_GATEWAY_KEYS)
        return answer(views.gateway_key(await registry.gateway_key(caller.account_id, key_id), now()))

    @router.patch("/{key_id}")
    async def update_gateway_key(request: Request, key_id: str, body: bodies.UpdateGatewayKey) -> Response:
        caller = await access.enter(request, Right.CREATE_GATEWAY_KEYS)
        current = await registry.gateway_key(caller.account_id, key_id)
        _require_own(caller, current)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        if given.get("expires_at"):
            _check_future(given["expires_at"], now())
        changed = replace(current, **given)
        await registry.update_gateway_key(changed)
        return answer(views.gateway_key(changed, now()))

    @router.delete("/{key_id}")
    async def revoke_gateway_key(request: Request, key_id: str) -> Response:
        caller = await access.enter(request, Right.CREATE_GATEWAY_KEYS)
        _require_own(caller, await registry.gateway_key(caller.account_id, key_id))
        revoked = await registry.revoke_gateway_key(caller.account_id, key_id, now=rfc3339(now()))
        return answer(views.gateway_key(revoked, now()))

    return router


def _require_own(caller: Caller, key: GatewayKey) -> None:
    if key.created_by != caller.user_id and not caller.may(Right.CHANGE_GATEWAY_KEYS):
        raise Forbidden("Somebody else created this gateway key.")


def _expiry(body: bodies.CreateGatewayKey, now: datetime) -> str | None:
    if body.expires_at is not None and body.expires_in_days is not None:
        raise InvalidParameter("Both `expires_at` and `expires_in_days` are given.", param="expires_at")
    if body.expires_in_days is not None:
        return rfc3339(now + timedelta(days=body.expires_in_days))
    if body.expires_at is not None:
        _check_future(body.expires_at, now)
    return body.expires_at


def _check_future(expires_at: str, now: datetime) -> None:
    if parse_rfc3339(expires_at) <= now:
        raise InvalidParameter("The expiry has passed already.", param="expires_at")


def _check_imported(key: Secret, account_id: str, *, allow_foreign: bool) -> None:
    """A key of another gateway, where the deployment takes those; or this account's own, from a former deployment."""
    presented = keys.present(key.reveal(), allow_foreign=allow_foreign)
    if presented is None:
        raise InvalidCredentialFormat(
            "This key cannot be taken over as a gateway key.",
            fix="Leave `key` out to get a new one, or ask the operator to allow imported gateway keys.",
            param="key",
        )
    if presented.account_id not in (None, account_id):
        raise InvalidCredentialFormat("This gateway key names another account.", param="key")
