"""`/api/gateway-keys`: created (shown once), listed, changed, rotated, revoked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.catalog import Catalog
from ownkey.domain import gateway_keys as keys
from ownkey.domain import ids
from ownkey.domain.errors import Conflict, Forbidden, InvalidCredentialFormat, InvalidParameter
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.secrets import Secret, mask
from ownkey.domain.times import parse_rfc3339, rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Caller, Right
from ownkey.http.management.answers import Cursor, Limit, answer_page, cut
from ownkey.http.management.auditing import note
from ownkey.http.management.drafting import find_provider
from ownkey.http.management.idempotency import Idempotency
from ownkey.registry import Registry
from ownkey.registry.key_use import KeyUse

_SHOWN_ONCE = (
    "The key was shown when this request was first answered, and is not kept: if that answer was lost, rotate the key."
)


def routes(
    access: Access,
    registry: Registry,
    catalog: Catalog,
    key_use: KeyUse,
    idempotency: Idempotency,
    now: Callable[[], datetime],
    *,
    allow_foreign: bool,
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/gateway-keys")

    async def shown(key: GatewayKey) -> dict[str, Any]:
        return views.gateway_key(key, now(), await key_use.last_used([key]))

    @router.get("")
    async def list_gateway_keys(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_GATEWAY_KEYS)
        page, after = cut(await registry.gateway_keys(caller.account_id), limit, cursor, by=lambda each: each.id)
        used = await key_use.last_used(page)
        return answer_page((views.gateway_key(each, now(), used) for each in page), after)

    @router.post("")
    async def create_gateway_key(request: Request, body: bodies.CreateGatewayKey) -> Response:
        caller = await access.enter(request, Right.CREATE_GATEWAY_KEYS)
        imported = None if body.key is None else Secret(body.key.get_secret_value().strip())
        if imported is not None:
            _check_imported(imported, caller.account_id, allow_foreign=allow_foreign)
        expires_at = _expiry(body, now())
        scope = _scope(body, catalog)

        async def create(key_id: str) -> Response:
            key = imported or keys.mint(caller.account_id)
            stored = GatewayKey(
                id=key_id,
                account_id=caller.account_id,
                alias=body.alias,
                digest=keys.digest_of(key.reveal()),
                mask=mask(key.reveal()),
                created_at=rfc3339(now()),
                created_by=caller.user_id,
                expires_at=expires_at,
                usage_cost_mode=body.usage_cost_mode,
                **scope,
            )
            await registry.create_gateway_key(stored)
            note(request, gateway_key_id=key_id, alias=body.alias, imported=imported is not None)
            # The one time it is shown. An imported key is known to who sent it.
            return etags.answer(views.gateway_key(stored, now(), {}) | ({} if imported else {"key": key.reveal()}), 201)

        async def made_before(key_id: str) -> Response:
            again = await shown(await registry.gateway_key(caller.account_id, key_id))
            return etags.answer(again | {"warnings": [_SHOWN_ONCE]}, 201)

        return await idempotency.once(
            request,
            account_id=caller.account_id,
            user_id=caller.user_id,
            resource_id=ids.new_id(ids.GATEWAY_KEY),
            create=create,
            shown=made_before,
        )

    @router.get("/{key_id}")
    async def read_gateway_key(request: Request, key_id: str) -> Response:
        caller = await access.enter(request, Right.READ_GATEWAY_KEYS)
        return etags.answer(await shown(await registry.gateway_key(caller.account_id, key_id)))

    async def changing(request: Request, key_id: str) -> tuple[Caller, GatewayKey]:
        """The caller, and the key that he may change, as it is now."""
        caller = await access.enter(request, Right.CREATE_GATEWAY_KEYS)
        current = await registry.gateway_key(caller.account_id, key_id)
        if current.created_by != caller.user_id and not caller.may(Right.CHANGE_GATEWAY_KEYS):
            raise Forbidden("Somebody else created this gateway key.")
        etags.check(request, views.gateway_key(current, now(), {}))
        return caller, current

    @router.patch("/{key_id}")
    async def update_gateway_key(request: Request, key_id: str, body: bodies.UpdateGatewayKey) -> Response:
        caller, current = await changing(request, key_id)
        given = body.given() | _scope(body, catalog)
        restricts = not keys.RESTRICTIONS.isdisjoint(given)
        if restricts and current.restricted_by is not None and not caller.may(Right.CHANGE_GATEWAY_KEYS):
            raise Forbidden("Somebody else set what this gateway key may be used for, and until when.")
        if given.get("expires_at"):
            _check_future(given["expires_at"], now())
        changed = current.changed(given, by=caller.user_id, at=rfc3339(now()))
        await registry.update_gateway_key(changed, seen_updated_at=current.updated_at)
        note(request, changed=tuple(sorted(given)))
        return etags.answer(await shown(changed))

    @router.post("/{key_id}/rotate")
    async def rotate_gateway_key(
        request: Request, key_id: str, body: bodies.RotateGatewayKey | None = None
    ) -> Response:
        caller, current = await changing(request, key_id)
        if current.revoked_at or current.expired(now()):
            raise Conflict(
                "A gateway key that is revoked or expired is not rotated.",
                fix="Extend its expiry first, or create a new gateway key.",
            )
        hours = (body or bodies.RotateGatewayKey()).overlap_hours
        key = keys.mint(caller.account_id)
        rotated = current.rotated(
            digest=keys.digest_of(key.reveal()),
            mask=mask(key.reveal()),
            at=rfc3339(now()),
            overlap_ends_at=rfc3339(now() + timedelta(hours=hours)),
        )
        await registry.rotate_gateway_key(rotated, replaced=current)
        note(request, overlap_hours=hours)
        return etags.answer(await shown(rotated) | {"key": key.reveal()})

    @router.delete("/{key_id}")
    async def revoke_gateway_key(request: Request, key_id: str) -> Response:
        caller, _ = await changing(request, key_id)
        revoked = await registry.revoke_gateway_key(caller.account_id, key_id, now=rfc3339(now()))
        return etags.answer(await shown(revoked))

    return router


def _scope(body: bodies.GatewayKeyScope, catalog: Catalog) -> dict[str, Any]:
    """The parts of the scope that the body names, with providers by their ids in the catalog."""
    given = body.given_scope()
    if given.get("providers"):
        given["providers"] = tuple(
            dict.fromkeys(find_provider(catalog, name, param="providers").id for name in given["providers"])
        )
    return given


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
